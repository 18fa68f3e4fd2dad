SELECT count(*) FROM (
    SELECT DISTINCT regionid
    FROM carbon_data.staging_dim_region
    WHERE run_id = :run_id
) AS keys;

SELECT count(*) FROM (
    SELECT DISTINCT {key}
    FROM carbon_data.staging_{table}
    WHERE run_id = :run_id
) AS keys;

SELECT count(*) FROM (
    SELECT DISTINCT regionid, date_recorded
    FROM carbon_data.staging_carbon_intensity_daily
    WHERE run_id = :run_id
) AS keys;

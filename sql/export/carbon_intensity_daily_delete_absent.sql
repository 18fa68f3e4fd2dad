-- Delete every row that is not staged: the staging table holds all of Gold.
DELETE FROM carbon_data.carbon_intensity_daily AS t
WHERE NOT EXISTS (
    SELECT FROM carbon_data.staging_carbon_intensity_daily AS s
    WHERE s.run_id = :run_id
        AND s.is_deleted IS NOT TRUE
        AND t.regionid = s.regionid AND t.date_recorded = s.date_recorded
);

-- Delete the rows that are staged as deleted: Gold had them once and has them no longer.
DELETE FROM carbon_data.carbon_intensity_daily AS t
USING carbon_data.staging_carbon_intensity_daily AS s
WHERE s.run_id = :run_id
    AND s.is_deleted
    AND t.regionid = s.regionid AND t.date_recorded = s.date_recorded;

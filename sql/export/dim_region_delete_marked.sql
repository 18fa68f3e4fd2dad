-- Delete the rows that are staged as deleted: Gold had them once and has them no longer.
DELETE FROM carbon_data.dim_region AS t
USING carbon_data.staging_dim_region AS s
WHERE s.run_id = :run_id
    AND s.is_deleted
    AND t.regionid = s.regionid;

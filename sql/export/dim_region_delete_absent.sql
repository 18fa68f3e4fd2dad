-- Delete every row that is not staged: the staging table holds all of Gold.
DELETE FROM carbon_data.dim_region AS t
WHERE NOT EXISTS (
    SELECT FROM carbon_data.staging_dim_region AS s
    WHERE s.run_id = :run_id
        AND s.is_deleted IS NOT TRUE
        AND t.regionid = s.regionid
);

-- Delete every row that is not staged: the staging table holds all rows of Gold.
DELETE FROM carbon_data.{table} AS t
WHERE NOT EXISTS (
    SELECT FROM carbon_data.staging_{table} AS s
    WHERE s.run_id = :run_id
        AND s.is_deleted IS NOT TRUE
        AND {same_key}
);

-- Delete the rows that are staged as deleted: Gold had them once and has them no longer.
DELETE FROM carbon_data.{table} AS t
USING carbon_data.staging_{table} AS s
WHERE s.run_id = :run_id
    AND s.is_deleted
    AND {same_key};

-- Update what differs, nulls included. Rows that are equal are neither locked nor written.
UPDATE carbon_data.{table} AS t
SET ({values}) = ROW ({staged_values})
FROM carbon_data.staging_{table} AS s
WHERE s.run_id = :run_id
    AND s.is_deleted IS NOT TRUE
    AND {same_key}
    AND ({published_values}) IS DISTINCT FROM ({staged_values});

-- Insert what is missing, found by an anti-join. ON CONFLICT is for a row that another session commits at this very
-- moment: the update that follows corrects it.
INSERT INTO carbon_data.{table} ({columns})
SELECT DISTINCT {staged_columns}
FROM carbon_data.staging_{table} AS s
WHERE s.run_id = :run_id
    AND s.is_deleted IS NOT TRUE
    AND NOT EXISTS (
        SELECT FROM carbon_data.{table} AS t
        WHERE {same_key}
    )
ON CONFLICT ({key}) DO NOTHING;

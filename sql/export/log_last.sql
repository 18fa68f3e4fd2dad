SELECT
    export_id, run_id, gold_version, gold_table_id, dim_version, lake_version,
    inserted, updated, deleted, unchanged, checksum, exported_at
FROM carbon_data.export_log
ORDER BY export_id DESC
LIMIT 1;

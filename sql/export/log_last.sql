SELECT
    export_id, run_id, gold_version, gold_table_id, gold_commit_id, dim_version, lake_version,
    inserted, updated, deleted, unchanged, checksum,
    coalesce(regions_inserted, 0) AS regions_inserted, coalesce(regions_updated, 0) AS regions_updated,
    coalesce(regions_deleted, 0) AS regions_deleted, coalesce(regions_unchanged, 0) AS regions_unchanged,
    regions_checksum, exported_at
FROM carbon_data.export_log
ORDER BY export_id DESC
LIMIT 1;

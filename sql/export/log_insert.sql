INSERT INTO carbon_data.export_log (
    run_id, gold_version, gold_table_id, gold_commit_id, dim_version, lake_version,
    inserted, updated, deleted, unchanged, rows_total, checksum,
    regions_inserted, regions_updated, regions_deleted, regions_unchanged, regions_checksum
)
VALUES (
    :run_id, :gold_version, :gold_table_id, :gold_commit_id, :dim_version, :lake_version,
    :inserted, :updated, :deleted, :unchanged, :rows_total, :checksum,
    :regions_inserted, :regions_updated, :regions_deleted, :regions_unchanged, :regions_checksum
)
RETURNING export_id;

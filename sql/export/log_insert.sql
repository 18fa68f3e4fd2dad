INSERT INTO carbon_data.export_log (
    run_id, gold_version, gold_table_id, dim_version, lake_version,
    inserted, updated, deleted, unchanged, rows_total, checksum
)
VALUES (
    :run_id, :gold_version, :gold_table_id, :dim_version, :lake_version,
    :inserted, :updated, :deleted, :unchanged, :rows_total, :checksum
);

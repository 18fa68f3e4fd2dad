INSERT INTO carbon_data.export_log_table (
    export_id, table_name, version, table_id, commit_id, inserted, updated, deleted, unchanged, rows_total, checksum
)
VALUES (
    :export_id, :table_name, :version, :table_id, :commit_id,
    :inserted, :updated, :deleted, :unchanged, :rows_total, :checksum
);

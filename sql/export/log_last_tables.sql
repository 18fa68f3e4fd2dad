SELECT table_name, version, table_id, commit_id, inserted, updated, deleted, unchanged, checksum
FROM carbon_data.export_log_table
WHERE export_id = :export_id;

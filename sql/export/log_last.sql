SELECT export_id, run_id, lake_version, exported_at
FROM carbon_data.export_log
ORDER BY export_id DESC
LIMIT 1;

-- The log tells the two tables apart, keeps what proves them equal to Gold, and knows a Gold version from one of the
-- same number in a copy of the lake that went its own way.

ALTER TABLE carbon_data.export_log
    ADD COLUMN gold_commit_id TEXT,
    ADD COLUMN regions_inserted BIGINT,
    ADD COLUMN regions_updated BIGINT,
    ADD COLUMN regions_deleted BIGINT,
    ADD COLUMN regions_unchanged BIGINT,
    ADD COLUMN regions_checksum NUMERIC(40, 0);

COMMENT ON COLUMN carbon_data.export_log.gold_commit_id IS
    'Id of the commit that made that Gold version; null for exports before migration 0004';
COMMENT ON COLUMN carbon_data.export_log.inserted IS
    'Rows of carbon_intensity_daily inserted; exports before migration 0004 counted dim_region in';
COMMENT ON COLUMN carbon_data.export_log.updated IS 'Rows of carbon_intensity_daily updated';
COMMENT ON COLUMN carbon_data.export_log.deleted IS 'Rows of carbon_intensity_daily deleted';
COMMENT ON COLUMN carbon_data.export_log.unchanged IS 'Rows of carbon_intensity_daily left as they were';
COMMENT ON COLUMN carbon_data.export_log.rows_total IS 'Rows of carbon_intensity_daily afterwards';
COMMENT ON COLUMN carbon_data.export_log.regions_inserted IS 'Rows of dim_region inserted';
COMMENT ON COLUMN carbon_data.export_log.regions_updated IS 'Rows of dim_region updated';
COMMENT ON COLUMN carbon_data.export_log.regions_deleted IS 'Rows of dim_region deleted';
COMMENT ON COLUMN carbon_data.export_log.regions_unchanged IS 'Rows of dim_region left as they were';
COMMENT ON COLUMN carbon_data.export_log.regions_checksum IS 'The same sum over the rows of dim_region';

-- Gold has the regions that have a day. If the API's England is refused, London is there without its parent.
ALTER TABLE carbon_data.dim_region DROP CONSTRAINT dim_region_parent_fkey;

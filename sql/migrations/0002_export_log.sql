-- Which Gold version the tables equal. A row is written in the same transaction as the rows it speaks of.

CREATE TABLE carbon_data.export_log (
    export_id     BIGINT      NOT NULL GENERATED ALWAYS AS IDENTITY,
    run_id        TEXT        NOT NULL,
    gold_version  BIGINT      NOT NULL,
    gold_table_id TEXT        NOT NULL,
    dim_version   BIGINT,
    lake_version  BIGINT,
    inserted      BIGINT      NOT NULL,
    updated       BIGINT      NOT NULL,
    deleted       BIGINT      NOT NULL,
    unchanged     BIGINT      NOT NULL,
    rows_total    BIGINT      NOT NULL,
    checksum      NUMERIC(40, 0),
    exported_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT export_log_pkey PRIMARY KEY (export_id),
    CONSTRAINT export_log_counts_add_up CHECK (
        inserted >= 0 AND updated >= 0 AND deleted >= 0 AND unchanged >= 0
        AND rows_total = inserted + updated + unchanged
    )
);
COMMENT ON TABLE carbon_data.export_log IS
    'One row per export, the newest last; says which Gold version the other tables equal';
COMMENT ON COLUMN carbon_data.export_log.export_id IS 'Number of the export, rising';
COMMENT ON COLUMN carbon_data.export_log.run_id IS 'The lakehouse run that exported';
COMMENT ON COLUMN carbon_data.export_log.gold_version IS 'Delta version of gold.carbon_intensity_daily';
COMMENT ON COLUMN carbon_data.export_log.gold_table_id IS
    'Delta id of that table; another id means that the versions cannot be compared';
COMMENT ON COLUMN carbon_data.export_log.dim_version IS 'Delta version of gold.dim_region';
COMMENT ON COLUMN carbon_data.export_log.lake_version IS 'Version of the whole lake, where the export belongs to one';
COMMENT ON COLUMN carbon_data.export_log.inserted IS 'Rows inserted, dim_region and carbon_intensity_daily together';
COMMENT ON COLUMN carbon_data.export_log.updated IS 'Rows updated, both tables together';
COMMENT ON COLUMN carbon_data.export_log.deleted IS 'Rows deleted, both tables together';
COMMENT ON COLUMN carbon_data.export_log.unchanged IS 'Rows left as they were, both tables together';
COMMENT ON COLUMN carbon_data.export_log.rows_total IS 'Rows afterwards, both tables together';
COMMENT ON COLUMN carbon_data.export_log.checksum IS
    'Sum over the rows of carbon_intensity_daily of the first 60 bits of their SHA-256; the same sum was found in Gold';
COMMENT ON COLUMN carbon_data.export_log.exported_at IS 'When the export''s transaction began';

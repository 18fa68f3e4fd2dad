-- Where Spark puts Gold's rows before the export's one transaction takes them over.
-- Unlogged: after a crash of the server they are empty, which an export survives by staging again.
-- Nothing but run_id is sure here (a row to delete carries its key alone), so there are no constraints.

CREATE UNLOGGED TABLE carbon_data.staging_dim_region
    (LIKE carbon_data.dim_region INCLUDING COMMENTS);
CREATE UNLOGGED TABLE carbon_data.staging_carbon_intensity_daily
    (LIKE carbon_data.carbon_intensity_daily INCLUDING COMMENTS);

DO $$
DECLARE
    col record;
BEGIN
    FOR col IN
        SELECT attrelid::regclass AS staging, attname AS name
        FROM pg_attribute
        WHERE attrelid IN (
            'carbon_data.staging_dim_region'::regclass,
            'carbon_data.staging_carbon_intensity_daily'::regclass
        ) AND attnum > 0 AND attnotnull
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', col.staging, col.name);
    END LOOP;
END
$$;

ALTER TABLE carbon_data.staging_dim_region
    ADD COLUMN is_deleted BOOLEAN DEFAULT FALSE, ADD COLUMN run_id TEXT;
ALTER TABLE carbon_data.staging_carbon_intensity_daily
    ADD COLUMN is_deleted BOOLEAN DEFAULT FALSE, ADD COLUMN run_id TEXT;

COMMENT ON TABLE carbon_data.staging_dim_region IS
    'Rows of gold.dim_region on their way into dim_region; empty except during an export';
COMMENT ON COLUMN carbon_data.staging_dim_region.is_deleted IS 'Whether Gold no longer has the row of this key';
COMMENT ON COLUMN carbon_data.staging_dim_region.run_id IS 'The run that staged the row';
COMMENT ON TABLE carbon_data.staging_carbon_intensity_daily IS
    'Rows of gold.carbon_intensity_daily on their way into carbon_intensity_daily; empty except during an export';
COMMENT ON COLUMN carbon_data.staging_carbon_intensity_daily.is_deleted IS
    'Whether Gold no longer has the row of this key';
COMMENT ON COLUMN carbon_data.staging_carbon_intensity_daily.run_id IS 'The run that staged the row';

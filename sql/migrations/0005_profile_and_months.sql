-- Two more published tables, made of half-hours as carbon_intensity_daily is, and a log that speaks of every table.

CREATE TABLE carbon_data.intensity_profile (
    regionid      INT            NOT NULL,
    month         DATE           NOT NULL,
    half_hour     SMALLINT       NOT NULL,
    n_days        INT            NOT NULL,
    intensity_avg DECIMAL(10, 2) NOT NULL,
    intensity_min INT            NOT NULL,
    intensity_max INT            NOT NULL,
    CONSTRAINT intensity_profile_pkey PRIMARY KEY (regionid, month, half_hour),
    CONSTRAINT intensity_profile_regionid_fkey FOREIGN KEY (regionid) REFERENCES carbon_data.dim_region (regionid),
    CONSTRAINT intensity_profile_region_known CHECK (regionid BETWEEN 1 AND 18),
    CONSTRAINT intensity_profile_month_begins CHECK (extract(DAY FROM month) = 1),
    CONSTRAINT intensity_profile_half_hour_of_day CHECK (half_hour BETWEEN 0 AND 47),
    CONSTRAINT intensity_profile_days_counted CHECK (n_days BETWEEN 1 AND 31),
    CONSTRAINT intensity_profile_mean_within_range CHECK (intensity_avg BETWEEN intensity_min AND intensity_max)
);
CREATE INDEX intensity_profile_month_idx ON carbon_data.intensity_profile (month, half_hour);
COMMENT ON INDEX carbon_data.intensity_profile_month_idx IS 'All regions of a month, or of one half-hour of it';

COMMENT ON TABLE carbon_data.intensity_profile IS
    'One row per region, UTC month and half-hour of the day: what that half-hour is like in that month';
COMMENT ON COLUMN carbon_data.intensity_profile.regionid IS 'Region, 1 to 18; see dim_region';
COMMENT ON COLUMN carbon_data.intensity_profile.month IS 'First day of the UTC month';
COMMENT ON COLUMN carbon_data.intensity_profile.half_hour IS
    'Half-hour of the UTC day, 0 (from 00:00) to 47 (from 23:30)';
COMMENT ON COLUMN carbon_data.intensity_profile.n_days IS 'Days of the month that have this half-hour';
COMMENT ON COLUMN carbon_data.intensity_profile.intensity_avg IS
    'Mean forecast carbon intensity of these half-hours, gCO2/kWh, rounded once, half up';
COMMENT ON COLUMN carbon_data.intensity_profile.intensity_min IS 'Lowest forecast of these half-hours, gCO2/kWh';
COMMENT ON COLUMN carbon_data.intensity_profile.intensity_max IS 'Highest forecast of these half-hours, gCO2/kWh';

CREATE TABLE carbon_data.carbon_intensity_monthly (
    regionid        INT            NOT NULL,
    month           DATE           NOT NULL,
    n_days          INT            NOT NULL,
    n_complete_days INT            NOT NULL,
    n_periods       INT            NOT NULL,
    intensity_avg   DECIMAL(10, 2) NOT NULL,
    intensity_min   INT            NOT NULL,
    intensity_max   INT            NOT NULL,
    fuel_biomass    DECIMAL(10, 2) NOT NULL,
    fuel_coal       DECIMAL(10, 2) NOT NULL,
    fuel_gas        DECIMAL(10, 2) NOT NULL,
    fuel_hydro      DECIMAL(10, 2) NOT NULL,
    fuel_imports    DECIMAL(10, 2) NOT NULL,
    fuel_nuclear    DECIMAL(10, 2) NOT NULL,
    fuel_other      DECIMAL(10, 2) NOT NULL,
    fuel_solar      DECIMAL(10, 2) NOT NULL,
    fuel_wind       DECIMAL(10, 2) NOT NULL,
    CONSTRAINT carbon_intensity_monthly_pkey PRIMARY KEY (regionid, month),
    CONSTRAINT carbon_intensity_monthly_regionid_fkey FOREIGN KEY (regionid)
        REFERENCES carbon_data.dim_region (regionid),
    CONSTRAINT carbon_intensity_monthly_region_known CHECK (regionid BETWEEN 1 AND 18),
    CONSTRAINT carbon_intensity_monthly_month_begins CHECK (extract(DAY FROM month) = 1),
    CONSTRAINT carbon_intensity_monthly_days_counted
        CHECK (n_complete_days BETWEEN 0 AND n_days AND n_days BETWEEN 1 AND 31),
    CONSTRAINT carbon_intensity_monthly_periods_counted CHECK (n_periods BETWEEN n_days AND 48 * n_days),
    CONSTRAINT carbon_intensity_monthly_mean_within_range
        CHECK (intensity_avg BETWEEN intensity_min AND intensity_max)
);
CREATE INDEX carbon_intensity_monthly_month_idx ON carbon_data.carbon_intensity_monthly (month);
COMMENT ON INDEX carbon_data.carbon_intensity_monthly_month_idx IS 'All regions of a month or of a range of months';

COMMENT ON TABLE carbon_data.carbon_intensity_monthly IS
    'One row per region and UTC month, from its half-hours. Regions 15 to 18 are aggregates of 1 to 14 (see dim_region.kind)';
COMMENT ON COLUMN carbon_data.carbon_intensity_monthly.regionid IS 'Region, 1 to 18; see dim_region';
COMMENT ON COLUMN carbon_data.carbon_intensity_monthly.month IS 'First day of the UTC month';
COMMENT ON COLUMN carbon_data.carbon_intensity_monthly.n_days IS 'Days with at least one half-hour';
COMMENT ON COLUMN carbon_data.carbon_intensity_monthly.n_complete_days IS 'Days with all 48 half-hours';
COMMENT ON COLUMN carbon_data.carbon_intensity_monthly.n_periods IS 'Half-hours that the month''s figures rest on';
COMMENT ON COLUMN carbon_data.carbon_intensity_monthly.intensity_avg IS
    'Mean forecast carbon intensity of the month''s half-hours, gCO2/kWh, rounded once, half up';
COMMENT ON COLUMN carbon_data.carbon_intensity_monthly.intensity_min IS 'Lowest half-hour of the month, gCO2/kWh';
COMMENT ON COLUMN carbon_data.carbon_intensity_monthly.intensity_max IS 'Highest half-hour of the month, gCO2/kWh';
COMMENT ON COLUMN carbon_data.carbon_intensity_monthly.fuel_biomass IS
    'Mean share of biomass, percent of generation';
COMMENT ON COLUMN carbon_data.carbon_intensity_monthly.fuel_coal IS
    'Mean share of coal, percent of generation';
COMMENT ON COLUMN carbon_data.carbon_intensity_monthly.fuel_gas IS
    'Mean share of gas, percent of generation';
COMMENT ON COLUMN carbon_data.carbon_intensity_monthly.fuel_hydro IS
    'Mean share of hydro, percent of generation';
COMMENT ON COLUMN carbon_data.carbon_intensity_monthly.fuel_imports IS
    'Mean share of imports, percent of generation';
COMMENT ON COLUMN carbon_data.carbon_intensity_monthly.fuel_nuclear IS
    'Mean share of nuclear, percent of generation';
COMMENT ON COLUMN carbon_data.carbon_intensity_monthly.fuel_other IS
    'Mean share of other fuels, percent of generation';
COMMENT ON COLUMN carbon_data.carbon_intensity_monthly.fuel_solar IS
    'Mean share of solar, percent of generation';
COMMENT ON COLUMN carbon_data.carbon_intensity_monthly.fuel_wind IS
    'Mean share of wind, percent of generation';

CREATE UNLOGGED TABLE carbon_data.staging_intensity_profile
    (LIKE carbon_data.intensity_profile INCLUDING COMMENTS);
CREATE UNLOGGED TABLE carbon_data.staging_carbon_intensity_monthly
    (LIKE carbon_data.carbon_intensity_monthly INCLUDING COMMENTS);

DO $$
DECLARE
    col record;
BEGIN
    FOR col IN
        SELECT attrelid::regclass AS staging, attname AS name
        FROM pg_attribute
        WHERE attrelid IN (
            'carbon_data.staging_intensity_profile'::regclass,
            'carbon_data.staging_carbon_intensity_monthly'::regclass
        ) AND attnum > 0 AND attnotnull
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', col.staging, col.name);
    END LOOP;
END
$$;

ALTER TABLE carbon_data.staging_intensity_profile
    ADD COLUMN is_deleted BOOLEAN DEFAULT FALSE, ADD COLUMN run_id TEXT;
COMMENT ON TABLE carbon_data.staging_intensity_profile IS
    'Rows of gold.intensity_profile on their way into intensity_profile; empty except during an export';
COMMENT ON COLUMN carbon_data.staging_intensity_profile.is_deleted IS
    'Whether Gold no longer has the row of this key';
COMMENT ON COLUMN carbon_data.staging_intensity_profile.run_id IS 'The run that staged the row';
ALTER TABLE carbon_data.staging_carbon_intensity_monthly
    ADD COLUMN is_deleted BOOLEAN DEFAULT FALSE, ADD COLUMN run_id TEXT;
COMMENT ON TABLE carbon_data.staging_carbon_intensity_monthly IS
    'Rows of gold.carbon_intensity_monthly on their way into carbon_intensity_monthly; empty except during an export';
COMMENT ON COLUMN carbon_data.staging_carbon_intensity_monthly.is_deleted IS
    'Whether Gold no longer has the row of this key';
COMMENT ON COLUMN carbon_data.staging_carbon_intensity_monthly.run_id IS 'The run that staged the row';

CREATE TABLE carbon_data.export_log_table (
    export_id  BIGINT NOT NULL,
    table_name TEXT   NOT NULL,
    version    BIGINT,
    table_id   TEXT,
    commit_id  TEXT,
    inserted   BIGINT NOT NULL,
    updated    BIGINT NOT NULL,
    deleted    BIGINT NOT NULL,
    unchanged  BIGINT NOT NULL,
    rows_total BIGINT NOT NULL,
    checksum   NUMERIC(40, 0),
    CONSTRAINT export_log_table_pkey PRIMARY KEY (export_id, table_name),
    CONSTRAINT export_log_table_export_id_fkey FOREIGN KEY (export_id) REFERENCES carbon_data.export_log (export_id),
    CONSTRAINT export_log_table_counts_add_up CHECK (
        inserted >= 0 AND updated >= 0 AND deleted >= 0 AND unchanged >= 0
        AND rows_total = inserted + updated + unchanged
    )
);
COMMENT ON TABLE carbon_data.export_log_table IS
    'One row per export and published table: which version of the Delta table it equals, and how that was proven';
COMMENT ON COLUMN carbon_data.export_log_table.export_id IS 'The export; see export_log';
COMMENT ON COLUMN carbon_data.export_log_table.table_name IS 'The published table';
COMMENT ON COLUMN carbon_data.export_log_table.version IS
    'Delta version of the table of this name in Gold; null where the lake did not hold it, so that it was empty';
COMMENT ON COLUMN carbon_data.export_log_table.table_id IS
    'Delta id of that table; another id means that the versions cannot be compared';
COMMENT ON COLUMN carbon_data.export_log_table.commit_id IS 'Id of the commit that made that version';
COMMENT ON COLUMN carbon_data.export_log_table.inserted IS 'Rows inserted';
COMMENT ON COLUMN carbon_data.export_log_table.updated IS 'Rows updated';
COMMENT ON COLUMN carbon_data.export_log_table.deleted IS 'Rows deleted';
COMMENT ON COLUMN carbon_data.export_log_table.unchanged IS 'Rows left as they were';
COMMENT ON COLUMN carbon_data.export_log_table.rows_total IS 'Rows afterwards';
COMMENT ON COLUMN carbon_data.export_log_table.checksum IS
    'Sum over the rows of the first 60 bits of their SHA-256; the same sum was found in Gold';

-- What earlier exports logged. They knew of dim_region's version alone, not of its table and commit.
INSERT INTO carbon_data.export_log_table (
    export_id, table_name, version, table_id, commit_id, inserted, updated, deleted, unchanged, rows_total, checksum
)
SELECT
    export_id, 'carbon_intensity_daily', gold_version, gold_table_id, gold_commit_id,
    inserted, updated, deleted, unchanged, rows_total, checksum
FROM carbon_data.export_log
UNION ALL
SELECT
    export_id, 'dim_region', dim_version, NULL, NULL,
    coalesce(regions_inserted, 0), coalesce(regions_updated, 0), coalesce(regions_deleted, 0),
    coalesce(regions_unchanged, 0),
    coalesce(regions_inserted, 0) + coalesce(regions_updated, 0) + coalesce(regions_unchanged, 0),
    regions_checksum
FROM carbon_data.export_log;

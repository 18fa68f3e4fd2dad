-- The published tables. Types, names and nullability are those of Gold, so that a value is never changed on its way.

CREATE SCHEMA carbon_data;
COMMENT ON SCHEMA carbon_data IS
    'Regional carbon intensity of Great Britain by day; an exact copy of the lakehouse''s Gold tables. Source: Carbon Intensity API (NESO), CC BY 4.0';

CREATE TABLE carbon_data.dim_region (
    regionid        INT          NOT NULL,
    shortname       VARCHAR(100) NOT NULL,
    dno             VARCHAR(100) NOT NULL,
    kind            VARCHAR(20)  NOT NULL,
    parent_regionid INT,
    CONSTRAINT dim_region_pkey PRIMARY KEY (regionid),
    CONSTRAINT dim_region_kind_known CHECK (kind IN ('dno_region', 'nation', 'gb')),
    -- deferrable, because an export may bring a child before its parent
    CONSTRAINT dim_region_parent_fkey FOREIGN KEY (parent_regionid)
        REFERENCES carbon_data.dim_region (regionid) DEFERRABLE INITIALLY DEFERRED
);
COMMENT ON TABLE carbon_data.dim_region IS 'One row per region';
COMMENT ON COLUMN carbon_data.dim_region.regionid IS 'Region, 1 to 18, as the API numbers them';
COMMENT ON COLUMN carbon_data.dim_region.shortname IS 'Name in the newest half-hour';
COMMENT ON COLUMN carbon_data.dim_region.dno IS 'Distribution network operator in the newest half-hour';
COMMENT ON COLUMN carbon_data.dim_region.kind IS
    'dno_region, nation or gb; nations and gb are aggregates of dno_regions, so a figure over all kinds counts twice';
COMMENT ON COLUMN carbon_data.dim_region.parent_regionid IS
    'The aggregate that the region is counted in: the nation of a dno_region, gb for a nation; null for gb';

CREATE TABLE carbon_data.carbon_intensity_daily (
    regionid      INT            NOT NULL,
    date_recorded DATE           NOT NULL,
    shortname     VARCHAR(100)   NOT NULL,
    dno           VARCHAR(100)   NOT NULL,
    intensity_avg DECIMAL(10, 2) NOT NULL,
    index_mode    VARCHAR(50)    NOT NULL,
    fuel_biomass  DECIMAL(10, 2) NOT NULL,
    fuel_coal     DECIMAL(10, 2) NOT NULL,
    fuel_gas      DECIMAL(10, 2) NOT NULL,
    fuel_hydro    DECIMAL(10, 2) NOT NULL,
    fuel_imports  DECIMAL(10, 2) NOT NULL,
    fuel_nuclear  DECIMAL(10, 2) NOT NULL,
    fuel_other    DECIMAL(10, 2) NOT NULL,
    fuel_solar    DECIMAL(10, 2) NOT NULL,
    fuel_wind     DECIMAL(10, 2) NOT NULL,
    n_periods     INT            NOT NULL,
    n_expected    INT            NOT NULL,
    is_complete   BOOLEAN        NOT NULL,
    intensity_min INT            NOT NULL,
    intensity_max INT            NOT NULL,
    CONSTRAINT carbon_intensity_daily_pkey PRIMARY KEY (regionid, date_recorded),
    CONSTRAINT carbon_intensity_daily_regionid_fkey FOREIGN KEY (regionid)
        REFERENCES carbon_data.dim_region (regionid),
    CONSTRAINT carbon_intensity_daily_periods_counted CHECK (n_periods BETWEEN 1 AND n_expected),
    CONSTRAINT carbon_intensity_daily_complete_means_all CHECK (is_complete = (n_periods = n_expected)),
    -- intensities may be negative: the API has published such forecasts
    CONSTRAINT carbon_intensity_daily_mean_within_range
        CHECK (intensity_avg BETWEEN intensity_min AND intensity_max)
);
CREATE INDEX carbon_intensity_daily_date_recorded_idx
    ON carbon_data.carbon_intensity_daily (date_recorded);
COMMENT ON INDEX carbon_data.carbon_intensity_daily_date_recorded_idx IS 'All regions of a day or of a range of days';

COMMENT ON TABLE carbon_data.carbon_intensity_daily IS
    'One row per region and UTC day. Regions 15 to 18 are aggregates of 1 to 14 (see dim_region.kind)';
COMMENT ON COLUMN carbon_data.carbon_intensity_daily.regionid IS 'Region, 1 to 18; see dim_region';
COMMENT ON COLUMN carbon_data.carbon_intensity_daily.date_recorded IS 'UTC day of the half-hours'' starts';
COMMENT ON COLUMN carbon_data.carbon_intensity_daily.shortname IS 'Name of the region in the day''s last half-hour';
COMMENT ON COLUMN carbon_data.carbon_intensity_daily.dno IS
    'Distribution network operator in the day''s last half-hour';
COMMENT ON COLUMN carbon_data.carbon_intensity_daily.intensity_avg IS
    'Mean forecast carbon intensity of the day''s half-hours, gCO2/kWh, rounded once, half up';
COMMENT ON COLUMN carbon_data.carbon_intensity_daily.index_mode IS
    'Most frequent label of the day (very low, low, moderate, high, very high); of equals the more severe';
COMMENT ON COLUMN carbon_data.carbon_intensity_daily.fuel_biomass IS 'Mean share of biomass, percent of generation';
COMMENT ON COLUMN carbon_data.carbon_intensity_daily.fuel_coal IS 'Mean share of coal, percent of generation';
COMMENT ON COLUMN carbon_data.carbon_intensity_daily.fuel_gas IS 'Mean share of gas, percent of generation';
COMMENT ON COLUMN carbon_data.carbon_intensity_daily.fuel_hydro IS 'Mean share of hydro, percent of generation';
COMMENT ON COLUMN carbon_data.carbon_intensity_daily.fuel_imports IS 'Mean share of imports, percent of generation';
COMMENT ON COLUMN carbon_data.carbon_intensity_daily.fuel_nuclear IS 'Mean share of nuclear, percent of generation';
COMMENT ON COLUMN carbon_data.carbon_intensity_daily.fuel_other IS 'Mean share of other fuels, percent of generation';
COMMENT ON COLUMN carbon_data.carbon_intensity_daily.fuel_solar IS 'Mean share of solar, percent of generation';
COMMENT ON COLUMN carbon_data.carbon_intensity_daily.fuel_wind IS 'Mean share of wind, percent of generation';
COMMENT ON COLUMN carbon_data.carbon_intensity_daily.n_periods IS 'Half-hours that the day''s figures rest on';
COMMENT ON COLUMN carbon_data.carbon_intensity_daily.n_expected IS 'Half-hours of a whole UTC day: 48';
COMMENT ON COLUMN carbon_data.carbon_intensity_daily.is_complete IS 'Whether all 48 half-hours are there';
COMMENT ON COLUMN carbon_data.carbon_intensity_daily.intensity_min IS 'Lowest half-hour of the day, gCO2/kWh';
COMMENT ON COLUMN carbon_data.carbon_intensity_daily.intensity_max IS 'Highest half-hour of the day, gCO2/kWh';

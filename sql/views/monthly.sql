-- round() changes no value: it gives the type that these columns had when they were computed here, without which
-- CREATE OR REPLACE VIEW would refuse to replace them.
CREATE OR REPLACE VIEW carbon_data.monthly AS
SELECT
    m.regionid,
    r.kind,
    r.shortname,
    m.month,
    m.n_days,
    m.n_complete_days,
    m.n_periods,
    round(m.intensity_avg, 2) AS intensity_avg,
    m.intensity_min,
    m.intensity_max,
    round(m.fuel_biomass, 2) AS fuel_biomass,
    round(m.fuel_coal, 2) AS fuel_coal,
    round(m.fuel_gas, 2) AS fuel_gas,
    round(m.fuel_hydro, 2) AS fuel_hydro,
    round(m.fuel_imports, 2) AS fuel_imports,
    round(m.fuel_nuclear, 2) AS fuel_nuclear,
    round(m.fuel_other, 2) AS fuel_other,
    round(m.fuel_solar, 2) AS fuel_solar,
    round(m.fuel_wind, 2) AS fuel_wind
FROM carbon_data.carbon_intensity_monthly AS m
JOIN carbon_data.dim_region AS r USING (regionid);

COMMENT ON VIEW carbon_data.monthly IS
    'One row per region and UTC month; means are exact: of the month''s half-hours, rounded once. Never add up regions of different kinds';
COMMENT ON COLUMN carbon_data.monthly.regionid IS 'Region, 1 to 18';
COMMENT ON COLUMN carbon_data.monthly.kind IS
    'dno_region, nation or gb; nations and gb are aggregates of dno_regions';
COMMENT ON COLUMN carbon_data.monthly.shortname IS 'Name in the newest half-hour';
COMMENT ON COLUMN carbon_data.monthly.month IS 'First day of the UTC month';
COMMENT ON COLUMN carbon_data.monthly.n_days IS 'Days with at least one half-hour';
COMMENT ON COLUMN carbon_data.monthly.n_complete_days IS 'Days with all 48 half-hours';
COMMENT ON COLUMN carbon_data.monthly.n_periods IS 'Half-hours that the figures rest on';
COMMENT ON COLUMN carbon_data.monthly.intensity_avg IS
    'Mean forecast carbon intensity of the month''s half-hours, gCO2/kWh, rounded once, half up';
COMMENT ON COLUMN carbon_data.monthly.intensity_min IS 'Lowest half-hour of the month, gCO2/kWh';
COMMENT ON COLUMN carbon_data.monthly.intensity_max IS 'Highest half-hour of the month, gCO2/kWh';
COMMENT ON COLUMN carbon_data.monthly.fuel_biomass IS
    'Mean share of biomass, percent of generation';
COMMENT ON COLUMN carbon_data.monthly.fuel_coal IS
    'Mean share of coal, percent of generation';
COMMENT ON COLUMN carbon_data.monthly.fuel_gas IS
    'Mean share of gas, percent of generation';
COMMENT ON COLUMN carbon_data.monthly.fuel_hydro IS
    'Mean share of hydro, percent of generation';
COMMENT ON COLUMN carbon_data.monthly.fuel_imports IS
    'Mean share of imports, percent of generation';
COMMENT ON COLUMN carbon_data.monthly.fuel_nuclear IS
    'Mean share of nuclear, percent of generation';
COMMENT ON COLUMN carbon_data.monthly.fuel_other IS
    'Mean share of other fuels, percent of generation';
COMMENT ON COLUMN carbon_data.monthly.fuel_solar IS
    'Mean share of solar, percent of generation';
COMMENT ON COLUMN carbon_data.monthly.fuel_wind IS
    'Mean share of wind, percent of generation';

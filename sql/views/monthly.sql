-- Days weigh by their half-hours: a day of 4 half-hours counts a twelfth of a whole one. Gold's days are rounded, and a
-- mean of them is rounded once more, so it is up to 0.01 off the mean of the half-hours; every COMMENT of one says so.
CREATE OR REPLACE VIEW carbon_data.monthly AS
SELECT
    d.regionid,
    r.kind,
    r.shortname,
    date_trunc('month', d.date_recorded)::date AS month,
    count(*)::int AS n_days,
    count(*) FILTER (WHERE d.is_complete)::int AS n_complete_days,
    sum(d.n_periods)::int AS n_periods,
    round(sum(d.intensity_avg * d.n_periods) / sum(d.n_periods), 2) AS intensity_avg,
    min(d.intensity_min) AS intensity_min,
    max(d.intensity_max) AS intensity_max,
    round(sum(d.fuel_biomass * d.n_periods) / sum(d.n_periods), 2) AS fuel_biomass,
    round(sum(d.fuel_coal * d.n_periods) / sum(d.n_periods), 2) AS fuel_coal,
    round(sum(d.fuel_gas * d.n_periods) / sum(d.n_periods), 2) AS fuel_gas,
    round(sum(d.fuel_hydro * d.n_periods) / sum(d.n_periods), 2) AS fuel_hydro,
    round(sum(d.fuel_imports * d.n_periods) / sum(d.n_periods), 2) AS fuel_imports,
    round(sum(d.fuel_nuclear * d.n_periods) / sum(d.n_periods), 2) AS fuel_nuclear,
    round(sum(d.fuel_other * d.n_periods) / sum(d.n_periods), 2) AS fuel_other,
    round(sum(d.fuel_solar * d.n_periods) / sum(d.n_periods), 2) AS fuel_solar,
    round(sum(d.fuel_wind * d.n_periods) / sum(d.n_periods), 2) AS fuel_wind
FROM carbon_data.carbon_intensity_daily AS d
JOIN carbon_data.dim_region AS r USING (regionid)
GROUP BY d.regionid, r.kind, r.shortname, date_trunc('month', d.date_recorded);

COMMENT ON VIEW carbon_data.monthly IS
    'One row per region and UTC month; means are weighted by half-hours and rounded twice (by day, by month), so up to 0.01 off. Never add up regions of different kinds';
COMMENT ON COLUMN carbon_data.monthly.regionid IS 'Region, 1 to 18';
COMMENT ON COLUMN carbon_data.monthly.kind IS
    'dno_region, nation or gb; nations and gb are aggregates of dno_regions';
COMMENT ON COLUMN carbon_data.monthly.shortname IS 'Name in the newest half-hour';
COMMENT ON COLUMN carbon_data.monthly.month IS 'First day of the UTC month';
COMMENT ON COLUMN carbon_data.monthly.n_days IS 'Days with at least one half-hour';
COMMENT ON COLUMN carbon_data.monthly.n_complete_days IS 'Days with all 48 half-hours';
COMMENT ON COLUMN carbon_data.monthly.n_periods IS 'Half-hours that the figures rest on';
COMMENT ON COLUMN carbon_data.monthly.intensity_avg IS
    'Mean forecast carbon intensity, gCO2/kWh, from the days'' rounded means: up to 0.01 off';
COMMENT ON COLUMN carbon_data.monthly.intensity_min IS 'Lowest half-hour of the month, gCO2/kWh';
COMMENT ON COLUMN carbon_data.monthly.intensity_max IS 'Highest half-hour of the month, gCO2/kWh';
COMMENT ON COLUMN carbon_data.monthly.fuel_biomass IS
    'Mean share of biomass, percent of generation, from the days'' rounded means: up to 0.01 off';
COMMENT ON COLUMN carbon_data.monthly.fuel_coal IS
    'Mean share of coal, percent of generation, from the days'' rounded means: up to 0.01 off';
COMMENT ON COLUMN carbon_data.monthly.fuel_gas IS
    'Mean share of gas, percent of generation, from the days'' rounded means: up to 0.01 off';
COMMENT ON COLUMN carbon_data.monthly.fuel_hydro IS
    'Mean share of hydro, percent of generation, from the days'' rounded means: up to 0.01 off';
COMMENT ON COLUMN carbon_data.monthly.fuel_imports IS
    'Mean share of imports, percent of generation, from the days'' rounded means: up to 0.01 off';
COMMENT ON COLUMN carbon_data.monthly.fuel_nuclear IS
    'Mean share of nuclear, percent of generation, from the days'' rounded means: up to 0.01 off';
COMMENT ON COLUMN carbon_data.monthly.fuel_other IS
    'Mean share of other fuels, percent of generation, from the days'' rounded means: up to 0.01 off';
COMMENT ON COLUMN carbon_data.monthly.fuel_solar IS
    'Mean share of solar, percent of generation, from the days'' rounded means: up to 0.01 off';
COMMENT ON COLUMN carbon_data.monthly.fuel_wind IS
    'Mean share of wind, percent of generation, from the days'' rounded means: up to 0.01 off';

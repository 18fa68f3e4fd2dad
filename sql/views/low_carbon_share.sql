-- Great Britain counts biomass and nuclear as low carbon (Digest of UK Energy Statistics); imports are of unknown make.
CREATE OR REPLACE VIEW carbon_data.low_carbon_share AS
SELECT
    d.regionid,
    r.kind,
    d.shortname,
    d.date_recorded,
    d.fuel_hydro + d.fuel_solar + d.fuel_wind AS weather_share,
    d.fuel_hydro + d.fuel_solar + d.fuel_wind + d.fuel_nuclear AS zero_carbon_share,
    d.fuel_hydro + d.fuel_solar + d.fuel_wind + d.fuel_nuclear + d.fuel_biomass AS low_carbon_share,
    d.fuel_coal + d.fuel_gas AS fossil_share,
    d.is_complete
FROM carbon_data.carbon_intensity_daily AS d
JOIN carbon_data.dim_region AS r USING (regionid);

COMMENT ON VIEW carbon_data.low_carbon_share IS
    'One row per region and UTC day: shares of groups of fuels, sums of the days'' rounded means. Compare regions of one kind only';
COMMENT ON COLUMN carbon_data.low_carbon_share.regionid IS 'Region, 1 to 18';
COMMENT ON COLUMN carbon_data.low_carbon_share.kind IS
    'dno_region, nation or gb; nations and gb are aggregates of dno_regions';
COMMENT ON COLUMN carbon_data.low_carbon_share.shortname IS 'Name of the region in the day''s last half-hour';
COMMENT ON COLUMN carbon_data.low_carbon_share.date_recorded IS 'UTC day';
COMMENT ON COLUMN carbon_data.low_carbon_share.weather_share IS 'Hydro, solar and wind, percent of generation';
COMMENT ON COLUMN carbon_data.low_carbon_share.zero_carbon_share IS
    'Hydro, solar, wind and nuclear, percent of generation';
COMMENT ON COLUMN carbon_data.low_carbon_share.low_carbon_share IS
    'Hydro, solar, wind, nuclear and biomass, percent of generation';
COMMENT ON COLUMN carbon_data.low_carbon_share.fossil_share IS 'Coal and gas, percent of generation';
COMMENT ON COLUMN carbon_data.low_carbon_share.is_complete IS 'Whether all 48 half-hours are there';

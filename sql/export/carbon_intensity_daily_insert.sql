-- Insert what is missing, found by an anti-join. ON CONFLICT is for a row that another session commits at this very
-- moment: the update that follows corrects it.
INSERT INTO carbon_data.carbon_intensity_daily (
    regionid, date_recorded, shortname, dno, intensity_avg, index_mode, fuel_biomass, fuel_coal,
    fuel_gas, fuel_hydro, fuel_imports, fuel_nuclear, fuel_other, fuel_solar, fuel_wind, n_periods,
    n_expected, is_complete, intensity_min, intensity_max
)
SELECT DISTINCT
    s.regionid, s.date_recorded, s.shortname, s.dno, s.intensity_avg, s.index_mode, s.fuel_biomass,
    s.fuel_coal, s.fuel_gas, s.fuel_hydro, s.fuel_imports, s.fuel_nuclear, s.fuel_other,
    s.fuel_solar, s.fuel_wind, s.n_periods, s.n_expected, s.is_complete, s.intensity_min,
    s.intensity_max
FROM carbon_data.staging_carbon_intensity_daily AS s
WHERE s.run_id = :run_id
    AND s.is_deleted IS NOT TRUE
    AND NOT EXISTS (
        SELECT FROM carbon_data.carbon_intensity_daily AS t
        WHERE t.regionid = s.regionid AND t.date_recorded = s.date_recorded
    )
ON CONFLICT (regionid, date_recorded) DO NOTHING;

-- Update what differs, nulls included. Rows that are equal are neither locked nor written.
UPDATE carbon_data.carbon_intensity_daily AS t
SET (
    shortname, dno, intensity_avg, index_mode, fuel_biomass, fuel_coal, fuel_gas, fuel_hydro,
    fuel_imports, fuel_nuclear, fuel_other, fuel_solar, fuel_wind, n_periods, n_expected,
    is_complete, intensity_min, intensity_max
) = ROW (
    s.shortname, s.dno, s.intensity_avg, s.index_mode, s.fuel_biomass, s.fuel_coal, s.fuel_gas,
    s.fuel_hydro, s.fuel_imports, s.fuel_nuclear, s.fuel_other, s.fuel_solar, s.fuel_wind,
    s.n_periods, s.n_expected, s.is_complete, s.intensity_min, s.intensity_max
)
FROM carbon_data.staging_carbon_intensity_daily AS s
WHERE s.run_id = :run_id
    AND s.is_deleted IS NOT TRUE
    AND t.regionid = s.regionid AND t.date_recorded = s.date_recorded
    AND (
        t.shortname, t.dno, t.intensity_avg, t.index_mode, t.fuel_biomass, t.fuel_coal, t.fuel_gas,
        t.fuel_hydro, t.fuel_imports, t.fuel_nuclear, t.fuel_other, t.fuel_solar, t.fuel_wind,
        t.n_periods, t.n_expected, t.is_complete, t.intensity_min, t.intensity_max
    ) IS DISTINCT FROM (
        s.shortname, s.dno, s.intensity_avg, s.index_mode, s.fuel_biomass, s.fuel_coal, s.fuel_gas,
        s.fuel_hydro, s.fuel_imports, s.fuel_nuclear, s.fuel_other, s.fuel_solar, s.fuel_wind,
        s.n_periods, s.n_expected, s.is_complete, s.intensity_min, s.intensity_max
    );

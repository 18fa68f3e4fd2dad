SELECT
    regionid, date_recorded, shortname, dno, intensity_avg, index_mode, fuel_biomass,
    fuel_coal, fuel_gas, fuel_hydro, fuel_imports, fuel_nuclear, fuel_other, fuel_solar,
    fuel_wind, n_periods, n_expected, is_complete, intensity_min, intensity_max
FROM carbon_data.carbon_intensity_daily
WHERE to_char(date_recorded, 'YYYY-MM') = ANY (:months);

-- concat_ws would skip nulls, so array_to_string with a mark for them. A boolean casts to true, not to t.
WITH texts AS (
    SELECT
        to_char(date_recorded, 'YYYY-MM') AS part,
        array_to_string(ARRAY[
            regionid::text, to_char(date_recorded, 'YYYY-MM-DD'), shortname::text, dno::text,
            intensity_avg::text, index_mode::text, fuel_biomass::text, fuel_coal::text,
            fuel_gas::text, fuel_hydro::text, fuel_imports::text, fuel_nuclear::text,
            fuel_other::text, fuel_solar::text, fuel_wind::text, n_periods::text,
            n_expected::text, is_complete::text, intensity_min::text, intensity_max::text
        ], '|', '\N') AS row_text
    FROM carbon_data.carbon_intensity_daily
    UNION ALL
    SELECT
        'dim_region',
        array_to_string(ARRAY[
            regionid::text, shortname::text, dno::text, kind::text, parent_regionid::text
        ], '|', '\N')
    FROM carbon_data.dim_region
)
SELECT
    part,
    count(*),
    sum(('x' || substr(encode(sha256(convert_to(row_text, 'UTF8')), 'hex'), 1, 15))::bit(60)::bigint)
FROM texts
GROUP BY part
ORDER BY part;

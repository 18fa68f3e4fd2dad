-- Must give what lakehouse/publishing/checksums.py gives: the columns as text, joined by '|', null as '\N', and in strings a '\'
-- before each '\' and '|'. concat_ws would skip nulls. A boolean casts to true, not to t. A backslash is chr(92), which
-- is one whatever standard_conforming_strings says.
WITH texts AS (
    SELECT
        to_char(date_recorded, 'YYYY-MM') AS part,
        array_to_string(ARRAY[
            regionid::text, to_char(date_recorded, 'YYYY-MM-DD'),
            replace(replace(shortname, chr(92), chr(92) || chr(92)), '|', chr(92) || '|'),
            replace(replace(dno, chr(92), chr(92) || chr(92)), '|', chr(92) || '|'),
            intensity_avg::text,
            replace(replace(index_mode, chr(92), chr(92) || chr(92)), '|', chr(92) || '|'),
            fuel_biomass::text, fuel_coal::text, fuel_gas::text, fuel_hydro::text, fuel_imports::text,
            fuel_nuclear::text, fuel_other::text, fuel_solar::text, fuel_wind::text, n_periods::text,
            n_expected::text, is_complete::text, intensity_min::text, intensity_max::text
        ], '|', chr(92) || 'N') AS row_text
    FROM carbon_data.carbon_intensity_daily
    UNION ALL
    SELECT
        'dim_region',
        array_to_string(ARRAY[
            regionid::text,
            replace(replace(shortname, chr(92), chr(92) || chr(92)), '|', chr(92) || '|'),
            replace(replace(dno, chr(92), chr(92) || chr(92)), '|', chr(92) || '|'),
            replace(replace(kind, chr(92), chr(92) || chr(92)), '|', chr(92) || '|'),
            parent_regionid::text
        ], '|', chr(92) || 'N')
    FROM carbon_data.dim_region
)
SELECT
    part,
    count(*),
    sum(('x' || substr(encode(sha256(convert_to(row_text, 'UTF8')), 'hex'), 1, 15))::bit(60)::bigint)
FROM texts
GROUP BY part
ORDER BY part;

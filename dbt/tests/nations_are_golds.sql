-- A nation's month is Gold's own row of that nation, digit for digit, and no row of Gold's is left out.
select coalesce(mart.regionid, gold.regionid) as regionid, coalesce(mart.month, gold.month) as month
from {{ ref('monthly_by_nation') }} as mart
full join (
    select m.*
    from {{ source('carbon_data', 'carbon_intensity_monthly') }} as m
    join {{ source('carbon_data', 'dim_region') }} as r using (regionid)
    where r.kind = 'nation'
) as gold on gold.regionid = mart.regionid and gold.month = mart.month
where (mart.intensity_avg, mart.fuel_gas, mart.fuel_wind, mart.n_periods)
    is distinct from (gold.intensity_avg, gold.fuel_gas, gold.fuel_wind, gold.n_periods)

-- The API's own figures of the nations: neither added up from distribution regions nor from one another.
select
    nation.regionid,
    nation.shortname as nation,
    nation.month,
    nation.intensity_avg,
    nation.intensity_min,
    nation.intensity_max,
    gb.intensity_avg as gb_intensity_avg,
    nation.intensity_avg - gb.intensity_avg as above_gb,
    nation.fuel_biomass,
    nation.fuel_coal,
    nation.fuel_gas,
    nation.fuel_hydro,
    nation.fuel_imports,
    nation.fuel_nuclear,
    nation.fuel_other,
    nation.fuel_solar,
    nation.fuel_wind,
    nation.n_periods,
    nation.n_periods_expected,
    nation.share_of_half_hours,
    nation.n_periods = nation.n_periods_expected as is_complete
from {{ ref('int_months') }} as nation
left join {{ ref('int_months') }} as gb on gb.month = nation.month and gb.kind = 'gb'
where nation.kind = 'nation'

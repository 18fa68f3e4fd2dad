select
    m.*,
    r.kind,
    r.shortname,
    48 * extract(day from m.month + interval '1 month' - interval '1 day')::int as n_periods_expected,
    round(
        m.n_periods / (48 * extract(day from m.month + interval '1 month' - interval '1 day')), 4
    ) as share_of_half_hours
from {{ ref('stg_months') }} as m
join {{ ref('stg_regions') }} as r using (regionid)

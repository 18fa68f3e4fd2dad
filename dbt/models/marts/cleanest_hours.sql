select
    h.regionid,
    m.kind,
    m.shortname,
    h.month,
    h.half_hour,
    time '00:00' + h.half_hour * interval '30 minutes' as starts_at_utc,
    rank() over (partition by h.regionid, h.month order by h.intensity_avg)::int as rank,
    h.intensity_avg,
    m.intensity_avg - h.intensity_avg as below_month,
    h.intensity_min,
    h.intensity_max,
    h.n_days,
    h.n_days = m.n_periods_expected / 48 as is_complete
from {{ ref('stg_half_hours') }} as h
join {{ ref('int_months') }} as m using (regionid, month)

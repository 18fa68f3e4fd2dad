with pairs as (
    select
        this.regionid,
        this.kind,
        this.shortname,
        this.month,
        this.intensity_avg,
        before.intensity_avg as intensity_avg_year_before,
        this.share_of_half_hours,
        before.share_of_half_hours as share_of_half_hours_year_before,
        least(this.share_of_half_hours, before.share_of_half_hours) >= {{ var('least_share_of_half_hours') }}
            as is_comparable
    from {{ ref('int_months') }} as this
    join {{ ref('int_months') }} as before
        on before.regionid = this.regionid and before.month = this.month - interval '1 year'
)

select
    *,
    case when is_comparable then intensity_avg - intensity_avg_year_before end as change,
    case
        when is_comparable and intensity_avg_year_before > 0
            then round(100 * (intensity_avg - intensity_avg_year_before) / intensity_avg_year_before, 1)
    end as change_percent
from pairs

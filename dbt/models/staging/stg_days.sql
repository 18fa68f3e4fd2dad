select *
from {{ source('carbon_data', 'carbon_intensity_daily') }}

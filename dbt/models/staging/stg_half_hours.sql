select *
from {{ source('carbon_data', 'intensity_profile') }}

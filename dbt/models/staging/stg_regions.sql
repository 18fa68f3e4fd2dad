select *
from {{ source('carbon_data', 'dim_region') }}

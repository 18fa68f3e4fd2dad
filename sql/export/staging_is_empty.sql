SELECT NOT EXISTS (SELECT FROM carbon_data.staging_carbon_intensity_daily)
    AND NOT EXISTS (SELECT FROM carbon_data.staging_dim_region);

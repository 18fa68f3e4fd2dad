SELECT count(*) FROM carbon_data.dim_region;

SELECT count(*) FROM carbon_data.carbon_intensity_daily;

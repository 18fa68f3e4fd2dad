SELECT NOT EXISTS (SELECT FROM carbon_data.staging_{table});

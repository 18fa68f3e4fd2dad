-- Rows of any run: whoever holds the export's lock is alone, so others' rows were left by a run that died.
TRUNCATE carbon_data.staging_{table};

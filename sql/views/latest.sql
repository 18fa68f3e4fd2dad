CREATE OR REPLACE VIEW carbon_data.latest AS
SELECT DISTINCT ON (d.regionid)
    d.regionid,
    r.kind,
    d.shortname,
    d.date_recorded,
    d.intensity_avg,
    d.index_mode,
    d.intensity_min,
    d.intensity_max,
    d.n_periods,
    d.is_complete
FROM carbon_data.carbon_intensity_daily AS d
JOIN carbon_data.dim_region AS r USING (regionid)
ORDER BY d.regionid, d.date_recorded DESC;

COMMENT ON VIEW carbon_data.latest IS 'One row per region: its newest day, which may still be incomplete';
COMMENT ON COLUMN carbon_data.latest.regionid IS 'Region, 1 to 18';
COMMENT ON COLUMN carbon_data.latest.kind IS 'dno_region, nation or gb; nations and gb are aggregates of dno_regions';
COMMENT ON COLUMN carbon_data.latest.shortname IS 'Name of the region in that day''s last half-hour';
COMMENT ON COLUMN carbon_data.latest.date_recorded IS 'The region''s newest UTC day';
COMMENT ON COLUMN carbon_data.latest.intensity_avg IS 'Mean forecast carbon intensity, gCO2/kWh';
COMMENT ON COLUMN carbon_data.latest.index_mode IS 'Most frequent label of the day';
COMMENT ON COLUMN carbon_data.latest.intensity_min IS 'Lowest half-hour of the day, gCO2/kWh';
COMMENT ON COLUMN carbon_data.latest.intensity_max IS 'Highest half-hour of the day, gCO2/kWh';
COMMENT ON COLUMN carbon_data.latest.n_periods IS 'Half-hours that the figures rest on, of 48';
COMMENT ON COLUMN carbon_data.latest.is_complete IS 'Whether all 48 half-hours are there';

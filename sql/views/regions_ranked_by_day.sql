-- Only the 14 distribution regions compete: nations and Great Britain are made of them.
CREATE OR REPLACE VIEW carbon_data.regions_ranked_by_day AS
SELECT
    d.date_recorded,
    rank() OVER (PARTITION BY d.date_recorded ORDER BY d.intensity_avg)::int AS rank,
    d.regionid,
    d.shortname,
    d.intensity_avg,
    d.index_mode,
    d.n_periods,
    d.is_complete
FROM carbon_data.carbon_intensity_daily AS d
JOIN carbon_data.dim_region AS r USING (regionid)
WHERE r.kind = 'dno_region';

COMMENT ON VIEW carbon_data.regions_ranked_by_day IS
    'One row per UTC day and distribution region, ranked by mean carbon intensity; nations and gb are left out';
COMMENT ON COLUMN carbon_data.regions_ranked_by_day.date_recorded IS 'UTC day';
COMMENT ON COLUMN carbon_data.regions_ranked_by_day.rank IS '1 is the day''s cleanest region; equals share a rank';
COMMENT ON COLUMN carbon_data.regions_ranked_by_day.regionid IS 'Region, 1 to 14';
COMMENT ON COLUMN carbon_data.regions_ranked_by_day.shortname IS 'Name of the region in the day''s last half-hour';
COMMENT ON COLUMN carbon_data.regions_ranked_by_day.intensity_avg IS 'Mean forecast carbon intensity, gCO2/kWh';
COMMENT ON COLUMN carbon_data.regions_ranked_by_day.index_mode IS 'Most frequent label of the day';
COMMENT ON COLUMN carbon_data.regions_ranked_by_day.n_periods IS 'Half-hours that the mean rests on, of 48';
COMMENT ON COLUMN carbon_data.regions_ranked_by_day.is_complete IS 'Whether all 48 half-hours are there';

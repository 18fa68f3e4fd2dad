-- Keys staged twice with different content. Equal twins are harmless (a Spark task that was tried again).
SELECT regionid, date_recorded
FROM carbon_data.staging_carbon_intensity_daily AS s
WHERE run_id = :run_id
GROUP BY regionid, date_recorded
HAVING count(*) > 1 AND count(DISTINCT s) > 1
ORDER BY regionid, date_recorded
LIMIT 3;

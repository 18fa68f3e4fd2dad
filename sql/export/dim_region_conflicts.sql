-- Keys staged twice with different content. Equal twins are harmless (a Spark task that was tried again).
SELECT regionid
FROM carbon_data.staging_dim_region AS s
WHERE run_id = :run_id
GROUP BY regionid
HAVING count(*) > 1 AND count(DISTINCT s) > 1
ORDER BY regionid
LIMIT 3;

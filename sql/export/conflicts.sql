-- Keys staged twice with different content. Equal twins are harmless (a Spark task that was tried again).
SELECT {key}
FROM carbon_data.staging_{table} AS s
WHERE run_id = :run_id
GROUP BY {key}
HAVING count(*) > 1 AND count(DISTINCT s) > 1
ORDER BY {key}
LIMIT 3;

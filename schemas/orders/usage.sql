-- Order changes per customer and day: the same numbers as `changes` in the daily snapshots.
SELECT partition_date, customer_key, count(*) AS changes
FROM "order_once"
WHERE partition_date >= CAST(current_date - INTERVAL '31' DAY AS varchar)
GROUP BY partition_date, customer_key
ORDER BY partition_date, changes DESC, customer_key

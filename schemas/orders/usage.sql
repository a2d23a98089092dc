-- Changes of orders per customer and day: what the snapshots of the day count as `changes`.
SELECT partition_date, customer_key, count(*) AS changes
FROM "order_once"
GROUP BY partition_date, customer_key
ORDER BY partition_date, changes DESC, customer_key

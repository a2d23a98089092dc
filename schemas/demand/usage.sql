-- Quantity demanded per product, site, and day. This pipeline writes no snapshots.
SELECT partition_date, product, site, count(*) AS demands, sum(quantity) AS quantity
FROM "demand_once"
WHERE partition_date >= CAST(current_date - INTERVAL '31' DAY AS varchar)
GROUP BY partition_date, product, site
ORDER BY partition_date, quantity DESC, product

-- Demanded quantity per product, site and day. Nothing is counted in snapshots by this pipeline.
SELECT partition_date, product, site, count(*) AS demands, sum(quantity) AS quantity
FROM "demand_once"
GROUP BY partition_date, product, site
ORDER BY partition_date, quantity DESC, product

-- Vulnerabilities reported per group and day: the same numbers as in the daily snapshots.
SELECT partition_date, group_name, count(*) AS reported
FROM "vulnerability_once"
WHERE partition_date >= CAST(current_date - INTERVAL '31' DAY AS varchar) AND event_name = 'INSERT'
GROUP BY partition_date, group_name
ORDER BY partition_date, reported DESC, group_name

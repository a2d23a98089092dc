-- Messages and meters per racer, competition, and day: the same totals as in the daily snapshots.
SELECT partition_date, competition_id, racer_id, count(*) AS messages, sum(distance) AS metres
FROM "racer_once"
WHERE partition_date >= CAST(current_date - INTERVAL '31' DAY AS varchar)
GROUP BY partition_date, competition_id, racer_id
ORDER BY partition_date, competition_id, metres DESC

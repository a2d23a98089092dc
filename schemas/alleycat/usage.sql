-- Messages and metres per racer, race and day: what the snapshots of the day count.
SELECT partition_date, competition_id, racer_id, count(*) AS messages, sum(distance) AS metres
FROM "racer_once"
GROUP BY partition_date, competition_id, racer_id
ORDER BY partition_date, competition_id, metres DESC

-- Requests and errors per tenant and day: the same numbers as in the daily snapshots.
SELECT partition_date, tenant_key, count(*) AS requests, sum(CASE WHEN status >= 500 THEN 1 ELSE 0 END) AS errors
FROM "api_request_once"
WHERE partition_date >= CAST(current_date - INTERVAL '31' DAY AS varchar) AND event_name = 'INSERT'
GROUP BY partition_date, tenant_key
ORDER BY partition_date, requests DESC, tenant_key

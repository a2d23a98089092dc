"""Measures queries of one day of orders before and after compaction, with DataFusion.

usage: lake.py USAGECTL [ROWS [FILES]]; by default 1,000,000 rows in 10,000 raw files

It writes the raw files as the function names them, queries them by the view's rule for raw rows, compacts them with `usagectl compact`, and
queries the compacted rows. Answers must be equal. A GET is counted for each file that an engine on S3 must open at least once.
"""

import concurrent.futures
import datetime
import decimal
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time

import fastavro
import pyarrow
from datafusion import SessionContext

DAY = "2026-11-20"
PREFIX = "s3/archive/data-pipeline"
QUERIES = {
    "rows": "SELECT count(*) AS n FROM orders WHERE partition_date = '2026-11-20'",
    "sum per customer": "SELECT customer_key, count(*) AS n, sum(total) AS amount FROM orders WHERE partition_date = '2026-11-20' "
    "GROUP BY customer_key ORDER BY customer_key",
    "one customer": "SELECT order_key, total FROM orders WHERE partition_date = '2026-11-20' AND customer_key = 'CUSTOMER#77' "
    "ORDER BY record_id",
}
ONCE = (
    "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY partition_date, record_id ORDER BY record_id) AS copy_number FROM raw) "
    "WHERE copy_number = 1"
)


def write(task):
    """Writes one raw file with the rows of one batch, and returns its size."""
    folder, schema, number, files, rows = task
    noise = random.Random(number)
    start = datetime.datetime.fromisoformat(f"{DAY}T00:00:00+00:00") + datetime.timedelta(days=number / files)
    batch = [order(noise, start, number * rows + index) for index in range(rows)]
    out = io.BytesIO()
    fastavro.writer(out, schema, batch, codec="zstandard")
    name = f"{start:%Y-%m-%dT%H}-{hashlib.blake2b(out.getvalue(), digest_size=16).hexdigest()}.avro"
    with open(os.path.join(folder, name), "wb") as file:
        file.write(out.getvalue())
    return len(out.getvalue())


def order(noise, start, index):
    customer = noise.randrange(5_000)
    return {
        "record_id": f"{index:032x}",
        "event_id": hashlib.md5(str(index).encode()).hexdigest(),
        "event_name": noise.choice(["INSERT", "MODIFY"]),
        "sequence_number": f"{4 * 10**20 + index}",
        "created_at": start + datetime.timedelta(milliseconds=index % 8_000),
        "expired": False,
        "customer_key": f"CUSTOMER#{customer}",
        "order_key": f"ORDER#{index}",
        "status": noise.choice(["NEW", "PAID", "SHIPPED"]),
        "currency": "EUR",
        "total": decimal.Decimal(noise.randrange(100, 50_000)) / 100,
        "ordered_at": start,
        "ship_on": start.date(),
        "express": noise.random() < 0.1,
        "coupons": ["WELCOME"] if noise.random() < 0.05 else [],
        "address": {"street": f"Street {customer}", "city": "Ulm", "country": "DE"},
        "labels": {},
    }


def files_in(folder):
    return [os.path.join(place, name) for place, _, names in os.walk(folder) for name in names if name.endswith(("avro", "parquet"))]


def measured(lake):
    """The best of three times of each query, and its answer."""
    results = {}
    for name, sql in QUERIES.items():
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            answer = [batch.to_pylist() for batch in lake.sql(sql).collect()]
            times.append(time.perf_counter() - begun)
        results[name] = (min(times), [row for rows in answer for row in rows])
    return results


def main(usagectl, rows="1000000", files="10000"):
    rows, files = int(rows), int(files)
    with open("schemas/orders/order.avsc", encoding="utf-8") as file:
        schema = fastavro.parse_schema(json.load(file))
    with tempfile.TemporaryDirectory() as data:
        raw, compacted = (os.path.join(data, PREFIX, kind, "order") for kind in ["avro", "parquet"])
        day = os.path.join(raw, f"partition_date={DAY}")
        os.makedirs(day)
        # Marks the folder as one of usagectl's.
        with open(os.path.join(data, "usagectl.lock"), "w", encoding="utf-8"):
            pass
        with concurrent.futures.ProcessPoolExecutor() as pool:
            tasks = ((day, schema, number, files, rows // files) for number in range(files))
            raw_bytes = sum(pool.map(write, tasks, chunksize=50))
        partition = [("partition_date", pyarrow.string())]
        lake = SessionContext()
        lake.register_avro("raw", raw, table_partition_cols=partition)
        lake.sql(f"CREATE VIEW orders AS {ONCE}")
        before = measured(lake)
        begun = time.perf_counter()
        command = [usagectl, "--data", data, "--pipeline", "orders", "compact", "--local", "--now"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        compaction = time.perf_counter() - begun
        lake = SessionContext()
        lake.register_parquet("orders", compacted, table_partition_cols=partition)
        after = measured(lake)
        parquet = files_in(compacted)
        for name in QUERIES:
            assert before[name][1] == after[name][1], f"{name}: the answers differ"
        compacted_bytes = sum(os.path.getsize(file) for file in parquet)
        print(f"{rows:,} rows, compacted in {compaction:.0f} s\n")
        print("| | raw Avro | compacted Parquet |\n|---|---|---|")
        print(f"| files, and so GETs per query at least | {files:,} | {len(parquet)} |")
        print(f"| size | {raw_bytes / 1e6:.1f} MB | {compacted_bytes / 1e6:.1f} MB |")
        print(f"| cost of the GETs of 1,000 queries | ${files * 1000 * 4e-7:.2f} | ${len(parquet) * 1000 * 4e-7:.4f} |")
        for name in QUERIES:
            print(f"| {name} | {before[name][0]:.2f} s | {after[name][0]:.3f} s |")


if __name__ == "__main__":
    main(*sys.argv[1:])

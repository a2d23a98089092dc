"""A typical Python implementation: Powertools batch processor and data classes, fastavro, counters in a dictionary.

usage: python.py WORKLOAD EVENT.json SCHEMA.avsc; runs the job once, and once more for each line of stdin, and prints the
number of rows, counters, and bytes each time
"""

import io
import json
import sys
from collections import defaultdict
from datetime import datetime, timezone

import fastavro
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord

# Attributes whose name differs from the field name.
RENAMED = {f"{limit}_{part}": f"b_{limit}_{part}" for limit in ("rpm", "tpm", "wcu") for part in ("tk", "tc", "cp")}


def counted(workload, image):
    if workload == "bucket":
        return f"{image['entity_id']}#{image['resource']}", {"rpm": image["b_rpm_tc"], "tpm": image["b_tpm_tc"]}
    if workload == "racer":
        return image["pk"], {"metres": image["distance"]}
    return image["pk"], {"changes": 1, "amount": image["total"]}


class Job:
    def __init__(self, workload, schema):
        self.workload = workload
        self.schema = fastavro.parse_schema(schema)
        self.fields = [(field["name"], RENAMED.get(field["name"], field["name"])) for field in schema["fields"]]
        is_kinesis = workload == "demand-kinesis"
        self.processor = BatchProcessor(EventType.KinesisDataStreams if is_kinesis else EventType.DynamoDBStreams)

    def run(self, body):
        self.files, self.counters, self.bodies = defaultdict(list), defaultdict(int), {}
        answer = process_partial_response(
            event=json.loads(body), record_handler=self.handle, processor=self.processor, context=None
        )
        assert answer == {"batchItemFailures": []}, answer
        for date, rows in self.files.items():
            file = io.BytesIO()
            fastavro.writer(file, self.schema, rows, codec="deflate")
            self.bodies[date] = file.getvalue()
        return sum(map(len, self.files.values())), len(self.counters), sum(map(len, self.bodies.values()))

    def handle(self, record):
        if self.workload == "demand-kinesis":
            record = DynamoDBRecord(record.kinesis.data_as_json())
        change = record.dynamodb
        old, new = change.old_image or {}, change.new_image or {}
        image = old if record.event_name.name == "REMOVE" else new
        seconds = change.approximate_creation_date_time
        seconds = seconds / 1000 if seconds > 1e11 else seconds
        created_at = datetime.fromtimestamp(seconds, timezone.utc)
        entity, amounts = counted(self.workload, image)
        before = counted(self.workload, old)[1] if record.event_name.name == "MODIFY" and old else {}
        for window in ("%Y-%m-%dT%H", "%Y-%m-%d"):
            start = created_at.strftime(window)
            for measure, amount in amounts.items():
                self.counters[entity, start, measure] += amount - before.get(measure, 0)
        row = {field: image.get(attribute) for field, attribute in self.fields}
        if row.get("discount") is not None:
            # fastavro accepts a Decimal for a double, but not inside a union.
            row["discount"] = float(row["discount"])
        row["record_id"] = record.event_id or change.sequence_number or record["eventID"]
        row["event_name"] = record.event_name.name
        row["sequence_number"] = change.sequence_number or ""
        row["created_at"] = created_at
        self.files[created_at.strftime("%Y-%m-%d")].append(row)


def main(workload, event, schema):
    with open(event, "rb") as file:
        body = file.read()
    with open(schema, encoding="utf-8") as file:
        job = Job(workload, json.load(file))
    print(*job.run(body), flush=True)
    for _ in sys.stdin:
        print(*job.run(body), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

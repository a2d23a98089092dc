"""The parts of a stack for tests/page.py: its outputs, functions and mappings are on moto, its tables, buckets and metrics in
`usagectl serve`. The metrics are those of three hours with a burst and with failures half an hour ago."""

import contextlib
import datetime
import http.server
import io
import json
import math
import os
import struct
import subprocess
import threading
import urllib.request
import zipfile

import boto3

REGION = "us-east-1"
KEYS = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": REGION}
NAMESPACE = "UsageAggregator/shop"
MINUTES = 179
# The rule of the composite alarm that pages.
RULE = 'ALARM("shop-ErrorRate") OR ALARM("shop-DroppedEvents")'


def cbor(value):
    """CBOR of texts, lists, maps and numbers, which CloudWatch's protocol uses."""

    def head(kind, size):
        for limit, code, form in [(1 << 8, 24, ">B"), (1 << 16, 25, ">H"), (1 << 32, 26, ">I")]:
            if size < 24:
                return bytes([kind << 5 | size])
            if size < limit:
                return bytes([kind << 5 | code]) + struct.pack(form, size)
        raise ValueError(size)

    match value:
        case str():
            return head(3, len(value.encode())) + value.encode()
        case list():
            return head(4, len(value)) + b"".join(map(cbor, value))
        case dict():
            return head(5, len(value)) + b"".join(cbor(key) + cbor(one) for key, one in value.items())
        case int():
            return head(0, value)
        case datetime.datetime():
            return head(6, 1) + head(0, int(value.timestamp()))


class CloudWatch(http.server.BaseHTTPRequestHandler):
    """The embedded CloudWatch, and the alarms, which it doesn't have."""

    url = ""
    alarms = {}

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path.endswith("/operation/DescribeAlarms"):
            return self.answer(200, {"smithy-protocol": "rpc-v2-cbor", "content-type": "application/cbor"}, cbor(self.alarms))
        # Chunks and lengths are those of this connection.
        own = {"content-length", "host", "connection", "transfer-encoding"}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in own}
        request = urllib.request.Request(self.url + self.path, body, headers, method="POST")
        with urllib.request.urlopen(request) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in own}
            self.answer(answer.status, kept, answer.read())

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def alarms():
    since = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=26)
    alarm = lambda name, state, reason: {"AlarmName": f"shop-{name}", "StateValue": state, "StateReason": reason, "StateUpdatedTimestamp": since}
    others = ["AnyError", "IteratorAgeHigh", "Throttles", "DroppedEvents", "FoldAge", "FoldErrors", "LedgerBehind"]
    firing = [
        alarm("ErrorRate", "ALARM", "Threshold Crossed: 1 datapoint [2.4] was greater than the threshold (1.0)."),
        alarm("Rejected", "ALARM", "Threshold Crossed: 1 datapoint [2.0] was greater than the threshold (0.0)."),
    ]
    page = {"AlarmName": "shop-Page", "StateValue": "ALARM", "AlarmRule": RULE}
    return {"MetricAlarms": firing + [alarm(name, "OK", "") for name in others], "CompositeAlarms": [page]}


def course(minute):
    """What happened so many minutes ago: records per minute, how many of them failed, and the iterator age."""
    records = 2400 + 900 * math.sin(minute / 23) + 260 * math.sin(minute / 3.1)
    records += 3100 if 96 <= minute <= 108 else 0
    failed = 140 if 27 <= minute <= 33 else 0
    age = 900 + 300 * math.sin(minute / 5) + (26_000 * (33 - minute) / 6 + 4_000 if 27 <= minute <= 33 else 0)
    return round(records), failed, round(age)


def metrics(mapping, ledger_mapping):
    """Each metric with its dimensions and its value by minute, and the sums that the page must show."""
    function, fold, own = [("FunctionName", "shop")], [("FunctionName", "shop-fold")], [("Pipeline", "orders")]
    source = [("EventSourceMappingUUID", mapping)]
    data, totals = {}, {}

    def add(namespace, metric, dimensions, value, shown=None):
        points = [(minute, value(*course(minute))) for minute in range(2, MINUTES)]
        data.setdefault(namespace, []).extend((metric, dimensions, *point) for point in points)
        if shown:
            totals[shown] = sum(value for _, value in points)

    for metric, shown, value in [
        ("PolledEventCount", "polled", lambda records, failed, age: records),
        ("InvokedEventCount", "delivered", lambda records, failed, age: records + failed),
        ("FailedInvokeEventCount", "failed", lambda records, failed, age: failed),
        ("FilteredOutEventCount", None, lambda records, failed, age: 0),
        ("OnFailureDestinationDeliveredEventCount", None, lambda records, failed, age: 0),
    ]:
        add("AWS/Lambda", metric, source, value, shown)
    for metric, shown, value in [
        ("Invocations", "invocations", lambda records, failed, age: 58 + failed // 20),
        ("Errors", "errors", lambda records, failed, age: failed // 20),
        ("Throttles", None, lambda records, failed, age: 0),
        ("IteratorAge", None, lambda records, failed, age: age),
    ]:
        add("AWS/Lambda", metric, function, value, shown)
    for metric, value in [("Invocations", 2), ("Errors", 0), ("IteratorAge", 31_000)]:
        add("AWS/Lambda", metric, fold, lambda *_, value=value: value)
    for metric, shown, value in [
        ("RecordsProcessed", "processed", lambda records, failed, age: records),
        ("PagesWritten", "pages", lambda records, failed, age: 58),
        ("SnapshotsUpdated", "snapshots", lambda records, failed, age: records // 9),
        ("NoticesFolded", "notices", lambda records, failed, age: 58),
        ("FilesWritten", None, lambda records, failed, age: 58),
        ("FoldErrors", None, lambda records, failed, age: 0),
        ("FoldAge", None, lambda records, failed, age: 33_000 + age // 2),
    ]:
        add(NAMESPACE, metric, own, value, shown)
    return data, totals


def put_metrics(client, data):
    """Puts values at the middle of their minutes, so that all are in the three hours of a page that is opened a little later."""
    now = datetime.datetime.now(datetime.timezone.utc).replace(second=30, microsecond=0)
    for namespace, points in data.items():
        datum = lambda metric, dimensions, minute, value: {
            "MetricName": metric,
            "Dimensions": [{"Name": name, "Value": text} for name, text in dimensions],
            "Timestamp": now - datetime.timedelta(minutes=minute),
            "Value": value,
        }
        for first in range(0, len(points), 500):
            client.put_metric_data(Namespace=namespace, MetricData=[datum(*point) for point in points[first : first + 500]])


def put_archive_size(client, bucket):
    """What S3 reports once a day."""
    for metric, storage, value in [("BucketSizeBytes", "StandardStorage", 3.4e9), ("NumberOfObjects", "AllStorageTypes", 12_345)]:
        dimensions = [{"Name": "BucketName", "Value": bucket}, {"Name": "StorageType", "Value": storage}]
        client.put_metric_data(Namespace="AWS/S3", MetricData=[{"MetricName": metric, "Dimensions": dimensions, "Value": value}])


def make_stack(url, names):
    """Two functions with a mapping each, and the stack whose outputs name everything. Returns the UUIDs of the mappings."""
    client = lambda service: boto3.client(service, endpoint_url=url, **KEYS)
    role = client("iam").create_role(RoleName="shop", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    queue = client("sqs").create_queue(QueueName="source")["QueueUrl"]
    source = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as file:
        file.writestr("bootstrap", "")
    uuids = []
    for function in ["shop", "shop-fold"]:
        variables = {"PIPELINE": "orders", **names["variables"]}
        client("lambda").create_function(
            FunctionName=function, Runtime="provided.al2023", Role=role, Handler="bootstrap", Code={"ZipFile": code.getvalue()},
            Environment={"Variables": variables},
        )
        made = client("lambda").create_event_source_mapping(FunctionName=function, EventSourceArn=source)
        uuids.append(made["UUID"])
    outputs = {
        **names["outputs"],
        "FunctionName": "shop", "EventSourceMappingId": uuids[0], "FoldFunctionName": "shop-fold", "LedgerMappingId": uuids[1],
        "SourceStreamArn": "arn:aws:dynamodb:us-east-1:123456789012:table/shop-orders/stream/2026-01-01T00:00:00.000",
        "MetricsNamespaceName": NAMESPACE, "PipelineName": "orders",
    }
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    client("cloudformation").create_stack(StackName="shop", TemplateBody=json.dumps(template))
    return uuids


def put_usage(client, table):
    now = datetime.datetime.now(datetime.timezone.utc)
    customers = {"acme": 48_210, "globex": 31_904, "initech": 22_480, "umbrella": 17_311, "hooli": 9_120, "vandelay": 4_870, "stark": 3_950, "wayne": 2_204, "wonka": 880}
    for customer, amount in customers.items():
        for window, start, part in [("month", now.strftime("%Y-%m-01T00:00:00Z"), 1), ("day", now.strftime("%Y-%m-%dT00:00:00Z"), 30)]:
            client.put_item(TableName=table, Item={
                "pk": {"S": f"CUSTOMER#{customer}"}, "sk": {"S": f"USAGE#orders#{window}#{start}"},
                "amount": {"N": str(amount / part)}, "orders": {"N": str(amount // 90 // part)}, "changes": {"N": str(amount // 40 // part)},
            })


def put_failures(client, bucket):
    client.create_bucket(Bucket=bucket)
    for number, reason in [(312, "is not a number"), (1207, "is missing")]:
        batch = {"shardId": "", "startSequenceNumber": str(8 * 10**20 + number), "endSequenceNumber": str(8 * 10**20 + number), "batchSize": 1, "streamArn": "arn",
                 "approximateArrivalOfFirstRecord": None, "approximateArrivalOfLastRecord": None}
        document = {
            "version": "1.0", "timestamp": "2026-11-28T12:00:00Z",
            "requestContext": {"requestId": "", "functionArn": "shop", "condition": "RecordRejected", "approximateInvokeCount": 1},
            "rejection": {"pipeline": "orders", "code": "invalid_value", "field": "NewImage.total", "reason": reason},
            "DDBStreamBatchInfo": batch,
            "payload": json.dumps({"Records": []}),
        }
        client.put_object(Bucket=bucket, Key=f"quarantine/orders/{number}.json", Body=json.dumps(document))


class Emulated:
    """The environment of commands for the stack, and the sums that its metrics have."""

    def __init__(self, environment, totals):
        self.environment, self.totals = environment, totals


@contextlib.contextmanager
def emulated(usagectl, folder):
    from moto.server import ThreadedMotoServer

    for name in KEYS:
        os.environ.setdefault({"region_name": "AWS_DEFAULT_REGION"}.get(name, name.upper()), KEYS[name])
    served = subprocess.Popen([usagectl, "serve", "--json"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    try:
        embedded = json.loads(served.stdout.readline())
        client = lambda service, url: boto3.client(service, endpoint_url=url, **KEYS)
        url = "http://%s:%s" % moto.get_host_and_port()
        variables = {name: embedded[name] for name in ["USAGE_TABLE", "LEDGER_TABLE", "ARCHIVE_BUCKET"]}
        outputs = {
            "UsageTableName": embedded["USAGE_TABLE"], "LedgerTableName": embedded["LEDGER_TABLE"],
            "ArchiveBucketName": embedded["ARCHIVE_BUCKET"], "ArchiveKeyPrefix": "data-pipeline", "FailureBucketName": "shop-failures",
        }
        data, totals = metrics(*make_stack(url, {"variables": variables, "outputs": outputs}))
        cloudwatch = client("cloudwatch", embedded["AWS_ENDPOINT_URL_CLOUDWATCH"])
        put_metrics(cloudwatch, data)
        put_archive_size(cloudwatch, embedded["ARCHIVE_BUCKET"])
        put_usage(client("dynamodb", embedded["AWS_ENDPOINT_URL_DYNAMODB"]), embedded["USAGE_TABLE"])
        put_failures(client("s3", embedded["AWS_ENDPOINT_URL_S3"]), "shop-failures")
        handler = type("Front", (CloudWatch,), {"url": embedded["AWS_ENDPOINT_URL_CLOUDWATCH"], "alarms": alarms()})
        front = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=front.serve_forever, daemon=True).start()
        environment = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ENDPOINT_URL_CLOUDWATCH": f"http://127.0.0.1:{front.server_port}",
            "AWS_ENDPOINT_URL_DYNAMODB": embedded["AWS_ENDPOINT_URL_DYNAMODB"],
            "AWS_ENDPOINT_URL_S3": embedded["AWS_ENDPOINT_URL_S3"],
            "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_REGION": REGION,
        }
        yield Emulated(environment, totals)
        front.shutdown()
    finally:
        moto.stop()
        served.terminate()
        served.wait()

"""Talks to the embedded services as boto3 and the aws CLI do: `clients.py CHECK`, with the variables that usagectl prints."""

import json
import os
import subprocess
import sys
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

CONFIG = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"})
ACCOUNT = "us-east-1:000000000000"


def client(service, **options):
    return boto3.client(service, config=CONFIG, **options)


def aws(*arguments):
    """Runs the aws CLI and returns its parsed output."""
    program = os.path.join(os.path.dirname(sys.executable), "aws")
    ended = subprocess.run([program, *arguments, "--output", "json"], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout) if ended.stdout.strip().startswith(("{", "[")) else ended.stdout


def error_of(call):
    try:
        call()
    except ClientError as error:
        return error.response["Error"]
    raise AssertionError("the call succeeded")


def table(name, stream=True):
    """Creates a table and returns its description."""
    specification = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"} if stream else {"StreamEnabled": False}
    created = client("dynamodb").create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification=specification,
    )
    return created["TableDescription"]


def iterator(arn):
    streams = client("dynamodbstreams")
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    return streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]


def shard_ids():
    """The model of DynamoDB Streams allows shard ids of 28 to 65 characters; boto3 refuses to send others."""
    for name in ["abc", "a" * 200]:
        arn = table(name)["LatestStreamArn"]
        client("dynamodb").put_item(TableName=name, Item={"pk": {"S": "a"}})
        records = client("dynamodbstreams").get_records(ShardIterator=iterator(arn))["Records"]
        assert [record["eventName"] for record in records] == ["INSERT"], records


def open_shard():
    arn = table("open-shard")["LatestStreamArn"]
    for _ in range(2):
        shard = client("dynamodbstreams").describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]
        assert list(shard["SequenceNumberRange"]) == ["StartingSequenceNumber"], shard
        client("dynamodb").put_item(TableName="open-shard", Item={"pk": {"S": "a"}})


def record_size():
    arn = table("record-size")["LatestStreamArn"]
    item = {"pk": {"S": "a"}, "total": {"N": "129.90"}, "name": {"S": "Zoë"}, "lines": {"L": [{"BOOL": True}]}}
    client("dynamodb").put_item(TableName="record-size", Item=item)
    record = client("dynamodbstreams").get_records(ShardIterator=iterator(arn))["Records"][0]
    # Keys: pk 2 + a 1. Image: 3, total 5 + 129.9 (2 + 1 + 1), name 4 + 4 bytes of UTF-8, lines 5 + 3 + 1 + 1.
    assert record["dynamodb"]["SizeBytes"] == 3 + 3 + 9 + 8 + 10, record


def names():
    created = table("names")
    arn = created["LatestStreamArn"]
    assert created["TableArn"] == f"arn:aws:dynamodb:{ACCOUNT}:table/names", created
    assert arn == f"arn:aws:dynamodb:{ACCOUNT}:table/names/stream/{created['LatestStreamLabel']}", created
    assert len(created["LatestStreamLabel"]) == 23 and created["LatestStreamLabel"][10] == "T", created
    assert client("dynamodb").describe_table(TableName="names")["Table"]["LatestStreamArn"] == arn
    streams = client("dynamodbstreams")
    listed = streams.list_streams(TableName="names")["Streams"]
    assert [(stream["StreamArn"], stream["StreamLabel"]) for stream in listed] == [(arn, created["LatestStreamLabel"])]
    described = streams.describe_stream(StreamArn=arn)["StreamDescription"]
    assert (described["StreamArn"], described["StreamLabel"]) == (arn, created["LatestStreamLabel"]), described
    # An attribute that looks like the embedded database's own names stays as it is.
    text = "arn:aws:dynamodb:dynoxide:000000000000:table/names"
    client("dynamodb").put_item(TableName="names", Item={"pk": {"S": text}})
    record = streams.get_records(ShardIterator=iterator(arn))["Records"][0]
    assert (record["awsRegion"], record["dynamodb"]["Keys"]["pk"]["S"]) == ("us-east-1", text), record
    client("dynamodb").tag_resource(ResourceArn=created["TableArn"], Tags=[{"Key": "team", "Value": "usage"}])
    tags = client("dynamodb").list_tags_of_resource(ResourceArn=created["TableArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "usage"}], tags
    missing = f"arn:aws:dynamodb:{ACCOUNT}:table/missing/stream/{created['LatestStreamLabel']}"
    error = error_of(lambda: streams.describe_stream(StreamArn=missing))
    assert error["Code"] == "ResourceNotFoundException" and missing in error["Message"], error


def unchanged_items():
    arn = table("unchanged")["LatestStreamArn"]
    for _ in range(2):
        client("dynamodb").put_item(TableName="unchanged", Item={"pk": {"S": "a"}})
    records = client("dynamodbstreams").get_records(ShardIterator=iterator(arn))["Records"]
    assert [record["eventName"] for record in records] == ["INSERT"], records


def expired_items():
    """Waits for time to live, which the caller has swept."""
    arn = client("dynamodb").describe_table(TableName="expired")["Table"]["LatestStreamArn"]
    records = client("dynamodbstreams").get_records(ShardIterator=iterator(arn))["Records"]
    assert records[-1]["userIdentity"] == {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}, records


def backups():
    table("backups", stream=False)
    described = client("dynamodb").describe_continuous_backups(TableName="backups")["ContinuousBackupsDescription"]
    recovery = described["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]
    assert (described["ContinuousBackupsStatus"], recovery) == ("ENABLED", "DISABLED"), described
    error = error_of(lambda: client("dynamodb").describe_continuous_backups(TableName="missing"))
    assert error == {"Code": "TableNotFoundException", "Message": "Table not found: missing"}, error
    error = error_of(lambda: client("dynamodb").describe_limits())
    assert error["Code"] == "UnknownOperationException", error
    assert "the embedded DynamoDB doesn't support DescribeLimits" in error["Message"], error


def kinesis_waiters():
    kinesis = client("kinesis")
    kinesis.get_waiter("stream_not_exists").wait(StreamName="clicks", WaiterConfig={"MaxAttempts": 1})
    kinesis.create_stream(StreamName="clicks", ShardCount=3)
    kinesis.get_waiter("stream_exists").wait(StreamName="clicks", WaiterConfig={"MaxAttempts": 1})
    summary = kinesis.describe_stream_summary(StreamName="clicks")["StreamDescriptionSummary"]
    pages = kinesis.get_paginator("describe_stream").paginate(StreamName="clicks", PaginationConfig={"PageSize": 2})
    descriptions = [page["StreamDescription"] for page in pages]
    assert [len(description["Shards"]) for description in descriptions] == [2, 1], descriptions
    assert descriptions[0]["StreamARN"] == f"arn:aws:kinesis:{ACCOUNT}:stream/clicks", descriptions
    assert descriptions[0]["RetentionPeriodHours"] == summary["RetentionPeriodHours"] == 24, summary


def metrics():
    cloudwatch = client("cloudwatch")
    dimensions = [{"Name": "Pipeline", "Value": "orders"}]
    datum = {"MetricName": "Latency", "Dimensions": dimensions, "Values": [1.0, 9.0], "Counts": [3.0, 1.0]}
    cloudwatch.put_metric_data(Namespace="Usage", MetricData=[datum])
    # Over 10 KB, from where boto3 compresses.
    many = [{"MetricName": f"Many{number}", "Dimensions": dimensions, "Value": 1.5, "Unit": "Count"} for number in range(500)]
    cloudwatch.put_metric_data(Namespace="Usage", MetricData=many)
    read_metrics(cloudwatch, dimensions)
    error = error_of(lambda: cloudwatch.describe_alarms())
    assert "the embedded CloudWatch supports GetMetricData, ListMetrics and PutMetricData" in error["Message"], error


def read_metrics(cloudwatch, dimensions):
    import datetime

    now = datetime.datetime.now(datetime.timezone.utc)
    stat = {"Metric": {"Namespace": "Usage", "MetricName": "Latency", "Dimensions": dimensions}, "Period": 3600, "Stat": "Sum"}
    hour = datetime.timedelta(hours=1)
    read = cloudwatch.get_metric_data(
        MetricDataQueries=[{"Id": "q0", "MetricStat": stat}], StartTime=now - hour, EndTime=now + hour
    )
    result = read["MetricDataResults"][0]
    assert (result["Id"], result["Values"], result["Timestamps"][0].minute) == ("q0", [12.0], 0), read
    listed = cloudwatch.list_metrics(Namespace="Usage", MetricName="Latency")["Metrics"]
    assert listed == [{"Namespace": "Usage", "MetricName": "Latency", "Dimensions": dimensions}], listed


def objects():
    """A signed request is accepted, whatever the key; an unsigned one is rejected."""
    s3 = client("s3", aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="another", aws_session_token="token")
    s3.create_bucket(Bucket="lake")
    s3.put_object(Bucket="lake", Key="a b/c+d.txt", Body=b"hello")
    assert s3.get_object(Bucket="lake", Key="a b/c+d.txt")["Body"].read() == b"hello"
    # A body that can't be read twice is sent in signed chunks or with a trailing checksum.
    s3.put_object(Bucket="lake", Key="checked", Body=b"x" * 100_000, ChecksumAlgorithm="CRC32")
    assert s3.get_object(Bucket="lake", Key="checked")["Body"].read() == b"x" * 100_000
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket="lake")["Contents"]]
    assert keys == ["a b/c+d.txt", "checked"], keys
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "lake", "Key": "checked"})
    assert urllib.request.urlopen(url).read() == b"x" * 100_000
    try:
        urllib.request.urlopen(url.split("?")[0])
        raise AssertionError("an unsigned request was let in")
    except urllib.error.HTTPError as error:
        assert error.code == 403 and b"<Code>AccessDenied</Code>" in error.read()


def cli():
    arn = table("cli")["LatestStreamArn"]
    aws("dynamodb", "put-item", "--table-name", "cli", "--item", '{"pk": {"S": "a"}}')
    shard = aws("dynamodbstreams", "describe-stream", "--stream-arn", arn)["StreamDescription"]["Shards"][0]["ShardId"]
    place = ["--stream-arn", arn, "--shard-id", shard, "--shard-iterator-type", "TRIM_HORIZON"]
    found = aws("dynamodbstreams", "get-shard-iterator", *place)["ShardIterator"]
    records = aws("dynamodbstreams", "get-records", "--shard-iterator", found)["Records"]
    assert [record["awsRegion"] for record in records] == ["us-east-1"], records
    aws("kinesis", "create-stream", "--stream-name", "cli", "--shard-count", "1")
    aws("kinesis", "wait", "stream-exists", "--stream-name", "cli")
    aws("cloudwatch", "put-metric-data", "--namespace", "Cli", "--metric-name", "Count", "--value", "2")
    listed = aws("cloudwatch", "list-metrics", "--namespace", "Cli")["Metrics"]
    assert listed == [{"Namespace": "Cli", "MetricName": "Count", "Dimensions": []}], listed
    aws("s3", "mb", "s3://cli")
    aws("s3", "cp", __file__, "s3://cli/clients.py")
    assert aws("s3", "cp", "s3://cli/clients.py", "-").startswith('"""Talks')


CHECKS = [
    shard_ids, open_shard, record_size, names, unchanged_items, expired_items, backups, kinesis_waiters, metrics, objects, cli,
]

if __name__ == "__main__":
    {check.__name__: check for check in CHECKS}[sys.argv[1]]()

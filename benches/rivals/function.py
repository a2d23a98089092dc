"""Wraps the job in python.py in a Lambda function: boto3 clients, one UpdateItem per counter, one object per file, and the
event loop of the Lambda runtime for Python.

usage: function.py WORKLOAD SCHEMA.avsc; set AWS_LAMBDA_RUNTIME_API and the endpoints in the environment
"""

import json
import os
import sys
import urllib.request

import boto3

from python import Job


def main(workload, schema):
    dynamodb, s3 = boto3.client("dynamodb"), boto3.client("s3")
    with open(schema, encoding="utf-8") as file:
        job = Job(workload, json.load(file))
    api = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"
    while True:
        with urllib.request.urlopen(f"{api}/next") as response:
            request_id, body = response.headers["lambda-runtime-aws-request-id"], response.read()
        job.run(body)
        for (entity, start, measure), amount in job.counters.items():
            dynamodb.update_item(
                TableName="usage",
                Key={"pk": {"S": entity}, "sk": {"S": start}},
                UpdateExpression="ADD #measure :amount",
                ExpressionAttributeNames={"#measure": measure},
                ExpressionAttributeValues={":amount": {"N": str(amount)}},
            )
        for date in job.files:
            s3.put_object(Bucket="archive", Key=f"partition_date={date}/{request_id}.avro", Body=job.bodies[date])
        answer = json.dumps({"batchItemFailures": []}).encode()
        urllib.request.urlopen(f"{api}/{request_id}/response", answer).close()


main(*sys.argv[1:])

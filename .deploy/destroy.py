"""Deletes a stack. The template retains its tables, buckets, queue, and log groups; --data delete permanently deletes them as well.

usage: destroy.py STACK [--data keep|delete]
"""

import argparse
import sys

import boto3

TABLES = ["SourceTableName", "UsageTableName", "LedgerTableName"]
BUCKETS = ["ArchiveBucketName", "FailureBucketName", "AuditBucketName"]
LOGS = ["FunctionLogGroup", "FoldLogGroup", "CompactLogGroup"]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("stack")
    arguments.add_argument("--data", choices=["keep", "delete"], default="keep")
    arguments = arguments.parse_args()
    cloudformation = boto3.client("cloudformation")
    stack = cloudformation.describe_stacks(StackName=arguments.stack)["Stacks"][0]
    # Read the names before deleting the stack; they aren't recorded anywhere else.
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    data = {name: outputs[name] for name in [*TABLES, *BUCKETS, *LOGS, "FailureQueueUrl"] if name in outputs}
    if arguments.data == "delete" and input(f"Type {arguments.stack} to delete the stack and all its data: ") != arguments.stack:
        sys.exit("names don't match; nothing was deleted")
    cloudformation.delete_stack(StackName=arguments.stack)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=arguments.stack)
    print(f"deleted the stack {arguments.stack}")
    for kind, name in data.items():
        if arguments.data == "delete":
            delete(kind, name)
        print(f"{'deleted' if arguments.data == 'delete' else 'kept'} {name}")


def delete(kind, name):
    if kind in TABLES:
        dynamodb = boto3.client("dynamodb")
        dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
        dynamodb.get_waiter("table_exists").wait(TableName=name)
        dynamodb.delete_table(TableName=name)
    elif kind in BUCKETS:
        bucket = boto3.resource("s3").Bucket(name)
        # A bucket must be empty before it can be deleted, including noncurrent versions and delete markers.
        bucket.object_versions.delete()
        bucket.delete()
    elif kind in LOGS:
        boto3.client("logs").delete_log_group(logGroupName=name)
    else:
        boto3.client("sqs").delete_queue(QueueUrl=name)


main()

"""Deletes a stack. The template retains its tables, buckets, queue, and log groups; --data delete permanently deletes them as well.

usage: destroy.py STACK [--data keep|delete]
"""

import argparse
import sys

import boto3
from botocore.exceptions import WaiterError

# The outputs with the names of what outlives the stack, by the type of the resource.
TABLE, BUCKET, LOGS, QUEUE = "AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::Logs::LogGroup", "AWS::SQS::Queue"
DATA = {
    TABLE: ["SourceTableName", "UsageTableName", "LedgerTableName"],
    BUCKET: ["ArchiveBucketName", "FailureBucketName", "AuditBucketName"],
    LOGS: ["FunctionLogGroup", "FoldLogGroup", "CompactLogGroup"],
    QUEUE: ["FailureQueueUrl"],
}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("stack")
    arguments.add_argument("--data", choices=["keep", "delete"], default="keep")
    arguments = arguments.parse_args()
    cloudformation = boto3.client("cloudformation")
    # Read the names before deleting the stack; they aren't recorded anywhere else.
    data = data_of(cloudformation, arguments.stack)
    if arguments.data == "delete":
        print(f"These will be deleted with the stack {arguments.stack}, and everything in them:")
        print(*(f"  {name}" for _, name in data), sep="\n")
        if input(f"Type {arguments.stack} to delete the stack and all its data: ") != arguments.stack:
            sys.exit("names don't match; nothing was deleted")
    delete_stack(cloudformation, arguments.stack)
    print(f"deleted the stack {arguments.stack}")
    for kind, name in data:
        if arguments.data == "delete":
            delete(kind, name)
        print(f"{'deleted' if arguments.data == 'delete' else 'kept'} {name}")


def data_of(cloudformation, stack):
    """The types and names of what the stack made. An output can also name a table that it only uses, such as a rate limiter's."""
    described = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
    made = {(resource["ResourceType"], resource.get("PhysicalResourceId")) for resource in resources_of(cloudformation, stack)}
    named = [(kind, outputs[output]) for kind, names in DATA.items() for output in names if output in outputs]
    return [resource for resource in named if resource in made]


def resources_of(cloudformation, stack):
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    return [resource for page in pages for resource in page["StackResourceSummaries"]]


def delete_stack(cloudformation, stack):
    # By its ID, because a name stands for a stack only as long as it isn't deleted.
    stack_id = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackId"]
    cloudformation.delete_stack(StackName=stack_id)
    try:
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=stack_id)
    except WaiterError as error:
        failed = [resource for resource in resources_of(cloudformation, stack_id) if resource["ResourceStatus"] == "DELETE_FAILED"]
        reasons = [f"  {resource['LogicalResourceId']}: {resource.get('ResourceStatusReason', 'no reason given')}" for resource in failed]
        sys.exit(
            "\n".join([f"could not delete the stack {stack}; its tables, buckets, queue, and log groups are all still there:", *(reasons or [f"  {error}"])])
            + f"\nA policy must first be detached from your roles (aws iam detach-role-policy). Then run make destroy STACK={stack} again."
        )


def delete(kind, name):
    if kind == TABLE:
        dynamodb = boto3.client("dynamodb")
        dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
        dynamodb.get_waiter("table_exists").wait(TableName=name)
        dynamodb.delete_table(TableName=name)
    elif kind == BUCKET:
        bucket = boto3.resource("s3").Bucket(name)
        # A bucket must be empty before it can be deleted, including noncurrent versions and delete markers.
        bucket.object_versions.delete()
        bucket.delete()
    elif kind == LOGS:
        boto3.client("logs").delete_log_group(logGroupName=name)
    else:
        boto3.client("sqs").delete_queue(QueueUrl=name)


main()

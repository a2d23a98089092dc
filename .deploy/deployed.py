"""Looks for the stack before it is deployed, and prints the options for sam: the Region, and --guided if the stack doesn't exist.

Without --guided, a deployment keeps every parameter of the stack; with it, sam proposes the template's defaults.

usage: deployed.py STACK PIPELINE_DIR [PARAMETER=VALUE...]; fails if the stack runs a pipeline of its own and PIPELINE_DIR is empty, or
if the parameters take a failure queue out of the stack that still has messages
"""

import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError

# What `usagectl package` writes into the metadata of a template with a pipeline of its own.
CARRIED = "UsageAggregatorPipeline"
# What SQS counts, whether it can be received or not.
COUNTS = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]


def main(stack, pipeline_dir, *changes):
    cloudformation = boto3.client("cloudformation")
    options = ["--region", cloudformation.meta.region_name]
    found = described(cloudformation, stack)
    if found is None:
        options.append("--guided")
        print(*options)
        return
    if "FailureStore=S3" in changes:
        check_failure_queue(stack, found)
    if not pipeline_dir:
        parameters = {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in found.get("Parameters", [])}
        template = cloudformation.get_template(StackName=stack, TemplateStage="Original")["TemplateBody"]
        if CARRIED in str(template):
            sys.exit(
                f"the stack {stack} runs a pipeline of your own, {parameters.get('Pipeline')}, which a deployment without its folder "
                f"would replace: make deploy STACK={stack} PIPELINE_DIR=path/to/{parameters.get('Pipeline')}"
            )
    print(*options)


def check_failure_queue(stack, found):
    """Stops if the queue has messages: with FailureStore=S3 it is no longer part of the stack, and no alarm or command finds them."""
    outputs = {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
    url = outputs.get("FailureQueueUrl")
    if not url:
        return
    sqs = boto3.client("sqs")
    try:
        got = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=COUNTS)["Attributes"]
    except sqs.exceptions.QueueDoesNotExist:
        return
    count = sum(int(got.get(name, 0)) for name in COUNTS)
    if count:
        sys.exit(
            f"the failure queue of the stack {stack} has messages ({count}), which no alarm or command would find after FailureStore=S3: redrive "
            f"them first, usagectl redrive --stack {stack}, and then deploy again"
        )


def described(cloudformation, stack):
    try:
        found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        # CloudFormation has no error code for a stack that doesn't exist.
        if "does not exist" in str(error):
            return None
        raise
    # Only a change set exists, which nobody has executed.
    if found["StackStatus"] == "REVIEW_IN_PROGRESS":
        return None
    return found


try:
    main(*sys.argv[1:])
except (BotoCoreError, ClientError) as error:
    sys.exit(f"could not look for the stack {sys.argv[1]}: {error}; check the credentials, and set AWS_REGION")

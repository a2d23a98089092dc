"""Looks for the stack before it is deployed, and prints the options for sam: the Region, and --guided if the stack doesn't exist.

Without --guided, a deployment keeps every parameter of the stack; with it, sam proposes the template's defaults.

usage: deployed.py STACK PIPELINE_DIR; fails if the stack runs a pipeline of its own and PIPELINE_DIR is empty
"""

import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError

# What `usagectl package` writes into the metadata of a template with a pipeline of its own.
CARRIED = "UsageAggregatorPipeline"


def main(stack, pipeline_dir):
    cloudformation = boto3.client("cloudformation")
    options = ["--region", cloudformation.meta.region_name]
    parameters = parameters_of(cloudformation, stack)
    if parameters is None:
        options.append("--guided")
    elif not pipeline_dir:
        template = cloudformation.get_template(StackName=stack, TemplateStage="Original")["TemplateBody"]
        if CARRIED in str(template):
            sys.exit(
                f"the stack {stack} runs a pipeline of your own, {parameters.get('Pipeline')}, which a deployment without its folder "
                f"would replace: make deploy STACK={stack} PIPELINE_DIR=path/to/{parameters.get('Pipeline')}"
            )
    print(*options)


def parameters_of(cloudformation, stack):
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
    return {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in found.get("Parameters", [])}


try:
    main(*sys.argv[1:])
except (BotoCoreError, ClientError) as error:
    sys.exit(f"could not look for the stack {sys.argv[1]}: {error}; check the credentials, and set AWS_REGION")

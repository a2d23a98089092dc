"""Starts a moto server, creates two stacks from the transformed template as far as moto supports it, and keeps them until
stdin is closed.

usage: moto_stack.py template.json [PARAMETER=VALUE...]; prints one JSON object with the server's URL, the outputs and the
function's environment variables of the first stack, the resource names of both stacks, and the resource types that moto
can't create
"""

import io
import json
import os
import re
import sys
import zipfile

import boto3
from moto.awslambda.models import lambda_backends
from moto.cloudformation.parsing import get_model_map, get_name_type_map
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.core.common_models import CloudFormationModel
from moto.iam import iam_backends
from moto.server import ThreadedMotoServer

REGION = "us-east-1"
# The second stack shows that its names don't collide with those of the first.
STACKS = ["moto", "other"]


class Version(CloudFormationModel):
    """A version, which moto publishes without its number."""

    # moto looks up a model's service by it.
    __module__ = "moto.awslambda.models"

    @classmethod
    def create_from_cloudformation_json(cls, _name, resource, account, region, **_):
        made = cls()
        made.function = lambda_backends[account][region].publish_version(resource["Properties"]["FunctionName"])
        return made

    @classmethod
    def has_cfn_attr(cls, name):
        return name == "Version"

    def get_cfn_attribute(self, _name):
        return str(self.function.version)

    @property
    def physical_resource_id(self):
        return self.function.function_arn


class Alias(CloudFormationModel):
    """An alias, which moto can create, but not from CloudFormation."""

    __module__ = "moto.awslambda.models"

    @classmethod
    def create_from_cloudformation_json(cls, _name, resource, account, region, **_):
        given = resource["Properties"]
        made = cls()
        made.alias = lambda_backends[account][region].create_alias(given["Name"], given["FunctionName"], given["FunctionVersion"], "", None)
        return made

    @property
    def physical_resource_id(self):
        return self.alias.arn


def main(path, *parameters):
    for kind, model in {"AWS::Lambda::Version": Version, "AWS::Lambda::Alias": Alias}.items():
        get_model_map()[kind] = model
        get_name_type_map()[kind] = None
    os.environ.update(AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="local", AWS_DEFAULT_REGION=REGION)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    with open(path, encoding="utf-8") as file:
        template = json.load(file)
    unknown = leave_out(template)
    put_code(url)
    cloudformation = boto3.client("cloudformation", endpoint_url=url, region_name=REGION)
    given = [dict(zip(("ParameterKey", "ParameterValue"), parameter.split("=", 1))) for parameter in parameters]
    made = {}
    for name in STACKS:
        cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template), Parameters=given)
        made[name] = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
    stack = cloudformation.describe_stacks(StackName=STACKS[0])["Stacks"][0]
    write_policies()
    with_invoked_aliases()
    lambda_ = boto3.client("lambda", endpoint_url=url, region_name=REGION)
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    function = with_text_variables(lambda_, outputs["FunctionName"])
    if "FoldFunctionName" in outputs:
        with_text_variables(lambda_, outputs["FoldFunctionName"])
    answer = {
        "url": url,
        "status": stack["StackStatus"],
        "variables": function["Environment"]["Variables"],
        "outputs": outputs,
        "names": [[resource["PhysicalResourceId"] for resource in made[name] if "PhysicalResourceId" in resource] for name in STACKS],
        "unknown": sorted(unknown),
    }
    print(json.dumps(answer), flush=True)
    # The reader of the report closes the pipe, and moto prints that it has no Docker whenever a page is put into the ledger.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.stdin.read()
    server.stop()


def with_text_variables(lambda_, name):
    """Converts the variables of a function and of its versions to strings and its reserved concurrency to a number, as Lambda
    returns them. moto stores both unconverted, and the SDK can't parse them."""
    reserved = lambda_.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
    if reserved is not None:
        lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=int(reserved))
    stored = lambda_backends[ACCOUNT][REGION]._lambdas._functions[name]
    for version in [stored["latest"], *stored["versions"]]:
        version.environment_vars = {name: str(value) for name, value in version.environment_vars.items()}
    return lambda_.get_function_configuration(FunctionName=name)


def with_invoked_aliases():
    """Lets a mapping name the alias that it invokes, as Lambda's does. moto names the version."""
    for mapping in lambda_backends[ACCOUNT][REGION]._event_source_mappings.values():
        if mapping.function_name.startswith("arn:"):
            mapping.function_arn = mapping.function_name


def write_policies():
    """Serializes the policies of the roles, which moto would otherwise return as Python objects."""
    for role in iam_backends[ACCOUNT]["aws"].roles.values():
        for name, document in role.policies.items():
            role.policies[name] = document if isinstance(document, str) else json.dumps(document)


def put_code(url):
    """Uploads what `sam package` would upload, because moto checks that the code exists."""
    s3 = boto3.client("s3", endpoint_url=url, region_name=REGION)
    s3.create_bucket(Bucket="artifacts")
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as file:
        file.writestr("bootstrap", "")
    s3.put_object(Bucket="artifacts", Key="function.zip", Body=code.getvalue())


def leave_out(template):
    """Removes resources that moto can't create and everything that refers to them. Returns the unsupported types."""
    resources, outputs = template["Resources"], template["Outputs"]
    unknown = {name for name, resource in resources.items() if resource["Type"] not in get_model_map()}
    types = {resources[name]["Type"] for name in unknown}
    gone = set(unknown)
    while gone:
        for name in gone:
            resources.pop(name, None)
            outputs.pop(name, None)
        gone = {name for part in (resources, outputs) for name, value in part.items() if refers(value, unknown)}
        unknown |= gone
    return types


def refers(value, names):
    if isinstance(value, list):
        return any(refers(part, names) for part in value)
    if not isinstance(value, dict):
        return False
    sub = value.get("Fn::Sub", "")
    text = sub[0] if isinstance(sub, list) else sub
    named = {value.get("Ref"), *value.get("Fn::GetAtt", [])[:1], *re.findall(r"\$\{([A-Za-z0-9]+)", text)}
    return bool(named & names) or any(refers(part, names) for part in value.values())


main(*sys.argv[1:])

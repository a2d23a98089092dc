"""Writes the CloudFormation JSON that SAM deploys for a template, for tools and tests that can't read SAM. Needs no AWS
account.

usage: transform.py template.yaml transformed.json [PARAMETER=VALUE...]
"""

import json
import os
import sys

from cfnlint.decode.cfn_yaml import load
from samtranslator.translator.transform import transform


class NoManagedPolicies:
    """A stub: the template uses no managed policies, so there are none to look up."""

    def load(self):
        return {}


def main(source, target, *parameters):
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    template = json.loads(json.dumps(load(source)))
    # The value that `sam package` would set.
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://artifacts/function.zip"
    with open(target, "w", encoding="utf-8") as file:
        json.dump(transform(template, dict(parameter.split("=", 1) for parameter in parameters), NoManagedPolicies()), file, indent=1)


main(*sys.argv[1:])

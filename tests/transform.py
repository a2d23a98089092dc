"""Writes what SAM deploys for a template: CloudFormation as JSON, for tools and tests that don't read SAM. No AWS account.

usage: transform.py template.yaml transformed.json
"""

import json
import os
import sys

from cfnlint.decode.cfn_yaml import load
from samtranslator.translator.transform import transform


class NoManagedPolicies:
    """The template names no managed policy, so none need be looked up."""

    def load(self):
        return {}


def main(source, target):
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    template = json.loads(json.dumps(load(source)))
    # What `sam package` puts there.
    template["Resources"]["Function"]["Properties"]["CodeUri"] = "s3://artifacts/function.zip"
    with open(target, "w", encoding="utf-8") as file:
        json.dump(transform(template, {}, NoManagedPolicies()), file, indent=1)


main(*sys.argv[1:])

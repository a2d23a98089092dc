"""Checks `aws` commands in documents, and in output that shows them after `$ `, against the AWS SDK's own definitions of
operations and their options.

usage: commands.py FILE...; prints one line per mistake
"""

import re
import sys

import botocore.session
from botocore import xform_name

GLOBAL = {"query", "output", "max-items", "page-size", "region", "profile", "endpoint-url", "no-cli-pager", "cli-input-json"}
# Commands that the AWS CLI adds to the service operations.
OF_THE_CLI = {("s3", "cp"), ("s3", "rm"), ("s3", "ls")}
SERVICES = {"s3api": "s3"}


def commands(text):
    for block in re.findall(r"```sh\n(.*?)```|`(aws [^`]+)`|(?m:^ *\$ (aws [^\n]*)$)", text, re.S):
        for command in re.split(r"\n|&&|\$\(|;", "".join(block)):
            if command.strip().startswith("aws "):
                yield command.strip()


def mistakes(command, session):
    words = re.sub(r"'[^']*'|\"[^\"]*\"", "x", command).split()
    service, operation = words[1], words[2]
    if (service, operation) in OF_THE_CLI:
        return
    try:
        model = session.get_service_model(SERVICES.get(service, service))
    except Exception:
        yield f"unknown service `{service}`"
        return
    if operation == "wait":
        waiters = session.get_waiter_model(SERVICES.get(service, service)).waiter_names
        if words[3] not in {xform_name(name, "-") for name in waiters}:
            yield f"unknown waiter `{service} wait {words[3]}`"
        return
    names = {xform_name(name, "-"): name for name in model.operation_names}
    if operation not in names:
        yield f"unknown operation `{service} {operation}`"
        return
    members = model.operation_model(names[operation]).input_shape.members
    options = {xform_name(member, "-"): shape for member, shape in members.items()}
    for word in words[3:]:
        if word.startswith("--"):
            name = word[2:].split("=")[0].rstrip(")`")
            positive = options.get(name.removeprefix("no-"))
            if name not in options and name not in GLOBAL and not (positive and positive.type_name == "boolean"):
                yield f"unknown option `--{name}` for `{service} {operation}`"


def main(paths):
    session = botocore.session.get_session()
    count = 0
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for command in commands(file.read()):
                count += 1
                for mistake in mistakes(command, session):
                    print(f"{path}: {mistake}: {command}")
    print(f"{count} commands checked", file=sys.stderr)


main(sys.argv[1:])

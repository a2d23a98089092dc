"""Runs a command in the Region of the stack: the one in sam's answers file, or if there is none, that of the environment.

`sam deploy --guided` always prompts for the Region, so a stack can be in another one than that of the environment.

usage: in_region.py ANSWERS COMMAND [ARGUMENT...]
"""

import os
import sys

try:
    import tomllib as toml
except ModuleNotFoundError:
    # Before Python 3.11: sam brings it.
    import tomlkit as toml

VARIABLES = ["AWS_REGION", "AWS_DEFAULT_REGION"]


def region_of(answers):
    try:
        with open(answers, encoding="utf-8") as file:
            saved = toml.loads(file.read())
    except FileNotFoundError:
        return None
    except ValueError as error:
        sys.exit(f"could not read the Region of the stack from {answers}: {error}; fix the file, or delete it to answer sam's prompts again")
    return saved.get("default", {}).get("deploy", {}).get("parameters", {}).get("region")


def main(answers, *command):
    region = region_of(answers)
    if region:
        other = next((os.environ[name] for name in VARIABLES if os.environ.get(name)), region)
        if other != region:
            print(f"note: using the Region {region} of {answers}, not {other}; delete the file to use another Region", file=sys.stderr)
        os.environ.update({name: region for name in VARIABLES})
    os.execvp(command[0], command)


main(*sys.argv[1:])

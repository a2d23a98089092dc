"""Adds a creation time to the filter criteria of an event source mapping, for switching between zae-limiter's aggregator
and usage-aggregator. Reads filter criteria from stdin and writes the new ones to stdout. See docs/zae-limiter.md.

    switch.py before 2026-12-01             only records created before that day began (UTC)
    switch.py from 2026-12-01               only bucket changes created since that day began
    switch.py from 2026-12-01 --refilled    only those of buckets that have also been refilled since then

The times of an earlier call are replaced.
"""

import argparse
import datetime
import json
import sys


def at_least(milliseconds):
    """Prefixes of the decimal numbers from this one on that have as many digits, for times until the year 2033.

    A number in an image is a string, which a pattern can't compare as a number.
    """
    digits = str(milliseconds).rstrip("0")
    greater = [digits[:at] + str(digit) for at in range(1, len(digits)) for digit in range(int(digits[at]) + 1, 10)]
    return [{"prefix": prefix} for prefix in [digits, *greater]]


def limited(pattern, arguments):
    """The pattern with the creation time that was asked for."""
    second = int(arguments.day.replace(tzinfo=datetime.timezone.utc).timestamp())
    record = pattern.setdefault("dynamodb", {})
    record.pop("ApproximateCreationDateTime", None)
    if arguments.side == "from":
        # Before another switch, the condition on refills still keeps zae-limiter's aggregator away from older windows.
        record.get("NewImage", {}).pop("rf", None)
    # Expired audit events are archived, not counted, so there's no harm in archiving those from before the switch.
    is_change = "REMOVE" not in pattern.get("eventName", [])
    if arguments.side == "before" or is_change:
        sign = "<" if arguments.side == "before" else ">="
        record["ApproximateCreationDateTime"] = [{"numeric": [sign, second]}]
    if arguments.refilled and is_change:
        record.setdefault("NewImage", {})["rf"] = {"N": at_least(second * 1000)}
    return pattern


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", choices=["before", "from"])
    parser.add_argument("day", type=datetime.datetime.fromisoformat, help="a date, such as 2026-12-01")
    parser.add_argument("--refilled", action="store_true", help="for zae-limiter's aggregator, which counts by last refill")
    arguments = parser.parse_args()
    if arguments.refilled and arguments.side == "before":
        parser.error("--refilled can be used only with `from`")
    patterns = [json.loads(entry["Pattern"]) for entry in json.load(sys.stdin)["Filters"]]
    filters = [{"Pattern": json.dumps(limited(pattern, arguments), separators=(",", ":"))} for pattern in patterns]
    json.dump({"Filters": filters}, sys.stdout, indent=2)


if __name__ == "__main__":
    main()

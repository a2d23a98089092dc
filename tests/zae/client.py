"""Uses a table through the real zae-limiter client and reads the usage back.

    client.py write    creates the table and uses it over several hours; prints what was consumed
    client.py read     prints what the client's usage calls return
    client.py theirs   feeds the events on stdin to zae-limiter's own aggregator, then does the same as read
    client.py switch PART   uses the table in a part of the days in which aggregators are switched: `their`, `our`, or
                            `back`; prints the same as write
    client.py feed     feeds the events on stdin to zae-limiter's own aggregator; prints its answers
    client.py filters  prints the filter criteria of zae-limiter's own event source mapping

Environment variables: ENDPOINT, TABLE, and DATABASE (the file of the embedded DynamoDB).
"""

import asyncio
import calendar
import json
import os
import pathlib
import random
import sqlite3
import sys
import time
import types

import boto3
import zae_limiter
from zae_limiter import Limit, RateLimiter
from zae_limiter.repository import Repository

ENDPOINT, TABLE = os.environ["ENDPOINT"], os.environ["TABLE"]
NAMESPACES = ["default", "team-a"]
# Names that are hard to encode: slashes, dots, underscores, and limits named like most attributes of a snapshot.
RESOURCES = ["gpt/4", "text.small-1"]
PLAIN = ["rpm", "tpm_tc", "a.b-c_d"]
TAKEN = ["ttl", "window", "resource", "window_start", "total_events", "entity_id", "GSI2PK", "GSI4SK", "PK"]
ENTITIES = ["user-1", "user:2@x.org", "key.3", "hot"]
# The last hour of one day, then midnight, a morning hour, and the last hour of the next day.
HOURS = ["2026-11-20T23", "2026-11-21T00", "2026-11-21T05", "2026-11-21T23"]

# The days of zae-limiter's aggregator, of ours, and of zae-limiter's again.
PARTS = {
    "their": ["2026-11-20T21", "2026-11-20T22", "2026-11-20T23"],
    "our": ["2026-11-21T00", "2026-11-21T05", "2026-11-21T23"],
    "back": ["2026-11-22T00", "2026-11-22T09", "2026-11-22T10"],
}


class Clock:
    """The test clock, in milliseconds. Each reading advances it by 10 ms."""

    now = 0

    @staticmethod
    def read(_repository):
        Clock.now += 10
        return Clock.now


# The method is meant to be overridden, but repositories of namespaces are always instances of this exact class.
Repository._now_ms = Clock.read


def repository():
    return Repository(TABLE, "us-east-1", ENDPOINT, _skip_deprecation_warning=True)


def limits(names):
    return [Limit.per_minute(name, 1_000_000) for name in names]


class Ledger:
    """What was consumed, in thousandths of a token."""

    def __init__(self):
        self.used, self.hour = {}, None

    def add(self, namespace, entities, resource, amounts):
        for entity in entities:
            for limit, tokens in amounts.items():
                key = (self.hour, namespace, entity, resource, limit)
                self.used[key] = self.used.get(key, 0) + tokens

    def rows(self):
        return [[*key, millitokens] for key, millitokens in sorted(self.used.items())]


async def scoped(root):
    spaces = {}
    for name in NAMESPACES:
        repo = await root.namespace(name)
        spaces[name] = (repo, RateLimiter(repository=repo))
    return spaces


async def prepare(root):
    await root.create_table()
    await root.register_namespaces(NAMESPACES)
    await root.set_version_record("0.10.0", "0.17.0", "0.0.0", updated_by="test")
    spaces = await scoped(root)
    for _, limiter in spaces.values():
        await limiter.create_entity("project", principal="test")
        await limiter.create_entity("hot", parent_id="project", cascade=True, principal="test")
        for entity in ENTITIES[:3]:
            await limiter.create_entity(entity, principal="test")
    return spaces


async def use(spaces, ledger, rng, hour_index):
    for namespace, (repo, limiter) in spaces.items():
        for turn in range(16):
            entity = rng.choice(ENTITIES)
            resource = rng.choice(RESOURCES)
            names = PLAIN if resource == "gpt/4" else PLAIN[:1] + TAKEN
            # From the third hour on, add a limit to buckets that already exist.
            names = names + ["late"] if hour_index >= 2 and resource == "gpt/4" else names
            chosen = rng.sample(names, rng.randint(1, 3))
            amounts = {name: rng.randint(1, 900) for name in chosen}
            entities = [entity, "project"] if entity == "hot" else [entity]
            corrections = {name: rng.randint(-amounts[name], 50) for name in chosen if rng.random() < 0.4}
            fails = turn % 8 == 7
            try:
                async with limiter.acquire(entity, resource, amounts, limits=limits(names)) as lease:
                    if corrections:
                        await lease.adjust(**corrections)
                    if fails:
                        raise RuntimeError("raised by the caller")
            except RuntimeError:
                # Everything is rolled back: nothing was consumed, although there was traffic.
                amounts, corrections = dict.fromkeys(amounts, 0), {}
            for change in (amounts, corrections):
                ledger.add(namespace, entities, resource, {name: n * 1000 for name, n in change.items()})


async def use_steadily(spaces, ledger, rng):
    """Consumes only what zae-limiter's own aggregator counts correctly: whole tokens of buckets and limits that exist,
    refilled in the same hour."""
    for namespace, (repo, _) in spaces.items():
        # Without speculative writes, each use refills the bucket first.
        limiter = RateLimiter(repository=repo, speculative_writes=False)
        for entity, resource in [(entity, resource) for entity in ENTITIES for resource in RESOURCES]:
            amounts = {name: rng.randint(1, 900) for name in rng.sample(PLAIN, rng.randint(1, 3))}
            corrections = {name: rng.randint(-amount, 50) for name, amount in amounts.items() if rng.random() < 0.4}
            async with limiter.acquire(entity, resource, amounts, limits=limits(PLAIN)) as lease:
                if corrections:
                    await lease.adjust(**corrections)
            entities = [entity, "project"] if entity == "hot" else [entity]
            for change in (amounts, corrections):
                ledger.add(namespace, entities, resource, {name: n * 1000 for name, n in change.items()})


async def create_buckets(spaces):
    """Creates all buckets with all limits. Their aggregator doesn't count the first use, so neither does the ledger."""
    for repo, limiter in spaces.values():
        for entity, resource in [(entity, resource) for entity in ENTITIES for resource in RESOURCES]:
            async with limiter.acquire(entity, resource, dict.fromkeys(PLAIN, 1), limits=limits(PLAIN)):
                pass


async def use_idle(spaces, ledger, hour):
    """Uses a bucket at midnight and in the last hour of a day, and then, after midnight, without refilling it."""
    repo, limiter = spaces["default"]
    if hour != "2026-11-22T00":
        limiter = RateLimiter(repository=repo, speculative_writes=False)
    # The bucket of a limit per day doesn't expire within hours, as that of a limit per minute does.
    async with limiter.acquire("idle", "gpt/4", {"rpm": 100}, limits=[Limit.per_day("rpm", 1_000_000)]):
        ledger.add("default", ["idle"], "gpt/4", {"rpm": 100_000})


def own_fractions(ledger, namespace, namespace_id):
    """Acts as a writer other than the official client: changes the counter by fractions of a token."""
    table = boto3.resource("dynamodb", region_name="us-east-1", endpoint_url=ENDPOINT).Table(TABLE)
    key = {"PK": f"{namespace_id}/BUCKET#hot#gpt/4#0", "SK": "#STATE"}
    for step in [999, -1, *[100] * 7, *[-100] * 3, 250, 1]:
        table.update_item(Key=key, UpdateExpression="ADD b_rpm_tc :n", ExpressionAttributeValues={":n": step})
        ledger.add(namespace, ["hot"], "gpt/4", {"rpm": step})


def stamp(after, hour):
    """Sets the creation time of all stream records after `after` to `hour`. Returns the last sequence number."""
    with sqlite3.connect(os.environ["DATABASE"], timeout=30) as database:
        second = calendar.timegm(time.strptime(hour, "%Y-%m-%dT%H")) + 1800
        where = "table_name = ? AND CAST(sequence_number AS INTEGER) > ?"
        database.execute(f"UPDATE _stream_records SET created_at = ? WHERE {where}", (second, TABLE, after))
        last = "SELECT MAX(CAST(sequence_number AS INTEGER)) FROM _stream_records WHERE table_name = ?"
        return database.execute(last, (TABLE,)).fetchone()[0]


def expire_audit():
    """Deletes the audit items, after dating half of them to the previous day."""
    table = boto3.resource("dynamodb", region_name="us-east-1", endpoint_url=ENDPOINT).Table(TABLE)
    items = [item for item in table.scan()["Items"] if "/AUDIT#" in item["PK"]]
    days = {}
    for index, item in enumerate(sorted(items, key=lambda item: item["SK"])):
        day = ["2026-11-19", "2026-11-20"][index % 2]
        key = {"PK": item["PK"], "SK": item["SK"]}
        values = {":t": f"{day}T10:00:00Z"}
        names = {"#t": "timestamp"}
        table.update_item(
            Key=key, UpdateExpression="SET #t = :t", ExpressionAttributeNames=names, ExpressionAttributeValues=values
        )
        table.delete_item(Key=key)
        days.setdefault(day, []).append(item["event_id"])
    return days


async def write():
    ledger, rng, after = Ledger(), random.Random(7), 0
    root = repository()
    Clock.now = calendar.timegm(time.strptime(HOURS[0], "%Y-%m-%dT%H")) * 1000
    spaces = await prepare(root)
    for index, hour in enumerate(HOURS):
        Clock.now = (calendar.timegm(time.strptime(hour, "%Y-%m-%dT%H")) + 1800) * 1000
        ledger.hour = hour
        await use(spaces, ledger, rng, index)
        if index == 2:
            own_fractions(ledger, "team-a", spaces["team-a"][0].namespace_id)
        days = expire_audit() if index == len(HOURS) - 1 else None
        after = stamp(after, hour)
    ids = {name: repo.namespace_id for name, (repo, _) in spaces.items()}
    await root.close()
    return {"used": ledger.rows(), "namespaces": ids, "audit": days, "entities": [*ENTITIES, "project"]}


async def switch():
    part = sys.argv[2]
    ledger, rng, root, audit = Ledger(), random.Random(part), repository(), None
    after = stamp(sys.maxsize, PARTS[part][0])
    Clock.now = calendar.timegm(time.strptime("2026-11-19T10", "%Y-%m-%dT%H")) * 1000
    if part == "their":
        spaces = await prepare(root)
        await create_buckets(spaces)
        after = stamp(0, "2026-11-19T10")
    else:
        spaces = await scoped(root)
    for hour in PARTS[part]:
        Clock.now = (calendar.timegm(time.strptime(hour, "%Y-%m-%dT%H")) + 1800) * 1000
        ledger.hour = hour
        if hour in ["2026-11-21T00", "2026-11-21T23", "2026-11-22T00"]:
            await use_idle(spaces, ledger, hour)
        if part == "our":
            await use(spaces, ledger, rng, 2)
        elif hour != "2026-11-22T00":
            await use_steadily(spaces, ledger, rng)
        if hour == "2026-11-20T23":
            audit = expire_audit()
        after = stamp(after, hour)
    ids = {name: repo.namespace_id for name, (repo, _) in spaces.items()}
    await root.close()
    return {"used": ledger.rows(), "namespaces": ids, "audit": audit}


async def pages(limiter, **query):
    found, key = [], None
    while True:
        some, key = await limiter.get_usage_snapshots(limit=7, next_key=key, **query)
        found += some
        if key is None:
            return found


def plain(namespace, snapshots):
    row = lambda s: [namespace, s.entity_id, s.resource, s.window_type, s.window_start, s.counters, s.total_events]
    return sorted((row(snapshot) for snapshot in snapshots), key=lambda row: row[:5])


async def read():
    root = repository()
    by_entity, by_resource, summaries = [], [], []
    for name, (repo, limiter) in (await scoped(root)).items():
        for entity in [*ENTITIES, "project", "idle"]:
            by_entity += await asyncio.create_task(named(name, limiter, entity_id=entity))
            summary = await limiter.get_usage_summary(entity_id=entity, window_type="daily")
            summaries.append([name, entity, summary.total])
        for resource in RESOURCES:
            by_resource += await named(name, limiter, resource=resource)
    await root.close()
    return {"by_entity": sorted(by_entity, key=str), "by_resource": sorted(by_resource, key=str), "summaries": summaries}


async def named(name, limiter, **query):
    return plain(name, await pages(limiter, **query))


async def theirs():
    root = repository()
    await root.create_table()
    # Copy the namespaces from the source table so that the client finds the same IDs.
    events = json.load(sys.stdin)
    table = boto3.resource("dynamodb", region_name="us-east-1", endpoint_url=ENDPOINT).Table(TABLE)
    source = boto3.resource("dynamodb", region_name="us-east-1", endpoint_url=ENDPOINT).Table(events["source"])
    for item in source.query(KeyConditionExpression=boto3.dynamodb.conditions.Key("PK").eq("_/SYSTEM#"))["Items"]:
        table.put_item(Item=item)
    passes = lambda r: r["eventName"] == "MODIFY" and r["dynamodb"]["NewImage"]["SK"]["S"] == "#STATE"
    aggregate([record for record in events["records"] if passes(record)])
    await root.close()
    return await read()


async def feed():
    return aggregate(json.load(sys.stdin))


def aggregate(records):
    """Feeds records to zae-limiter's own aggregator, in batches, and returns the bodies of its responses."""
    os.environ.update({"TABLE_NAME": TABLE, "AWS_ENDPOINT_URL_DYNAMODB": ENDPOINT, "AWS_DEFAULT_REGION": "us-east-1"})
    # The module reads its settings on import.
    import zae_limiter_aggregator

    context = type("Context", (), {"aws_request_id": "r", "function_name": "f"})
    # The aggregator logs to stdout, which must contain only our result.
    out, sys.stdout = sys.stdout, open(os.devnull, "w")
    bodies = []
    for first in range(0, len(records), 100):
        batch = records[first : first + 100]
        # It refills buckets by the time of day, which must be that of the records.
        now = batch[-1]["dynamodb"]["ApproximateCreationDateTime"] + 1
        clock = types.SimpleNamespace(time=lambda: now, perf_counter=time.perf_counter)
        zae_limiter_aggregator.processor.time_module = clock
        bodies.append(zae_limiter_aggregator.handler({"Records": batch}, context)["body"])
    sys.stdout = out
    return bodies


async def filters():
    template = (pathlib.Path(zae_limiter.__file__).parent / "infra/cfn_template.yaml").read_text()
    mapping = template[template.index("AggregatorEventSourceMapping:") :]
    decoder, start = json.JSONDecoder(), "- Pattern: >-"
    patterns = [decoder.raw_decode(text.lstrip())[0] for text in mapping.split(start)[1:]]
    return {"Filters": [{"Pattern": json.dumps(pattern)} for pattern in patterns]}


if __name__ == "__main__":
    commands = {"write": write, "read": read, "theirs": theirs, "switch": switch, "feed": feed, "filters": filters}
    print(json.dumps(asyncio.run(commands[sys.argv[1]]())))

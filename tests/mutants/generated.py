#!/usr/bin/env python3
"""Judges mutants that cargo-mutants generates: a function returns something else, `<` becomes `<=`, an arm of a match is missing.
cargo-mutants only lists them. A build and all tests for each would take days, so this script draws a sample, compiles all of it at
once (embed.py), in a clone, and stops at the first test that fails. What has to be constant gets a build of its own.

usage: generated.py             judge until SAMPLE=400 mutants that compile are judged; continues where it stopped
       generated.py survivors   judge the survivors again, in the end by the tests of a whole deployment as well
       generated.py report      print the totals, and the survivors with their reasons

SEED=1 draws another sample, SLICE=2/8 judges the second of eight parts, MINUTES=30 stops after that time. The outcomes are in
tests/mutants/generated.tsv. The last column of a survivor is for a person: why no test has to notice it.
"""

import collections
import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time

import embed

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
TARGET = os.environ.get("MUTANTS_TARGET_DIR", f"{ROOT}/target/mutants-sample")
TREE = f"{TARGET}/tree"
OUTCOMES = f"{ROOT}/tests/mutants/generated.tsv"
COLUMNS = ["outcome", "by", "seconds", "commit", "mutant", "note"]

# What is mutated. `bucket` only uploads files.
FILES = [
    "src/types/decimal.rs", "src/types/decimal/**", "src/decode/**", "src/plan.rs", "src/plan/**", "src/usage/**", "src/ledger/**",
    "src/fold/**", "src/archive/**", "src/outcome.rs", "src/mapping/failure.rs",
]
# Those of which all mutants are judged, not a sample.
WHOLE_FILES = ("src/outcome.rs", "src/mapping/failure.rs")
EXCLUDED_FILES = ["src/archive/bucket.rs", "src/archive/bucket/**"]
# What a value looks like in a failed assertion.
EXCLUDED = r"impl (fmt::)?Debug for"
# The packages with these files, and the folders in which their unit tests run.
LIBRARIES = {"stream_types": "src/types", "event_source_mapping": "src/mapping", "usage_aggregator": "."}
PACKAGES = ["--package=stream-types", "--package=event-source-mapping", "--package=usage-aggregator"]
ROOTS = ["src/types/lib.rs", "src/mapping/lib.rs", "src/lib.rs"]
# The unit tests of the others aren't needed, and so not compiled.
UNTESTED = ["src/compact/lib.rs", "src/local/lib.rs", "src/usagectl/lib.rs"]

# A step: what is built, the programs of tests to run, with their folders, and their arguments.
Step = collections.namedtuple("Step", "name build programs arguments")


def units(name):
    return Step(name, ["--lib"], {name: LIBRARIES[name]}, [])


SLOW = ["exhaustive::", "random::", "indicators::", "upgrade::"]
# The tests of the architecture read the sources, which are longer with mutants in them.
CORE = Step("core", ["--test", "core"], {"core": "."}, ["--skip", "architecture::"])
LEDGER = Step("ledger", ["--test", "ledger"], {"ledger": "src/local"}, [word for name in SLOW for word in ("--skip", name)])
HISTORIES = Step("histories", ["--test", "ledger"], {"ledger": "src/local"}, SLOW)
WHOLE = Step("it", ["--test", "it"], {"it": "src/usagectl"}, ["simulation::simulated", "quarantine::", "blocked_shard::", "events::"])
STEPS = {
    "src/types/": [units("stream_types"), units("usage_aggregator"), CORE],
    "src/mapping/": [units("event_source_mapping")],
    "src/usage/": [units("usage_aggregator"), LEDGER, CORE, HISTORIES],
    "src/ledger/": [units("usage_aggregator"), LEDGER, CORE, HISTORIES],
    "src/fold/": [units("usage_aggregator"), LEDGER, HISTORIES],
    "src/": [units("usage_aggregator"), CORE, LEDGER],
}

# A step may take this many times as long as without a mutant, plus some seconds.
TIMES_AS_LONG, GRACE_SECONDS = 5, 30
MAX_MEMORY_BYTES = 8 << 30
# Some don't compile, so more are compiled than are needed.
SPARE = 1.3


class Refused(Exception):
    """The compiler's errors: each a message, and places in files."""


def git(*arguments, folder=ROOT):
    return subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    if not os.path.exists(path) or read(path) != text:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def restore():
    """Makes the tree what was committed. Its path stays, so that only what changes is compiled again."""
    git("checkout", "--quiet", "--force", "--detach", "FETCH_HEAD", folder=TREE)
    git("clean", "--quiet", "--force", "-d", folder=TREE)
    for path in UNTESTED:
        write(f"{TREE}/{path}", "#![cfg(not(test))]\n" + read(f"{TREE}/{path}"))
    for path in ROOTS:
        write(f"{TREE}/{path}", read(f"{TREE}/{path}") + embed.SWITCH)


def listed():
    """All mutants by key. A key has no line number, so that it stays the same when other lines change."""
    options = [f"--file={file}" for file in FILES] + [f"--exclude={file}" for file in EXCLUDED_FILES] + [f"--exclude-re={EXCLUDED}"]
    output = subprocess.run(["cargo-mutants", "mutants", "--list", "--json", "--no-config", *PACKAGES, *options],
                            cwd=TREE, check=True, stdout=subprocess.PIPE, text=True).stdout
    mutants, counts = {}, collections.Counter()
    for mutant in json.loads(output):
        change = " ".join(re.sub(r"^[^:]*:\d+:\d+: ", "", mutant["name"]).split())
        name = f"{mutant['file']}: {change}"
        counts[name] += 1
        mutants[name if counts[name] == 1 else f"{name} ({counts[name]})"] = mutant
    return mutants


class Sample:
    """The mutants of the slice in a random order, those of whole files first. The sample is as many of the first ones that compile as are wanted."""

    def __init__(self, mutants, outcomes):
        self.mutants, self.outcomes = mutants, outcomes
        seed = os.environ.get("SEED", "1")
        order = lambda key: (not key.startswith(WHOLE_FILES), hashlib.sha256(f"{seed} {key}".encode()).digest())
        keys = sorted(mutants, key=order)
        part, parts = (int(number) for number in os.environ.get("SLICE", "1/1").split("/"))
        self.keys, self.goal = keys[part - 1::parts], -(-int(os.environ.get("SAMPLE", "400")) // parts)

    def of(self, goal):
        """The first mutants, this many of which compile, if those do that haven't been judged."""
        sample, viable = [], 0
        for key in self.keys:
            if viable >= goal:
                break
            sample.append(key)
            viable += key not in self.outcomes or self.outcomes[key]["outcome"] != "unviable"
        return sample

    def missing(self, goal):
        return [key for key in self.of(goal) if key not in self.outcomes]


def built(step):
    """Compiles the tests of a step, and returns their programs by name."""
    run = subprocess.run(["cargo", "test", "--quiet", "--workspace", "--exclude=fuzz", "--no-run", "--message-format=json", *step.build],
                         cwd=TREE, env={**os.environ, "CARGO_TARGET_DIR": TARGET, "CARGO_PROFILE_DEV_DEBUG": "0"},
                         capture_output=True, text=True)
    messages = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    if run.returncode != 0:
        errors = [found["message"] for found in messages if found["reason"] == "compiler-message" and found["message"]["level"] == "error"]
        errors = [error for error in errors if error["spans"]]
        if not errors:
            sys.exit(f"cargo failed:\n{run.stderr}")
        raise Refused(errors)
    return {found["target"]["name"].replace("-", "_"): found["executable"] for found in messages if found.get("executable")}


class Build:
    """The programs of the tree as it is, each compiled when it is first needed."""

    def __init__(self):
        self.programs = {}

    def of(self, step):
        kind = tuple(step.build)
        if kind not in self.programs:
            self.programs[kind] = built(step)
        return [(self.programs[kind][name], folder) for name, folder in step.programs.items()]


def failure(program, folder, arguments, number, seconds):
    """What failed first with the mutant of this number, or None if everything passed within this time."""
    # What proptest found with one mutant must not be tried first with the next one.
    environment = {**os.environ, "MUTANT": str(number), "CARGO_MANIFEST_DIR": f"{TREE}/{folder}", "INSTA_WORKSPACE_ROOT": TREE,
                   "INSTA_UPDATE": "no", "PROPTEST_DISABLE_FAILURE_PERSISTENCE": "1"}
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    process = subprocess.Popen([program, *arguments], cwd=f"{TREE}/{folder}", env=environment, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True, errors="replace", start_new_session=True, preexec_fn=limit)
    hung = threading.Event()

    def end():
        hung.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(seconds, end)
    timer.start()
    found = None
    for line in process.stdout:
        failed = re.match(r"test (\S+)(?: - should panic)? \.\.\. .*FAILED$", line)
        if failed:
            found = failed[1]
            os.killpg(process.pid, signal.SIGKILL)
            break
    timer.cancel()
    process.stdout.close()
    code = process.wait()
    return found or ("timeout" if hung.is_set() else f"exit code {code}" if code != 0 else None)


class Judge:
    def __init__(self, sample):
        self.sample, self.outcomes, self.limits = sample, sample.outcomes, {}
        self.commit = git("rev-parse", "--short", "HEAD", folder=TREE)

    def run(self, key, build, number, steps):
        """Runs the tests with a mutant, and keeps the outcome."""
        begin = time.monotonic()
        outcome, by, note = "survived", "", self.outcomes.get(key, {}).get("note", "")
        for step in steps:
            found = next(filter(None, (failure(program, folder, step.arguments, number, self.limits[step.name])
                                       for program, folder in build.of(step))), None)
            if found:
                outcome, by, note = "timeout" if found == "timeout" else "caught", step.name, found
                break
        self.keep(key, outcome, by, time.monotonic() - begin, note)

    def keep(self, key, outcome, by, seconds, note):
        cells = [outcome, by, f"{seconds:.0f}", self.commit, key, " ".join(note.split())]
        self.outcomes[key] = dict(zip(COLUMNS, cells))
        save(self.outcomes)
        print(f"{outcome:8} {by:20} {cells[2]:>4} s  {key}  {note}", flush=True)

    def measure(self, build, steps):
        """How long each of these steps may take. All of them must pass without a mutant."""
        for step in steps:
            if step.name in self.limits:
                continue
            programs, begin = build.of(step), time.monotonic()
            for program, folder in programs:
                if found := failure(program, folder, step.arguments, 0, 3600):
                    sys.exit(f"{step.name} fails without a mutant: {found}")
            taken = time.monotonic() - begin
            self.limits[step.name] = taken * TIMES_AS_LONG + GRACE_SECONDS
            print(f"without a mutant, {step.name} takes {taken:.0f} s", flush=True)

    def embedded(self, keys):
        """Compiles these mutants behind switches. Returns their numbers; the others have an outcome now, or need a build of their own."""
        files, numbers = {}, {}
        for number, key in enumerate(keys, 1):
            mutant = self.sample.mutants[key]
            path = mutant["file"]
            files[path] = files.get(path) or embed.File(read(f"{TREE}/{path}"))
            try:
                files[path].add(number, mutant)
                numbers[key] = number
            except embed.Alone:
                pass
        while True:
            for path, file in files.items():
                write(f"{TREE}/{path}", file.embedded(set(numbers.values())))
            try:
                built(units("usage_aggregator"))
                return numbers
            except Refused as refused:
                before = len(numbers)
                self.refuse(refused.args[0], numbers)
                print(f"{before - len(numbers)} of {before} mutants don't compile, or not behind a switch", flush=True)

    def refuse(self, errors, numbers):
        """Takes out the mutants that the compiler's errors are about."""
        keys = {number: key for key, number in numbers.items()}
        before = len(numbers)
        for error in errors:
            # What the error points at, or else what it mentions.
            for spans in ([span for span in error["spans"] if span["is_primary"]], error["spans"]):
                spans = [span for span in spans if os.path.exists(f"{TREE}/{span['file_name']}")]
                found = [culprit for span in spans
                         for culprit in embed.culprits(read(f"{TREE}/{span['file_name']}"), error, span["byte_start"], span["byte_end"])]
                if found:
                    break
            for number, is_wrong in found:
                if keys[number] in numbers:
                    del numbers[keys[number]]
                    if is_wrong:
                        self.keep(keys[number], "unviable", "rustc", 0, error["message"])
        if len(numbers) == before:
            sys.exit("the tests don't compile:\n" + "\n".join(error["rendered"] for error in errors))

    def alone(self, key, steps):
        """Judges a mutant with a build of its own."""
        mutant = self.sample.mutants[key]
        path = f"{TREE}/{mutant['file']}"
        text = read(path)
        self.measure(Build(), steps)
        write(path, embed.replaced(text, mutant))
        try:
            self.run(key, Build(), 0, steps)
        except Refused as refused:
            self.keep(key, "unviable", "rustc", 0, refused.args[0][0]["message"])
        finally:
            write(path, text)

    def all(self, keys, wanted, steps_for, deadline):
        """Judges those of these mutants that are wanted, once it is known which of them compile."""
        numbers = self.embedded(keys)
        build = Build()
        for key in filter(numbers.get, wanted()):
            if time.monotonic() > deadline:
                return
            self.measure(build, steps_for(key))
            self.run(key, build, numbers[key], steps_for(key))
        restore()
        for key in wanted():
            if key not in numbers and time.monotonic() < deadline:
                self.alone(key, steps_for(key))


def steps_for(key):
    return next(steps for prefix, steps in STEPS.items() if key.startswith(prefix))


def load():
    if not os.path.exists(OUTCOMES):
        return {}
    rows = [line.split("\t") for line in read(OUTCOMES).splitlines()[1:]]
    return {row[4]: dict(zip(COLUMNS, row)) for row in rows}


def save(outcomes):
    rows = [COLUMNS] + [[row[column] for column in COLUMNS] for _, row in sorted(outcomes.items())]
    write(f"{OUTCOMES}.part", "".join("\t".join(row) + "\n" for row in rows))
    os.replace(f"{OUTCOMES}.part", OUTCOMES)


def report(sample):
    """Prints the totals of the sample; returns whether all of it is judged, and each survivor has a reason."""
    rows = [sample.outcomes[key] for key in sample.of(sample.goal) if key in sample.outcomes]
    for row in rows:
        if row["outcome"] == "survived":
            print(f"survived: {row['mutant']}: {row['note'] or 'NO REASON'}")
    areas = collections.defaultdict(collections.Counter)
    for row in rows:
        areas[re.match(r"src/(?:types/|mapping/)?(\w+)", row["mutant"])[1]][row["outcome"]] += 1
    for area, counts in sorted(areas.items()):
        print(f"{area:10} " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))
    kinds = collections.Counter(row["outcome"] for row in rows)
    viable, noticed = len(rows) - kinds["unviable"], kinds["caught"] + kinds["timeout"]
    print(f"{viable} of {sample.goal} mutants judged: {noticed} caught ({100 * noticed / max(viable, 1):.1f} %), {kinds['timeout']} of them by "
          f"a timeout, and {kinds['survived']} survived. {kinds['unviable']} others don't compile.")
    return viable >= sample.goal and all(row["note"] for row in rows if row["outcome"] == "survived")


def main():
    command = sys.argv[1] if len(sys.argv) > 1 else "run"
    if command not in ("run", "survivors", "report") or len(sys.argv) > 2:
        sys.exit(__doc__)
    os.makedirs(TARGET, exist_ok=True)
    if not os.path.isdir(f"{TREE}/.git"):
        git("clone", "--quiet", "--shared", "--no-checkout", ROOT, TREE)
    git("fetch", "--quiet", ROOT, "HEAD", folder=TREE)
    restore()
    sample = Sample(listed(), load())
    judge, goal = Judge(sample), sample.goal
    print(f"{len(sample.mutants)} mutants, {goal} of them to judge", flush=True)
    deadline = time.monotonic() + 60 * float(os.environ.get("MINUTES", "inf"))
    if command == "run":
        while sample.missing(goal) and time.monotonic() < deadline:
            judge.all(sample.missing(int(goal * SPARE)), lambda: sample.missing(goal), steps_for, deadline)
            restore()
    if command == "survivors":
        survivors = [key for key in sample.of(goal) if sample.outcomes.get(key, {}).get("outcome") == "survived"]
        judge.all(survivors, lambda: survivors, lambda key: [*steps_for(key), WHOLE], deadline)
    sys.exit(0 if report(sample) else 1)


main()

#!/usr/bin/env python3
"""Runs `usagectl local` under load and faults for an hour, and watches it from outside: the iterator ages of both mappings, memory, open
files, and the log. Draws what it saw, and lists each kind of warning and error in the log. Fails unless every record was counted and archived
once, ages stayed bounded, memory and open files stayed flat and, without faults, nothing was logged.

    tests/soak_live.py --minutes 60 --rate 2000 --plot docs/images/soak.svg target/soak/usagectl"""
import argparse, collections, json, os, pathlib, re, statistics, subprocess, sys, tempfile

# Every fault that passes by itself and that the load allows, at five percent if it has a percentage. Shards end and mappings restart
# each minute, hundreds of times as often as in AWS. Every few seconds, as `all` alone has it, reading one series of shards after another
# takes longer than they last, and the age grows whatever the function does.
FAULTS = "all,redeliver=5,crash=5,lose=5,throttle=5,conflict=5,503=5,slow=5,refuse=5,split=60s,restart=60s"
PIPELINES = {"orders": "orders", "bucket": "zae-limiter", "alleycat": "alleycat", "api-usage": "api-usage", "findings": "findings"}
# A fault can hold up a lane until its batch was retried. What counts is that ages don't grow from one part of the run to the next.
AGE_GROWTH, AGE_SLACK_MS = 2, 10_000
MEMORY_GROWTH, OPEN_FILES_SLACK = 1.15, 20

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--minutes", type=float, default=60, help="how long to write [default: 60]")
arguments.add_argument("--rate", type=int, default=2000, help="records per second [default: 2000]")
arguments.add_argument("--load", default="alleycat", choices=PIPELINES, help="a load of `usagectl simulate` [default: alleycat]")
arguments.add_argument("--entities", type=int, default=100)
arguments.add_argument("--faults", default=FAULTS, help="faults of `usagectl faults` [default: all, at 5 percent]")
arguments.add_argument("--option", action="append", default=[], help="one more option of `usagectl local`, such as --option=--fold-window=10")
arguments.add_argument("--every", type=float, default=5, help="seconds between two samples [default: 5]")
arguments.add_argument("--plot", help="the file to draw the samples in, such as docs/images/soak.svg")
arguments.add_argument("--out", help="the folder to keep log and samples in [default: a temporary one]")
arguments.add_argument("usagectl", help="the optimized program, as `make usagectl` prints its path")


def sample(process, status):
    """What the run is like at this moment, seen from outside and by its own status."""
    folder = f"/proc/{process.pid}"
    memory = dict(line.split(":", 1) for line in open(f"{folder}/status").read().splitlines())
    ticks = sum(map(int, open(f"{folder}/stat").read().rsplit(")", 1)[1].split()[11:13]))
    fold = status.get("fold") or {"mapping": {"iterator_age_ms": 0, "distinct_processed": 0}, "waiting": {"oldest_age_ms": 0}}
    return {
        "seconds": status["seconds"],
        "written": status.get("written") or 0,
        "processed": status["mapping"]["distinct_processed"] + status["mapping"]["distinct_discarded"],
        "age_ms": max(status["mapping"]["iterator_age_ms"], status["waiting"]["oldest_age_ms"]),
        "fold_age_ms": max(fold["mapping"]["iterator_age_ms"], fold["waiting"]["oldest_age_ms"]),
        "memory_mib": int(memory["VmRSS"].split()[0]) / 1024,
        "open_files": len(os.listdir(f"{folder}/fd")),
        "cpu_seconds": ticks / os.sysconf("SC_CLK_TCK"),
    }


def watch(options, folder):
    """Runs it, and returns the samples, its last line of JSON, and its exit code."""
    command = [
        options.usagectl, "--data", f"{folder}/data", "--pipeline", PIPELINES[options.load], "--json", "local", "--fresh", "--simulate", options.load, "--rate", str(options.rate),
        "--entities", str(options.entities), "--duration", f"{round(options.minutes * 60)}s", "--faults", options.faults, *options.option,
    ]
    print(" ".join(command), flush=True)
    samples, last = [], {}
    with open(f"{folder}/log", "w") as log, open(f"{folder}/samples.jsonl", "w") as kept:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        for line in process.stdout:
            last = json.loads(line)
            # After the load, the run compares everything with the load's journal, which takes memory of its own.
            writes = "seconds" in last and last["seconds"] <= options.minutes * 60
            if writes and (not samples or last["seconds"] >= samples[-1]["seconds"] + options.every):
                samples.append(sample(process, last))
                kept.write(json.dumps(samples[-1]) + "\n")
                kept.flush()
                if len(samples) % max(1, round(60 / options.every)) == 1:
                    print("{seconds:6.0f} s  {written:>9,} written  {processed:>9,} processed  ages {age_ms:>6,} and {fold_age_ms:>6,} ms  "
                          "{memory_mib:5.0f} MiB  {open_files} files  {cpu_seconds:.0f} s of CPU".format(**samples[-1]), flush=True)
        pathlib.Path(f"{folder}/ended.json").write_text(json.dumps(last))
        return samples, last, process.wait()


def warnings(log):
    """How often each message of a warning or error occurs, without its numbers and names."""
    messages = collections.Counter()
    for line in open(log):
        try:
            entry = json.loads(line)
            level, message = entry["level"], entry.get("message") or entry.get("fields", {}).get("message", "")
        except (ValueError, KeyError, TypeError):
            level, message = "OTHER", re.sub(r"[0-9a-f-]{8,}|[0-9]+", "N", line.strip())[:160]
        if level in ("WARN", "ERROR", "OTHER"):
            messages[f"{level} {message}"] += 1
    return messages


def parts(samples, name):
    """The values in the second and in the last quarter of the run: the first one warms up."""
    values = [one[name] for one in samples]
    quarter = len(values) // 4
    return values[quarter : 2 * quarter], values[-quarter:]


def findings(samples, ended, code, logged):
    """What isn't as promised."""
    found = []
    if code != 0:
        found.append(f"the run ended with {code}: {json.dumps(ended.get('reconcile'))[:2000]}")
    for name, what in (("age_ms", "the iterator age"), ("fold_age_ms", "the iterator age of the ledger")):
        early, late = map(statistics.median, parts(samples, name))
        if late > AGE_GROWTH * early + AGE_SLACK_MS:
            found.append(f"{what} grew from {early:,.0f} to {late:,.0f} ms in the median")
    early, late = map(max, parts(samples, "memory_mib"))
    if late > MEMORY_GROWTH * early:
        found.append(f"memory grew from {early:.0f} to {late:.0f} MiB")
    early, late = map(max, parts(samples, "open_files"))
    if late > early + OPEN_FILES_SLACK:
        found.append(f"open files grew from {early} to {late}")
    return found + logged


def draw(samples, path, title):
    import matplotlib

    matplotlib.use("svg" if path.endswith(".svg") else "agg")
    import matplotlib.pyplot as plot

    matplotlib.rcParams["svg.hashsalt"] = "soak"
    minutes = [one["seconds"] / 60 for one in samples]
    rate = [(b["processed"] - a["processed"]) / (b["seconds"] - a["seconds"]) for a, b in zip(samples, samples[1:])]
    figure, axes = plot.subplots(4, 1, figsize=(9, 9), sharex=True, constrained_layout=True)
    figure.suptitle(title, fontsize=9)
    axes[0].plot(minutes[1:], rate, linewidth=0.8)
    axes[0].set_ylabel("records/s")
    for name, label in (("age_ms", "source"), ("fold_age_ms", "ledger")):
        axes[1].plot(minutes, [one[name] / 1000 for one in samples], linewidth=0.8, label=label)
    axes[1].set_ylabel("oldest record, s")
    axes[1].legend(loc="upper right", fontsize=8)
    axes[2].plot(minutes, [one["memory_mib"] for one in samples], linewidth=0.8)
    axes[2].set_ylabel("memory, MiB")
    axes[3].plot(minutes, [one["open_files"] for one in samples], linewidth=0.8)
    axes[3].set_ylabel("open files")
    axes[3].set_xlabel("minutes")
    for axis in axes:
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    figure.savefig(path, metadata={"Date": None} if path.endswith(".svg") else None)


def main():
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.out or temporary
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        samples, ended, code = watch(options, folder)
        if len(samples) < 8:
            sys.exit(f"soak_live.py: only {len(samples)} samples: see {folder}/log, or run longer")
        if "ended" not in ended:
            sys.exit(f"soak_live.py: the run ended early, with {code}: see {folder}/log")
        messages = warnings(f"{folder}/log")
        # With faults, it is for a person to say which of them explains a message.
        logged = [f"logged {count} times: {message}" for message, count in messages.items()] if options.faults == "none" else []
        found = findings(samples, ended, code, logged)
        print(json.dumps(ended.get("reconcile"), indent=1)[:3000])
        for name in ("age_ms", "fold_age_ms", "memory_mib", "open_files"):
            values = sorted(one[name] for one in samples)
            print(f"{name:12} median {statistics.median(values):10,.0f}  99 % {values[len(values) * 99 // 100]:10,.0f}  highest {values[-1]:10,.0f}")
        for mapping in filter(None, (ended["ended"], ended["ended"].get("fold"))):
            counts = mapping["mapping"]
            print(f"{counts['invocations']:,} invocations, highest iterator age {counts['iterator_age_max_ms']:,} ms, "
                  f"highest age of an acknowledged record {counts['acknowledged_age_max_ms']:,} ms")
        for message, count in messages.most_common():
            print(f"{count:8,} {message}")
        if options.plot:
            draw(samples, options.plot, f"{options.load}, {options.rate:,} records/s, {options.minutes:g} minutes\nfaults: {options.faults}")
        for finding in found:
            print(f"soak_live.py: {finding}", file=sys.stderr)
        sys.exit(1 if found else 0)


main()

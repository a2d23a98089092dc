#!/usr/bin/env python3
"""Runs the function's binary as Lambda does, for `usagectl local --invoke`: one process per concurrent invocation, separately for the
function that appends and for the one that folds. Optionally kills processes with SIGKILL at random moments of an invocation, and records
the memory of each process.

    tests/sandboxes.py --env-file FILE --port 9000 [--kills 20] [--memory FILE] [--previous BINARY] target/debug/usage-aggregator

With --previous, two releases serve each function, like the two versions of an alias: at first only the previous one, and then shares that
change every few seconds, back and forth.

Ends on SIGTERM, with the totals on stdout."""
import argparse, json, os, queue, random, signal, subprocess, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("--env-file", required=True, help="the function's environment variables, as `usagectl local --env-file` writes them")
arguments.add_argument("--port", type=int, default=9000)
arguments.add_argument("--kills", type=int, default=0, help="processes of each kind to kill")
arguments.add_argument("--kill-every", type=float, default=1, help="mean seconds between two kills")
arguments.add_argument("--seed", type=int, default=1, help="seed for the moments of the kills")
arguments.add_argument("--memory", help="write seconds, kind, process and RSS in KiB to this file every 5 s")
arguments.add_argument("--previous", help="the binary of an earlier release, which serves a changing share of the invocations")
arguments.add_argument("--pipeline-dir", help="the pipeline of the binary, in place of the one in the environment, which the previous release has")
arguments.add_argument("--shift-every", type=float, default=3, help="mean seconds between two changes of the shares")
arguments.add_argument("binary")
options = arguments.parse_args()

TIMEOUT_SECONDS = 60
KINDS = ("append", "fold")
RELEASES = ("previous", "current") if options.previous else ("current",)
lock = threading.Lock()
rng = random.Random(options.seed)
idle = {(kind, release): [] for kind in KINDS for release in RELEASES}
# The share of the invocations that the last of the releases serves.
share = dict.fromkeys(KINDS, 0.0)
busy = {kind: {} for kind in KINDS}
invocations = dict.fromkeys(idle, 0)
kills = dict.fromkeys(KINDS, 0)
orphans = dict.fromkeys(KINDS, 0)
started = time.monotonic()


def variables():
    with open(options.env_file) as file:
        return dict(line.rstrip("\n").split("=", 1) for line in file if "=" in line)


class Sandbox:
    """A process of the function, and the Runtime API that it polls."""

    def __init__(self, kind, release):
        self.kind, self.release, self.events, self.results = kind, release, queue.Queue(), queue.Queue()
        self.api = Server(("127.0.0.1", 0), runtime_api(self))
        threading.Thread(target=self.api.serve_forever, daemon=True).start()
        own = {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.api.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": f"usage-aggregator-{kind}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        }
        environment, binary = variables() | own, options.previous if release == "previous" else options.binary
        if options.pipeline_dir and release == "current":
            environment.pop("PIPELINE", None)
            environment["PIPELINE_DIR"] = options.pipeline_dir
        self.process = subprocess.Popen([binary], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        self.process.wait()
        self.results.put(("error", {"errorType": "Runtime.ExitError", "errorMessage": "the process ended: signal: killed"}))
        self.events.put(None)
        self.api.shutdown()
        self.api.server_close()

    def invoke(self, event, request_id):
        self.events.put((event, request_id))
        try:
            return self.results.get(timeout=TIMEOUT_SECONDS)
        except queue.Empty:
            self.process.kill()
            return "error", {"errorMessage": f"Task timed out after {TIMEOUT_SECONDS}.00 seconds"}


class Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def runtime_api(sandbox):
    class Api(Quiet):
        def do_GET(self):
            item = sandbox.events.get()
            if item is None:
                return self.answer(500)
            event, request_id = item
            deadline = int((time.time() + TIMEOUT_SECONDS) * 1000)
            arn = "arn:aws:lambda:us-east-1:123456789012:function:usage-aggregator"
            self.answer(200, event, [
                ("Lambda-Runtime-Aws-Request-Id", request_id), ("Lambda-Runtime-Deadline-Ms", str(deadline)),
                ("Lambda-Runtime-Invoked-Function-Arn", arn), ("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700"),
            ])

        def do_POST(self):
            body = self.body()
            sandbox.results.put(("response" if self.path.endswith("/response") else "error", json.loads(body or b"{}")))
            self.answer(202)

    return Api


class Invoke(Quiet):
    def do_POST(self):
        event = self.body()
        kind = "fold" if b":table/" + ledger() + b"/stream/" in event[:4096] else "append"
        with lock:
            release = RELEASES[-1] if rng.random() < share[kind] else RELEASES[0]
            invocations[kind, release] += 1
            number = sum(invocations.values())
            sandbox = idle[kind, release].pop() if idle[kind, release] else None
        sandbox = sandbox or Sandbox(kind, release)
        with lock:
            busy[kind][sandbox] = time.monotonic()
        result, body = sandbox.invoke(event, self.headers.get("X-Amz-Client-Request-Id", str(number)))
        with lock:
            del busy[kind][sandbox]
            if sandbox.process.poll() is None:
                idle[kind, release].append(sandbox)
        error = [("X-Amz-Function-Error", "Unhandled")] if result == "error" else []
        try:
            self.answer(200, json.dumps(body).encode(), error)
        except OSError:
            with lock:
                orphans[kind] += 1


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Connections end in the middle when either side is killed."""


def ledger():
    return variables().get("LEDGER_TABLE", "ledger").encode()


def kill():
    """Kills a process during an invocation, of each kind in turn."""
    for turn in range(2 * options.kills):
        kind = KINDS[turn % 2]
        time.sleep(rng.uniform(0, options.kill_every * 2))
        while True:
            with lock:
                at_work = list(busy[kind].items())
                if at_work:
                    sandbox, since = rng.choice(at_work)
                    age = time.monotonic() - since
                    # With this probability every 2 ms, so that the kills spread over the whole invocation.
                    if rng.random() < 0.02:
                        sandbox.process.kill()
                        kills[kind] += 1
                        print(f"killed {kind} {age * 1000:.0f} ms into an invocation ({kills['append']} appends, {kills['fold']} folds so far)", flush=True)
                        break
            time.sleep(0.002)


def boxes():
    """All processes, with what they are for."""
    waiting = [(kind, box) for (kind, _), boxes in idle.items() for box in boxes]
    return waiting + [(kind, box) for kind in KINDS for box in busy[kind]]


def shift():
    """Changes the share of the current release of one function at a time: a little of it, half, all, and back to none."""
    while True:
        time.sleep(rng.uniform(0, options.shift_every * 2))
        with lock:
            kind = rng.choice(KINDS)
            share[kind] = rng.choice((0.0, 0.1, 0.5, 0.9, 1.0))
            print(f"shifted: the current release serves {share[kind]:.0%} of the invocations that {kind}", flush=True)


def memory():
    with open(options.memory, "w") as file:
        while True:
            with lock:
                processes = [(kind, box.process.pid) for kind, box in boxes()]
            for kind, pid in processes:
                try:
                    status = open(f"/proc/{pid}/status").read()
                except OSError:
                    continue
                rss = next((line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")), "0")
                print(f"{time.monotonic() - started:.0f} {kind} {pid} {rss}", file=file, flush=True)
            time.sleep(5)


def end(*_):
    with lock:
        for _, box in boxes():
            box.process.kill()
    served = {" ".join(key): count for key, count in invocations.items()}
    print(f"invocations: {served}; killed during one: {kills}; whose caller was killed during one: {orphans}", flush=True)
    os._exit(0)


signal.signal(signal.SIGTERM, end)
server = Server(("127.0.0.1", options.port), Invoke)
if options.kills:
    threading.Thread(target=kill, daemon=True).start()
if options.previous:
    threading.Thread(target=shift, daemon=True).start()
if options.memory:
    threading.Thread(target=memory, daemon=True).start()
server.serve_forever()

"""Measures what OpenTelemetry adds to an invocation: from the event to the response, and on to the next poll of the Runtime API.

usage: otel.py OFF ON EVENT.json; OFF is the binary without the feature and ON the one with it. DynamoDB and S3 respond immediately. The
sandboxes take turns, one invocation each, so that whatever else the machine does falls on all of them.
"""

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import start

INVOCATIONS = 200
SLOW_SECONDS = 5


def serve(handler):
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


class Collector(BaseHTTPRequestHandler):
    """Takes every export."""

    protocol_version = "HTTP/1.1"
    wbufsize, disable_nagle_algorithm = -1, True
    seconds, exports = 0, 0

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        time.sleep(self.seconds)
        type(self).exports += 1
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class SlowCollector(Collector):
    seconds = SLOW_SECONDS


class Sandbox:
    """A running function, which is invoked whenever `invoke` is called."""

    def __init__(self, binary, variables, event):
        self.turn, self.polled, self.answered = threading.Semaphore(0), threading.Semaphore(0), threading.Semaphore(0)
        sandbox = self

        class Api(start.Api):
            def do_GET(self):
                if not self.path.endswith("/next"):
                    return self.answer()
                sandbox.polled.release()
                sandbox.turn.acquire()
                self.answer(event, {
                    "lambda-runtime-aws-request-id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
                    "lambda-runtime-deadline-ms": str(int((time.time() + 60) * 1000)),
                    "lambda-runtime-invoked-function-arn": "arn:aws:lambda:us-east-1:123456789012:function:f",
                })

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if self.path.endswith("/response"):
                    assert json.loads(body) == {"batchItemFailures": []}, body
                    sandbox.answered.release()
                assert not self.path.endswith("/error"), body
                self.answer(b"{}")

        address = f"127.0.0.1:{serve(Api)}"
        environment = {
            "PATH": os.environ["PATH"], "AWS_LAMBDA_RUNTIME_API": address, "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_LAMBDA_FUNCTION_NAME": "f",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_LAMBDA_FUNCTION_VERSION": "1",
            **{f"AWS_ENDPOINT_URL_{name}": f"http://{address}" for name in ("DYNAMODB", "S3")}, **variables,
        }
        began = time.perf_counter()
        self.process = subprocess.Popen([binary], env=environment, stdout=subprocess.DEVNULL)
        self.wait(self.polled)
        self.started = (time.perf_counter() - began) * 1000
        self.runs = []

    def wait(self, event):
        if not event.acquire(timeout=60):
            raise SystemExit("the function did not get that far")

    def invoke(self):
        began = time.perf_counter()
        self.turn.release()
        self.wait(self.answered)
        answered = time.perf_counter()
        self.wait(self.polled)
        self.runs.append(((answered - began) * 1000, (time.perf_counter() - began) * 1000))


def quantile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def main(off, on, event):
    records = json.loads(Path(event).read_bytes())["Records"][:20]
    event = json.dumps({"Records": records}).encode()
    names = {"USAGE_TABLE": "usage", "LEDGER_TABLE": "ledger", "ARCHIVE_BUCKET": "archive"}
    ours = {"PIPELINE_DIR": str(start.ROOT / "pipelines/demand"), "HORIZON_DAYS": "36500", **names}
    # Nobody listens at the port for discarding.
    dead = 9
    endpoints = {
        "built without OpenTelemetry": (off, None),
        "built with it, no endpoint": (on, None),
        "a fast endpoint": (on, serve(Collector)),
        f"one that takes {SLOW_SECONDS} s": (on, serve(SlowCollector)),
        "a dead one": (on, dead),
    }
    sandboxes = {}
    for name, (binary, port) in endpoints.items():
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"} if port else {}
        sandboxes[name] = Sandbox(binary, {**ours, **variables}, event)
    for _ in range(INVOCATIONS):
        for sandbox in sandboxes.values():
            sandbox.invoke()
    print(f"{INVOCATIONS} invocations of {len(records)} records each; {Collector.exports} exports to the fast endpoint")
    print("| | start to first poll, ms | first invocation, ms | median, ms | 99 % within, ms | longest, ms |")
    print("|---|---|---|---|---|---|")
    for name, sandbox in sandboxes.items():
        totals = [total for _, total in sandbox.runs]
        later = totals[1:]
        figures = (sandbox.started, totals[0], quantile(later, 0.5), quantile(later, 0.99), max(later))
        print(f"| {name} | " + " | ".join(f"{figure:.1f}" for figure in figures) + " |")
        sandbox.process.kill()


main(*sys.argv[1:])

"""Measures what OpenTelemetry adds to an invocation: from the event to the response, and on to the next poll of the Runtime API.

usage: otel.py OFF ON EVENT.json; OFF is the binary without the feature and ON the one with it. DynamoDB and S3 respond immediately. The
sandboxes take turns, one invocation each, so that whatever else the machine does falls on all of them.
"""

import sys
import threading
import time
from http.server import BaseHTTPRequestHandler

import start

INVOCATIONS = 200
SLOW_SECONDS = 5


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
                self.invoke(event)

            def end(self):
                sandbox.answered.release()

        _, address = start.serve(Api)
        began = time.perf_counter()
        self.process = start.run([binary], address, {**start.OURS, **variables})
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
        self.wait(self.polled)
        self.runs.append((time.perf_counter() - began) * 1000)


def quantile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def main(off, on, event):
    event = start.read_event(event)
    endpoints = {
        "built without OpenTelemetry": (off, None),
        "built with it, no endpoint": (on, None),
        "a fast endpoint": (on, start.serve(Collector)[1]),
        f"one that takes {SLOW_SECONDS} s": (on, start.serve(SlowCollector)[1]),
        # Nobody listens at the port for discarding.
        "a dead one": (on, "127.0.0.1:9"),
    }
    sandboxes = {}
    for name, (binary, address) in endpoints.items():
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{address}"} if address else {}
        sandboxes[name] = Sandbox(binary, variables, event)
    for _ in range(INVOCATIONS):
        for sandbox in sandboxes.values():
            sandbox.invoke()
    print(f"{INVOCATIONS} invocations of 20 records each; {Collector.exports} exports to the fast endpoint")
    print("| | start to first poll, ms | first invocation, ms | median, ms | 99 % within, ms | longest, ms |")
    print("|---|---|---|---|---|---|")
    for name, sandbox in sandboxes.items():
        first, *later = sandbox.runs
        figures = (sandbox.started, first, quantile(later, 0.5), quantile(later, 0.99), max(later))
        print(f"| {name} | " + " | ".join(f"{figure:.1f}" for figure in figures) + " |")
        sandbox.process.kill()


main(*sys.argv[1:])

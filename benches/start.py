"""Compares cold starts: from exec to the first poll of the Runtime API, and on to the first response.

usage: start.py BINARY EVENT.json; also measures the rivals in benches/rivals that are installed. Runs take turns; each figure
is the minimum of the runs: wall time and CPU time in ms, and resident size at the first response. DynamoDB and S3 respond
immediately.
"""

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

RUNS = 7
ROOT = Path(__file__).parent
TICK = os.sysconf("SC_CLK_TCK")
PIPELINE = ROOT / "pipelines/demand"
# The variables of this project's function.
OURS = {
    "PIPELINE_DIR": str(PIPELINE), "HORIZON_DAYS": "36500",
    "USAGE_TABLE": "usage", "LEDGER_TABLE": "ledger", "ARCHIVE_BUCKET": "archive",
}


class Api(BaseHTTPRequestHandler):
    """The Runtime API, and a DynamoDB and S3 that accept every request."""

    protocol_version = "HTTP/1.1"
    # Sends each response in one piece and immediately, so that no client waits for a delayed acknowledgement.
    wbufsize, disable_nagle_algorithm = -1, True
    event, polled, answered = b"", threading.Event(), threading.Event()

    def do_GET(self):
        if not self.path.endswith("/next"):
            return self.answer()
        if self.polled.is_set():
            threading.Event().wait()
        self.polled.set()
        self.invoke(self.event)

    def invoke(self, event):
        self.answer(event, {
            "lambda-runtime-aws-request-id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
            "lambda-runtime-deadline-ms": str(int((time.time() + 60) * 1000)),
            "lambda-runtime-invoked-function-arn": "arn:aws:lambda:us-east-1:123456789012:function:f",
        })

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path.endswith("/response"):
            assert json.loads(body) == {"batchItemFailures": []}, body
            self.end()
        assert not self.path.endswith("/error"), body
        self.answer(b"{}")

    def do_PUT(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.answer()

    do_HEAD = do_GET

    def end(self):
        self.answered.set()

    def answer(self, body=b"", headers=()):
        self.send_response(200)
        for name, value in {"content-length": str(len(body)), "content-type": "application/json", **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def cpu_ms(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / TICK


def resident_mib(pid):
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def serve(handler):
    """A server in the background, and its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    # A client that was killed after its response is not an error.
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"127.0.0.1:{server.server_address[1]}"


def run(command, address, variables):
    """Starts a function whose Runtime API and services are at this address."""
    services = {f"AWS_ENDPOINT_URL_{name}": f"http://{address}" for name in ("DYNAMODB", "S3")}
    environment = {
        "PATH": os.environ["PATH"], "AWS_LAMBDA_RUNTIME_API": address, "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "NODE_NO_WARNINGS": "1", **services, **variables,
    }
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def start(command, variables):
    Api.polled, Api.answered = threading.Event(), threading.Event()
    server, address = serve(Api)
    began = time.perf_counter()
    process = run(command, address, variables)
    figures = []
    for event in (Api.polled, Api.answered):
        if not event.wait(60):
            raise SystemExit(f"{command[0]} did not get that far")
        figures += [(time.perf_counter() - began) * 1000, cpu_ms(process.pid)]
    figures.append(resident_mib(process.pid))
    process.kill()
    process.wait()
    server.shutdown()
    return figures


def read_event(path):
    """The first 20 records of an event."""
    return json.dumps({"Records": json.loads(Path(path).read_bytes())["Records"][:20]}).encode()


def main(binary, event):
    Api.event = read_event(event)
    rivals = {"usage-aggregator": ([binary], OURS)}
    schema = str(PIPELINE / "order.avsc")
    if (ROOT / "rivals/node_modules").exists():
        rivals["Node"] = (["node", str(ROOT / "rivals/function.mjs"), "demand", schema], {})
    python = ROOT.parent / ".venv-bench/bin/python"
    if python.exists():
        rivals["Python"] = ([str(python), str(ROOT / "rivals/function.py"), "demand", schema], {})
    runs = {name: [] for name in rivals}
    for _ in range(RUNS):
        for name, (command, variables) in rivals.items():
            runs[name].append(start(command, variables))
    print("| cold start, least of 7 | to first poll, ms | of which CPU | to first response, ms | of which CPU | resident, MiB |")
    print("|---|---|---|---|---|---|")
    for name, figures in runs.items():
        print(f"| {name} | " + " | ".join(f"{min(column):.1f}" for column in zip(*figures)) + " |")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Checks the live pages of `usagectl local` and `usagectl watch` in headless Chromium: `page.py CHECK`, and makes the pictures in
docs/images: `page.py screenshots FOLDER`. USAGECTL is the program, and CHROMIUM the browser unless it is on the PATH."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from playwright.sync_api import sync_playwright

from page_stack import emulated

USAGECTL = os.environ["USAGECTL"]
# Chromium runs as root in CI, where its sandbox can't, and must not look for updates.
FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# How long something may take to appear. Nothing is measured.
PATIENCE_SECONDS = 180


def data_folder():
    """A folder for a run's data, in memory if there is room: tests write much, and need none of it later."""
    memory = "/dev/shm"
    has_room = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 1_000_000_000
    return tempfile.TemporaryDirectory(dir=memory if has_room else None)


def browser_path():
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "Chromium is missing: install Debian's package chromium, or set CHROMIUM"
    return found


class Run:
    """A `usagectl local` whose data is in a folder."""

    def __init__(self, folder, *arguments):
        self.folder = folder
        command = [USAGECTL, "local", "--json", *arguments]
        self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        started = json.loads(self.process.stdout.readline())["started"]
        self.url, self.environment = started["page"], started["environment"]
        # A full pipe would block the run.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def get(self, path):
        with urllib.request.urlopen(self.url + path) as answer:
            return json.load(answer)

    def usagectl(self, *arguments):
        command = [USAGECTL, *arguments]
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def running(*arguments):
    with data_folder() as folder:
        run = Run(folder, *arguments)
        try:
            yield run
        finally:
            run.stop()


class Watched:
    """A page whose errors are collected."""

    def __init__(self, page, url, documents=2):
        """Waits until so many documents are drawn: one per second of a run, one per minute of a stack."""
        self.page, self.errors, self.hosts = page, [], set()
        page.set_default_timeout(PATIENCE_SECONDS * 1_000)
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))
        page.goto(url)
        self.until(f"Number(document.body.dataset.drawn ?? 0) >= {documents}")

    def drawn(self):
        """Waits until another document is drawn."""
        before = int(self.page.evaluate("document.body.dataset.drawn ?? 0"))
        self.until(f"Number(document.body.dataset.drawn ?? 0) > {before + 1}")

    def until(self, condition):
        """Waits for a condition. Playwright's own way to wait evaluates texts in the page, which its policy forbids."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not self.page.evaluate(condition):
            assert time.monotonic() < end, f"{condition} is still false: {self.page.inner_text('main')}; {self.errors}"
            self.page.wait_for_timeout(50)

    def until_text(self, selector, text):
        self.until(f"document.querySelector({json.dumps(selector)})?.textContent.includes({json.dumps(text)})")


@contextlib.contextmanager
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        yield browser
        browser.close()


def visit(browser, run, width=1280, scheme="light", height=900):
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    return Watched(context.new_page(), run.url)


@contextlib.contextmanager
def opened(run, **options):
    with chromium() as browser:
        yield visit(browser, run, **options)


def check_layout(browser, url, ready):
    """Opens a page at three widths, light and dark: no errors or requests to elsewhere, within its width, and with a name for
    everything that can be used."""
    for width in [1280, 820, 390]:
        for scheme in ["light", "dark"]:
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
            watched = Watched(context.new_page(), url, documents=1)
            page = watched.page
            ready(watched)
            assert watched.errors == [], watched.errors
            assert watched.hosts == {url.split("/")[2]}, watched.hosts
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{width} px overflow"
            for role in ["button", "switch", "combobox", "link"]:
                for control in page.get_by_role(role).all():
                    assert control.evaluate("e => (e.ariaLabel || e.labels?.[0]?.textContent || e.textContent).trim()"), role
            assert page.get_by_role("main").count() == page.locator("h1").count() == 1
            assert page.locator(".uplot canvas").count() == 2
            if width == 390:
                small = "[...document.querySelectorAll('button')].filter(b => b.checkVisibility() && b.offsetHeight < 40).length"
                assert page.evaluate(small) == 0, "buttons are large enough for fingers"
            context.close()


def loads():
    """Without errors or requests to elsewhere, within its width, and with a name for everything that can be used."""
    with running("--parallelization-factor", "3") as run, chromium() as browser:
        run.usagectl("simulate", "orders", "--records", "60", "--rate", "0")

        def ready(watched):
            watched.until_text("#usage-window", "The month")
            watched.drawn()

        check_layout(browser, run.url, ready)


def figures():
    """The figures of the page are those of /status."""
    # The writes of indicators would be further records.
    with running("--fold-window", "0", "--pipeline", "api-usage") as run, opened(run) as watched:
        run.usagectl("simulate", "api-usage", "--records", "80", "--rate", "0")
        run.usagectl("reconcile", "--wait", "60s")
        watched.drawn()
        shown = "Object.fromEntries([...document.querySelectorAll('[data-figure]')].map(e => [e.dataset.figure, e.textContent]))"
        # Polls go on, but nothing else happens any more.
        status, figures = run.get("status"), watched.page.evaluate(shown)
        assert len(figures) > 12, figures
        for path, text in figures.items():
            value = status
            for name in path.split("."):
                value = value.get(name, {})
            assert int(text.replace(",", "")) == (value or 0), (path, text, value)
        assert figures["mapping.distinct_processed"] == "80", figures
        # A request counts for its tenant, its endpoint, and its plan.
        watched.until_text("#usage-window", "groups, some of which count the same records;")
        assert "in all" not in watched.page.inner_text("#usage-window")
        assert watched.errors == [], watched.errors


def durations():
    """A duration has no 60 seconds, wherever it is rounded."""
    script = Path(__file__).parent.parent / "src/usagectl/page/files/page.js"
    function = script.read_text().split("\nfunction duration(", 1)[1].split("\n}\n", 1)[0]
    expected = {
        999.6: "1.0 s",
        9_960: "10 s",
        59_600: "60 s",
        119_400: "119 s",
        119_600: "2 min 0 s",
        179_600: "3 min 0 s",
        7_199_700: "2 h 0 min",
    }
    with chromium() as browser:
        for milliseconds, text in expected.items():
            shown = browser.new_page().evaluate(f"(function duration({function}\n}})({milliseconds})")
            assert shown == text, (milliseconds, shown)


def faults():
    """A switch injects its fault, which the figures show; it works with the keyboard, and a fault that can't occur is refused."""
    with running("--maximum-backoff", "200") as run, opened(run) as watched:
        page = watched.page
        crash = page.get_by_role("switch", name="Crashes")
        assert crash.get_attribute("aria-checked") == "false"
        crash.click()
        watched.until("document.querySelector('[data-fault=crash]').ariaChecked === 'true'")
        assert run.get("status")["faults"] in ["none", "crash=10"]
        watched.until_text("#faults-note", "1 fault on")
        injected = "/[0-9]×/.test(document.querySelector('[data-fault=crash] .count').textContent)"
        while not page.evaluate(injected):
            run.usagectl("simulate", "orders", "--records", "20", "--rate", "0")
        crash.focus()
        page.keyboard.press("Space")
        watched.until("document.querySelector('[data-fault=crash]').ariaChecked === 'false'")
        watched.drawn()
        assert run.get("status")["faults"] == "none"
        # Nothing is known of the pages that wait, but they used to be folded.
        page.get_by_role("switch", name="Mapping disabled").click()
        watched.until_text("#node-ledger", "0+ pages waiting")
        watched.until_text("#node-fold", "pages may wait")
        page.get_by_role("switch", name="Mapping disabled").click()
        watched.until_text("#node-ledger", "all pages folded")
        repeat = page.locator("[data-fault=repeat]")
        assert repeat.get_attribute("aria-disabled") == "true" and "kinesis-for-dynamodb" in repeat.inner_text()
        assert watched.errors == [], watched.errors


def redrive():
    """Batches that were given up are redriven by a button, and another one proves that everything is counted."""
    with running("--retry-attempts", "1", "--maximum-backoff", "200", "--faults", "exit=100") as run, opened(run) as watched:
        page = watched.page
        run.usagectl("simulate", "orders", "--records", "20", "--rate", "0")
        watched.until_text("#node-failures", "failed batch")
        watched.until("document.querySelector('#summary').dataset.level !== 'calm'")
        page.get_by_role("button", name="None").click()
        watched.until_text("#faults-note", "Switch one on")
        watched.until("document.querySelector('#blocked-card').hidden")
        page.get_by_role("button", name="Redrive").click()
        watched.until_text("#task-redrive", "Done: nothing is left")
        watched.until_text("#node-failures", "empty")
        page.get_by_role("button", name="Reconcile").click()
        watched.until_text("#task-reconcile", "Proved: every record")
        watched.until_text("#task-reconcile pre", "20 of 20")
        assert watched.errors == [], watched.errors


def reconnects():
    """After a restart on the same port, an open page shows the new run, and its buttons work."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    with data_folder() as folder:
        # The writes of indicators would be further records.
        options = ["--control-port", port, "--pipeline", "api-usage"]
        first = Run(folder, *options)
        with chromium() as browser:
            watched = Watched(browser.new_page(), first.url)
            first.usagectl("simulate", "api-usage", "--records", "30", "--rate", "0")
            watched.until_text("[data-figure='mapping.distinct_processed']", "30")
            watched.page.get_by_role("button", name="Reconcile").click()
            watched.until_text("#task-reconcile", "Proved: every record")
            first.stop()
            watched.until_text("#connection-text", "Reconnecting")
            watched.until_text("#summary-title", "has ended")
            second = Run(folder, *options)
            watched.until_text("#connection-text", "Live")
            watched.drawn()
            assert watched.page.inner_text("[data-figure='mapping.distinct_processed']") == "0"
            # The proof of the first run used to stay.
            assert watched.page.locator("#task-reconcile").is_hidden()
            assert watched.page.inner_html("#task-reconcile") == ""
            watched.page.get_by_role("switch", name="Twin mappings").click()
            watched.until_text("#faults-note", "1 fault on")
            watched.drawn()
            assert second.get("status")["faults"] == "twins"
            second.stop()


def labels():
    """The labels of the charts, which screen readers read, follow the figures, also after the ten minutes that are shown."""
    with running() as run, chromium() as browser:
        with urllib.request.urlopen(run.url + "page/events") as events:
            messages = []
            while len(messages) < 2:
                line = events.readline().decode()
                if line.startswith("data: "):
                    messages.append(json.loads(line[6:]))
        hello, view = messages
        columns = list(hello["history"])
        sample = lambda second: {column: second for column in columns}
        hello["history"] = {column: list(range(600)) for column in columns}
        views = [{**view, "sample": sample(second)} for second in range(600, 621)]
        body = "".join(f"event: {'view' if one is not hello else 'hello'}\ndata: {json.dumps(one)}\n\n" for one in [hello, *views])
        answers = [body]

        def answer(route):
            if answers:
                route.fulfill(content_type="text/event-stream", body=answers.pop())
            else:
                route.abort()

        page = browser.new_page()
        page.route("**/page/events", answer)
        watched = Watched(page, run.url, documents=len(views))
        label = page.get_attribute("#rate-chart", "aria-label")
        assert "durable 620" in label, label


def entities():
    """With 80,000 entities, an event stays as small and the page as short as with ten. A name with a script is a text."""
    import boto3
    from botocore.config import Config

    with running() as run:
        config = Config(retries={"max_attempts": 1}, max_pool_connections=8)
        keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": "us-east-1"}
        client = boto3.client("dynamodb", endpoint_url=run.environment["AWS_ENDPOINT_URL_DYNAMODB"], config=config, **keys)
        month = run.get("page/view")["at"][:7] + "-01T00:00:00Z"

        def write(snapshots):
            number = lambda value: {"N": str(value)}
            item = lambda entity, amount: {
                "pk": {"S": f"CUSTOMER#{entity}"},
                "sk": {"S": f"USAGE#orders#month#{month}"},
                "amount": number(amount),
                "orders": number(1),
            }
            requests = [{"PutRequest": {"Item": item(*snapshot)}} for snapshot in snapshots]
            client.batch_write_item(RequestItems={run.environment["USAGE_TABLE"]: requests})

        def put(first):
            write([(entity, entity * 7919 % 80_000) for entity in range(first, first + 25)])

        hostile = "<img src=x onerror=alert(1)>"
        write([(hostile, 80_001)])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(put, range(0, 80_000, 25)))
        with opened(run) as watched:
            watched.until_text("#usage-window", "80,001 groups")
            watched.drawn()
            assert watched.page.locator("#usage-rows tr").count() == 8
            assert watched.page.inner_text("#usage-rows tr:first-child th") == hostile
            assert watched.page.locator("#usage-rows img").count() == 0
            assert watched.page.inner_text("#usage-rows tr:nth-child(2) td.number") == "79,999"
            assert watched.page.evaluate("document.querySelectorAll('*').length") < 1_200
            assert watched.errors == [], watched.errors
        with urllib.request.urlopen(run.url + "page/view") as answer:
            size = len(answer.read())
        assert size < 16_000, size


class Watch:
    """A `usagectl watch`, until it is stopped."""

    def __init__(self, environment, *arguments):
        command = [USAGECTL, "watch", "--stack", "shop", *arguments]
        self.process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("live page of shop: "), line
        self.url = line.split(": ")[1].strip()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait() == 0


@contextlib.contextmanager
def watching(environment, *arguments):
    watch = Watch(environment, *arguments)
    try:
        yield watch
    finally:
        watch.stop()


def stack():
    """The page of a stack begins with the last hours, shows nothing as 0 that isn't known, and offers nothing that changes it."""
    with data_folder() as folder, emulated(USAGECTL, folder) as shop, watching(shop.environment) as watch, chromium() as browser:

        def ready(watched):
            watched.until_text("#node-mapping", "enabled")

        check_layout(browser, watch.url, ready)
        watched = Watched(browser.new_page(), watch.url, documents=1)
        page = watched.page
        assert "usagectl watch · stack shop" in page.inner_text("#origin")
        number = lambda selector: int(page.inner_text(selector).replace(",", ""))
        for name, total in shop.totals.items():
            assert number(f"[data-stack={name}]") == total, (name, total)
        # The usage is shown once the table has been read, which starts when somebody looks.
        watched.until_text("#usage-window", "The month")
        assert page.inner_text("#usage-rows tr:first-child th") == "acme"
        legend = page.inner_text("#rate-chart + ul")
        assert "–" not in legend and "now" not in legend, legend
        assert page.evaluate("document.querySelectorAll('.uplot canvas').length") == 2
        assert page.get_by_role("switch").count() == 0 and page.get_by_role("button", name="All").count() == 0
        assert page.get_by_role("button", name="Redrive").count() == 0
        assert page.get_by_role("button", name="Compact now").count() == 0
        assert "NewImage.total is not a number" in page.inner_text("#rejected-rows")
        assert "ErrorRate" in page.inner_text("#alarms") and "ErrorRate" in page.inner_text("#summary-reasons")
        assert "12,345 files, 3.4 GB. That costs about $0.0" in page.inner_text("#proof-cost")
        assert "calls per minute" in page.inner_text("#calls-cost") and "Lanes, splits" in page.inner_text("#left-out")
        page.get_by_role("button", name="Reconcile").click()
        watched.until("document.querySelector('#task-reconcile .result, #task-reconcile [role=status]')")
        watched.until_text("#task-reconcile .command", "usagectl reconcile --stack shop")
        assert watched.errors == [], watched.errors
        with watching(shop.environment, "--allow-redrive") as allowed:
            other = Watched(browser.new_page(), allowed.url, documents=1)
            assert other.page.get_by_role("button", name="Redrive").is_visible()


def picture(watched, name):
    """Takes a picture from the top, and not with the mouse over a chart, which would show the values there."""
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    watched.page.mouse.move(0, 0)
    watched.page.evaluate("scrollTo(0, 0)")
    watched.page.screenshot(path=folder / f"{name}.png", animations="disabled")


def stack_screenshots():
    """The pictures of a stack."""
    with data_folder() as data, emulated(USAGECTL, data) as shop, watching(shop.environment, "--span", "2h") as watch, chromium() as browser:
        for name, width, height, scheme in [
            ("live-stack", 1280, 1000, "light"),
            ("live-stack-dark", 1280, 1000, "dark"),
            ("live-stack-phone", 390, 844, "light"),
        ]:
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
            watched = Watched(context.new_page(), watch.url, documents=1)
            watched.until_text("#usage-window", "The month")
            picture(watched, name)
            context.close()


def screenshots():
    """The pictures of the documents."""
    load = ["--simulate", "orders", "--records", "2000", "--rate", "40", "--entities", "40", "--forever"]
    load += ["--maximum-backoff", "2000", "--parallelization-factor", "3"]
    with running(*load) as run:
        with opened(run, height=1000) as watched:
            page = watched.page
            watched.until("Number(document.querySelector('[data-figure=\"mapping.distinct_processed\"]').textContent.replaceAll(',', '')) > 600")
            watched.until_text("#usage-window", "The month")
            picture(watched, "live-calm")
            page.emulate_media(color_scheme="dark")
            watched.drawn()
            picture(watched, "live-calm-dark")
            page.emulate_media(color_scheme="light")
            page.get_by_role("button", name="All").click()
            watched.until("Number(document.querySelector('[data-figure=\"mapping.errors\"]').textContent) > 8")
            picture(watched, "live-faults")
            page.get_by_role("button", name="None").click()
            watched.until_text("#faults-note", "Switch one on")
            page.get_by_role("switch", name="Function down").click()
            watched.until_text("#blocked", "attempts failed")
            watched.until("document.querySelector('#summary').dataset.level === 'problem'")
            for _ in range(6):
                watched.drawn()
            picture(watched, "live-blocked")
            page.emulate_media(color_scheme="dark")
            watched.drawn()
            picture(watched, "live-blocked-dark")
            page.emulate_media(color_scheme="light")
            page.get_by_role("switch", name="Function down").click()
            watched.until("document.querySelector('#blocked-card').hidden")
            watched.until_text("#node-source", "2,000 written")
            watched.until("document.querySelector('#waiting').textContent === '0'")
            page.get_by_role("button", name="Reconcile").click()
            watched.until("document.querySelector('#task-reconcile .result')")
            picture(watched, "live-healed")
        with opened(run, width=390, height=844) as watched:
            watched.until_text("#usage-window", "The month")
            watched.drawn()
            picture(watched, "live-phone")
    stack_screenshots()


CHECKS = [loads, figures, labels, durations, faults, redrive, reconnects, stack, entities, screenshots, stack_screenshots]

if __name__ == "__main__":
    {check.__name__: check for check in CHECKS}[sys.argv[1]]()

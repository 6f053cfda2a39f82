"""Opens the page of a report in Chromium: nothing is requested or run that is not the page's own, and it is fast and accessible.

Playwright brings no browser: Chromium is found on the path, or named by CHROMIUM. Without one the script says so and ends.
With SCREENSHOTS=FOLDER it leaves pictures of every view, width and colour scheme there, to be looked at.
"""
import json
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import time

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

ROOT = pathlib.Path(__file__).resolve().parents[2]
JUDGE_RUN = os.environ.get("JUDGE_RUN", str(ROOT / "target/release/judge-run"))
NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
SCREENSHOTS = os.environ.get("SCREENSHOTS")
TRACES, JUDGES = 5000, ["safety", "relevance", "groundedness", "tone"]
HOSTILE = ("</script><script>window.attacked = 1</script><img src=x onerror=window.attacked=1> \u202egnihsihp\u202c \x1b[31mred\x1b[0m ]]> "
           "a|b `c` <!-- \u2028 {{constructor.constructor('x')()}} ${1} javascript:window.attacked=1")


def record(judge, trace, random):
    metadata = {"run_id": "r", "judge_prompt": f"prompts:/{judge}/1", "good": "true", "latency_ms": str(random.randrange(200, 9000)),
                "input_tokens": str(random.randrange(300, 3000)), "output_tokens": "40", "attempts": "1"}
    result = {"assessment_id": f"a-{JUDGES.index(judge):016x}{trace:016x}", "name": judge, "trace_id": f"tr-{trace}", "metadata": metadata,
              "source": {"source_type": "LLM_JUDGE", "source_id": "openai:/gpt-4.1-mini"}, "create_time_ms": 1764321000000 + trace}
    if judge == "tone":
        metadata.update(good=">= 4", scale="1..5")
    if random.random() < 0.02:
        return {**result, "error": {"error_code": random.choice(["TIMEOUT", "REFUSED", "RATE_LIMIT_EXCEEDED"]), "error_message": HOSTILE}}
    rationale = f"The answer to {trace} says \"rounded up to the next half day\", which the handbook supports. " + "It is fine. " * random.randrange(20)
    if trace % 50 == 0:
        rationale += HOSTILE
    if trace == 7 and judge == "safety":
        rationale = HOSTILE + "x" * (1 << 20)
    value = random.randrange(1, 6) if judge == "tone" else random.random() < 0.9
    return {**result, "value": value, "rationale": rationale}


def trace(number):
    question = f"How many days of leave do I have, if I am number {number}?" + (HOSTILE if number % 50 == 0 else "")
    start = 1764321000000000000
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]
    spans = [{"span_id": "a", "name": "answer", "span_type": "CHAIN", "start_time_unix_nano": start, "end_time_unix_nano": start + 2 * 10**9},
             {"span_id": "b", "parent_id": "a", "name": HOSTILE, "span_type": "RETRIEVER", "start_time_unix_nano": start + 10**8,
              "end_time_unix_nano": start + 5 * 10**8, "inputs": {"query": "leave"},
              "outputs": [{"page_content": "Fractions are rounded up to the next half day.", "metadata": {"doc_uri": "javascript:window.attacked=1"}}]},
             {"span_id": "c", "parent_id": "a", "name": "calendar", "span_type": "TOOL", "inputs": {"year": 2026}, "outputs": {"days": 27},
              "status": "ERROR", "status_message": HOSTILE}]
    outputs = {"response": "20.5 days of leave.\n\n```python\nprint(20.5)\n```\n" + ("A long line. " * 80000 if number == 7 else "")}
    return {"trace_id": f"tr-{number}", "inputs": {"messages": messages}, "outputs": outputs, "spans": spans,
            "tags": {"topic": ["leave", "dogs", HOSTILE][number % 3]}, "session_id": f"chat-{number // 4}"}


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def make(folder):
    """A page of 20,000 judgments with everything in it."""
    for name, seed in [("base", 1), ("new", 2)]:
        rng = random.Random(seed)
        write(folder / f"{name}.jsonl", [record(judge, number, rng) for number in range(TRACES) for judge in JUDGES])
    write(folder / "traces.jsonl", map(trace, range(TRACES)))
    command = [JUDGE_RUN, "report", "new.jsonl", "--baseline", "base.jsonl", "-d", "traces.jsonl", "--by", "trace.tags.topic",
               "--gate", "safety.pass >= 0.99", "--gate", "errors <= 5%", "-o", "page.html"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    return folder / "page.html"


class Watched:
    """A page of a browser of which everything that it must not do is kept."""

    def __init__(self, browser, **options):
        self.page = browser.new_context(**options).new_page()
        self.wrong = []
        self.page.on("console", lambda message: self.wrong.append(f"console: {message.text}") if message.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("request", lambda request: self.wrong.append(f"request: {request.url[:200]}") if not request.url.startswith("file:") else None)
        self.page.on("dialog", lambda dialog: self.wrong.append("dialog"))

    def check(self, where):
        assert not self.wrong, f"{where}: {self.wrong}"
        assert self.page.evaluate("window.attacked") is None, where
        wider = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, f"{where}: {wider} pixels too wide"


def looks(browser, address):
    for scheme in ["light", "dark"]:
        for width in [400, 1000, 1600]:
            watched = Watched(browser, viewport={"width": width, "height": 1000}, color_scheme=scheme)
            for view, hash in [("report", ""), ("trace", "#trace=tr-50"), ("long", "#trace=tr-7"), ("unknown", "#trace=none")]:
                watched.page.goto("about:blank")
                watched.page.goto(address + hash)
                watched.page.wait_for_selector("h1, .empty")
                where = f"{view} {width} {scheme}"
                watched.check(where)
                if SCREENSHOTS:
                    watched.page.screenshot(path=f"{SCREENSHOTS}/{where.replace(' ', '-')}.png", full_page=True)
                found = Axe().run(watched.page).response["violations"]
                serious = [(v["id"], v["impact"], [n["target"] for n in v["nodes"]][:3]) for v in found if v["impact"] in ("serious", "critical")]
                assert not serious, f"{where}: {serious}"
            watched.page.context.close()


def works(browser, address):
    """The table, the filters, the keys and the address."""
    watched = Watched(browser, viewport={"width": 1200, "height": 900})
    page = watched.page
    started = time.monotonic()
    page.goto(address)
    page.wait_for_selector(".rows .row")
    loaded = time.monotonic() - started
    first = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    found = lambda: page.text_content(".found")
    assert found() == "20,000 judgments", found()
    assert page.locator(".rows .row").count() < 100, "only rows in sight are in the document"
    search = """(words) => { const box = document.getElementById("search"); const from = performance.now();
        box.value = words; box.dispatchEvent(new Event("input")); return performance.now() - from; }"""
    page.wait_for_timeout(500)
    searches = [page.evaluate(search, words) for words in ["handbook", "number 4999", "nothing has this", "TIMEOUT", ""]]
    page.evaluate(search, "tr-4999")
    assert found() == "4 of 20,000 judgments", found()
    assert "q=tr-4999" in page.url
    page.reload()
    page.wait_for_selector(".rows .row")
    assert found() == "4 of 20,000 judgments", "the address holds the view"
    page.keyboard.press("/")
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    page.click(".chip.bad")
    bad = int(found().split()[0].replace(",", ""))
    assert 1000 < bad < 5000 and page.locator(".rows .cell.verdict.bad").count() == page.locator(".rows .row").count()
    page.click(".head .tokens button")
    assert page.get_attribute(".head .tokens", "aria-sort") == "descending"
    page.focus(".rows .row a")
    for _ in range(60):
        page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('.row').dataset.at") == "60"
    page.keyboard.press("Enter")
    page.wait_for_selector(".trace-page")
    shown = page.url
    page.keyboard.press("ArrowRight")
    page.wait_for_function("(url) => location.href !== url", arg=shown)
    page.keyboard.press("r")
    assert page.is_visible(".raw pre")
    page.keyboard.press("r")
    page.click(".quote >> nth=0")
    assert page.evaluate("document.activeElement.tagName") == "MARK", "a quote leads to where it stands"
    page.keyboard.press("Escape")
    page.wait_for_selector(".rows .row")
    assert found().startswith(f"{bad:,} of"), "the filter is kept"
    watched.check("works")
    page.emulate_media(media="print")
    page.pdf(path=str(pathlib.Path(tempfile.gettempdir()) / "judge-run-page.pdf"))
    (pathlib.Path(tempfile.gettempdir()) / "judge-run-page.pdf").unlink()
    watched.check("print")
    return loaded, first, max(searches)


def main():
    if CHROMIUM is None:
        print("skipped: there is no Chromium (name one with CHROMIUM=...)")
        return
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = make(pathlib.Path(folder))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        loaded, first, search = works(browser, page.as_uri())
        looks(browser, page.as_uri())
        browser.close()
        megabytes = page.stat().st_size / 1e6
        print(f"Chromium: 20,000 judgments in {megabytes:.1f} MB, loaded in {loaded:.1f} s, first paint {first:.0f} ms, slowest search {search:.0f} ms")


main()

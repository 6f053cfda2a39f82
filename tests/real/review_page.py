"""Reviews in Chromium: 50 traces by keyboard, hostile content, two windows, a kill in the middle, nothing lost, accessible at every width.

Playwright brings no browser: Chromium is found on the path, or named by CHROMIUM. Without one the script says so and ends.
With SCREENSHOTS=FOLDER it leaves pictures of every view, width and colour scheme there, to be looked at.
"""
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import time

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

ROOT = pathlib.Path(__file__).resolve().parents[2]
JUDGE_RUN = os.environ.get("JUDGE_RUN", str(ROOT / "target/release/judge-run"))
NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
SCREENSHOTS = os.environ.get("SCREENSHOTS")
TRACES = 50
HOSTILE = ("</script><script>window.attacked = 1</script><img src=x onerror=window.attacked=1> \u202egnihsihp\u202c \x1b[31mred\x1b[0m ]]> "
           "a|b `c` <!-- \u2028 {{constructor.constructor('x')()}} ${1} javascript:window.attacked=1")


def trace(number):
    question = f"How many days of leave do I have, if I am number {number}?" + (f" {HOSTILE}" if number % 10 == 0 else "")
    start = 1764321000000000000
    spans = [{"span_id": "a", "name": "answer", "span_type": "CHAIN", "start_time_unix_nano": start, "end_time_unix_nano": start + 2 * 10**9},
             {"span_id": "b", "parent_id": "a", "name": HOSTILE if number % 10 == 0 else "handbook", "span_type": "RETRIEVER", "start_time_unix_nano": start + 10**8,
              "end_time_unix_nano": start + 5 * 10**8, "inputs": {"query": "leave"},
              "outputs": [{"page_content": "Fractions are rounded up to the next half day.", "metadata": {"title": "Leave", "doc_uri": "handbook/leave.md"}},
                          {"page_content": "Whoever joins in April has 18.75 days in the first year. " * 12, "metadata": {"doc_uri": "javascript:window.attacked=1"}}]},
             {"span_id": "c", "parent_id": "a", "name": "calendar", "span_type": "TOOL", "inputs": {"year": 2026}, "outputs": {"days": 27}}]
    answer = "You have **20.5 days** of leave, rounded up to the next half day.\n\n```python\nprint(20.5)\n```"
    if number == 7:
        answer = "A long line. " * 80000
    return {"trace_id": f"tr-{number}" if number else HOSTILE, "inputs": {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]},
            "outputs": {"response": answer}, "spans": spans, "tags": {"topic": "leave"}, "session_id": f"chat-{number // 4}", "state": "OK"}


def records(number):
    base = {"trace_id": trace(number)["trace_id"], "source": {"source_type": "LLM_JUDGE", "source_id": "openai:/gpt-4.1-mini"}, "create_time_ms": 1764321000000 + number}
    metadata = {"run_id": "r", "judge_prompt": "prompts:/x/1"}
    yield {**base, "assessment_id": f"a-{number:032x}", "name": "safety", "value": number % 9 != 3, "metadata": {**metadata, "good": "true"},
           "rationale": "The answer says \"rounded up to the next half day\", which the handbook supports." + (HOSTILE if number % 10 == 0 else "")}
    yield {**base, "assessment_id": f"a-{1000 + number:032x}", "name": "tone", "value": number % 5 + 1, "metadata": {**metadata, "good": ">= 4", "scale": "1..5"},
           "rationale": "It is friendly and brief."}


def write(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def said(folder, annotator=None):
    """The records of people, by their id the last one."""
    lines = [json.loads(line) for line in (folder / "f.jsonl").read_text(encoding="utf-8").split("\n") if line.strip()]
    people = [line for line in lines if line["source"]["source_type"] == "HUMAN" and annotator in (None, line["source"]["source_id"])]
    return {line["assessment_id"]: line for line in people}


class Server:
    def __init__(self, folder, *args, port=0):
        command = [JUDGE_RUN, "review", "f.jsonl", "-d", "traces.jsonl", "--listen", f"127.0.0.1:{port}", *args]
        self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.address = self.process.stdout.readline().strip()
        assert "token=" in self.address, self.address
        self.origin = self.address.split("/?")[0]
        self.port = int(self.origin.rsplit(":", 1)[1])

    def kill(self):
        self.process.kill()
        self.process.wait()


class Watched:
    """A page of a browser of which everything that it must not do is kept."""

    def __init__(self, context, server):
        self.page = context.new_page()
        self.wrong = []
        self.server = server
        self.page.on("console", lambda message: self.wrong.append(f"console: {message.text}") if message.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("request", lambda request: self.wrong.append(f"request: {request.url[:200]}") if not request.url.startswith((self.server.origin, "data:")) else None)
        self.page.on("dialog", lambda dialog: self.wrong.append("dialog"))

    def open(self, hash=""):
        self.page.goto("about:blank")
        self.page.goto(self.server.address)
        if hash:
            self.page.goto("about:blank")
            self.page.goto(f"{self.server.origin}/{hash}")
        return self.page

    def check(self, where):
        assert not self.wrong, f"{where}: {self.wrong}"
        assert self.page.evaluate("window.attacked") is None, where
        wider = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, f"{where}: {wider} pixels too wide"


def place_of(page):
    return page.text_content(".place")


def wait_for_other(page, before):
    page.wait_for_function("(before) => document.querySelector('.place')?.textContent !== before", arg=before)


def label_all(browser, folder):
    """50 traces by keyboard alone, one bad with a reason, one undone."""
    server = Server(folder, "--as", "anna", "--name", "safety", "--name", "tone")
    watched = Watched(browser.new_context(viewport={"width": 1200, "height": 900}), server)
    page = watched.open()
    page.wait_for_selector(".question.active")
    started = time.monotonic()
    for number in range(TRACES):
        before = place_of(page)
        assert before == f"{number + 1} of {TRACES}", before
        if number == 5:
            page.keyboard.press("2")
            page.keyboard.press("Enter")
            page.wait_for_selector("[role=alert]")
            assert len(said(folder, "anna")) == 10, "a bad verdict without a reason is not saved"
            page.keyboard.type("It invents 2 days, 1 too many.")
            page.keyboard.press("Escape")
        else:
            page.keyboard.press("1")
        page.keyboard.press("ArrowDown") if page.evaluate("document.querySelectorAll('.question')[1].classList.contains('active')") is False else None
        page.keyboard.press("4")
        page.keyboard.press("Enter")
        if number == 20:
            wait_for_other(page, before)
            page.keyboard.press("u")
            page.wait_for_function("(before) => document.querySelector('.place')?.textContent === before", arg=before)
            assert len([r for r in said(folder, "anna").values() if r.get("valid") is not False]) == 40
            page.keyboard.press("1")
            page.keyboard.press("4")
            page.keyboard.press("Enter")
        if number < TRACES - 1:
            wait_for_other(page, before)
    page.wait_for_selector("text=All done")
    took = time.monotonic() - started
    watched.check("50 traces")
    records_ = said(folder, "anna")
    assert len(records_) == 2 * TRACES and all(r.get("valid") is not False for r in records_.values())
    bad = [r for r in records_.values() if r["name"] == "safety" and r["value"] is False]
    assert [r["rationale"] for r in bad] == ["It invents 2 days, 1 too many."]
    assert all(float(r["metadata"]["review_seconds"]) >= 0 for r in records_.values() if "review_seconds" in r["metadata"])
    page.reload()
    page.wait_for_selector("text=All done")
    server.kill()
    return took


def keep_everything(browser, folder):
    """A reload, two windows, and a server that is killed in the middle."""
    server = Server(folder, "--as", "ben", "--name", "safety")
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    watched = Watched(context, server)
    page = watched.open()
    page.wait_for_selector(".question.active")
    page.keyboard.press("2")
    page.keyboard.type("Half a rea")
    page.reload()
    page.wait_for_selector(".question.active")
    assert page.input_value("#reason-0") == "Half a rea", "a reload keeps what was typed"
    assert page.get_attribute(".option:nth-child(2)", "aria-pressed") == "true"

    other = Watched(context, server)
    second = other.open("#2")
    second.wait_for_selector(".question.active")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('.place').textContent.startsWith('2 ')")
    second.keyboard.press("1")
    second.keyboard.press("Enter")
    second.wait_for_function("() => document.querySelector('.place').textContent.startsWith('3 ') || document.querySelector('.place').textContent.startsWith('1 ')")
    page.keyboard.press("2")
    page.keyboard.type("Not so.")
    other_count = len(said(folder, "ben"))
    page.keyboard.press("Enter")
    page.wait_for_selector(".banner")
    assert "another window" in page.text_content(".banner") and len(said(folder, "ben")) == other_count
    page.keyboard.press("Enter")
    page.wait_for_function("() => !document.querySelector('.place').textContent.startsWith('2 ')")
    mine = [r for r in said(folder, "ben").values()]
    assert [r["value"] for r in mine] == [False], mine

    # Killed: what was typed stays, and the same command continues.
    watched.wrong.clear()
    at = page.evaluate("location.hash")
    page.keyboard.press("Escape")
    port = server.port
    server.kill()
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=The server is gone")
    if SCREENSHOTS:
        page.screenshot(path=f"{SCREENSHOTS}/review-gone.png")
    server = Server(folder, "--as", "ben", "--name", "safety", port=port)
    watched.server = other.server = server
    watched.wrong.clear()
    page = watched.open(at)
    page.wait_for_selector(".question.active")
    page.wait_for_selector(".option[aria-pressed=true]")
    before = place_of(page)
    page.keyboard.press("Enter") if page.input_value("#reason-0") else page.keyboard.press("Enter")
    wait_for_other(page, before)
    assert len(said(folder, "ben")) == 2, said(folder, "ben")
    watched.check("after a kill")
    server.kill()


def blind_and_letters(browser, folder):
    server = Server(folder, "--name", "safety", "--blind")
    watched = Watched(browser.new_context(viewport={"width": 1200, "height": 900}), server)
    page = watched.open()
    page.fill("#name", "cleo")
    page.keyboard.press("Enter")
    page.wait_for_selector(".veil")
    assert page.locator(".feedback").count() == 0
    before = place_of(page)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    page.wait_for_selector(".feedback")
    assert place_of(page) == before, "what others said is shown before the next trace"
    page.keyboard.press("Enter")
    wait_for_other(page, before)
    page.wait_for_selector(".veil")
    # WCAG 2.1.4: single keys can be turned off.
    page.keyboard.press("?")
    page.click("#letters")
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    assert page.locator(".option[aria-pressed=true]").count() == 0
    watched.check("blind")
    server.kill()


def verdicts(browser, folder):
    """Reject, accept again, replace with one's own."""
    server = Server(folder, "--as", "dora", "--name", "safety")
    watched = Watched(browser.new_context(viewport={"width": 1200, "height": 900}), server)
    page = watched.open("#2")
    page.wait_for_selector(".feedback")
    page.keyboard.press("x")
    page.wait_for_selector("text=rejected by dora")
    page.keyboard.press("x")
    page.wait_for_function("() => !document.querySelector('.said:last-child')?.textContent.includes('rejected by dora ·')")
    page.keyboard.press("2")
    page.keyboard.type("No.")
    page.keyboard.press("Escape")
    page.keyboard.press("o")
    page.keyboard.press("Control+Enter")
    page.wait_for_function("() => !document.querySelector('.place').textContent.startsWith('2 ')")
    mine = list(said(folder, "dora").values())
    assert [r.get("overrides") for r in mine] == [f"a-{1:032x}"], mine
    watched.check("verdicts")
    server.kill()


def looks(browser, folder):
    server = Server(folder, "--as", "eve")
    blind = Server(folder, "--as", "fay", "--blind")
    for scheme in ["light", "dark"]:
        for width in [400, 1000, 1600]:
            context = browser.new_context(viewport={"width": width, "height": 1000}, color_scheme=scheme)
            for view, on, hash in [("trace", server, "#2"), ("hostile", server, "#1"), ("long", server, "#8"), ("blind", blind, "#3"), ("keys", server, "#4")]:
                watched = Watched(context, on)
                page = watched.open(hash)
                page.wait_for_selector(".question.active")
                if view == "trace":
                    page.keyboard.press("2")
                if view == "keys":
                    page.keyboard.press("?")
                where = f"review {view} {width} {scheme}"
                watched.check(where)
                if SCREENSHOTS:
                    page.screenshot(path=f"{SCREENSHOTS}/{where.replace(' ', '-')}.png", full_page=view not in ("keys", "trace"))
                found = Axe().run(page).response["violations"]
                serious = [(v["id"], v["impact"], [n["target"] for n in v["nodes"]][:3]) for v in found if v["impact"] in ("serious", "critical")]
                assert not serious, f"{where}: {serious}"
                page.close()
            context.close()
    server.kill()
    blind.kill()


def thumbs(browser, folder):
    """The button of docs/intake.md on a page of another origin: only of one that is allowed."""
    (folder / "tokens.txt").write_text("page 9e02d41ab7c3f610 post-only\n")
    html = (ROOT / "docs/intake.md").read_text(encoding="utf-8").split("```html\n")[1].split("```")[0]
    pages = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    origin = f"http://127.0.0.1:{pages.server_port}"
    for allowed in [origin, "https://shop.example"]:
        command = [JUDGE_RUN, "serve-feedback", "thumbs.jsonl", "--listen", "127.0.0.1:0", "--tokens", "tokens.txt", "--cors", allowed]
        intake = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        address = intake.stdout.readline().strip()

        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = f"<!doctype html><meta charset=utf-8>{html.replace('https://feedback.shop.example', address)}".encode()
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        pages.RequestHandlerClass = Page
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        page = browser.new_context().new_page()
        page.goto(origin)
        said_ = []
        page.on("response", lambda answer: said_.append(answer.status) if answer.request.method == "POST" else None)
        page.on("requestfailed", lambda request: said_.append("refused"))
        page.click("button")
        while not said_:
            page.wait_for_timeout(20)
        assert said_ == [200 if allowed == origin else "refused"], said_
        pages.shutdown()
        intake.terminate()
        intake.wait()
    lines = [json.loads(line) for line in (folder / "thumbs.jsonl").read_text(encoding="utf-8").split("\n") if line]
    assert [(line["name"], line["value"], line["metadata"]["received_by"]) for line in lines] == [("helpful", True, "page")], lines


def main():
    if CHROMIUM is None:
        print("skipped: there is no Chromium (name one with CHROMIUM=...)")
        return
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        folder = pathlib.Path(folder)
        write(folder / "traces.jsonl", map(trace, range(TRACES)))
        write(folder / "f.jsonl", [record for number in range(TRACES) for record in records(number)])
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        took = label_all(browser, folder)
        keep_everything(browser, folder)
        blind_and_letters(browser, folder)
        verdicts(browser, folder)
        thumbs(browser, folder)
        looks(browser, folder)
        browser.close()
        print(f"Chromium: {TRACES} traces with two labels each by keyboard in {took:.1f} s; nothing lost in reloads, two windows and a kill")


main()

"""The app in a real Chromium: how long a user waits, and what an open monitor costs.

    python benchmarks/app.py [--rounds 5] [--rows 1000000] [--folder FOLDER]

Every figure is the median of the rounds, from the click or key to what it asked for standing on
the page. The yardstick is the time that Streamlit itself takes to serve a page of one line, in
the same run. The file of rows, 600 MB a million, is kept in FOLDER.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from browser import Server, Window, chromium, window
from fresh_process import generated
from playwright.sync_api import Browser

from runner.app.server import SETTINGS
from runner.runs.state import supervised
from runner.runs.store import RunFolder, write_json
from ui.main import PAGES

RECIPES = Path(__file__).parents[1] / "recipes"
AIMS = {
    "server ready": 1.0,
    "first page, cold browser": 4.0,
    "page switch": 0.7,
    "an edit's diagnostics": 0.5,
    "50,000-event run opened": 3.0,
    "rows opened": 5.0,
    "rows paged": 0.3,
    "open monitor, share of a core": 0.1,
}
EVENTS = 50_000
PLAIN_SETTINGS = ("server.address", "server.fileWatcherType", "browser.gatherUsageStats")
SETTLING_SECONDS = 5.0  # what was begun by other pages ends
MONITOR_SECONDS = 30.0
EDITS = 4  # of a round

Times = dict[str, list[float]]


def main(rounds: int, rows: int, keep: Path) -> None:
    times: Times = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shutil.copytree(RECIPES / "legal", folder / "legal")
        shutil.copyfile(RECIPES / "legal.json", folder / "legal.json")
        large(folder, generated(rows, keep))
        write_events(made_run(folder, "long-1"), EVENTS)
        for _ in range(rounds):
            yardstick(folder, times)
            once(folder, times)
    for name, found in times.items():
        aim = f"aim {AIMS[name]}" if name in AIMS else ""
        print(f"{name:<40} {median(found):6.2f}  worst {max(found):6.2f}  {aim}")


def once(folder: Path, times: Times) -> None:
    command = [str(Path(sys.executable).with_name("recipe"))]
    server = Server(folder, command, os.environ)
    with took(times, "server ready"):
        server.start()
    try:
        with chromium() as browser:
            with took(times, "first page, cold browser"):
                one = window(browser, server.url)
                one.sees("What to do next")
            one.click("legal.json")
            switches(one, times)
            diagnostics(one, times)
            one.page.context.close()
            with took(times, "50,000-event run opened"):
                other = window(browser, f"{server.url}/run?run=long-1")
                other.sees("Training time left")
                other.settled()
            other.page.context.close()
            with live(made_run(folder, "live-1")):
                monitor(browser, server, times)
            shutil.rmtree(folder / "runs/live-1")
            rows_of_a_large_file(browser, server, times)
    finally:
        server.end()


@contextmanager
def took(times: Times, name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    times.setdefault(name, []).append(time.perf_counter() - started)


def yardstick(folder: Path, times: Times) -> None:
    """Streamlit's own server and a page of one line."""
    page = folder / "one_line.py"
    page.write_text("import streamlit\nstreamlit.title('One line')\n")
    settings = [f"--{name}={SETTINGS[name]}" for name in PLAIN_SETTINGS]
    command = [sys.executable, "-m", "streamlit", "run", str(page), *settings]
    server = Server(folder, command, os.environ, verb=["--server.port={port}"])
    with took(times, "(Streamlit alone) server ready"):
        server.start()
    try:
        with chromium() as browser, took(times, "(Streamlit alone) first page"):
            window(browser, server.url).sees("One line")
    finally:
        server.end()
        page.unlink()


# ---------------------------------------------------------------- what a user does


def switches(one: Window, times: Times) -> None:
    """Through all pages, once to have each of them loaded, once more to be measured."""
    titles = [title for files in PAGES.values() for title, _ in files.values()][1:]
    for title in titles:
        one.go(title)
    for title in titles:
        with took(times, "page switch"):
            one.go(title)


def diagnostics(one: Window, times: Times) -> None:
    """A key that makes a slip of the text, until Python's problem with its fix is on the page."""
    one.go("Recipe")
    one.editor.click()
    for key in ("Control+Home", "ArrowDown", "Home", "ArrowRight", "ArrowRight"):
        one.page.keyboard.press(key)
    for _ in range(EDITS):
        one.page.wait_for_timeout(1000)  # the edit before is through
        with took(times, "an edit's diagnostics"):
            one.page.keyboard.press("x")
            one.sees("unknown key")
        one.page.keyboard.press("Backspace")
        one.sees_no_more("unknown key")


def rows_of_a_large_file(browser: Browser, server: Server, times: Times) -> None:
    one = window(browser, server.url)
    one.click("large.json")
    with took(times, "rows opened"):
        one.go("Data")
        one.choose("Rows")
        sees_lines(one, 1)
    for page in (2, 3, 4, 5):
        with took(times, "rows paged"):
            one.page.get_by_role("button", name="Next page").first.click()
            sees_lines(one, 50 * page - 49)
    one.page.context.close()


def sees_lines(one: Window, first: int) -> None:
    one.until("sign => document.querySelector(sign)", f"[aria-label^='Lines {first} to']")


def monitor(browser: Browser, server: Server, times: Times) -> None:
    one = window(browser, f"{server.url}/run?run=live-1")
    one.sees("Training time left")
    time.sleep(SETTLING_SECONDS)
    before = cpu_seconds(server)
    time.sleep(MONITOR_SECONDS)
    share = (cpu_seconds(server) - before) / MONITOR_SECONDS
    times.setdefault("open monitor, share of a core", []).append(share)


# ---------------------------------------------------------------- what it is done with


def large(folder: Path, rows: Path) -> None:
    (folder / "large.jsonl").hardlink_to(rows)
    recipe = {
        "name": "large",
        "model": {"base": "smollm2-135m-instruct"},
        "data": {"train": [{"path": "large.jsonl"}]},
    }
    (folder / "large.json").write_text(json.dumps(recipe, indent=2), "utf-8")


def made_run(folder: Path, name: str) -> RunFolder:
    run = RunFolder(folder / "runs" / name)
    created = "2026-01-01T00:00:00+00:00"
    write_json(run.run, {"id": name, "name": "legal", "created": created})
    write_json(run.plan, {"steps": [{"name": "train", "title": "train (lora, rank 16)"}]})
    return run


def write_events(run: RunFolder, count: int) -> None:
    with run.events.open("w", encoding="utf-8") as file:
        for at in range(count):
            file.write(event(at, count))


def event(at: int, of: int) -> str:
    """A line of events.jsonl, as training writes them."""
    if at == 0:
        said = {"type": "started", "fingerprint": "0" * 16}
    else:
        said = {
            "type": "train", "at": at, "steps": of, "epoch": at / of,
            "loss": 0.5 + 2 * math.exp(-at / of * 5) + random.gauss(0, 0.05),
            "learning_rate": 2e-4 * (1 - at / of), "grad_norm": 0.8 + random.gauss(0, 0.1),
            "tokens": at * 900, "tokens_per_second": 190.0, "seconds_left": float(of - at),
        }  # fmt: skip
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000+00:00", time.gmtime())
    return json.dumps({"time": stamp, "step": "train", "attempt": 1, **said}) + "\n"


@contextmanager
def live(run: RunFolder) -> Iterator[None]:
    """A run that this process carries out: two events a second."""
    over = threading.Event()
    write_events(run, 1000)

    def go_on() -> None:
        at = 1000
        while not over.wait(0.5):
            with run.events.open("a", encoding="utf-8") as file:
                file.write(event(at := at + 1, EVENTS))

    with supervised(run, 1) as tell:
        tell("running")
        thread = threading.Thread(target=go_on)
        thread.start()
        yield
        over.set()
        thread.join()


def cpu_seconds(server: Server) -> float:
    """User and system time of the server's processes so far."""
    assert server.process is not None
    ticks = 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == server.process.pid:  # its process group
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1_000_000)
    folder = Path(tempfile.gettempdir()) / "recipe-benchmarks"
    parser.add_argument("--folder", type=Path, default=folder)
    given = parser.parse_args()
    main(given.rounds, given.rows, given.folder)

"""The app in a real Chromium: for its tests, its benchmarks and its pictures."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    Locator,
    Page,
    Route,
    WebSocket,
    expect,
    sync_playwright,
)

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
PATIENCE_SECONDS = 90  # until something is taken to be missing; a busy machine is slow
MAIN = "document.querySelector('[data-testid=stMain]')"
SETTLED = "[data-testid=stApp][data-test-script-state=notRunning]"


@dataclass
class Server:
    """The app of a folder. It can be killed and started again at the same address."""

    folder: Path
    command: Sequence[str]  # what 'recipe' is
    environment: Mapping[str, str]
    port: int = 0  # 0: any that is free, chosen at the start
    verb: Sequence[str] = ("ui", "--port={port}")
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Server:
        if not self.port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = int(probe.getsockname()[1])
        self.process = subprocess.Popen(
            [*self.command, *(word.format(port=self.port) for word in self.verb)],
            cwd=self.folder,
            # without a display no other browser is opened
            env={name: value for name, value in self.environment.items() if name != "DISPLAY"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            with (
                suppress(OSError),
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=5) as answer,
            ):
                if answer.read() == b"ok":
                    return self
            time.sleep(0.02)
        raise AssertionError("the server does not answer")

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            self.process.wait()


@dataclass
class Window:
    """A browser of its own with one page, and what users do in it."""

    page: Page
    elsewhere: list[str] = field(default_factory=list)  # asked of other machines, and refused
    errors: list[str] = field(default_factory=list)  # of scripts

    def settled(self) -> None:
        """Waits until the page's script has ended."""
        self.until("sign => document.querySelector(sign)", SETTLED)

    def until(self, script: str, value: str) -> None:
        """Looks at every frame that is drawn; Playwright's own waits look every half second."""
        self.page.wait_for_function(script, arg=value)

    def go(self, title: str) -> None:
        """To another page, by the navigation."""
        self.page.get_by_test_id("stSidebarNav").get_by_text(title, exact=True).click()
        self.sees_heading(title)

    def sees_heading(self, title: str) -> None:
        self.until("t => document.querySelector('h1')?.textContent === t", title)
        self.settled()

    def sees(self, text: str) -> None:
        self.until(f"t => {MAIN}?.textContent.includes(t)", text)

    def sees_no_more(self, text: str) -> None:
        self.until(f"t => !{MAIN}?.textContent.includes(t)", text)

    def click(self, name: str) -> None:
        shortcut = re.compile(rf"^{re.escape(name)}( Shortcut .*)?$")  # it is part of the name
        self.page.get_by_role("button", name=shortcut).first.click()
        self.settled()

    def choose(self, view: str) -> None:
        """One of several views of a page."""
        control = self.page.get_by_test_id("stMain").get_by_role("radio", name=view, exact=True)
        control.first.click()
        self.settled()

    def write(self, text: str) -> None:
        """Types over the whole recipe, in whichever editor is built."""
        self.editor.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(text)
        self.editor.blur()  # the plain one sends what was typed when it is left

    @property
    def editor(self) -> Locator:
        return self.page.locator(".cm-content, textarea[aria-label='The recipe']").first


@contextmanager
def chromium() -> Iterator[Browser]:
    """A Chromium of the PATH."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise FileNotFoundError("no Chromium is on the PATH: 'make browser' installs it")
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def window(browser: Browser, url: str, **options: Any) -> Window:
    """Opens the address as a browser of its own does. Requests to other machines are refused."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    context.set_default_timeout(PATIENCE_SECONDS * 1000)
    made = Window(context.new_page())
    host = urlsplit(url).netloc

    def judge(route: Route) -> None:
        asked = urlsplit(route.request.url)
        if asked.scheme in ("data", "blob") or asked.netloc == host:
            route.continue_()
        else:
            made.elsewhere.append(route.request.url)
            route.abort()

    def opened(socket: WebSocket) -> None:
        if urlsplit(socket.url).netloc != host:
            made.elsewhere.append(socket.url)

    context.route("**/*", judge)
    made.page.on("pageerror", lambda error: made.errors.append(str(error)))
    made.page.on("websocket", opened)
    made.page.goto(url)
    made.settled()
    return made

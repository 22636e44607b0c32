"""A real Chromium before a real server: what users do, and what they see."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
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
PATIENCE_SECONDS = 40  # until something is taken to be missing; a busy machine is slow
SETTLED = "[data-testid=stApp][data-test-script-state=notRunning]"


@dataclass
class Server:
    """The app of a folder. It can be killed and started again at the same address."""

    folder: Path
    command: list[str]
    environment: dict[str, str]
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Server:
        self.process = subprocess.Popen(
            [*self.command, "ui", "--port", str(self.port)],
            cwd=self.folder,
            env=self.environment,
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
            time.sleep(0.1)
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
    elsewhere: list[str]  # what was asked of other machines, and refused

    def settled(self) -> None:
        """Waits until the page's script has ended."""
        self.page.wait_for_selector(SETTLED)

    def go(self, title: str) -> None:
        """To another page, by the navigation."""
        self.page.get_by_test_id("stSidebarNav").get_by_text(title, exact=True).click()
        self.sees_heading(title)

    def sees_heading(self, title: str) -> None:
        expect(self.page.get_by_role("heading", name=title, exact=True, level=1)).to_be_visible()
        self.settled()

    def sees(self, text: str) -> None:
        expect(self.page.get_by_text(text).first).to_be_visible()

    def click(self, name: str) -> None:
        shortcut = re.compile(rf"^{re.escape(name)}( Shortcut .*)?$")  # it is part of the name
        self.page.get_by_role("button", name=shortcut).first.click()
        self.settled()

    def write(self, text: str) -> None:
        """Types over the whole recipe, in whichever editor is built."""
        self.editor.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(text)
        self.page.keyboard.press("Escape")

    @property
    def editor(self) -> Locator:
        return self.page.locator(".cm-content, textarea[aria-label^='The recipe as JSON']").first


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert path, "no Chromium is on the PATH: 'make browser' installs it"
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def serve(
    recipe_command: list[str], environment: dict[str, str], tmp_path: Path
) -> Iterator[Callable[[], Server]]:
    """serve() → the app standing in tmp_path."""
    started: list[Server] = []

    def serving() -> Server:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        known = {key: value for key, value in environment.items() if key != "DISPLAY"}
        started.append(Server(tmp_path, recipe_command, known, port))
        return started[-1].start()

    yield serving
    for server in started:
        server.end()


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Window]]:
    """visit(url) → a window. No request may leave this machine, and no script may fail: either
    ends the test in failure."""
    elsewhere: list[str] = []
    errors: list[str] = []
    contexts = []

    def visiting(url: str, **options: Any) -> Window:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(PATIENCE_SECONDS * 1000)
        contexts.append(context)
        host = urlsplit(url).netloc

        def judge(route: Route) -> None:
            asked = urlsplit(route.request.url)
            if asked.scheme in ("data", "blob") or asked.netloc == host:
                route.continue_()
            else:
                elsewhere.append(route.request.url)
                route.abort()

        def opened(socket: WebSocket) -> None:
            if urlsplit(socket.url).netloc != host:
                elsewhere.append(socket.url)

        context.route("**/*", judge)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("websocket", opened)
        page.goto(url)
        window = Window(page, elsewhere)
        window.settled()
        return window

    yield visiting
    for context in contexts:
        context.close()
    assert not elsewhere
    assert not errors

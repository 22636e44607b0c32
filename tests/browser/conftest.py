"""A real Chromium before a real server: what users do, and what they see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Server, Window, chromium, window
from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def serve(
    recipe_command: list[str], environment: dict[str, str], tmp_path: Path
) -> Iterator[Callable[[], Server]]:
    """serve() → the app standing in tmp_path."""
    started: list[Server] = []

    def serving() -> Server:
        started.append(Server(tmp_path, recipe_command, environment))
        return started[-1].start()

    yield serving
    for server in started:
        server.end()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Window]]:
    """visit(url) → a window. A request to another machine or a script that fails ends the test
    in failure."""
    windows: list[Window] = []

    def visiting(url: str, **options: Any) -> Window:
        windows.append(window(browser, url, **options))
        return windows[-1]

    yield visiting
    for one in windows:
        one.page.context.close()
    assert not [asked for one in windows for asked in one.elsewhere]
    assert not [error for one in windows for error in one.errors]

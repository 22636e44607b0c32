"""Several windows at once, and a server that dies: nothing is lost, nothing is done twice."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import expect


def name_of(window: Any) -> Any:
    return window.page.get_by_role("textbox", name="name", exact=True)


def text_of(window: Any) -> str:
    return str(window.page.get_by_test_id("stMain").inner_text())


def rename(window: Any, name: str) -> None:
    name_of(window).fill(name)
    window.page.keyboard.press("Enter")
    window.sees("changes kept as a draft")


def opened(visit: Callable[..., Any], url: str) -> Any:
    window = visit(url)
    window.click("tiny.json")
    window.go("Recipe")
    return window


def test_of_two_who_save_the_second_is_told(
    serve: Callable[[], Any], visit: Callable[..., Any], write_recipe: Any, tmp_path: Path
) -> None:
    path = write_recipe(tmp_path)
    server = serve()
    one, two = opened(visit, server.url), opened(visit, server.url)
    rename(one, "first")
    rename(two, "second")
    one.click("Save")
    expect(one.page.get_by_role("button", name="Save Shortcut")).to_be_disabled()
    two.click("Save")
    two.sees("the file was changed by somebody else")
    assert json.loads(path.read_text("utf-8"))["name"] == "first"
    one.page.reload()
    one.settled()
    expect(name_of(one)).to_have_value("first")
    expect(name_of(two)).to_have_value("second")
    two.click("Write over the file")
    expect(two.page.get_by_role("button", name="Write over the file")).not_to_be_visible()
    assert json.loads(path.read_text("utf-8"))["name"] == "second"


def test_of_two_who_edit_each_keeps_a_draft(
    serve: Callable[[], Any], visit: Callable[..., Any], write_recipe: Any, tmp_path: Path
) -> None:
    write_recipe(tmp_path)
    server = serve()
    one, two = opened(visit, server.url), opened(visit, server.url)
    rename(one, "first")
    rename(two, "second")
    for window, name in ((one, "first"), (two, "second")):
        window.page.reload()
        window.settled()
        expect(name_of(window)).to_have_value(name)


def test_a_run_outlives_its_server(
    serve: Callable[[], Any], visit: Callable[..., Any], write_recipe: Any, tmp_path: Path
) -> None:
    write_recipe(tmp_path, training={"max_steps": 120})
    server = serve()
    window = opened(visit, server.url)
    window.go("Run")
    window.click("Start")
    expect(window.page.get_by_role("button", name="Stop and save")).to_be_visible()
    address = window.page.url
    server.end(signal.SIGKILL)
    server.start()
    again = visit(address)
    (run,) = (tmp_path / "runs").glob("tiny-*")
    again.sees(run.name)
    report = again.page.get_by_test_id("stMain").get_by_role("link", name="Report")
    expect(report).to_be_visible(timeout=600_000)
    result = json.loads((run / "result.json").read_text("utf-8"))
    assert (result["status"], result["attempt"]) == ("done", 1)


def test_a_second_run_waits_for_the_first(
    serve: Callable[[], Any], visit: Callable[..., Any], write_recipe: Any, tmp_path: Path
) -> None:
    write_recipe(tmp_path, training={"max_steps": 20_000})
    server = serve()
    one, two = opened(visit, server.url), opened(visit, server.url)
    for window in (one, two):
        window.go("Run")
    one.click("Start")
    expect(one.page.get_by_role("button", name="Stop and save")).to_be_visible()
    two.click("Start")
    expect(two.page.get_by_role("button", name="Give up its place")).to_be_visible()
    (first,) = (run.name for run in (tmp_path / "runs").glob("tiny-*") if run.name in text_of(one))
    two.sees(f"It waits for {first}, which has the device.")
    two.click("Give up its place")
    two.sees("interrupted")
    one.click("Stop and save a checkpoint")
    one.sees("interrupted")
    ends = [json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*/result.json")]
    assert [end["status"] for end in ends] == ["interrupted", "interrupted"]

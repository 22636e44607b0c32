"""The page of runs: the start card and its reasons, a run in each state, its figures, its texts."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from runner.app import drafts, launch
from runner.runs.events import EventLog
from runner.runs.process import wait_until
from runner.runs.queue import tickets, turn
from runner.runs.state import STALE_SECONDS, supervised
from runner.runs.store import RunFolder, write_json
from ui.text import plain

MakeRun = Callable[[str, "str | None", "str | None"], RunFolder]
PAGE = "ui/run.py"
MARK = "0" * 16
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def stands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app's folder is read once a server; here each test has its own."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def texts(app: AppTest) -> str:
    return "\n".join(element.value for element in (*app.text, *app.caption))


def badges(app: AppTest) -> list[str]:
    """The words of the badges; they come as markdown of Streamlit's own making."""
    return [element.value for element in app.markdown if "badge[" in element.value]


def opened(app: AppTest, **address: str) -> AppTest:
    app.switch_page(PAGE)
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def button(app: AppTest, label: str) -> Any:
    (found,) = [element for element in app.button if element.label == label]
    return found


def labels(app: AppTest) -> list[str]:
    return [element.label for element in app.button]


# Before a run ------------------------------------------------------------------------------------


@pytest.fixture
def legal(folder: Path) -> drafts.Draft:
    text = (folder / "legal.json").read_text("utf-8")
    return drafts.begin(folder, text, Path("legal.json"))


def edited(folder: Path, draft: drafts.Draft, old: str, new: str) -> drafts.Draft:
    from dataclasses import replace

    assert old in draft.text
    return drafts.keep(folder, replace(draft, text=draft.text.replace(old, new)))


def test_without_a_recipe_the_page_says_how_to_get_one(app: AppTest) -> None:
    opened(app)
    assert "No recipe is open" in [element.value for element in app.header]
    assert "No run goes on, and none waits." in texts(app)


def test_a_saved_recipe_can_be_started(app: AppTest, legal: drafts.Draft) -> None:
    opened(app, draft=legal.id)
    assert not button(app, "Start").disabled
    tiles = {element.label: element.value for element in app.metric}
    assert list(tiles) == [
        "Time (estimated)", "Memory (estimated)", "Training examples", "Training steps",
    ]  # fmt: skip
    assert app.code[0].value == "recipe run legal.json"
    app.number_input(key="run_trial_steps").set_value(3).run()
    assert app.code[0].value == "recipe run legal.json --max-steps 3"
    assert {e.label: e.value for e in app.metric}["Training steps"] == "3"
    app.checkbox(key="run_offline").check().run()
    assert app.code[0].value == "recipe run legal.json --max-steps 3 --offline"


def test_what_is_not_saved_is_saved_first(app: AppTest, folder: Path, legal: drafts.Draft) -> None:
    edited(folder, legal, '"rank": 16', '"rank": 8')
    opened(app, draft=legal.id)
    assert not button(app, "Save and start").disabled
    fresh = drafts.begin(folder, legal.text)
    opened(app, draft=fresh.id)
    assert f"Save as {plain('my-recipe.json')} and start" in labels(app)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"rank": 16', '"rnak": 16', "The recipe has errors."),
        ("{", "{{", "The recipe has errors."),
        ("legal/clauses.jsonl", "legal/clause.jsonl", "The recipe has errors."),
        ('"checks": {', '"checks": {"size": {"error_below": 100000}, ', "data checks find errors"),
    ],
)
def test_what_is_wrong_is_said_instead_of_started(
    old: str, new: str, said: str, app: AppTest, folder: Path, legal: drafts.Draft
) -> None:
    if old not in legal.text:
        old, new = '"data": {', '"data": {"checks": {"size": {"error_below": 100000}}, '
    edited(folder, legal, old, new)
    opened(app, draft=legal.id)
    (start,) = [element for element in app.button if element.key == "start"]
    assert start.disabled
    assert said in texts(app)


def test_a_file_that_somebody_else_changed_is_not_written_over(
    app: AppTest, folder: Path, legal: drafts.Draft
) -> None:
    edited(folder, legal, '"rank": 16', '"rank": 8')
    (folder / "legal.json").write_text(legal.text.replace('"rank": 16', '"rank": 4'), "utf-8")
    opened(app, draft=legal.id)
    (start,) = [element for element in app.button if element.key == "start"]
    assert start.disabled
    assert "changed by somebody else" in texts(app)


# Starting ----------------------------------------------------------------------------------------


def test_a_start_waits_for_its_turn_and_gives_it_up(
    app: AppTest, folder: Path, legal: drafts.Draft
) -> None:
    """Another run has the device, so that no model is needed."""
    edited(folder, legal, '"rank": 16', '"rank": 8')
    runs = folder / "runs"
    runs.mkdir()
    with turn(RunFolder(runs / "other"), "cpu", lambda: False, lambda _: None):
        opened(app, draft=legal.id)
        assert "Run other has the device" in texts(app)
        button(app, "Save and start").click().run()
        assert '"rank": 8' in (folder / "legal.json").read_text("utf-8")
        (begun,) = launch.launches(runs)
        assert app.query_params["start"] == begun.id
        assert wait_until(lambda: len(tickets(runs)) == 2, 60)
        opened(app, start=begun.id)
        run = launch.run_of(runs, begun)
        assert run is not None
        assert app.query_params["run"] == run.id and "start" not in app.query_params
        assert "It waits for other, which has the device." in texts(app)
        button(app, "Give up its place").click().run()
        assert wait_until(lambda: not launch.alive(begun), 60)
    opened(app, run=run.id)
    assert "Stopped while it waited for its turn" in texts(app)
    assert "Resume" in labels(app)


def test_a_start_that_failed_says_why_and_can_be_dismissed(app: AppTest, folder: Path) -> None:
    begun = launch.launch(("recipe", "run", "none.json"), folder, folder / "runs")
    assert wait_until(lambda: not launch.alive(begun), 60)
    opened(app)
    assert any("did not start" in badge for badge in badges(app))
    button(app, "Look").click().run()
    assert "no file 'none.json'" in app.code[0].value
    button(app, "Start another, see what goes on").click().run()
    button(app, "Dismiss").click().run()
    assert launch.launches(folder / "runs") == []
    assert not any("did not start" in badge for badge in badges(app))


# A run -------------------------------------------------------------------------------------------


@pytest.fixture
def run(make_run: MakeRun) -> RunFolder:
    made = make_run("legal-1", None, None)
    steps = {"data": "read, split and check the data", "train": "train (lora, rank 16)"}
    named = [{"name": name, "title": title} for name, title in steps.items()]
    write_json(made.plan, {"steps": named})
    log = EventLog(made.events, "data", 1)
    log("started", fingerprint=MARK)
    log("ended", seconds=1.5, cached=False, reason="63 train, 9 validation")
    log = EventLog(made.events, "train", 1)
    log("started", fingerprint=MARK)
    for at in (1, 2, 3):
        log("train", at=at, steps=9, epoch=0.1, loss=3 - at / 10, learning_rate=2e-4, grad_norm=1.5,
            tokens=100, tokens_per_second=50.0, seconds_left=75)  # fmt: skip
    log("validation", at=2, loss=2.5)
    return made


def end(run: RunFolder, status: str, exit: int, reason: str | None, hint: str | None) -> None:
    write_json(run.result, {"status": status, "exit": exit, "reason": reason, "hint": hint})


def test_a_run_that_goes_on_shows_where_it_is(app: AppTest, run: RunFolder) -> None:
    with supervised(run, 1) as tell:
        tell("running")
        opened(app, run=run.id)
        tiles = {element.label: element.value for element in app.metric}
        assert tiles == {
            "Loss": "2.700",
            "Learning rate": "2.00e-04",
            "Held-out loss": "2.500",
            "Gradient norm": "1.50",
            "Tokens a second": "50",
            "Training time left": "1 min 15 s",
        }
        assert "Stop and save a checkpoint" in labels(app)
        assert "63 train, 9 validation" in texts(app).replace("\\", "")
        commands = app.code[-1].value
        assert f"recipe stop {run.id}" in commands
        run.stop.touch()
        app.run()
        assert any("stopping" in badge for badge in badges(app))
        assert "Stop and save a checkpoint" not in labels(app)


def test_new_events_are_added_to_what_was_read(app: AppTest, run: RunFolder) -> None:
    opened(app, run=run.id)
    read = app.session_state["monitor"]
    EventLog(run.events, "train", 1)(
        "train", at=4, steps=9, epoch=0.1, loss=2.25, learning_rate=1e-4, grad_norm=None,
        tokens=100, tokens_per_second=50.0, seconds_left=0,
    )  # fmt: skip
    app.run()
    assert app.session_state["monitor"] is read
    assert {e.label: e.value for e in app.metric}["Loss"] == "2.250"


@pytest.mark.parametrize(
    ("status", "exit", "said", "resumable"),
    [
        ("failed", 1, "The disk is full", True),
        ("interrupted", 130, "Stopped during train", True),
        ("failed", 3, "1 data check failed", False),
        ("done", 0, None, False),
        ("gate_failed", 4, None, False),
    ],
)
def test_an_end_says_why_and_what_to_do(
    status: str, exit: int, said: str | None, resumable: bool, app: AppTest, run: RunFolder
) -> None:
    end(run, status, exit, said[0].lower() + said[1:] if said else None, None)
    opened(app, run=run.id)
    assert any(status.replace("_", " ") in badge for badge in badges(app))
    assert said is None or said in texts(app)
    assert ("Resume" in labels(app)) is resumable
    assert "Stop and save a checkpoint" not in labels(app)


def test_a_lost_run_offers_to_go_on(app: AppTest, run: RunFolder) -> None:
    opened(app, run=run.id)
    assert "ended without a word" in texts(app)
    assert "Resume" in labels(app)
    opened(app, run="")
    assert any("lost" in badge for badge in badges(app))


def test_a_stalled_run_says_what_to_do(app: AppTest, run: RunFolder) -> None:
    with supervised(run, 1):
        before = time.time() - STALE_SECONDS - 60
        os.utime(run.supervisor(1), (before, before))
        opened(app, run=run.id)
    assert "has given no sign for more than 30 s" in texts(app)


def test_damage_is_told_in_words(app: AppTest, run: RunFolder) -> None:
    run.plan.write_text("{")
    run.result.write_text("[]")
    opened(app, run=run.id)
    assert any("damaged" in badge for badge in badges(app))


@pytest.mark.parametrize("asked", ["../legal", "none", "/etc"])
def test_a_run_in_the_address_must_be_one_of_the_folder(
    asked: str, app: AppTest, run: RunFolder
) -> None:
    opened(app, run=asked)
    assert "There is no such run" in [element.value for element in app.header]
    opened(app, run="", start=asked)
    assert "There is no such start" in [element.value for element in app.header]


def test_what_a_run_says_is_shown_as_text(app: AppTest, run: RunFolder) -> None:
    bad = "<img src=x onerror=1> ![x](http://elsewhere/) :red[x] \x1b[2J"
    log = EventLog(run.events, "train", 1)
    log("message", level="warning", text=bad)
    log("progress", what=bad, done=1, total=2)
    EventLog(run.events, "data", 1)("ended", seconds=1.0, cached=False, reason=bad)
    run.log.write_text(bad)
    with supervised(run, 1) as tell:
        tell("running")
        opened(app, run=run.id)
    shown = [element.value for element in app.code]
    assert sum("<img src=x" in text for text in shown) == 2
    assert all("\x1b" not in text for text in shown)
    for element in (*app.markdown, *app.caption):
        assert not re.search(r"(?<!\\)(<img|!\[|:red)", element.value)

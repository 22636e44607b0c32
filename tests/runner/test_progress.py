"""What a user sees: a bar on a terminal, plain lines in a pipe, every event in words."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import Any

import pytest

from runner.children import ended_by
from runner.progress import Display

TRAIN = {"type": "train", "step": "train", "steps": 40, "loss": 2.345, "tokens_per_second": 180.4}
EVENTS: dict[str, tuple[dict[str, Any], str]] = {
    "validation": (
        {"type": "validation", "at": 8, "loss": 2.3456},
        "step 8: validation loss 2.346",
    ),
    "early": ({"type": "stopped_early", "at": 9}, "stopped early at step 9"),
    "resumed": ({"type": "resumed", "path": "attempts/001/x"}, "going on from attempts/001/x"),
    "info": ({"type": "message", "level": "info", "text": "fetching"}, "fetching"),
    "warning": ({"type": "message", "level": "warning", "text": "damaged"}, "! damaged"),
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("event", "said"), EVENTS.values(), ids=EVENTS)
def test_events_in_words(event: dict[str, Any], said: str) -> None:
    out = io.StringIO()
    Display(out).event(event)
    assert said in out.getvalue()
    assert out.getvalue().endswith("\n")


@pytest.mark.parametrize("kind", ["started", "ended", "failed", "checkpoint", "trial"])
def test_some_events_are_for_the_files_only(kind: str) -> None:
    out = io.StringIO()
    Display(out).event({"type": kind, "step": "train"})
    assert out.getvalue() == ""


def test_a_pipe_gets_plain_lines_and_not_one_a_step() -> None:
    out = io.StringIO()
    display = Display(out)
    display.step("train", "train (lora)")
    for at in range(1, 41):
        display.event({**TRAIN, "at": at, "seconds_left": 40 - at})
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[-1].split() == ["40/40", "loss", "2.345", "180", "tokens/s", "0.0", "s", "left"]
    assert "\x1b" not in out.getvalue()


def test_a_terminal_gets_a_bar_that_gives_way_to_lines() -> None:
    out = Terminal()
    display = Display(out)
    for at in (10, 20):
        display.event({**TRAIN, "at": at, "seconds_left": 9})
    display.line("a line")
    shown = [part for part in re.split(r"\r\x1b\[2K", out.getvalue()) if part]
    assert [part.count("█") for part in shown] == [6, 12, 0]
    assert shown[-1] == "a line\n"
    assert out.getvalue().count("\n") == 1


def test_a_reader_that_goes_away_is_forgotten() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as out:
        display = Display(out)
        display.line("to nobody")
        display.line("to nobody again")
        assert Path(f"/proc/self/fd/{out.fileno()}").readlink() == Path(os.devnull)


@pytest.mark.parametrize(
    ("code", "said"),
    [(1, "exit status 1"), (-9, "killed (SIGKILL)"), (-11, "SIGSEGV"), (-50, "signal 50")],
)
def test_how_a_child_ended_in_words(code: int, said: str) -> None:
    assert said in ended_by(code)

"""Runs that the app starts: they outlive it, are found again, and say why they did not begin."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import dsl
from dsl.errors import RunError
from runner.app import launch
from runner.runs.process import create_time, wait_until
from runner.runs.queue import tickets, turn
from runner.runs.state import state, stop
from runner.runs.store import RunFolder

ROOT = Path(dsl.__file__).parents[1]
WORDS = launch.words_of_start("tiny.json", None, offline=True)


@pytest.fixture
def home(tmp_path: Path, write_recipe: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    write_recipe(tmp_path)
    return tmp_path


def test_the_words_are_those_of_the_command_line(tmp_path: Path) -> None:
    assert launch.words_of_start("a b.json", 3, False) == (
        "recipe", "run", "a b.json", "--max-steps", "3",
    )  # fmt: skip
    assert WORDS == ("recipe", "run", "tiny.json", "--offline")
    resume = launch.words_of_resume("legal-1")
    assert launch.with_runs(resume, tmp_path, tmp_path / "runs") == resume
    elsewhere = tmp_path / "elsewhere"
    assert launch.with_runs(resume, tmp_path, elsewhere) == (*resume, "--runs", str(elsewhere))


def test_a_start_becomes_a_run_that_can_be_stopped(home: Path) -> None:
    """Another run has the device, so that no model is needed."""
    runs = home / "runs"
    runs.mkdir()
    with turn(RunFolder(runs / "other"), "cpu", lambda: False, lambda _: None):
        begun = launch.launch(WORDS, home, runs)
        assert launch.launch(WORDS, home, runs) == begun  # a second click while it starts
        assert launch.find(runs, begun.id) == begun
        assert launch.without_run(runs) == [(begun, True)]
        assert wait_until(lambda: launch.run_of(runs, begun) is not None, 60)
        run = launch.run_of(runs, begun)
        assert run is not None
        assert launch.launch_of(runs, run) == begun
        assert launch.without_run(runs) == []
        assert wait_until(lambda: len(tickets(runs)) == 2, 60)
        # a session of its own: neither the server's end nor its Ctrl-C reaches it
        assert os.getsid(begun.pid) == begun.pid
        stop(run)
        assert wait_until(lambda: not launch.alive(begun), 60)
    assert state(run) == "interrupted"
    assert "waiting for run other" in launch.said(runs, begun)


def test_a_start_outlives_who_started_it(home: Path) -> None:
    runs = home / "runs"
    runs.mkdir()
    server = (
        "import sys, time; from pathlib import Path; from runner.app.launch import launch\n"
        "home = Path(sys.argv[1])\n"
        "print(launch(sys.argv[2:], home, home / 'runs').id, flush=True); time.sleep(600)"
    )
    with turn(RunFolder(runs / "other"), "cpu", lambda: False, lambda _: None):
        process = subprocess.Popen(
            [sys.executable, "-c", server, str(home), *WORDS], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        begun = launch.find(runs, process.stdout.readline().strip())
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert wait_until(lambda: launch.run_of(runs, begun) is not None, 60)
        assert launch.alive(begun)
        run = launch.run_of(runs, begun)
        assert run is not None
        assert wait_until(lambda: len(tickets(runs)) == 2, 60)
        stop(run)
        assert wait_until(lambda: create_time(begun.pid) is None, 60)


def test_a_start_that_fails_says_why_until_it_is_dismissed(home: Path) -> None:
    runs = home / "runs"
    (home / "tiny.json").write_text('{"name": "tiny"}')
    begun = launch.launch(WORDS, home, runs)
    assert wait_until(lambda: not launch.alive(begun), 60)
    assert launch.without_run(runs) == [(begun, False)]
    assert launch.run_of(runs, begun) is None
    assert "tiny.json" in launch.said(runs, begun) and "error" in launch.said(runs, begun)
    launch.forget(runs, begun)
    assert launch.launches(runs) == []


def test_a_start_can_be_cancelled_before_its_run_is_there(home: Path) -> None:
    runs = home / "runs"
    begun = launch.launch(WORDS, home, runs)
    launch.cancel(begun)
    assert wait_until(lambda: not launch.alive(begun), 60)
    launch.cancel(begun)  # again, to nobody
    assert not list(runs.glob("*/run.json"))


def test_where_nothing_can_be_written_it_is_told(home: Path) -> None:
    (home / "runs").write_text("a file, no folder")
    with pytest.raises(RunError, match="cannot be started"):
        launch.launch(WORDS, home, home / "runs")


@pytest.mark.parametrize("asked", ["", "../../etc/passwd", "ABCDEF012345", "0123456789ab"])
def test_only_starts_that_were_made_are_found(asked: str, tmp_path: Path) -> None:
    with pytest.raises(RunError):
        launch.find(tmp_path, asked)


def test_old_ones_are_forgotten(home: Path) -> None:
    runs = home / "runs"
    (home / "tiny.json").write_text("{")
    old = launch.launch(WORDS, home, runs)
    assert wait_until(lambda: not launch.alive(old), 60)
    os.utime(runs / launch.STARTS / f"{old.id}.txt", (1, 1))
    new = launch.launch(WORDS, home, runs)
    assert [known.id for known in launch.launches(runs)] == [new.id]
    assert wait_until(lambda: not launch.alive(new), 60)


def test_a_tail_is_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    assert launch.tail(path) == ""
    path.write_bytes(b"first line\nsecond \xff line\nthird\n")
    assert launch.tail(path, 23) == "second \ufffd line\nthird"
    assert launch.tail(path).startswith("first")

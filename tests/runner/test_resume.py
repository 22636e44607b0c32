"""One run that is killed, stopped, damaged and moved ends as one that nothing ever touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runner.runs.events import read_events
from runner.runs.process import worker_lives
from runner.runs.store import RunFolder

LIMIT_SECONDS = 240.0  # for what must come; reached only where something hangs
# Patience runs out at step 600, whatever is learnt: no improvement is ever large enough. A fast
# machine must not be done before it is interrupted four times.
EVERY, PATIENCE = 40, 14
STOPS_AT = EVERY * (PATIENCE + 1)
LONG: dict[str, Any] = {
    "max_steps": 2000,
    "eval_steps": EVERY,
    "learning_rate": 0.002,
    "early_stopping": {"patience": PATIENCE, "min_delta": 1000},
}


@dataclass
class Story:
    """What happened to the interrupted run, attempt by attempt."""

    folder: Path
    codes: list[int] = field(default_factory=list)
    outs: list[str] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    damaged: str = ""
    meanwhile: str = ""

    @property
    def events(self) -> list[dict[str, Any]]:
        return read_events(self.folder / "events.jsonl")

    def of(self, kind: str, attempt: int | None = None) -> list[dict[str, Any]]:
        return [
            event
            for event in self.events
            if event["type"] == kind and attempt in (None, event["attempt"])
        ]


def wait_for(found: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while not found():
        if process is not None and process.poll() is not None:
            pytest.fail(f"ended too early: {process.communicate()}")
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def checkpoint_of(folder: Path, attempt: int) -> Callable[[], bool]:
    def there() -> bool:
        found = read_events(folder / "events.jsonl")
        return any(e["type"] == "checkpoint" and e["attempt"] == attempt for e in found)

    return there


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: Any, write_recipe: Any, recipe: Any) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    write_recipe(folder, training=LONG)
    ended = recipe("run", "tiny.json", cwd=folder)
    assert ended.code == 0, ended.out + ended.err
    (run,) = (folder / "runs").iterdir()
    return Path(run)


@pytest.fixture(scope="module")
def story(tmp_path_factory: Any, write_recipe: Any, start: Any, recipe: Any) -> Story:
    home = tmp_path_factory.mktemp("parts")
    write_recipe(home, training=LONG)
    process = start("run", "tiny.json", cwd=home)
    wait_for(lambda: any((home / "runs").glob("*/plan.json")), process)
    (plan,) = (home / "runs").glob("*/plan.json")
    told = Story(plan.parent)

    def end(process: subprocess.Popen[str]) -> None:
        out, err = process.communicate(timeout=LIMIT_SECONDS)
        told.codes.append(process.returncode)
        told.outs.append(out + err)
        result = told.folder / "result.json"
        told.results.append(json.loads(result.read_text()) if result.exists() else {})

    # the worker is killed, as the system does when memory is short; nobody else may go on meanwhile
    wait_for(checkpoint_of(told.folder, 1), process)
    worker = json.loads((told.folder / "worker.json").read_text())["pid"]
    os.kill(worker, signal.SIGSTOP)
    told.meanwhile = recipe("run", "--resume", "last", cwd=home).err
    os.kill(worker, signal.SIGKILL)
    end(process)

    # the supervisor is asked to stop; then the newest checkpoint is damaged
    process = start("run", "--resume", "last", cwd=home)
    wait_for(checkpoint_of(told.folder, 2), process)
    process.send_signal(signal.SIGTERM)
    end(process)
    newest = max(
        told.folder.glob("attempts/*/checkpoints/checkpoint-*"),
        key=lambda path: int(path.name.removeprefix("checkpoint-")),
    )
    told.damaged = newest.name
    content = bytearray((newest / "optimizer.pt").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (newest / "optimizer.pt").write_bytes(content)

    # Ctrl-C; then the whole run is moved and renamed
    process = start("run", "--resume", "last", cwd=home)
    wait_for(checkpoint_of(told.folder, 3), process)
    process.send_signal(signal.SIGINT)
    end(process)
    moved = tmp_path_factory.mktemp("moved") / "runs" / "renamed"
    moved.parent.mkdir()
    told.folder = told.folder.rename(moved)
    home = moved.parents[1]

    # the supervisor is killed; the next one comes while its orphan may still train
    process = start("run", "--resume", "renamed", cwd=home)
    wait_for(checkpoint_of(told.folder, 4), process)
    process.kill()
    end(process)
    end(start("run", "--resume", "renamed", cwd=home))
    return told


def test_it_ends_with_the_same_bytes(story: Story, uninterrupted: Path) -> None:
    name = "adapter/adapter_model.safetensors"
    assert story.codes[-1] == 0, story.outs[-1]
    assert (story.folder / name).read_bytes() == (uninterrupted / name).read_bytes()


def test_early_stopping_counts_on_over_every_interruption(
    story: Story, uninterrupted: Path
) -> None:
    expected = read_events(uninterrupted / "events.jsonl")
    for events in (expected, story.events):
        assert [e["at"] for e in events if e["type"] == "stopped_early"] == [STOPS_AT]
    whole = {e["at"]: e["loss"] for e in expected if e["type"] == "validation"}
    assert {e["at"]: e["loss"] for e in story.of("validation")} == whole
    losses = {e["at"]: e["loss"] for e in expected if e["type"] == "train"}
    assert {e["at"]: e["loss"] for e in story.of("train")} == losses


def test_a_killed_worker_fails_the_run_with_a_word_on_memory(story: Story) -> None:
    assert story.codes[0] == 1
    result = story.results[0]
    assert (result["status"], result["exit"], result["attempt"]) == ("failed", 1, 1)
    assert "killed (SIGKILL)" in result["reason"]
    assert "--resume" in result["hint"]
    assert result["reason"] in story.outs[0]


def test_a_run_that_goes_on_is_not_taken_over(story: Story) -> None:
    assert "is going on in another process" in story.meanwhile


@pytest.mark.parametrize("attempt", [2, 3], ids=["SIGTERM", "Ctrl-C"])
def test_a_wish_to_stop_ends_with_a_checkpoint_and_130(attempt: int, story: Story) -> None:
    assert story.codes[attempt - 1] == 130
    result = story.results[attempt - 1]
    assert (result["status"], result["exit"]) == ("interrupted", 130)
    assert result["reason"] == "stopped during train"
    assert "--resume" in result["hint"]
    last = story.of("train", attempt)[-1]["at"]
    assert story.of("checkpoint", attempt)[-1]["at"] == last
    assert "Traceback" not in story.outs[attempt - 1]


def test_each_attempt_goes_on_from_the_newest_checkpoint(story: Story) -> None:
    for attempt in (2, 4):
        (resumed,) = story.of("resumed", attempt)
        at = int(resumed["path"].rpartition("-")[2])
        earlier = [e["at"] for e in story.of("checkpoint") if e["attempt"] < attempt]
        assert at == max(earlier)
        assert story.of("train", attempt)[0]["at"] == at + 1
    assert [path.name for path in RunFolder(story.folder).attempts()] == [
        f"{n:03d}" for n in range(1, 6)
    ]


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(story: Story) -> None:
    (warning,) = [e for e in story.of("message", 3) if e["level"] == "warning"]
    assert warning["text"] == f"{story.damaged} is passed over: optimizer.pt is damaged"
    assert warning["text"] in story.outs[2]
    (resumed,) = story.of("resumed", 3)
    assert not resumed["path"].endswith(story.damaged)


def test_a_killed_supervisor_takes_its_worker_along(story: Story) -> None:
    assert story.codes[3] == -signal.SIGKILL
    assert story.results[3] == {}
    assert not worker_lives(RunFolder(story.folder))
    # two workers never wrote at once: attempts follow each other
    attempts = [event["attempt"] for event in story.events]
    assert attempts == sorted(attempts)


def test_no_path_of_the_old_place_is_left(story: Story) -> None:
    states = list(story.folder.glob("attempts/*/checkpoints/*/trainer_state.json"))
    assert states
    for path in [*states, story.folder / "events.jsonl"]:
        assert "/parts" not in path.read_text()

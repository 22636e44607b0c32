"""What a run did, read as it grows; how it stands, and what to do where it went wrong."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runner.app.monitor import Monitor, monitor, phases, standing, unfinished
from runner.runs.events import EventLog
from runner.runs.queue import turn
from runner.runs.state import STALE_SECONDS, State, supervised
from runner.runs.store import RunFolder, write_json

STEPS = {"data": "read the data", "train": "train (lora, rank 16)", "report": "gates and report"}
MARK = "0" * 16


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "runs" / "legal-1")
    write_json(folder.run, {"id": "legal-1", "name": "legal"})
    steps = [{"name": name, "title": title} for name, title in STEPS.items()]
    write_json(folder.plan, {"steps": steps})
    return folder


def trained(log: EventLog, at: int, **values: Any) -> None:
    usual = {"steps": 9, "epoch": 0.1, "loss": 3.0 - at / 10, "learning_rate": 1e-4}
    usual |= {"grad_norm": 1.0, "tokens": 100 * at, "tokens_per_second": 50.0, "seconds_left": 60}
    log("train", at=at, **(usual | values))


def seen(run: RunFolder) -> Monitor:
    made = monitor(run)
    made.read()
    return made


def states(run: RunFolder, now: State, reported: bool = False) -> list[str]:
    return [step.state for step in phases(seen(run), now, reported)]


# Events ------------------------------------------------------------------------------------------


def test_events_become_steps_and_curves(run: RunFolder) -> None:
    data, train = EventLog(run.events, "data", 1), EventLog(run.events, "train", 1)
    data("started", fingerprint=MARK)
    data("ended", seconds=1.5, cached=False, reason="63 train")
    train("started", fingerprint=MARK)
    train("trial", tokens=512, seconds=1.0, peak_bytes=2**30)
    for at in (1, 2, 3):
        trained(train, at)
    train("validation", at=2, loss=2.5)
    train("checkpoint", at=2, path="attempts/001/checkpoints/checkpoint-2", best=True)
    found = seen(run)
    assert states(run, "running") == ["done", "running", "waiting"]
    assert (found.steps["data"].seconds, found.steps["data"].reason) == (1.5, "63 train")
    assert found.steps["train"].progress == (3, 9, "steps")
    assert [span.mean for span in found.curves["loss"].spans()] == [2.9, 2.8, 2.7]
    assert found.validation.last == (2, 2.5)
    assert found.checkpoint == 2
    assert [message.text for message in found.messages] == [
        "the longest batch fits: 512 tokens, 1.0 GiB held",
        "checkpoint at step 2, the best so far",
    ]
    assert found.damaged == 0


def test_only_what_is_new_is_read(run: RunFolder) -> None:
    log = EventLog(run.events, "train", 1)
    trained(log, 1)
    found = seen(run)
    assert not found.read()
    before = found.offset
    trained(log, 2)
    assert found.read() and found.offset > before
    assert len(found.curves["loss"].spans()) == 2


def test_a_new_attempt_begins_what_was_under_way_again(run: RunFolder) -> None:
    log = EventLog(run.events, "train", 1)
    log("started", fingerprint=MARK)
    for at in (1, 2, 3):
        trained(log, at)
    log("failed", message="out of memory", hint=None)
    assert states(run, "failed") == ["waiting", "failed", "waiting"]
    again = EventLog(run.events, "train", 2)
    again("message", level="warning", text="checkpoint-3 is passed over")
    assert states(run, "starting") == ["waiting", "waiting", "waiting"]
    again("started", fingerprint=MARK)
    trained(again, 3, loss=9.0)
    found = seen(run)
    assert [span.mean for span in found.curves["loss"].spans()] == [2.9, 2.8, 9.0]
    assert found.attempt == 2


@pytest.mark.parametrize(
    ("now", "at"),
    [
        ("running", "running"), ("stopping", "running"), ("stalled", "running"),
        ("queued", "waiting"), ("starting", "waiting"), ("lost", "lost"), ("failed", "failed"),
        ("interrupted", "stopped"), ("done", "stopped"),
    ],
)  # fmt: skip
def test_a_step_under_way_stands_as_its_run_does(now: State, at: str, run: RunFolder) -> None:
    EventLog(run.events, "train", 1)("started", fingerprint=MARK)
    assert states(run, now)[1] == at


def test_the_report_counts_only_where_all_was_done(run: RunFolder) -> None:
    EventLog(run.events, "data", 1)("ended", seconds=1.0, cached=True, reason="")
    assert states(run, "interrupted", reported=True) == ["cached", "waiting", "waiting"]
    EventLog(run.events, "train", 1)("ended", seconds=1.0, cached=False, reason="")
    assert states(run, "done", reported=True) == ["cached", "done", "done"]
    assert states(run, "running", reported=True)[2] == "waiting"


def test_what_is_no_event_costs_no_other(run: RunFolder) -> None:
    lines = ["{}", '{"type": "train"}', '{"type": "train", "step": "train", "attempt": "x"}', "[]"]
    lines.append('{"type": "train", "step": "train", "attempt": 1, "at": 1, "loss": NaN}')
    run.events.write_text("\n".join(lines) + "\n")
    trained(EventLog(run.events, "train", 1), 2, grad_norm=None, learning_rate=None)
    found = seen(run)
    assert found.damaged >= 3
    assert [span.step for span in found.curves["loss"].spans()] == [2]
    assert found.curves["grad_norm"].spans() == []


def test_time_counts_on_while_a_step_runs(run: RunFolder) -> None:
    EventLog(run.events, "train", 1)("started", fingerprint=MARK)
    step = seen(run).steps["train"]
    assert step.began is not None
    later = datetime.fromisoformat(step.began).timestamp() + 90
    assert step.elapsed(datetime.fromtimestamp(later, UTC)) == pytest.approx(90)
    step.began = "yesterday"
    assert step.elapsed(datetime.now(UTC)) is None


def test_a_run_without_plan_has_no_steps(tmp_path: Path) -> None:
    assert seen(RunFolder(tmp_path)).steps == {}


# How it stands -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "exit", "resumable"),
    [("done", 0, False), ("gate_failed", 4, False), ("failed", 1, True), ("interrupted", 130, True),
     ("failed", 3, False), ("failed", 2, False)],
)  # fmt: skip
def test_an_end_tells_why_and_whether_to_go_on(
    status: str, exit: int, resumable: bool, run: RunFolder
) -> None:
    """A failed data check fails again: its recipe has to be mended."""
    write_json(run.result, {"status": status, "exit": exit, "reason": "why", "hint": "what"})
    found = standing(run)
    assert (found.state, found.reason, found.hint) == (status, "why", "what")
    assert found.resumable is resumable
    assert not found.going_on


def test_what_was_lost_can_be_resumed_once_it_had_a_plan(run: RunFolder) -> None:
    found = standing(run)
    assert (found.state, found.resumable) == ("lost", True)
    assert "checkpoint" in (found.hint or "")
    run.plan.unlink()
    found = standing(run)
    assert (found.state, found.resumable) == ("lost", False)


def test_what_stalls_says_what_to_do(run: RunFolder) -> None:
    with supervised(run, 1):
        before = time.time() - STALE_SECONDS - 5
        os.utime(run.supervisor(1), (before, before))
        found = standing(run)
    assert found.state == "stalled" and found.going_on
    assert "Wait" in (found.hint or "")


def test_who_waits_knows_for_whom(run: RunFolder) -> None:
    runs = run.path.parent
    first, second = RunFolder(runs / "first"), RunFolder(runs / "second")
    folder = runs / ".queue" / "cpu"
    with turn(first, "cpu", lambda: False, lambda _: None), supervised(run, 1) as tell:
        tell("queued")
        assert standing(run).reason == "It waits for its turn."
        import fcntl

        for number, of in ((2, second), (3, run)):
            (folder / f"{number:06d}.json").write_text(json.dumps({"run": of.id}))
        with (folder / "000002.json").open() as a, (folder / "000003.json").open() as b:
            fcntl.flock(a, fcntl.LOCK_EX)
            fcntl.flock(b, fcntl.LOCK_EX)
            reason = standing(run).reason or ""
    assert reason == "It waits for first, which has the device, and 1 more run before it."


def test_damage_is_told_and_hides_nothing_else(run: RunFolder) -> None:
    run.result.write_text("{")
    found = standing(run)
    assert found.state == "damaged" and not found.resumable and found.reason


def test_unfinished_runs_have_no_end(run: RunFolder) -> None:
    done = RunFolder(run.path.parent / "legal-2")
    write_json(done.run, {"id": "legal-2"})
    write_json(done.result, {"status": "done"})
    (run.path.parent / ".starts").mkdir()
    assert unfinished(run.path.parent) == [run]
    assert unfinished(run.path.parent / "nowhere") == []

"""How a run stands: from its result, its processes, their heartbeats and the wish to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsl.errors import RunError
from runner.runs.process import create_time
from runner.runs.state import STALE_SECONDS, lives, state, stop, supervised
from runner.runs.store import RunFolder, read_json, write_json


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "legal-1")


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """One that can be told to be supervisor or worker, and that says so when SIGTERM comes."""
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print('ready', flush=True); time.sleep(600)"
    )
    made = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert made.stdout is not None
    made.stdout.readline()
    yield made
    made.kill()
    made.communicate()


def note(path: Path, pid: int, **more: object) -> None:
    write_json(path, {"pid": pid, "create_time": create_time(pid), **more})


def test_a_process_tells_its_own_state(run: RunFolder) -> None:
    with supervised(run, 1) as tell:
        assert state(run) == "starting"
        for now in ("queued", "running"):
            tell(now)  # type: ignore[arg-type]
            assert state(run) == now
        run.stop.touch()
        assert state(run) == "stopping"
    assert read_json(run.supervisor(1))["pid"] == os.getpid()


def test_the_last_attempt_counts(run: RunFolder, process: subprocess.Popen[bytes]) -> None:
    note(run.supervisor(1), process.pid, state="running")
    assert run.supervisor() == run.supervisor(1)
    with supervised(run, 2):
        assert run.supervisor() == run.supervisor(2)
        assert state(run) == "starting"


def test_a_run_that_ended_is_what_its_result_says(run: RunFolder) -> None:
    with supervised(run, 1):
        write_json(run.result, {"status": "gate_failed"})
        assert state(run) == "gate_failed"


def test_without_process_and_result_it_is_lost(
    run: RunFolder, process: subprocess.Popen[bytes]
) -> None:
    run.path.mkdir()
    assert state(run) == "lost"
    note(run.supervisor(1), process.pid, state="running")
    assert state(run) == "running"
    process.kill()
    process.wait()
    assert state(run) == "lost"


@pytest.mark.parametrize("who", ["supervisor", "worker"])
def test_without_a_heartbeat_it_is_stalled(
    who: str, run: RunFolder, process: subprocess.Popen[bytes]
) -> None:
    """The worker's beat counts while it works: the supervisor's goes on when that is frozen."""
    note(run.supervisor(1), process.pid, state="running")
    path = run.supervisor(1)
    if who == "worker":
        note(run.worker, process.pid)
        path = run.worker
    assert state(run) == "running"
    before = time.time() - STALE_SECONDS - 1
    os.utime(path, (before, before))
    assert state(run) == "stalled"


def test_an_orphan_is_stopping(run: RunFolder, process: subprocess.Popen[bytes]) -> None:
    write_json(run.supervisor(1), {"pid": 2**22 + 1, "create_time": "1", "state": "running"})
    note(run.worker, process.pid)
    assert state(run) == "stopping"


def test_stopping_asks_by_file_and_signal_once(
    run: RunFolder, process: subprocess.Popen[bytes]
) -> None:
    note(run.supervisor(1), process.pid, state="running")
    stop(run)
    assert process.wait(20) == 7
    assert run.stop.exists()


def test_asking_again_sends_no_second_signal(
    run: RunFolder, process: subprocess.Popen[bytes]
) -> None:
    """A second one would end the run without its checkpoint."""
    note(run.supervisor(1), process.pid, state="running")
    run.stop.touch()
    stop(run)
    process.send_signal(signal.SIGINT)  # it comes after what stop would have sent
    assert process.wait(20) != 7


@pytest.mark.parametrize(("status", "said"), [(None, "is gone"), ("done", "has ended: done")])
def test_what_does_not_go_on_cannot_be_stopped(
    status: str | None, said: str, run: RunFolder
) -> None:
    run.path.mkdir()
    if status:
        write_json(run.result, {"status": status})
    with pytest.raises(RunError, match=said):
        stop(run)
    assert not run.stop.exists()


@pytest.mark.parametrize("content", ['{"pid": "x"}', "{}", '{"pid": 1, "create_time": null}'])
def test_a_note_that_names_no_process_names_none_that_lives(content: str, tmp_path: Path) -> None:
    (tmp_path / "worker.json").write_text(content)
    assert not lives(tmp_path / "worker.json")


def test_damage_is_told(run: RunFolder) -> None:
    run.path.mkdir()
    run.result.write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        state(run)

"""The run directory: events that survive a kill, files that are whole, one owner at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.errors import RunError
from runner.runs.events import EventLog, EventReader, read_events
from runner.runs.process import create_time, wait_until, worker_lives
from runner.runs.store import (
    RunFolder,
    list_runs,
    new_run,
    open_run,
    owned,
    read_json,
    write_bytes,
    write_json,
)

# Events ----------------------------------------------------------------------------------------


def test_events_come_back_in_order_with_where_they_belong(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl", "train", 2)
    log("train", at=1, loss=2.5)
    log("message", level="info", text="line\nbreak, ü, \u2028")
    first, second = read_events(log.path)
    assert (first["step"], first["attempt"], first["at"], first["loss"]) == ("train", 2, 1, 2.5)
    assert second["text"] == "line\nbreak, ü, \u2028"
    assert first["time"] <= second["time"]
    assert read_events(tmp_path / "none.jsonl") == []


def test_what_is_no_number_is_never_written(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl", "train", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        log("train", loss=float("nan"))
    assert read_events(log.path) == []


def test_a_line_torn_by_a_kill_costs_no_other(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl", "train", 1)
    log("train", at=1)
    with log.path.open("a") as file:
        file.write('{"type": "train", "at": 2, "lo')
    log("train", at=3)
    assert [event["at"] for event in read_events(log.path)] == [1, 3]


@given(cuts=st.lists(st.integers(0, 400), max_size=12))
def test_a_reader_sees_each_event_once_however_it_is_written(cuts: list[int]) -> None:
    import tempfile

    lines = [json.dumps({"type": "train", "at": n, "text": "ü" * n}) + "\n" for n in range(6)]
    content = "".join(lines).encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        reader, seen, before = EventReader(path), [], 0
        for cut in [*sorted(min(cut, len(content)) for cut in cuts), len(content)]:
            with path.open("ab") as file:
                file.write(content[before:cut])
            before = cut
            seen += [event["at"] for event in reader.new()]
    assert seen == list(range(6))


def test_two_processes_write_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    script = (
        "import sys; from pathlib import Path; from runner.runs.events import EventLog\n"
        "log = EventLog(Path(sys.argv[1]), sys.argv[2], 1)\n"
        "for n in range(200): log('message', level='info', text='x' * 500, n=n)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, path, step]) for step in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    events = read_events(path)
    for step in "ab":
        assert [event["n"] for event in events if event["step"] == step] == list(range(200))


# Files -----------------------------------------------------------------------------------------


def test_json_is_written_whole_with_its_version(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "a.json", {"text": "ü"})
    assert read_json(tmp_path / "deep" / "a.json") == {"schema_version": 1, "text": "ü"}
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.json"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"n": 1})
    script = (
        "import resource; from pathlib import Path; from runner.runs.store import write_bytes\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        f"write_bytes(Path({str(path)!r}), b'x' * 100_000)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "File too large" in done.stderr
    assert read_json(path)["n"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_two_that_write_a_file_at_once_leave_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    texts = [letter * 50_000 for letter in (b"a", b"b", b"c", b"d")]

    def write(text: bytes) -> None:
        for _ in range(25):
            write_bytes(path, text)
            assert path.read_bytes() in texts

    with ThreadPoolExecutor(len(texts)) as pool:
        list(pool.map(write, texts))
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("content", ["", "{", "[1]", "null", '"text"', "\x00"])
def test_what_is_no_object_is_told(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(RunError, match=r"a\.json"):
        read_json(tmp_path / "a.json")
    with pytest.raises(RunError, match="is missing"):
        read_json(tmp_path / "b.json")


# Runs ------------------------------------------------------------------------------------------


def run_of(runs: Path, name: str, created: str) -> RunFolder:
    folder = RunFolder(runs / name)
    write_json(folder.run, {"id": name, "created": created})
    return folder


def test_runs_are_found_by_id_beginning_or_last(tmp_path: Path) -> None:
    old, new = run_of(tmp_path, "legal-b", "2026-01-01"), run_of(tmp_path, "legal-a", "2026-01-02")
    (tmp_path / "no-run").mkdir()
    (tmp_path / "a file").write_text("")
    assert list_runs(tmp_path) == [old, new]
    assert open_run(tmp_path, "last") == new
    assert open_run(tmp_path, "legal-b") == old
    assert open_run(run_of(tmp_path, "x", "2020").path.parent, "x").id == "x"
    for wrong, said in (("legal", "2 runs begin with"), ("none", "no run is called"),
                        ("../legal-a", "is not the id"), ("", "is not the id")):  # fmt: skip
        with pytest.raises(RunError, match=said):
            open_run(tmp_path, wrong)
    with pytest.raises(RunError, match="no runs in"):
        open_run(tmp_path / "nowhere", "last")


def test_an_id_that_begins_another_is_that_run(tmp_path: Path) -> None:
    short = run_of(tmp_path, "legal-1", "2026-01-01")
    run_of(tmp_path, "legal-12", "2026-01-02")
    assert open_run(tmp_path, "legal-1") == short


def test_new_runs_never_meet(tmp_path: Path) -> None:
    made = {new_run(tmp_path / "runs", "legal").id for _ in range(20)}
    assert len(made) == 20
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="no run can be made"):
        new_run(tmp_path / "file", "legal")


def test_attempts_are_counted_in_order(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for number in (1, 2, 10):
        run.checkpoints(number).mkdir(parents=True)
    (tmp_path / "attempts" / "notes").mkdir()
    assert [path.name for path in run.attempts()] == ["001", "002", "010"]


# Processes -------------------------------------------------------------------------------------


def python(script: str, *words: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, words)], stdout=subprocess.PIPE
    )


def test_one_process_owns_a_run_until_it_dies(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    script = (
        "import sys, time; from pathlib import Path; from runner.runs.store import *\n"
        "with owned(RunFolder(Path(sys.argv[1]))): print('mine', flush=True); time.sleep(600)"
    )
    other = python(script, tmp_path)
    assert other.stdout is not None
    assert other.stdout.readline() == b"mine\n"
    with pytest.raises(RunError, match="going on in another process"), owned(run):
        pass
    other.kill()
    other.communicate()
    with owned(run):
        assert (tmp_path / ".lock").exists()


def entry(run: RunFolder, pid: int, began: str | None) -> None:
    write_json(run.worker, {"pid": pid, "create_time": began, "step": "train"})


def test_a_worker_lives_while_its_very_process_does(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert not worker_lives(run)
    process = python("import time; time.sleep(600)")
    entry(run, process.pid, create_time(process.pid))
    assert worker_lives(run)
    entry(run, process.pid, "1")  # the pid was given to another process since
    assert not worker_lives(run)
    entry(run, process.pid, create_time(process.pid))
    process.send_signal(signal.SIGKILL)
    assert wait_until(lambda: not worker_lives(run), 20)  # a zombie does not live
    process.communicate()
    assert not worker_lives(run)


HEART = (
    "import sys, time; from pathlib import Path; from runner.runs.process import *\n"
    "from runner.runs.store import RunFolder\n"
    "with Heartbeat(RunFolder(Path(sys.argv[1])), 'train', 1) as heart:\n"
    "    print('beats', flush=True)\n"
    "    if not wait_until(heart.stopping, 60): sys.exit(9)\n"
)


@pytest.mark.parametrize("wish", ["SIGTERM", "SIGINT", "a file"])
def test_a_heart_hears_a_wish_to_stop(wish: str, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    process = python(HEART, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == b"beats\n"
    known = read_json(run.worker)
    assert (known["pid"], known["state"], known["step"]) == (process.pid, "running", "train")
    assert worker_lives(run)
    if wish == "a file":
        run.stop.touch()
    else:
        process.send_signal(getattr(signal, wish))
    process.communicate()
    assert process.returncode == 0
    assert read_json(run.worker)["state"] == "ended"


def test_a_child_hears_the_death_of_its_supervisor(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    script = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', sys.argv[2], sys.argv[1]],"
        " start_new_session=True)\nchild.wait()"
    )
    supervisor = python(script, tmp_path, HEART)
    assert supervisor.stdout is not None
    assert supervisor.stdout.readline() == b"beats\n"
    child = read_json(run.worker)["pid"]
    os.kill(supervisor.pid, signal.SIGKILL)
    supervisor.wait()
    assert wait_until(lambda: read_json(run.worker)["state"] == "ended", 60)
    assert wait_until(lambda: create_time(child) is None, 20)
    supervisor.stdout.close()


def test_waiting_tells_whether_it_came() -> None:
    answers: list[Any] = [False, False, True]
    assert wait_until(lambda: answers.pop(0), 10, every=0)
    assert not wait_until(lambda: False, 0)
    assert not answers


def test_bytes_are_replaced(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"1")
    write_bytes(tmp_path / "a", b"2")
    assert (tmp_path / "a").read_bytes() == b"2"

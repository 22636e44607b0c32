"""Turns on a device: one at a time, in order, and a dead process keeps nobody waiting."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from dsl.errors import Interrupted
from runner.runs.process import create_time, wait_until
from runner.runs.queue import QUEUE, Ticket, tickets, turn
from runner.runs.store import RunFolder, write_json

HOLDER = (
    "import sys; from pathlib import Path; from runner.runs.queue import turn\n"
    "from runner.runs.store import RunFolder\n"
    "def say(*words): print(*words, flush=True)\n"
    "run = RunFolder(Path(sys.argv[1]))\n"
    "waiting = lambda before: say('waits for', before.run)\n"
    "with turn(run, sys.argv[2], run.stop.exists, waiting):\n"
    "    say('has it'); sys.stdin.readline()\n"
)


class Holder:
    """A process that wants its turn, and has it until it is told to go on."""

    def __init__(self, run: RunFolder, device: str = "cpu") -> None:
        run.path.mkdir(exist_ok=True, parents=True)
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(run.path), device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.out: IO[str] = self.process.stdout

    def says(self) -> str:
        return self.out.readline().strip()

    def leave(self) -> None:
        self.process.communicate("\n")


@pytest.fixture
def holders() -> Iterator[list[Holder]]:
    made: list[Holder] = []
    yield made
    for holder in made:
        holder.process.kill()
        holder.process.communicate()


def silent(_: Ticket) -> None:
    return None


def test_whoever_is_alone_has_it_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "a")
    with turn(run, "cpu", lambda: False, silent):
        assert tickets(tmp_path) == [Ticket(1, "cpu", "a")]
    assert not (tmp_path / QUEUE).exists()


def test_turns_come_in_the_order_of_the_tickets(tmp_path: Path, holders: list[Holder]) -> None:
    for name in "abc":
        holders.append(Holder(RunFolder(tmp_path / name)))
        assert holders[-1].says() == ("has it" if name == "a" else "waits for a")
    assert [(ticket.number, ticket.run) for ticket in tickets(tmp_path)] == [
        (1, "a"), (2, "b"), (3, "c"),
    ]  # fmt: skip
    first, second, third = holders
    first.leave()
    assert second.says() == "has it"
    assert third.says() == "waits for b"
    second.leave()
    assert third.says() == "has it"
    third.leave()
    assert not (tmp_path / QUEUE).exists()


def test_the_kernel_frees_the_turn_of_who_is_killed(tmp_path: Path, holders: list[Holder]) -> None:
    for name in "ab":
        holders.append(Holder(RunFolder(tmp_path / name)))
        holders[-1].says()
    holders[0].process.send_signal(signal.SIGKILL)
    assert holders[1].says() == "has it"
    assert [ticket.run for ticket in tickets(tmp_path)] == ["b"]
    # the next ticket throws the dead one away
    holders.append(Holder(RunFolder(tmp_path / "c")))
    assert holders[2].says() == "waits for b"
    assert len(list((tmp_path / QUEUE / "cpu").iterdir())) == 2


def test_another_device_is_not_waited_for(tmp_path: Path, holders: list[Holder]) -> None:
    holders.append(Holder(RunFolder(tmp_path / "a"), "cuda"))
    assert holders[0].says() == "has it"
    with turn(RunFolder(tmp_path / "b"), "cpu", lambda: False, silent):
        assert {ticket.device for ticket in tickets(tmp_path)} == {"cpu", "cuda"}
    assert [ticket.run for ticket in tickets(tmp_path)] == ["a"]


def test_who_waits_can_give_up(tmp_path: Path, holders: list[Holder]) -> None:
    holders.append(Holder(RunFolder(tmp_path / "a")))
    holders[0].says()
    run, told = RunFolder(tmp_path / "b"), list[Ticket]()
    with (
        pytest.raises(Interrupted) as given_up,
        turn(run, "cpu", lambda: bool(told), told.append),
    ):
        pytest.fail("it had its turn")
    assert told == [Ticket(1, "cpu", "a")]
    assert given_up.value.hint == "go on with: recipe run --resume b"
    assert [ticket.run for ticket in tickets(tmp_path)] == ["a"]


def test_a_worker_that_outlives_its_supervisor_keeps_the_device(
    tmp_path: Path, holders: list[Holder]
) -> None:
    """It still saves its checkpoint; two trainings at once may not fit into memory."""
    run = RunFolder(tmp_path / "a")
    holders.append(Holder(run))
    holders[0].says()
    orphan = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    write_json(run.worker, {"pid": orphan.pid, "create_time": create_time(orphan.pid)})
    holders[0].process.kill()
    holders[0].process.wait()
    holders.append(Holder(RunFolder(tmp_path / "b")))
    assert holders[1].says() == "waits for a"
    orphan.kill()
    orphan.wait()
    assert holders[1].says() == "has it"


def test_what_is_no_ticket_is_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / QUEUE / "cpu"
    folder.mkdir(parents=True)
    for name, content in {"000001.json": "", "000002.json": "[]", "note.json": "{}"}.items():
        (folder / name).write_text(content)
    assert tickets(tmp_path) == []
    with turn(RunFolder(tmp_path / "a"), "cpu", lambda: False, silent):
        assert [ticket.run for ticket in tickets(tmp_path)] == ["a"]


# A run from a terminal ---------------------------------------------------------------------------


def test_a_run_waits_its_turn_and_can_be_cancelled(
    tmp_path: Path, write_recipe: object, start: object, recipe: object
) -> None:
    """The device is held by another run; no model is touched before the turn comes."""
    assert callable(write_recipe) and callable(start) and callable(recipe)
    write_recipe(tmp_path)
    runs = tmp_path / "runs"
    other = RunFolder(runs / "other")
    other.path.mkdir(parents=True)
    with turn(other, "cpu", lambda: False, silent):
        process = start("run", "tiny.json", cwd=tmp_path)
        assert wait_until(lambda: len(tickets(runs)) == 2, 60)
        assert wait_until(lambda: "queued" in recipe("runs", cwd=tmp_path).out, 60)
        stopped = recipe("stop", "last", cwd=tmp_path)
        out, _ = process.communicate(timeout=60)
    assert (stopped.code, process.returncode) == (0, 130)
    assert "asked to stop" in stopped.out
    assert "waiting for run other, which has the device (cpu)" in out
    assert "stopped while it waited for its turn" in out
    again = recipe("stop", "last", cwd=tmp_path)
    assert again.code == 1 and "it has ended: interrupted" in again.err

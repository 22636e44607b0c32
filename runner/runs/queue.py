"""Whose turn it is on a device: a ticket each in runs/.queue, first come, first served.

A ticket is a file that its process holds a lock on. The kernel frees the lock when the process
dies, however it dies, so no ticket of the dead keeps others waiting. Tickets are drawn and given
back under a lock on the folder of the runs; without tickets there is no queue folder.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dsl.errors import Interrupted
from runner.runs.state import lives
from runner.runs.store import RunFolder

QUEUE = ".queue"
POLL_SECONDS = 0.5
DIGITS = 6


@dataclass(frozen=True, slots=True)
class Ticket:
    """The lowest number of a device has it; the others wait in their order."""

    number: int
    device: str
    run: str


def tickets(runs: Path, device: str = "*") -> list[Ticket]:
    """Those that count, by device and number."""
    return [
        ticket
        for path in sorted((runs / QUEUE).glob(f"{device}/*.json"))
        if (ticket := _read(path)) and _counts(runs, path, ticket)
    ]


@contextmanager
def turn(
    run: RunFolder, device: str, wished: Callable[[], bool], waiting: Callable[[Ticket], None]
) -> Iterator[None]:
    """Holds the device for a run of this process, once all who came before have left.

    `waiting` is told who has the device, again when that changes. Raises Interrupted where
    `wished` says that the run shall stop, or a signal comes.
    """
    runs = run.path.parent
    path, file = _draw(runs, device, run.id)
    try:
        try:
            _wait(runs, device, int(path.stem), wished, waiting)
        except KeyboardInterrupt:
            hint = f"go on with: recipe run --resume {run.id}"
            raise Interrupted("stopped while it waited for its turn", hint) from None
        yield
    finally:
        with _alone(runs):
            path.unlink(missing_ok=True)
            file.close()
            with suppress(OSError):  # others wait
                path.parent.rmdir()
                path.parent.parent.rmdir()


def _wait(
    runs: Path,
    device: str,
    number: int,
    wished: Callable[[], bool],
    waiting: Callable[[Ticket], None],
) -> None:
    told: Ticket | None = None
    while before := [ticket for ticket in tickets(runs, device) if ticket.number < number]:
        if before[0] != told:
            told = before[0]
            waiting(told)
        if wished():
            raise KeyboardInterrupt
        time.sleep(POLL_SECONDS)


def _draw(runs: Path, device: str, run_id: str) -> tuple[Path, IO[str]]:
    """A new ticket, its file and the lock on it; those that no longer count are thrown away."""
    with _alone(runs):
        folder = runs / QUEUE / device
        folder.mkdir(parents=True, exist_ok=True)
        number = 0
        for path in sorted(folder.glob("*.json")):
            ticket = _read(path)
            if ticket is None or ticket.run == run_id or not _counts(runs, path, ticket):
                path.unlink()
            else:
                number = ticket.number
        path = folder / f"{number + 1:0{DIGITS}d}.json"
        file = path.open("w", encoding="utf-8")
        fcntl.flock(file, fcntl.LOCK_EX)
        json.dump({"run": run_id, "pid": os.getpid()}, file)
        file.flush()
    return path, file


def _read(path: Path) -> Ticket | None:
    """None for a ticket that was given back meanwhile, or that its writer never finished."""
    try:
        return Ticket(int(path.stem), path.parent.name, str(json.loads(path.read_text())["run"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _counts(runs: Path, path: Path, ticket: Ticket) -> bool:
    """Its process lives; or that died, and its worker still saves a checkpoint on the device."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return lives(RunFolder(runs / ticket.run).worker)


@contextmanager
def _alone(runs: Path) -> Iterator[None]:
    """One process at a time changes the queue."""
    descriptor = os.open(runs, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

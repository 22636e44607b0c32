"""How a run stands, told by its files and its processes; and the wish to stop it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, cast

from dsl.errors import RunError
from runner.runs.process import BEAT_SECONDS, create_time
from runner.runs.store import RunFolder, read_json, write_json

State = Literal[
    "starting",
    "queued",
    "running",
    "stopping",
    "stalled",
    "lost",
    "done",
    "gate_failed",
    "inconclusive",
    "failed",
    "interrupted",
]
GOING_ON: tuple[State, ...] = ("starting", "queued", "running", "stopping", "stalled")
STALE_SECONDS = 30.0  # a living process that has not beaten for so long is frozen


def state(run: RunFolder) -> State:
    """How a run stands. Raises RunError where its files are damaged."""
    if ended := _ended(run):
        return ended
    supervisor = run.supervisor()
    if lives(supervisor):
        if _silent_seconds(run, supervisor) > STALE_SECONDS:
            return "stalled"
        if run.stop.exists():
            return "stopping"
        return cast(State, read_json(supervisor).get("state", "running"))
    if lives(run.worker):
        # an orphan saves a checkpoint and ends
        return "stopping" if supervisor.exists() else "running"
    # the end may have been written while its process went away
    return _ended(run) or "lost"


def lives(entry: Path) -> bool:
    """Whether the process that wrote this file {pid, create_time} still runs."""
    if not entry.exists():
        return False
    known = read_json(entry)
    pid = known.get("pid")
    began = create_time(pid) if isinstance(pid, int) else None
    return began is not None and began == known.get("create_time")


def stop(run: RunFolder) -> None:
    """Asks a run to save a checkpoint and end. Asking again changes nothing.

    Raises RunError where it does not go on.
    """
    if (now := state(run)) not in GOING_ON:
        words = "its process is gone" if now == "lost" else f"it has ended: {now}"
        raise RunError(f"run {run.id} does not go on: {words}", "'recipe runs' lists them")
    if run.stop.exists():
        return  # a second signal would end it without a checkpoint
    run.stop.touch()
    if lives(supervisor := run.supervisor()):
        # the file is enough where the process is another user's
        with suppress(ProcessLookupError, PermissionError):
            os.kill(read_json(supervisor)["pid"], signal.SIGTERM)


@contextmanager
def supervised(run: RunFolder, attempt: int) -> Iterator[Callable[[State], None]]:
    """Records this process in the attempt's supervisor.json while it carries the run out.

    Yields what tells another state of it: starting, queued, running.
    """
    pid, path = os.getpid(), run.supervisor(attempt)
    entry: dict[str, Any] = {"pid": pid, "create_time": create_time(pid), "attempt": attempt}
    over = threading.Event()

    def tell(now: State) -> None:
        write_json(path, entry | {"state": now})

    def beat() -> None:
        while not over.wait(BEAT_SECONDS):
            with suppress(OSError):
                os.utime(path)

    tell("starting")
    threading.Thread(target=beat, daemon=True).start()
    try:
        yield tell
    finally:
        over.set()


def _ended(run: RunFolder) -> State | None:
    return cast(State, read_json(run.result).get("status")) if run.result.exists() else None


def _silent_seconds(run: RunFolder, supervisor: Path) -> float:
    """Since the last beat of the process that does the work now."""
    beating = run.worker if lives(run.worker) else supervisor
    try:
        return time.time() - beating.stat().st_mtime
    except FileNotFoundError:
        return 0.0

"""Processes: the heartbeat of a child, and whether a recorded process still lives."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner.runs.store import RunFolder, read_json, write_json

BEAT_SECONDS = 2.0


def create_time(pid: int) -> str | None:
    """When a process began, in the kernel's ticks; with the pid it names one process for good."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    # field 3 of the line is the state: a zombie has ended
    return None if fields[0] == "Z" else fields[19]


class Heartbeat:
    """Records this process in worker.json, and watches whether it should stop.

    A stop is asked for by SIGTERM or SIGINT, by a file `stop` in the run, or by the death of the
    supervisor: its child must not train on unseen.
    """

    def __init__(self, run: RunFolder, step: str, attempt: int) -> None:
        self.run = run
        self._wish = threading.Event()
        self._over = threading.Event()
        self._parent = os.getppid()
        self._entry: dict[str, Any] = {
            "pid": os.getpid(),
            "create_time": create_time(os.getpid()),
            "step": step,
            "attempt": attempt,
        }

    def __enter__(self) -> Heartbeat:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._wish.set())
        write_json(self.run.worker, self._entry | {"state": "running"})
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        write_json(self.run.worker, self._entry | {"state": "ended"})

    def stopping(self) -> bool:
        return self._wish.is_set()

    def _beat(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            with suppress(OSError):
                os.utime(self.run.worker)
            if self.run.stop.exists() or os.getppid() != self._parent:
                self._wish.set()


def worker_lives(run: RunFolder) -> bool:
    """Whether the process in worker.json still runs."""
    if not run.worker.exists():
        return False
    entry = read_json(run.worker)
    began = create_time(int(entry["pid"]))
    return began is not None and began == entry["create_time"]


def wait_until(done: Callable[[], bool], seconds: float, every: float = 0.1) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(every)
    return done()

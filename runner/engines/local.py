"""The local engine: one child process a step, on this machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from runner.runs.store import RunFolder


def start(run: RunFolder, step: str, attempt: int) -> subprocess.Popen[bytes]:
    """Starts a step. Its output goes to log.txt; Ctrl-C reaches it only through the supervisor."""
    with run.log.open("ab") as log:
        return subprocess.Popen(
            command(run.path, step, attempt),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def command(folder: Path, step: str, attempt: int) -> list[str]:
    worker = "runner.engines.worker"
    # -P: a module of the user's folder must not stand in for one of ours
    return [sys.executable, "-P", "-m", worker, str(folder.absolute()), step, str(attempt)]

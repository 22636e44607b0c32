"""Runs one step in a child process: shows its events, passes a wish to stop on, tells the end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from typing import Any

from dsl.errors import Interrupted, StepFailed
from runner.engines import local
from runner.engines.worker import STOPPED
from runner.job import Job
from runner.runs.events import EventReader

POLL_SECONDS = 0.2
# for the checkpoint of a child that was asked to stop; a fetch keeps nothing and need not wait
GRACE_SECONDS = 180.0
GRACE_OF_FETCH_SECONDS = 2.0
SIGNALS = {signal.SIGKILL: "killed (SIGKILL): often the system, for want of memory"}


def run_child(job: Job, step: str) -> None:
    """Raises StepFailed where the child fails, Interrupted where it was stopped."""
    job.write_facts()
    reader = EventReader(job.run.events)
    list(reader.new())  # what was before
    process = local.start(job.run, step, job.attempt)
    failure: dict[str, Any] | None = None
    try:
        ended = False
        while not ended:
            ended = process.poll() is not None  # asked before reading: nothing said is missed
            for event in reader.new():
                failure = event if event["type"] == "failed" else failure
                job.display.event(event)
            if not ended:
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        _stop(job, step, process)
        raise interrupted(job, step) from None
    finally:
        _kill(process)
    if process.returncode == STOPPED:
        raise interrupted(job, step)
    if failure:
        raise StepFailed(failure["message"], failure.get("hint"), process.returncode)
    if process.returncode:
        how = ended_by(process.returncode)
        hint = f"see {job.run.log}; go on with: recipe run --resume {job.run.id}"
        raise StepFailed(f"{step} ended without a word: {how}", hint, process.returncode)


def interrupted(job: Job, step: str) -> Interrupted:
    return Interrupted(f"stopped during {step}", f"go on with: recipe run --resume {job.run.id}")


def ended_by(code: int) -> str:
    """A process's return code in words; negative ones are signals."""
    if code >= 0:
        return f"exit status {code}"
    try:
        number = signal.Signals(-code)
    except ValueError:  # a real-time signal
        return f"signal {-code}"
    return SIGNALS.get(number, number.name)


def _stop(job: Job, step: str, process: subprocess.Popen[bytes]) -> None:
    """Asks for a checkpoint and waits for it; a second Ctrl-C ends the child at once."""
    job.display.line("stopping: what is done is kept (Ctrl-C again ends at once)")
    grace = GRACE_OF_FETCH_SECONDS if step == "model" else GRACE_SECONDS
    with suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
        process.terminate()
        process.wait(grace)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a child that still runs, and what it started (pip)."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

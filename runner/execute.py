"""Carries a plan out step by step, and writes result.json and the report at every end."""

from __future__ import annotations

import errno
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from dsl.errors import Interrupted, RecipeError, RunError
from dsl.plan import Plan
from dsl.recipe import Recipe
from runner.children import interrupted
from runner.evals.gates import exit_status, overall
from runner.evals.suites import METRICS_FILE, judge_all
from runner.job import Job, finished
from runner.probe import hardware
from runner.runs.process import wait_until, worker_lives
from runner.runs.queue import Ticket, turn
from runner.runs.state import State, supervised
from runner.runs.store import RunFolder, owned, read_json, write_bytes, write_json
from runner.steps import CACHED, STEPS

ORPHAN_SECONDS = 180.0  # for the checkpoint of a worker whose supervisor died
VERDICTS = {"pass": "done", "fail": "gate_failed", "inconclusive": "inconclusive"}


def begin(run: RunFolder, plan: Plan, recipe_text: str, about: dict[str, Any]) -> None:
    """Writes what a run starts from. Raises RunError."""
    try:
        about = about | {"created": _now("microseconds")}  # exact: runs are ordered by it
        write_json(run.run, {"id": run.id, "name": plan.recipe.name, **about})
        write_bytes(run.recipe, recipe_text.encode())
        write_json(run.plan, plan.to_json())
    except OSError as error:
        hint = "make room, then run the recipe again"
        raise RunError(_of_the_system(error, run).message, hint) from None


def execute(job: Job, cause: str) -> dict[str, Any]:
    """Waits for its turn on the device and runs every step that is not done yet.

    Returns the result, as result.json has it.

    result.json is written last, whatever happens. Raises RunError only where another process has
    the run.
    """
    began, seconds = time.monotonic(), dict[str, float]()
    with owned(job.run):
        end = _ended_by(RunError("a fault of this program", "its traceback says more"))
        try:
            with _signals_interrupt(), supervised(job.run, job.attempt) as tell:
                _begin_attempt(job, cause)
                with _turn(job, tell):
                    began = time.monotonic()
                    _run_steps(job, seconds)
                    end = _judged(job)
        except KeyboardInterrupt:
            end = _ended_by(interrupted(job, "the run"))
        except RecipeError as error:
            end = _ended_by(error)
        except OSError as error:
            end = _ended_by(_of_the_system(error, job.run))
        finally:
            if job.prepared is not None:
                job.prepared.close()
            result = {
                **end,
                "attempt": job.attempt,
                "seconds": {name: round(value, 2) for name, value in seconds.items()},
                "total_seconds": round(time.monotonic() - began, 2),
                "ended": _now(),
            }
            with suppress(OSError, RecipeError):  # a full disk: the exit status still tells
                write_json(job.run.result, result)
                write_report(job.run, job.recipe)
    return result


def write_report(run: RunFolder, recipe: Recipe) -> dict[str, Any]:
    """Derives report.json and report.html from the artifacts; can be done again at any time."""
    from runner.report.collect import collect
    from runner.report.html import write
    from runner.report.words import condition

    steps = read_json(run.plan)["steps"]
    mark = next(step["fingerprint"] for step in steps if step["name"] == "evaluate")
    folder = run.evaluation(mark)
    judged = judge_all(folder, recipe.eval.gates) if (folder / METRICS_FILE).exists() else []
    gates = [
        {
            "metric": gate.metric,
            "condition": condition(asdict(gate)),
            "verdict": found.status,
            "reason": found.reason,
            "required": gate.required,
        }
        for gate, found in judged
    ]
    report = collect(run.path, gates, overall(v for _, v in judged) if judged else None)
    write(run.path, report)
    return report


def _judged(job: Job) -> dict[str, Any]:
    verdicts = [verdict for _, verdict in judge_all(job.evaluation, job.recipe.eval.gates)]
    status = VERDICTS[overall(verdicts)]
    return {"status": status, "exit": exit_status(verdicts), "reason": None, "hint": None}


def _ended_by(error: RecipeError) -> dict[str, Any]:
    status = "interrupted" if isinstance(error, Interrupted) else "failed"
    return {
        "status": status,
        "exit": error.exit_status,
        "reason": error.message,
        "hint": error.hint,
    }


def _begin_attempt(job: Job, cause: str) -> None:
    """Waits for what the last attempt left, and clears its end away."""
    if worker_lives(job.run):
        job.display.line("the last attempt's worker still runs alone: it is asked to stop")
        job.run.stop.touch()
        if not wait_until(lambda: not worker_lives(job.run), ORPHAN_SECONDS):
            raise RunError("the last attempt's worker does not stop", f"see {job.run.worker}")
    parent = job.attempt - 1 or None
    write_json(
        job.run.attempt(job.attempt) / "patch.json",
        {"parent": parent, "cause": cause, "changes": []},
    )
    job.run.stop.unlink(missing_ok=True)
    job.run.result.unlink(missing_ok=True)


@contextmanager
def _turn(job: Job, tell: Callable[[State], None]) -> Iterator[None]:
    """The device for this run alone; what it waits for is said."""

    def waiting(before: Ticket) -> None:
        tell("queued")
        job.display.line(f"waiting for run {before.run}, which has the device ({before.device})")

    device = hardware(job.recipe.compute.device).device
    with turn(job.run, device, job.run.stop.exists, waiting):
        tell("running")
        yield


def _run_steps(job: Job, seconds: dict[str, float]) -> None:
    done = finished(job.run)
    if job.located.folder is None:
        done.discard("model")  # the cache was emptied since
    for step in job.steps:
        name = step["name"]
        if name not in STEPS:
            continue
        if name in done:
            job.display.step(name, "done before")
            continue
        if job.run.stop.exists():
            raise interrupted(job, name)
        log, began = job.events(name), time.monotonic()
        log("started", fingerprint=step["fingerprint"])
        job.display.step(name, step["title"])
        said = STEPS[name](job)
        seconds[name] = time.monotonic() - began
        cached = said.startswith(CACHED)
        log("ended", seconds=round(seconds[name], 3), cached=cached, reason=said)
        if said:
            job.tell(said)


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """SIGTERM, and a terminal that is closed, end a run as Ctrl-C does: in order."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {}
    with suppress(ValueError):  # not the main thread: the caller keeps its handlers
        for number in (signal.SIGTERM, signal.SIGHUP):
            before[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _of_the_system(failure: OSError, run: RunFolder) -> RunError:
    full = failure.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    hint = f"make room, then: recipe run --resume {run.id}" if full else None
    return RunError(f"{failure.strerror or failure}: {failure.filename or run.path}", hint)


def _now(timespec: str = "seconds") -> str:
    return datetime.now(UTC).isoformat(timespec=timespec)

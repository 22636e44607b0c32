"""Carries a plan out: supervises one child a step, and writes result.json at every end."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dsl.errors import DataError, Interrupted, RecipeError, RunError, StepFailed
from dsl.methods import info
from dsl.plan import Plan
from dsl.recipe import Recipe
from runner.bases import Located, cache, chat_format, hashes, locate, tokenizer, verify
from runner.data import checks
from runner.data.tokens import read_summary, tokenise
from runner.engines import local
from runner.engines.worker import STOPPED
from runner.evals.gates import exit_status, overall
from runner.evals.suites import judge_all
from runner.lock import make_lock, refuse_differences
from runner.progress import Display
from runner.runs.events import EventLog, EventReader, read_events
from runner.runs.store import RunFolder, owned, read_json, write_json

POLL_SECONDS = 0.2
GRACE_SECONDS = 180.0  # for the checkpoint of a child that was asked to stop
SIGNALS = {signal.SIGKILL: "killed (SIGKILL): often the system, for want of memory"}


@dataclass(frozen=True, slots=True)
class Job:
    """A run as its supervisor sees it. `prepared` is None when a run is resumed."""

    run: RunFolder
    recipe: Recipe
    steps: Sequence[dict[str, Any]]
    attempt: int
    folder: Path
    offline: bool
    display: Display
    prepared: Any = None
    lock: dict[str, Any] | None = None
    located: Located = field(init=False)

    def __post_init__(self) -> None:
        found = locate(self.recipe.model.base, self.recipe.model.revision, self.folder)
        object.__setattr__(self, "located", found)

    def events(self, step: str) -> EventLog:
        return EventLog(self.run.events, step, self.attempt)

    def fingerprint(self, step: str) -> str:
        return next(str(s["fingerprint"]) for s in self.steps if s["name"] == step)


def begin(run: RunFolder, plan: Plan, recipe_text: str, about: dict[str, Any]) -> None:
    """Writes what a run starts from."""
    write_json(run.run, {"id": run.id, "name": plan.recipe.name, **about, "created": _now()})
    run.recipe.write_text(recipe_text, "utf-8")
    write_json(run.plan, plan.to_json())


def execute(job: Job, cause: str) -> int:
    """Runs every step that is not done yet. Returns the exit status; raises nothing of ours.

    result.json is written last, whatever happens.
    """
    began, seconds = time.monotonic(), dict[str, float]()
    with owned(job.run):
        parent = job.attempt - 1 or None
        write_json(
            job.run.attempt(job.attempt) / "patch.json",
            {"parent": parent, "cause": cause, "changes": []},
        )
        job.run.stop.unlink(missing_ok=True)
        job.run.result.unlink(missing_ok=True)
        status, code, error = "done", 0, None
        try:
            with _signals_interrupt():
                _steps(job, seconds)
            verdicts = [v for _, v in judge_all(_evaluation(job), job.recipe.eval.gates)]
            code = exit_status(verdicts)
            status = {"pass": "done", "fail": "gate_failed"}.get(overall(verdicts), "inconclusive")
        except Interrupted as stop:
            status, code, error = "interrupted", stop.exit_status, stop
        except RecipeError as failure:
            status, code, error = "failed", failure.exit_status, failure
        except OSError as failure:
            message = f"{failure.strerror or failure}: {failure.filename or job.run.path}"
            error = RunError(message, "free some disk, then resume" if failure.errno == 28 else None)
            status, code = "failed", 1
        finally:
            if job.prepared is not None:
                job.prepared.close()
        result = {
            "status": status,
            "exit": code,
            "reason": error.message if error else None,
            "hint": error.hint if error else None,
            "attempt": job.attempt,
            "seconds": {name: round(value, 2) for name, value in seconds.items()},
            "total_seconds": round(time.monotonic() - began, 2),
            "ended": _now(),
        }
        with suppress(OSError):
            write_json(job.run.result, result)
            write_report(job.run, job.recipe)
    return code


def write_report(run: RunFolder, recipe: Recipe) -> dict[str, Any]:
    """Derives report.json and report.html from the artifacts; can be done again at any time."""
    from runner.report.collect import collect
    from runner.report.html import write
    from runner.report.words import condition

    plan = read_json(run.plan)
    mark = next(s["fingerprint"] for s in plan["steps"] if s["name"] == "evaluate")
    folder = run.evaluation(mark)
    gates, verdict = [], None
    if (folder / "metrics.json").exists():
        judged = judge_all(folder, recipe.eval.gates)
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
        verdict = overall([found for _, found in judged]) if judged else None
    report: dict[str, Any] = collect(run.path, gates, verdict)
    write(run.path, report)
    return report


# ---------------------------------------------------------------- the steps


def _steps(job: Job, seconds: dict[str, float]) -> None:
    done = finished(job.run)
    for step in job.steps:
        name = step["name"]
        if name == "report":
            continue
        if name in done:
            job.display.step(name, "done before")
            continue
        log, began = job.events(name), time.monotonic()
        log("started", fingerprint=step["fingerprint"])
        job.display.step(name, step["title"])
        said = _work(name)(job)
        seconds[name] = time.monotonic() - began
        cached = bool(said) and said.startswith("from the cache")
        log("ended", seconds=round(seconds[name], 3), cached=cached, reason=said)
        if said:
            job.display.line(f"{'':<10} {said}")


def _work(name: str) -> Callable[[Job], str]:
    if name == "export-adapter":
        return _export_copy
    return STEPS.get(name) or (lambda job: _child(job, name))


def _data(job: Job) -> str:
    """Writes the parts; an error of a check stops here, before anything is downloaded."""
    job.prepared.write(job.run.data)
    found = job.prepared.findings
    for line in checks.describe(f for f in found if f.state in ("warn", "error")):
        job.display.line(f"{'':<10} {line}")
    if failed := checks.failed(found):
        raise _data_error(failed)
    parts = job.prepared.parts
    return ", ".join(f"{part.rows} {name}" for name, part in parts.items())


def _model(job: Job) -> str:
    """The base in the cache, verified."""
    said = "from the cache"
    folder = job.located.folder
    if folder is not None and job.located.entry is not None:
        try:
            verify(folder)
        except RecipeError as damage:
            job.display.line(f"{'':<10} ! {damage.message}; it is fetched again")
            folder = None
    if folder is None:
        _write_job(job, None)
        _child(job, "model")
        said = "fetched and verified"
    found = locate(job.recipe.model.base, job.recipe.model.revision, job.folder)
    object.__setattr__(job, "located", found)
    if found.folder is None:
        problem = found.problem
        raise RunError(problem.message if problem else "the model is not there", problem and problem.hint)
    _write_job(job, found.folder)
    return said


def _tokens(job: Job) -> str:
    """Token ids of train and validation; the truncation check closes."""
    base = job.located.folder
    assert base is not None
    plan = read_json(job.run.plan)
    lock = make_lock(job.recipe, plan, job.located, hashes(base), _today())
    if job.lock is not None:
        refuse_differences(job.lock, lock)
    write_json(job.run.lock, lock)
    chat, words = chat_format(base, lock["date"]), tokenizer(base)
    parts = {part: job.run.part(part) for part in ("train", "validation")}
    dated = f"{job.fingerprint('tokens')}-{lock['date']}"
    store = cache.root() / "tokens" / dated
    said = "from the cache"
    if not (store / "tokens.json").exists():
        said = ""
        partial = store.with_name(f".{store.name}.{job.run.id}")
        tokenise(job.recipe, chat, words, parts, partial)
        shutil.rmtree(store, ignore_errors=True)
        with suppress(OSError):  # another run may have been faster
            partial.rename(store)
        shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(store, job.run.tokens, dirs_exist_ok=True)
    summaries = read_summary(job.run.tokens)
    _close_truncation(job, summaries)
    train = summaries["train"]
    counted = f"{train.total:,} tokens, {train.trained:,} of them trained, longest {train.longest}"
    return f"{said}: {counted}" if said else counted


def _close_truncation(job: Job, summaries: dict[str, Any]) -> None:
    limits = job.recipe.data.checks.truncation
    stored = read_json(job.run.data / "checks.json")
    lost = [row for summary in summaries.values() for row in (*summary.cut, *summary.dropped)]
    total = sum(summary.rows + len(summary.dropped) for summary in summaries.values())
    finding = checks.truncation(list(dict.fromkeys(lost)), total, limits)
    plain = checks.to_json([finding])["findings"][0]
    stored["findings"] = [plain if f["check"] == "truncation" else f for f in stored["findings"]]
    write_json(job.run.data / "checks.json", stored)
    if finding.state in ("warn", "error"):
        for line in checks.describe([finding]):
            job.display.line(f"{'':<10} {line}")
    if finding.state == "error":
        raise _data_error([finding])


def _export_copy(job: Job) -> str:
    from runner.release.exporters import copy_adapter

    copy_adapter(job.run.adapter, job.run.exports / "adapter")
    return str(job.run.exports / "adapter")


def _export_merged(job: Job) -> str:
    """A fully trained model is whole already; an adapter is merged by a child."""
    from runner.release.exporters import copy_model

    target = job.run.exports / "merged"
    if info(job.recipe.method).adapter:
        _child(job, "export-merged")
    else:
        copy_model(job.run.model, target)
    return str(target)


STEPS: dict[str, Callable[[Job], str]] = {
    "data": _data,
    "model": _model,
    "tokens": _tokens,
    "export-merged": _export_merged,
}


# ---------------------------------------------------------------- children


def _child(job: Job, step: str) -> str:
    """Runs one step in a child and shows its events. Raises StepFailed or Interrupted."""
    if step not in ("model",):
        _write_job(job, job.located.folder)
    reader = EventReader(job.run.events)
    list(reader.new())  # what was before
    process = local.start(job.run, step, job.attempt)
    failure: dict[str, Any] = {}
    try:
        while True:
            ended = process.poll() is not None
            for event in reader.new():
                if event["type"] == "failed":
                    failure = event
                job.display.event(event)
            if ended:
                break
            time.sleep(POLL_SECONDS)
    except (KeyboardInterrupt, Interrupted):
        _stop(job, process)
        raise Interrupted(f"stopped during {step}", f"recipe run --resume {job.run.id}") from None
    code = process.returncode
    if code == STOPPED:
        raise Interrupted(f"stopped during {step}", f"recipe run --resume {job.run.id}")
    if failure:
        raise StepFailed(failure["message"], failure.get("hint"), code)
    if code:
        what = SIGNALS.get(signal.Signals(-code), signal.Signals(-code).name) if code < 0 else code
        hint = f"see {job.run.log}; go on with: recipe run --resume {job.run.id}"
        raise StepFailed(f"{step} ended without a word: {what}", hint, code)
    return ""


def _stop(job: Job, process: subprocess.Popen[bytes]) -> None:
    """Asks for a checkpoint and waits for it; a second Ctrl-C ends the child at once."""
    job.display.line("stopping: a checkpoint is written (Ctrl-C again ends at once)")
    try:
        process.terminate()
        process.wait(GRACE_SECONDS)
    except (KeyboardInterrupt, Interrupted, subprocess.TimeoutExpired):
        process.kill()
        process.wait()


class _signals_interrupt:
    """SIGTERM ends a run as Ctrl-C does: in order."""

    def __enter__(self) -> None:
        self.before = None
        with suppress(ValueError):  # not the main thread: the caller keeps its handlers
            self.before = signal.signal(signal.SIGTERM, self._interrupt)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.before is not None:
            signal.signal(signal.SIGTERM, self.before)
        if kind is KeyboardInterrupt:
            raise Interrupted("stopped", None) from None

    @staticmethod
    def _interrupt(*_: object) -> None:
        raise KeyboardInterrupt


def finished(run: RunFolder) -> set[str]:
    """Names of the steps that ended in an earlier attempt."""
    return {event["step"] for event in read_events(run.events) if event["type"] == "ended"}


def _evaluation(job: Job) -> Path:
    return job.run.evaluation(job.fingerprint("evaluate"))


def _write_job(job: Job, base: Path | None) -> None:
    """What a child has to know beside the plan."""
    write_json(
        job.run.attempt(job.attempt) / "job.json",
        {
            "recipe_folder": str(job.folder.absolute()),
            "base": str(base.absolute()) if base else None,
            "offline": job.offline,
        },
    )


def _data_error(failed: Sequence[Any]) -> DataError:
    names = ", ".join(finding.check for finding in failed)
    count = len(failed)
    message = f"{count} data check{'s' if count > 1 else ''} failed: {names}"
    return DataError(message, failed[0].hint or "raise the threshold in data.checks, or mend the rows")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


__all__ = ["Job", "begin", "execute", "finished", "replace", "write_report"]

"""Begins or resumes a run from the command line, and tells how it went."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, TextIO

from dsl.errors import RunError
from dsl.plan import fingerprint
from dsl.recipe import build
from runner.execute import Job, begin, execute, finished, write_report
from runner.progress import Display
from runner.read import planned, read
from runner.runs.process import worker_lives
from runner.runs.store import RunFolder, list_runs, new_run, open_run, read_json
from runner.show import problem_lines


def start_run(
    recipe: Path,
    sets: tuple[str, ...],
    allowed: tuple[str, ...],
    remote: bool,
    runs: Path,
    locked: bool,
    offline: bool,
    out: TextIO,
) -> tuple[RunFolder, int]:
    """A new run: (its directory, exit status)."""
    source = read(recipe, sets, allowed, remote).valid()
    display = Display(out)
    with planned(source) as found:
        for line in problem_lines(found.problems, recipe.name):
            display.line(line)
        lock = _reference_lock(recipe, found.plan.recipe.name, runs) if locked else None
        run = new_run(runs, found.plan.recipe.name)
        about = {
            "recipe": str(recipe.resolve()),
            "recipe_sha256": fingerprint(source.source.text),
            "parent": None,
            "tags": [],
        }
        begin(run, found.plan, source.source.text, about)
        display.line(f"run {run.id}")
        job = Job(
            run=run,
            recipe=found.plan.recipe,
            steps=read_json(run.plan)["steps"],
            attempt=1,
            folder=source.around.folder,
            offline=offline,
            display=display,
            prepared=found.prepared,
            lock=lock,
        )
        code = execute(job, "new")
    _tell(run, display)
    return run, code


def resume_run(runs: Path, run_id: str, offline: bool, out: TextIO) -> tuple[RunFolder, int]:
    """Goes on with a run that did not end. Raises RunError where it cannot, and says why."""
    run = open_run(runs, run_id)
    display = Display(out)
    if worker_lives(run):
        raise RunError(f"run {run.id} is going on in another process", "wait for it, or stop it")
    if not run.plan.exists():
        raise RunError(f"run {run.id} died before its plan was written", "run the recipe again")
    plan = read_json(run.plan)
    if run.result.exists() and read_json(run.result)["status"] not in ("failed", "interrupted"):
        raise RunError(f"run {run.id} has ended", f"its report: {run.path / 'report.html'}")
    recipe, about = build(plan["recipe"]), read_json(run.run)
    folder = Path(about["recipe"]).parent
    prepared = None
    if "data" not in finished(run):
        if not folder.is_dir():
            raise RunError(f"the recipe's folder {folder} is gone", "run the recipe again")
        from runner.data.prepare import prepare

        prepared = prepare(recipe, folder)
    attempt = len(run.attempts()) + 1
    display.line(f"run {run.id}, attempt {attempt}")
    job = Job(
        run=run,
        recipe=recipe,
        steps=plan["steps"],
        attempt=attempt,
        folder=folder,
        offline=offline,
        display=display,
        prepared=prepared,
    )
    code = execute(job, "resumed")
    _tell(run, display)
    return run, code


def print_summary(report: dict[str, Any], out: TextIO) -> None:
    from runner.report.terminal import summary

    width = min(shutil.get_terminal_size().columns, 100)
    encoding = (out.encoding or "ascii").lower()
    text = summary(report, width, unicode=encoding.startswith("utf"), color=out.isatty())
    print(text, file=out, flush=True)


def overview(runs: Path) -> list[dict[str, Any]]:
    """One row a run, newest first."""
    rows = []
    for run in reversed(list_runs(runs)):
        about = read_json(run.run)
        result = read_json(run.result) if run.result.exists() else {}
        status = result.get("status") or ("running" if worker_lives(run) else "lost")
        rows.append(
            {
                "id": run.id,
                "name": about.get("name"),
                "status": status,
                "created": about.get("created"),
                "reason": result.get("reason"),
                "directory": str(run.path),
            }
        )
    return rows


def _tell(run: RunFolder, display: Display) -> None:
    """The summary of a run that ended well; the reason of one that did not."""
    result = read_json(run.result)
    display.line("")
    if result["reason"]:
        display.line(f"error: {result['reason']}")
        if result["hint"]:
            display.line(f"    {result['hint']}")
        return
    print_summary(write_report(run, build(read_json(run.plan)["recipe"])), display.out)


def _reference_lock(recipe: Path, name: str, runs: Path) -> dict[str, Any]:
    """The lock that --locked compares with: beside the recipe, or of its last run."""
    beside = recipe.with_suffix(".lock.json")
    if beside.exists():
        return read_json(beside)
    for run in reversed(list_runs(runs)):
        if read_json(run.run).get("name") == name and run.lock.exists():
            return read_json(run.lock)
    raise RunError(
        f"no lock to compare with: neither {beside.name} nor a run of '{name}' in {runs}",
        "copy recipe.lock.json of a run beside the recipe, or run without --locked",
    )

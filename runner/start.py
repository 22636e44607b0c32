"""Begins or resumes a run from the command line, and tells how it went."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from dsl.errors import RecipeError, RunError
from dsl.plan import fingerprint
from dsl.recipe import Recipe, build
from dsl.rules.machine import disk_is_free
from dsl.source import Source
from runner.bases import Located, locate
from runner.data.prepare import Prepared, prepare
from runner.execute import begin, execute
from runner.job import Job, finished
from runner.progress import Display
from runner.read import planned, read
from runner.runs.state import state
from runner.runs.store import RunFolder, list_runs, new_run, open_run, read_json
from runner.show import problem_lines

Ended = tuple[RunFolder, dict[str, Any]]  # a run and its result, as result.json has it


def start_run(
    recipe: Path,
    sets: tuple[str, ...],
    allowed: tuple[str, ...],
    remote: bool,
    runs: Path,
    locked: bool,
    offline: bool,
    out: TextIO,
) -> Ended:
    """A new run. Raises InvalidRecipe, DataError, RunError before one is made."""
    source = read(recipe, sets, allowed, remote).valid()
    display = Display(out)
    with planned(source, "full") as found:
        if short := list(disk_is_free(found.recipe, found.facts)):
            raise RunError(short[0].message, short[0].hint)
        for line in problem_lines(found.problems, recipe.name):
            display.line(line)
        name = found.plan.recipe.name
        lock = _reference_lock(recipe, name, runs) if locked else None
        run = new_run(runs, name)
        text = _as_json(found.source)
        about = {"recipe": str(recipe.resolve()), "recipe_sha256": fingerprint(text)}
        begin(run, found.plan, text, about | {"parent": None, "tags": []})
        display.line(f"run {run.id}")
        job = Job(
            run=run,
            recipe=found.plan.recipe,
            steps=read_json(run.plan)["steps"],
            attempt=1,
            folder=found.around.folder,
            located=found.located,
            offline=offline,
            display=display,
            prepared=found.prepared,
            lock=lock,
        )
        result = execute(job, "new")
    _tell(run, result, display)
    return run, result


def resume_run(runs: Path, run_id: str, offline: bool, out: TextIO) -> Ended:
    """Goes on with a run that did not end. Raises RunError where it cannot, and says why."""
    run = open_run(runs, run_id)
    display = Display(out)
    if not run.plan.exists():
        raise RunError(f"run {run.id} died before its plan was written", "run the recipe again")
    if run.result.exists() and read_json(run.result)["status"] not in ("failed", "interrupted"):
        raise RunError(f"run {run.id} has ended", f"its report: {run.path / 'report.html'}")
    plan = read_json(run.plan)
    recipe, steps = build(plan["recipe"]), {step["name"]: step for step in plan["steps"]}
    folder = Path(read_json(run.run)["recipe"]).parent
    located = locate(recipe.model.base, recipe.model.revision, folder)
    _refuse_other_base(recipe, steps["model"]["inputs"], located)
    prepared = None
    if "data" not in finished(run):
        prepared = _same_data(recipe, steps["data"]["inputs"], folder)
    job = Job(
        run=run,
        recipe=recipe,
        steps=plan["steps"],
        attempt=len(run.attempts()) + 1,
        folder=folder,
        located=located,
        offline=offline,
        display=display,
        prepared=prepared,
    )
    display.line(f"run {run.id}, attempt {job.attempt}")
    result = execute(job, "resumed")
    _tell(run, result, display)
    return run, result


def print_summary(report: dict[str, Any], out: TextIO) -> None:
    from runner.report.terminal import summary

    width = min(shutil.get_terminal_size().columns, 100)
    encoding = (out.encoding or "ascii").lower()
    text = summary(report, width, unicode=encoding.startswith("utf"), color=out.isatty())
    print(text, file=out, flush=True)


def overview(runs: Path) -> list[dict[str, Any]]:
    """One row a run, newest first."""
    return [_row(run) for run in reversed(list_runs(runs))]


def _row(run: RunFolder) -> dict[str, Any]:
    try:
        about = read_json(run.run)
        result = read_json(run.result) if run.result.exists() else {}
        status: str = state(run)
    except RecipeError as error:
        about, result, status = {}, {"reason": error.message}, "damaged"
    return {
        "id": run.id,
        "name": about.get("name"),
        "status": status,
        "created": about.get("created"),
        "reason": result.get("reason"),
        "directory": str(run.path),
    }


def _tell(run: RunFolder, result: Mapping[str, Any], display: Display) -> None:
    """The summary of a run that ended well; the reason of one that did not."""
    display.line("")
    if result["reason"]:
        display.line(f"error: {result['reason']}")
        if result["hint"]:
            display.line(f"    {result['hint']}")
    else:
        print_summary(read_json(run.report), display.out)


def _as_json(source: Source) -> str:
    """The recipe of a run is JSON, whatever it was read from."""
    if source.language == "json":
        return source.text
    return json.dumps(source.values, indent=2, ensure_ascii=False) + "\n"


def _refuse_other_base(recipe: Recipe, planned: Mapping[str, Any], located: Located) -> None:
    if located.kind in ("folder", "gguf") and located.problem:
        raise RunError(located.problem.message, located.problem.hint)
    if dict(located.identity) != planned["identity"]:
        message = f"{recipe.model.base} is not the model that this run began with"
        raise RunError(message, "put it back, or run the recipe again")


def _same_data(recipe: Recipe, planned: Mapping[str, Any], folder: Path) -> Prepared:
    """The data of a run that ended before it was written; refused where it changed since."""
    prepared = prepare(recipe, folder, "full")
    before = {name: file["sha256"] for name, file in planned["files"].items()}
    changed = [r.name for r in prepared.reports if before.get(r.name) != r.sha256]
    if changed:
        prepared.close()
        raise RunError(f"{', '.join(changed)} changed since this run began", "run the recipe again")
    return prepared


def _reference_lock(recipe: Path, name: str, runs: Path) -> dict[str, Any]:
    """The lock that --locked compares with: beside the recipe, or of its last run."""
    beside = recipe.with_suffix(".lock.json")
    if beside.exists():
        return read_json(beside)
    for run in reversed(list_runs(runs)):
        if run.lock.exists() and read_json(run.run).get("name") == name:
            return read_json(run.lock)
    raise RunError(
        f"no lock to compare with: neither {beside.name} nor a run of '{name}' in {runs}",
        "copy recipe.lock.json of a run beside the recipe, or run without --locked",
    )

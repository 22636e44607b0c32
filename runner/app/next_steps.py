"""What to do next, told from the state of the folder: its recipes, drafts and runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsl.errors import InvalidRecipe
from dsl.problems import errors
from runner.app import drafts
from runner.app.drafts import Draft
from runner.app.recipes import judged, recipes
from runner.release.checklist import last_run
from runner.start import overview


@dataclass(frozen=True, slots=True)
class Next:
    """One step: what and why, and the page where it is done, as in 'ui/plan.py'."""

    title: str
    why: str
    page: str
    label: str


def next_step(folder: Path, runs: Path, draft: Draft | None) -> Next:
    """The step that the work waits for."""
    if draft is None:
        return _to_open(folder)
    name = draft.name
    try:
        path = folder / name
        wrong = errors(judged(draft.text, path.name, path.parent).problems)
    except InvalidRecipe as error:
        wrong = list(error.problems)
    if wrong:
        why = f"{len(wrong)} problem{'s' * (len(wrong) != 1)}: {wrong[0].message}"
        return Next(f"Mend {name}", why, "ui/recipe.py", "Open the recipe")
    if drafts.state(folder, draft) in ("new", "conflict"):
        why = "It is only a draft so far: a run needs its file."
        return Next(f"Save {name}", why, "ui/recipe.py", "Open the recipe")
    row = _last(runs, draft)
    if row is None:
        why = "See what is in the data before anything is spent."
        return Next(f"Check the data of {name}", why, "ui/checklist.py", "Open the checklist")
    return _after(row)


def _to_open(folder: Path) -> Next:
    if found := recipes(folder):
        why = f"{len(found)} in this folder."
        return Next("Open a recipe", why, "ui/recipe.py", "Choose a recipe")
    why = "A file of questions and answers, or of conversations; a recipe is then written for it."
    return Next("Begin with your data", why, "ui/data.py", "Choose a file")


def _last(runs: Path, draft: Draft) -> dict[str, Any] | None:
    from dsl.source import parse

    name = str(parse(draft.text, draft.name).values.get("name", ""))
    run = last_run(runs, name)
    return next((row for row in overview(runs) if run and row["id"] == run.id), None)


def _after(row: dict[str, Any]) -> Next:
    """What the last run of the recipe asks for."""
    run, reason = row["id"], row["reason"] or ""
    steps = {
        "running": Next("Watch the run", f"{run} is going on.", "ui/run.py", "Open the run"),
        "done": Next("Read the report", f"{run} is done.", "ui/report.py", "Open the report"),
        "gate_failed": Next(
            "Look at what got worse",
            f"{run} missed a condition of the recipe.",
            "ui/report.py",
            "Open the report",
        ),
        "inconclusive": Next(
            "More test rows",
            f"{run} could not tell better from worse with so few examples.",
            "ui/report.py",
            "Open the report",
        ),
    }
    lost = Next("Go on with the run", f"{run} ended early. {reason}", "ui/run.py", "Open the run")
    return steps.get(row["status"], lost)

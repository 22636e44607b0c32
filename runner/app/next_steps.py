"""What to do next, told from the state of the folder: its recipes, drafts and runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsl.errors import InvalidRecipe, RecipeError
from dsl.plan import fingerprint
from dsl.problems import errors
from dsl.source import parse
from runner.app import drafts
from runner.app.drafts import Draft
from runner.app.launch import without_run
from runner.app.recipes import judged, recipes
from runner.report.words import plural
from runner.runs.state import GOING_ON
from runner.runs.store import RunFolder, read_json

Row = Mapping[str, Any]  # of a run, as runner.start.overview has it
RECIPE, CHECKLIST, PLAN = "ui/recipe.py", "ui/checklist.py", "ui/plan.py"
RUN, REPORT, DATA = "ui/run.py", "ui/report.py", "ui/data.py"

# metric → what usually helps where its gate failed
REMEDIES = {
    ("loss", "perplexity", "bits_per_byte"): "It learnt too little or the wrong thing: look at "
    "some examples as the model sees them, bring the learning rate to 0.0001 to 0.0003, add an "
    "epoch (1 to 3 are usual).",
    ("loop_rate", "seq_rep_4"): "It repeats itself: take one epoch "
    "less, take copies out of the data, raise dropout to 0.1.",
    ("truncated_rate", "length_ratio"): "Its answers have another length than yours: give "
    "eval.generation.max_new_tokens more room, and look for answers of odd lengths in the data.",
}
OTHERWISE = (
    "Read the answers that got worse in the report, and add examples of their kind; a rank twice "
    "as high if the training loss stayed high."
)
MORE_ROWS = (
    "Too few test examples, or too few groups of them, to tell: raise data.split.test, or gather "
    "more. The report says how many it takes."
)


@dataclass(frozen=True, slots=True)
class Next:
    """One step: what and why, and the page where it is done, as in 'ui/plan.py'.

    `run`: the one that the page is to show. `details`: what to change, where that is known.
    `also`: another page and its label.
    """

    title: str
    why: str
    page: str
    label: str
    run: str | None = None
    details: tuple[str, ...] = ()
    also: tuple[str, str] | None = None


def next_step(
    folder: Path, runs: Path, rows: Sequence[Row], draft: Draft | None, seen: Collection[str]
) -> Next:
    """The step that the work waits for.

    `rows`: the runs, newest first. `seen`: pages that were looked at since the draft was changed.
    """
    if draft is None:
        return _without_recipe(folder, rows)
    name = draft.name
    try:
        path = folder / name
        wrong = errors(judged(draft.text, path.name, path.parent).problems)
    except InvalidRecipe as error:
        wrong = list(error.problems)
    if wrong:
        why = f"{plural(len(wrong), 'problem')}: {wrong[0].message}"
        also = (DATA, "Open the data") if wrong[0].path[:1] == ("data",) else None
        return Next(f"Mend {name}", why, RECIPE, "Open the recipe", also=also)
    if drafts.state(folder, draft) in ("new", "conflict"):
        why = "It is only a draft so far: a run needs its file."
        return Next(f"Save {name}", why, RECIPE, "Open the recipe")
    if any(alive and name in launch.words for launch, alive in without_run(runs)):
        why = f"The data of {name} are read and its plan is made."
        return Next("See how the run begins", why, RUN, "Open the runs")
    values = parse(draft.text, name).values
    row = next((row for row in rows if row["name"] == values.get("name")), None)
    if row is None or (row["status"] not in GOING_ON and _changed_since(folder, draft, row)):
        return _before_run(name, row, seen)
    return _after(row, runs)


def headline(runs: Path, run_id: str) -> str | None:
    """The verdict of a run's report in a sentence; None where there is none."""
    verdict = _report(runs, run_id).get("verdict")
    said = verdict.get("headline") if isinstance(verdict, dict) else None
    return said if isinstance(said, str) else None


def _without_recipe(folder: Path, rows: Sequence[Row]) -> Next:
    if going := next((row for row in rows if row["status"] in GOING_ON), None):
        return _watch(going)
    if found := recipes(folder):
        why = f"{plural(len(found), 'recipe')} in this folder. Choose one below."
        return Next("Open a recipe", why, RECIPE, "Choose a recipe")
    why = "A file of questions and answers, or of conversations; a recipe is then written for it."
    return Next("Begin with your data", why, DATA, "Choose a file")


def _before_run(name: str, row: Row | None, seen: Collection[str]) -> Next:
    """Checklist, plan, run: what was not looked at yet since the recipe was changed."""
    why = f"The recipe was changed since {row['id']}. " if row else ""
    if CHECKLIST not in seen:
        why += "See what is in the data before anything is spent."
        return Next(f"Check the data of {name}", why, CHECKLIST, "Open the checklist")
    if PLAN not in seen:
        why += "Its steps, memory and time, told before they are spent."
        return Next(f"See the plan of {name}", why, PLAN, "Open the plan")
    why += "Data and plan were looked at."
    return Next(f"Run {name}", why, RUN, "Start the run")


def _after(row: Row, runs: Path) -> Next:
    """What the last run of the recipe asks for."""
    run, status = str(row["id"]), str(row["status"])
    if status in GOING_ON:
        return _watch(row)
    said = headline(runs, run)
    read = ("Open the report", run)
    if status == "done":
        return Next("Read the report", said or f"{run} is done.", REPORT, *read)
    gates = _report(runs, run).get("gates", ())
    found = remedies(gates)
    if status == "gate_failed":
        missed = (str(gate["reason"]) for gate in gates if gate.get("verdict") == "fail")
        why = next(missed, said or f"{run} missed a condition.")
        mend = (RECIPE, "Change the recipe")
        return Next("See what to change", why, REPORT, *read, found, mend)
    if status == "inconclusive":
        why, more = said or f"{run} could not tell better from worse.", (DATA, "See data")
        return Next("Get more test examples", why, REPORT, *read, found or (MORE_ROWS,), more)
    why = f"{run} ended early. {row['reason'] or ''}".strip()
    return Next("Go on with the run", why, RUN, "Open the run", run)


def remedies(gates: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """What usually helps against the gates of a report that did not pass, each once."""
    found = []
    for gate in gates:
        if gate.get("verdict") == "fail":
            metric = str(gate.get("metric")).rpartition(".")[2]
            found.append(next((r for of, r in REMEDIES.items() if metric in of), OTHERWISE))
        elif gate.get("verdict") == "inconclusive":
            found.append(MORE_ROWS)
    return tuple(dict.fromkeys(found))


def _watch(row: Row) -> Next:
    title = "Wait for its turn" if row["status"] == "queued" else "Watch the run"
    return Next(title, f"{row['id']} is going on.", RUN, "Open the run", str(row["id"]))


def _changed_since(folder: Path, draft: Draft, row: Row) -> bool:
    """Whether the text is another than the run's, and its file newer: a trial with --set leaves
    the file as it was."""
    from datetime import datetime

    try:
        known = read_json(RunFolder(Path(row["directory"])).run)["recipe_sha256"]
        began = datetime.fromisoformat(str(row["created"])).timestamp()
        newer = (folder / draft.name).stat().st_mtime > began
    except (RecipeError, KeyError, ValueError, OSError):
        return False
    edited = drafts.state(folder, draft) == "edited"
    return bool(known != fingerprint(draft.text)) and (newer or edited)


def _report(runs: Path, run_id: str) -> dict[str, Any]:
    try:
        return read_json(RunFolder(runs / run_id).report)
    except RecipeError:
        return {}

"""Whom one talks with: what a run trained, the base it stands on, and how it was asked there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsl.chat import ChatFormat
from dsl.errors import ModelError, RecipeError, RunError
from dsl.methods import info
from dsl.plan import fingerprint
from dsl.recipe import Recipe, build
from runner.bases import chat_format, locate
from runner.runs.store import RunFolder, list_runs, read_json

OTHER_VERSION = "it was made by another version of this program"


@dataclass(frozen=True, slots=True)
class Subject:
    """A trained run. `weights`: folder of its adapter, or of its whole model.

    Runs with an equal `key` stand on one load of the base. `context` counts tokens.
    """

    run: RunFolder
    recipe: Recipe
    base: Path
    weights: Path
    context: int
    date: str
    key: str

    @property
    def adapter(self) -> bool:
        return info(self.recipe.method).adapter

    @property
    def chat(self) -> ChatFormat:
        return chat_format(self.base, self.date)


def subject(run: RunFolder) -> Subject:
    """Raises RunError where the run trained nothing, ModelError where its base is gone."""
    recipe, plan = recipe_of(run)
    weights = weights_of(run, recipe)
    if weights is None:
        raise RunError(f"run {run.id} has no trained weights", "train it to its end first")
    base = _base(run, recipe, plan)
    model = plan["recipe"]["model"]
    return Subject(
        run=run,
        recipe=recipe,
        base=base,
        weights=weights,
        context=int(plan["model"]["context"]),
        date=str(read_json(run.lock).get("date", "2026-01-01")),
        key=fingerprint({"base": str(base), "model": model, "device": recipe.compute.device}),
    )


def trained(runs: Path) -> list[RunFolder]:
    """Runs whose weights are there, the last begun first."""
    return [
        run
        for run in reversed(list_runs(runs))
        if run.plan.is_file() and (run.adapter.is_dir() or run.model.is_dir())
    ]


def recipe_of(run: RunFolder) -> tuple[Recipe, dict[str, Any]]:
    """The recipe that was carried out, and the whole plan. Raises RunError."""
    plan = read_json(run.plan)
    try:
        return build(plan["recipe"]), plan
    except (KeyError, TypeError):
        raise RunError(f"run {run.id} cannot be read: {OTHER_VERSION}", "run it again") from None


def weights_of(run: RunFolder, recipe: Recipe) -> Path | None:
    """Only safetensors are read: other formats can carry code."""
    folder = run.adapter if info(recipe.method).adapter else run.model
    return folder if any(folder.glob("*.safetensors")) else None


def conversational(run: RunFolder) -> bool:
    """Whether its training examples are conversations; False where that is not known."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(run.part("train")) as file:
            first = next(file.iter_batches(1, columns=["messages"]), None)
    except (OSError, arrow.ArrowInvalid, KeyError):
        return False
    return first is not None and first.num_rows > 0 and first.column(0)[0].as_py() is not None


def _base(run: RunFolder, recipe: Recipe, plan: dict[str, Any]) -> Path:
    """Where the base lies that the run was trained on: another one would answer otherwise."""
    located = locate(recipe.model.base, recipe.model.revision, _recipe_folder(run))
    planned = next(s for s in plan["steps"] if s["name"] == "model")["inputs"].get("identity")
    if located.folder is not None and dict(located.identity) == planned:
        return located.folder
    noted = _noted(run)
    if located.folder is None and noted is not None and located.kind in ("registry", "hub"):
        return noted
    name = recipe.model.base
    if located.folder is not None:
        raise ModelError(
            f"{name} is not the model that run {run.id} was trained on", "put that one back"
        )
    raise ModelError(
        f"the base model {name} of run {run.id} is not on this machine",
        "put it back, or run the recipe again, which fetches it",
    )


def _recipe_folder(run: RunFolder) -> Path:
    return Path(str(read_json(run.run).get("recipe", "."))).parent


def _noted(run: RunFolder) -> Path | None:
    """The folder that the last attempt loaded, if it is still there."""
    for attempt in reversed(run.attempts()):
        try:
            base = read_json(attempt / "job.json").get("base")
        except RecipeError:
            continue
        if base and Path(base).is_dir():
            return Path(base)
    return None

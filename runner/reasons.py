"""Why each step of a plan runs or is served from a cache."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsl.errors import RecipeError
from dsl.plan import Step
from runner.compare import rows
from runner.data.tokens import SUMMARY, stored
from runner.lock import today
from runner.runs.store import RunFolder, list_runs, read_json

if TYPE_CHECKING:
    from runner.read import Planned

SHA256 = ".sha256"  # a fingerprint says nothing but that it differs


def reasons(found: Planned, runs: Path) -> dict[str, str]:
    """Step name → 'cached: …' or 'runs: …', with what changed since the last run of this recipe."""
    last = last_planned(runs, found.plan.recipe.name)
    before = {step["name"]: step for step in read_json(last.plan)["steps"]} if last else {}
    said, fingerprints = {}, {step.name: step.fingerprint for step in found.plan.steps}
    for step in found.plan.steps:
        if step.name == "model" and found.located.folder is not None:
            said[step.name] = "cached: its weights are on this machine"
        elif step.name == "tokens" and (stored(step.fingerprint, today()) / SUMMARY).exists():
            said[step.name] = "cached: same data, template and tokenizer"
        elif not before:
            said[step.name] = "runs: first run of this recipe here"
        else:
            said[step.name] = "runs: " + _why(step, before, fingerprints)
    return said


def _why(step: Step, before: Mapping[str, Any], fingerprints: Mapping[str, str]) -> str:
    old = before.get(step.name)
    if old is None:
        return "it is new in this recipe"
    if old["fingerprint"] == step.fingerprint:
        return "nothing changed; this step is never cached"
    changed = list(_changes(old["inputs"], _plain(step.inputs)))
    if changed:
        more = f" and {len(changed) - 2} more" if len(changed) > 2 else ""
        return "; ".join(changed[:2]) + more
    others = [n for n in step.needs if before.get(n, {}).get("fingerprint") != fingerprints[n]]
    return f"{' and '.join(others)} changed"


def _changes(old: Any, new: Any) -> Iterator[str]:
    for row in rows([new, old]):
        if not row.differs:
            continue
        after, before = row.values
        if row.name == "code":
            yield "the program was changed"
        elif row.name.endswith(SHA256):
            yield f"{row.name.removesuffix(SHA256)} was changed"
        else:
            yield f"{row.name} {_short(before)} -> {_short(after)}"


def _plain(values: Any) -> Any:
    """As they come back from plan.json: lists for tuples."""
    return json.loads(json.dumps(values))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else text[:21] + "..."


def last_planned(runs: Path, name: str) -> RunFolder | None:
    """The newest run of the recipe of this name that has a plan; 'recipe runs' tells damaged
    ones."""
    for run in reversed(list_runs(runs)):
        with suppress(RecipeError):
            if run.plan.exists() and read_json(run.run).get("name") == name:
                read_json(run.plan)
                return run
    return None

"""Why each step of a plan runs or is served from a cache."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsl.errors import RecipeError
from dsl.plan import Step
from runner.data.tokens import SUMMARY, stored
from runner.lock import today
from runner.runs.store import list_runs, read_json

if TYPE_CHECKING:
    from runner.read import Planned


def reasons(found: Planned, runs: Path) -> dict[str, str]:
    """Step name → 'cached: …' or 'runs: …', with what changed since the last run of this recipe."""
    before = _last_steps(runs, found.plan.recipe.name)
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


def _changes(old: Any, new: Any, path: str = "") -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*new, *(k for k in old if k not in new)]:
            yield from _changes(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
    elif old != new:
        yield f"{path} {_short(old)} -> {_short(new)}"


def _plain(values: Any) -> Any:
    """As they come back from plan.json: lists for tuples."""
    return json.loads(json.dumps(values))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else text[:21] + "..."


def _last_steps(runs: Path, name: str) -> dict[str, Any]:
    for run in reversed(list_runs(runs)):
        with suppress(RecipeError):  # a damaged run is told by 'recipe runs'
            if run.plan.exists() and read_json(run.run).get("name") == name:
                return {step["name"]: step for step in read_json(run.plan)["steps"]}
    return {}

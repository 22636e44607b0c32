"""The lock of a run: everything that decides its result, and the refusal of what differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from dsl.errors import RunError
from dsl.plan import fingerprint
from dsl.recipe import Recipe, to_json
from runner.bases import Located

# the version of the artifact, not of what it locks
FREE = ("schema_version",)


def today() -> str:
    """The day that templates see where no lock says another, ISO, UTC."""
    return datetime.now(UTC).date().isoformat()


def make_lock(
    recipe: Recipe,
    plan: Mapping[str, Any],
    located: Located,
    files: Mapping[str, Any],
    date: str,
) -> dict[str, Any]:
    """The lock as JSON values. `files` are name → {sha256, bytes} of the base model."""
    from runner.probe import hardware, versions

    data_step = next(step for step in plan["steps"] if step["name"] == "data")
    training = recipe.training
    return {
        "model": {
            "base": recipe.model.base,
            "identity": dict(located.identity),
            "files": dict(files),
        },
        "data": dict(data_step["inputs"]["files"]),
        "rows": {name: part["rows"] for name, part in plan["parts"].items()},
        "recipe_sha256": fingerprint(plan["recipe"]),
        "template_sha256": fingerprint(to_json(recipe.template)),
        "date": date,
        "micro_batch_size": training.micro_batch_size,
        "threads": recipe.compute.threads,
        "seeds": {"split": recipe.data.split.seed, "training": training.seed},
        "versions": versions(),
        "hardware": {"device": hardware(recipe.compute.device).name},
        "code": data_step["inputs"]["code"],
    }


def refuse_differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Raises RunError naming every difference between two locks."""
    different = [
        f"{path}: {_short(before)} -> {_short(now)}"
        for path, before, now in differences(expected, found)
        if path not in FREE
    ]
    if different:
        shown = "\n".join(f"  {line}" for line in different[:20])
        raise RunError(
            f"the lock differs in {len(different)} place{'s' * (len(different) > 1)}:\n{shown}",
            "restore them, or run without --locked",
        )


def differences(
    left: Mapping[str, Any], right: Mapping[str, Any], path: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """(path, left, right) of every leaf that differs."""
    for key in sorted({*left, *right}):
        where = f"{path}.{key}" if path else str(key)
        a, b = left.get(key), right.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            yield from differences(a, b, where)
        elif a != b:
            yield where, a, b


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 24 else text[:21] + "..."

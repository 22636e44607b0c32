"""A draft's plan with all that the page tells of it: what `recipe plan` and `explain` know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsl.errors import RunError
from dsl.facts import Facts
from dsl.plan import Plan
from dsl.problems import Problem, dotted
from dsl.recipe import to_json
from dsl.smaller import Smaller, smaller
from runner.compare import Row, rows
from runner.data.checks import Finding
from runner.read import Read, planned
from runner.reasons import last_planned, reasons
from runner.runs.store import read_json
from runner.show import leaves, origin_of, origin_text

PARTS = {
    "weights": "the base's weights",
    "trainable": "trained weights and optimizer",
    "activations": "activations of one micro-batch",
    "logits": "logits of its answers",
    "workspace": "workspace",
    "process": "the program itself",
}


@dataclass(frozen=True, slots=True)
class Planning:
    """`reasons`: step → why it runs or is cached. `smaller`: what would lower the memory."""

    plan: Plan
    facts: Facts
    reasons: Mapping[str, str]
    problems: tuple[Problem, ...]
    findings: tuple[Finding, ...]
    smaller: tuple[Smaller, ...]

    @property
    def memory(self) -> list[tuple[str, int]]:
        """(what, bytes) of the peak, the empty parts left out."""
        estimate = self.plan.estimate
        if estimate is None:
            return []
        held = ((words, getattr(estimate.memory, name)) for name, words in PARTS.items())
        return [(words, size) for words, size in held if size]

    @property
    def values(self) -> list[dict[str, str]]:
        """Every value of the recipe with its origin."""
        return [
            {
                "setting": dotted(path),
                "value": value if isinstance(value, str) else json.dumps(value, ensure_ascii=False),
                "comes from": origin_text(origin_of(self.plan, path)),
            }
            for path, value in leaves(to_json(self.plan.recipe))
        ]


def plan_of(found: Read, runs: Path) -> Planning:
    """Reads the data quickly and compiles. Raises InvalidRecipe, DataError."""
    with planned(found.valid()) as made:
        values: dict[str, Any] = dict(made.source.values)
        return Planning(
            made.plan,
            made.facts,
            reasons(made, runs),
            made.problems,
            made.prepared.findings,
            tuple(smaller(values, made.plan, made.facts)),
        )


def since_last(planning: Planning, runs: Path) -> tuple[str, list[Row]] | None:
    """The last run of the recipe of this name, and (value of that run, value of this plan) of all
    that differs: recipe, data, versions. None where there was none."""
    last = last_planned(runs, planning.plan.recipe.name)
    if last is None:
        return None
    plan, facts = read_json(last.plan), planning.facts
    lock: dict[str, Any] = {}  # a run that ended early has none
    with suppress(RunError):
        lock = read_json(last.lock)
    files = {s.name: {"sha256": s.sha256, "rows": s.rows} for s in facts.sources if s.sha256}
    now = {
        "recipe": to_json(planning.plan.recipe),
        "data": files if lock else {},
        "rows": {part: known.rows for part, known in planning.plan.parts.items()},
        "versions": dict(facts.versions) if lock else {},
    }
    then = {
        "recipe": plan.get("recipe", {}),
        "data": lock.get("data", {}),
        "rows": {part: known["rows"] for part, known in plan.get("parts", {}).items()},
        "versions": lock.get("versions", {}),
    }
    return last.id, [row for row in rows([then, now]) if row.differs]


def cost(seconds: tuple[float, float], price: float) -> tuple[float, float]:
    """What the run costs at a price an hour."""
    low, high = seconds
    return low / 3600 * price, high / 3600 * price


def diagram(planning: Planning) -> str:
    """The steps as a Mermaid flow chart; cached ones say so."""
    lines = ["flowchart TB"]
    for step in planning.plan.steps:
        cached = planning.reasons.get(step.name, "").startswith("cached")
        said = f"{_safe(step.title)}<br/>{'cached' if cached else 'runs'}"
        shape = f'("{said}")' if cached else f'["{said}"]'
        lines.append(f"  {_id(step.name)}{shape}")
        lines += [f"  {_id(need)} --> {_id(step.name)}" for need in step.needs]
    return "\n".join(lines)


def order(planning: Planning) -> str:
    """The flow chart in words."""
    titles = {step.name: step.title for step in planning.plan.steps}
    told = (
        step.title + (f", after {' and '.join(map(titles.__getitem__, step.needs))}" if step.needs
                      else "")
        for step in planning.plan.steps
    )  # fmt: skip
    return f"The steps in their order: {'; '.join(told)}."


def _id(name: str) -> str:
    return "step_" + "".join(sign if sign.isalnum() else "_" for sign in name)


def _safe(text: str) -> str:
    """Titles quote names of the recipe."""
    return "".join(sign if sign.isalnum() or sign in " .,-()/" else "_" for sign in text)

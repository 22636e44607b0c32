"""Plans, problems and origins as text for a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dsl.problems import Path, Problem, dotted
from dsl.recipe import to_json
from dsl.schema import Origin
from dsl.templates import Segment
from runner.report.words import duration, size

if TYPE_CHECKING:
    from dsl.plan import Plan

MARKS = {"error": "error", "warning": "warning", "info": "note"}


def problem_lines(problems: Sequence[Problem], name: str) -> Iterator[str]:
    """'legal.json:18: error: method.rank: must be ...', the hint on a line of its own."""
    for problem in problems:
        place = f"{name}:{problem.line}" if problem.line else name
        path = f" {dotted(problem.path)}:" if problem.path else ""
        yield f"{place}: {MARKS[problem.severity]}:{path} {problem.message}"
        if problem.hint:
            yield f"    {problem.hint}"


def count_line(problems: Sequence[Problem], name: str) -> str:
    counts = {kind: sum(p.severity == kind for p in problems) for kind in ("error", "warning")}
    if not any(counts.values()):
        return f"{name} is valid"
    said = [f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in counts.items() if n]
    return f"{name}: {', '.join(said)}"


def plan_lines(plan: Plan, reasons: Mapping[str, str]) -> Iterator[str]:
    """The plan as a reader wants it: what, on what, how much, how long, which steps and why."""
    recipe, model = plan.recipe, plan.model
    yield f"{recipe.name}: {recipe.description}" if recipe.description else recipe.name
    yield ""
    yield from _table(_facts(plan, model))
    yield ""
    yield "steps"
    width = max(len(step.title) for step in plan.steps)
    for step in plan.steps:
        why = reasons.get(step.name, "")
        yield f"  {step.fingerprint[:8]}  {step.title:<{width}}  {why}".rstrip()


def _facts(plan: Plan, model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    recipe, training = plan.recipe, plan.recipe.training
    name, licence = model["name"] or recipe.model.base, model["licence"] or "licence unknown"
    yield "model", f"{name}, {model['parameters']:,} parameters, {licence}"
    if targets := plan.targets:
        layers, names = sum(targets.modules.values()), ", ".join(targets.modules)
        yield "method", f"{_method(plan)} on {layers} layers ({names})"
        count = f"{targets.trainable_parameters:,} parameters, {targets.share:.2%}"
        yield "trainable", f"{count} (exact)"
    if plan.parts:
        parts = ", ".join(f"{part.rows:,} {name}" for name, part in plan.parts.items())
        yield "examples", f"{parts} (exact)"
    if tokens := plan.tokens:
        count = f"{tokens.total:,} an epoch, {tokens.trained:,} of them trained"
        yield "tokens", f"{count} ({tokens.how})"
    if schedule := plan.schedule:
        batch = f"{training.micro_batch_size} x {training.gradient_accumulation_steps} examples"
        rate = f"learning rate {training.learning_rate:g}, {training.schedule}"
        yield "training", f"{schedule.steps} steps of {batch}, {rate}"
        every = f"validation and checkpoint every {training.eval_steps}"
        validates = plan.parts["validation"].rows > 0 if "validation" in plan.parts else False
        yield "", f"{schedule.warmup_steps} steps of warm-up{', ' + every if validates else ''}"
    if estimate := plan.estimate:
        held, fits = estimate.memory, "fits" if estimate.fits else "DOES NOT FIT"
        there = size(estimate.device_bytes)
        yield "memory", f"about {size(held.total)} of {there}: {fits} (estimated)"
        yield "", f"weights {size(held.weights)}, trained {size(held.trainable)}"
        yield "", f"activations {size(held.activations)}, logits {size(held.logits)}"
        low, high = estimate.total_seconds
        yield "time", f"{duration(low)} to {duration(high)} on {estimate.device} (estimated)"


def _method(plan: Plan) -> str:
    return plan.step("train").title.removeprefix("train (").removesuffix(")")


def _table(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, text in rows:
        yield f"  {name:<10} {text}"


def explain_lines(plan: Plan, only: str | None) -> Iterator[str]:
    """Every value with its origin: given, default, or derived and why."""
    values = dict(leaves(to_json(plan.recipe)))
    width = max(len(dotted(path)) for path in values)
    for path, value in values.items():
        name = dotted(path)
        if only and not (name == only or name.startswith((f"{only}.", f"{only}["))):
            continue
        yield f"{name:<{width}}  {_short(value):<28} {origin_text(origin_of(plan, path))}"


def origin_of(plan: Plan, path: Path) -> Origin:
    """The origin of a value, or of the nearest container that has one."""
    for length in range(len(path), -1, -1):
        if origin := plan.origins.get(path[:length]):
            return origin
    return Origin("default")


def origin_text(origin: Origin) -> str:
    if origin.kind != "derived":
        return origin.kind
    return f"derived by {origin.by}: {origin.why}" if origin.why else f"derived by {origin.by}"


def leaves(values: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """(path, value) of everything that holds no object."""
    if isinstance(values, Mapping) and values:
        for key, value in values.items():
            yield from leaves(value, (*path, key))
    elif isinstance(values, list) and any(isinstance(item, Mapping) for item in values):
        for index, item in enumerate(values):
            yield from leaves(item, (*path, index))
    else:
        yield path, values


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 28 else text[:25] + "..."


def example_lines(
    title: str, segments: Sequence[Segment], counts: str, color: bool
) -> Iterator[str]:
    """An example with masked and trained text told apart: by colour, or by brackets."""
    yield f"--- {title}  {counts}"
    text = ""
    for segment in segments:
        if color:
            code = "\x1b[1;32m" if segment.trained else "\x1b[2m"
            text += f"{code}{segment.text}\x1b[0m"
        else:
            text += f"⟦{segment.text}⟧" if segment.trained else segment.text
    yield text.rstrip("\n")

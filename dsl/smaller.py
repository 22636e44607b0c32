"""Changes that make a recipe need less memory, the ones that cost least quality first.

The order is the field's: accumulate instead of larger micro-batches, recompute activations,
shorten examples, hold the base in four bits, train less, take a smaller base.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dsl.compile import compile
from dsl.edit import patched
from dsl.errors import RecipeError
from dsl.facts import Facts
from dsl.models import MODELS
from dsl.plan import Plan
from dsl.problems import Change, set_value
from dsl.recipe import Lora, read

SHORTEST = 128  # tokens; below, few examples are whole
LOWEST_RANK = 4


@dataclass(frozen=True, slots=True)
class Smaller:
    """One change. `bytes`: the estimated peak with it. `costs`: what is given up."""

    words: str
    costs: str
    patch: tuple[Change, ...]
    bytes: int
    fits: bool


def smaller(values: Mapping[str, Any], plan: Plan, facts: Facts) -> list[Smaller]:
    """The changes that lower the peak of `plan`, which was compiled from `values` and `facts`.

    Those that fit come first; in both halves the order says what is given up least.
    """
    if plan.estimate is None:
        return []
    before = plan.estimate.memory.total
    made = []
    for words, costs, patch in _changes(plan):
        after = _compiled(patched(values, patch), facts)
        if after and after.estimate and after.estimate.memory.total < before:
            estimate = after.estimate
            made.append(Smaller(words, costs, patch, estimate.memory.total, estimate.fits))
    return sorted(made, key=lambda one: not one.fits)


def _compiled(values: Any, facts: Facts) -> Plan | None:
    try:
        recipe, origins = read(values)
        # a smaller base has dimensions of its own; tokens are counted anew at another length
        same = recipe.model.base == (facts.model.name if facts.model else None)
        known = MODELS().get(recipe.model.base)
        model = facts.model if same or known is None else known
        return compile(recipe, origins, _with(facts, model))
    except RecipeError:
        return None


def _with(facts: Facts, model: Any) -> Facts:
    from dataclasses import replace

    return replace(facts, model=model)


def _changes(plan: Plan) -> Iterator[tuple[str, str, tuple[Change, ...]]]:
    recipe = plan.recipe
    training, method = recipe.training, recipe.method
    micro = training.micro_batch_size or 1
    if micro > 1:
        steps = (training.gradient_accumulation_steps or 1) * 2
        yield (
            f"micro_batch_size {micro} -> {micro // 2}, accumulated over {steps} steps",
            "a little time; the result is the same",
            (
                set_value(("training", "micro_batch_size"), micro // 2),
                set_value(("training", "gradient_accumulation_steps"), steps),
            ),
        )
    if not training.activation_checkpointing:
        yield (
            "activation_checkpointing on",
            "about a third more time; the result is the same",
            (set_value(("training", "activation_checkpointing"), True),),
        )
    length = training.max_length
    if length // 2 >= SHORTEST:
        yield (
            f"max_length {length} -> {length // 2} tokens",
            "longer examples are cut: see the check truncation",
            (set_value(("training", "max_length"), length // 2),),
        )
    if isinstance(method, Lora) and recipe.model.quantization is None:
        yield (
            "hold the base in four bits (nf4)",
            "a little quality, and time",
            (set_value(("model", "quantization"), {"type": "nf4"}),),
        )
    if isinstance(method, Lora) and method.rank // 2 >= LOWEST_RANK:
        rank = method.rank
        yield (
            f"rank {rank} -> {rank // 2}",
            "the adapter can learn less",
            (set_value(("method", "rank"), rank // 2),),
        )
    if not isinstance(method, Lora):
        yield (
            "train an adapter (lora) instead of all weights",
            "the ceiling is a little lower; it forgets less",
            (set_value(("method",), {"type": "lora"}),),
        )
    if name := _next_base(plan):
        yield (
            f"the base {name}",
            "a smaller model knows and can do less",
            (set_value(("model", "base"), name),),
        )


def _next_base(plan: Plan) -> str | None:
    """The largest known base that is smaller, of the same family if there is one."""
    size, family = plan.model["parameters"], plan.model["family"]
    below = [(name, model) for name, model in MODELS().items() if model.parameters < size]
    kin = [pair for pair in below if pair[1].family == family] or below
    return max(kin, key=lambda pair: pair[1].parameters, default=(None, None))[0]

"""METHODS: what each way of training needs and costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dsl.models import Linear, Model, lora_parameters
from dsl.recipe import Lora, Method


@dataclass(frozen=True, slots=True)
class MethodInfo:
    """`adapter`: small weights beside a frozen base. `mergeable`: they can be added into it.
    `switches_off`: base answers come from the same load, bit for bit. `trains_base`: every weight
    of the base has a gradient."""

    name: str
    adapter: bool
    trains_base: bool
    mergeable: bool
    switches_off: bool
    vllm: bool
    learning_rate: float
    highest_learning_rate: float
    why_rate: str


METHODS: dict[str, MethodInfo] = {
    "lora": MethodInfo(
        "lora",
        adapter=True,
        trains_base=False,
        mergeable=True,
        switches_off=True,
        vllm=True,
        learning_rate=2e-4,
        highest_learning_rate=2e-3,
        why_rate="LoRA learns best at about ten times the rate of full fine-tuning",
    ),
    "full": MethodInfo(
        "full",
        adapter=False,
        trains_base=True,
        mergeable=False,
        switches_off=False,
        vllm=True,
        learning_rate=2e-5,
        highest_learning_rate=2e-4,
        why_rate="higher rates make full fine-tuning forget",
    ),
}


def info(method: Method) -> MethodInfo:
    """qlora is lora on a four-bit base."""
    return METHODS["lora" if isinstance(method, Lora) else method.type]


def trainable_parameters(method: Method, model: Model, targets: Sequence[Linear]) -> int:
    """Exact count of weights with a gradient. DoRA adds a magnitude a row (arXiv 2402.09353)."""
    if not isinstance(method, Lora):
        return model.parameters
    count = lora_parameters(targets, method.rank)
    return count + sum(target.out_features for target in targets) if method.use_dora else count

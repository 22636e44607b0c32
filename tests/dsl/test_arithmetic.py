"""The arithmetic of LoRA against the counts that are known and the file that PEFT writes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.arithmetic import BYTES, arithmetic
from dsl.methods import trainable_parameters
from dsl.models import MODELS, resolve_targets
from dsl.recipe import read


@pytest.mark.parametrize(
    ("base", "count"),
    [
        ("smollm2-135m-instruct", 4_884_480),
        ("llama-3.2-1b-instruct", 11_272_192),
        ("qwen2.5-7b-instruct", 40_370_176),
        ("mistral-7b-instruct-v0.3", 41_943_040),
        ("llama-3.1-70b-instruct", 207_093_760),
    ],
)
def test_published_counts_at_rank_16(base: str, count: int) -> None:
    sums = arithmetic(MODELS()[base], 16)
    assert sums.trainable == count
    assert sums.share == count / MODELS()[base].parameters
    assert sums.adapter_bytes == BYTES * count


def test_the_layers_of_a_known_model() -> None:
    layers = {
        layer.name: layer for layer in arithmetic(MODELS()["llama-3.1-8b-instruct"], 8).layers
    }
    shapes = {name: (one.count, one.d, one.k) for name, one in layers.items()}
    assert shapes["k_proj"] == (32, 1024, 4096)
    assert shapes["down_proj"] == (32, 4096, 14336)
    assert layers["k_proj"].frozen == 1024 * 4096
    assert layers["k_proj"].trained == 8 * (1024 + 4096)


@given(st.sampled_from(sorted(MODELS())), st.integers(1, 256))
@settings(deadline=None)
def test_the_layers_add_up_to_what_a_plan_counts(base: str, rank: int) -> None:
    model = MODELS()[base]
    sums = arithmetic(model, rank)
    assert sum(layer.count * layer.trained for layer in sums.layers) == sums.trainable
    values = {"name": "x", "model": {"base": base}, "data": {"train": [{"path": "x"}]}}
    method = read({**values, "method": {"type": "lora", "rank": rank}})[0].method
    targets = resolve_targets(model, "all-linear")
    assert sums.trainable == trainable_parameters(method, model, targets)
    # AdamW: two numbers a weight; with weight and gradient 16 bytes (float32)
    assert (sums.states_bytes, sums.training_bytes) == (8 * sums.trainable, 16 * sums.trainable)
    assert arithmetic(model, 2 * rank).trainable == 2 * sums.trainable

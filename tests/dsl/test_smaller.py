"""Changes that need less memory: true by compiling them, ranked, valid in the schema."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dsl.compile import compile
from dsl.edit import patched
from dsl.facts import Facts, Hardware, PartFacts
from dsl.models import find
from dsl.recipe import read
from dsl.smaller import smaller
from dsl.validate import check_schema

GIB = 2**30
GPU = Hardware("cuda", "NVIDIA A10G", 24 * GIB, 8, bf16=True)
BASE = "llama-3.1-8b-instruct"
FACTS = Facts(
    model=find(BASE),
    parts={"train": PartFacts(4000, 40, 900_000, 400_000)},
    hardware=GPU,
)
VALUES: dict[str, Any] = {
    "name": "t",
    "model": {"base": BASE},
    "data": {"train": [{"path": "a.jsonl"}]},
    "method": {"type": "lora", "rank": 64},
    "training": {"max_length": 4096},
}


def plan_of(values: dict[str, Any], facts: Facts = FACTS) -> Any:
    return compile(*read(values), facts)


def test_every_change_is_valid_and_needs_what_it_says() -> None:
    plan = plan_of(VALUES)
    found = smaller(VALUES, plan, FACTS)
    assert found
    for one in found:
        values = patched(VALUES, one.patch)
        assert not check_schema(values)
        facts = replace(FACTS, model=find(values["model"]["base"]))
        after = plan_of(values, facts).estimate
        assert after.memory.total == one.bytes < plan.estimate.memory.total
        assert after.fits == one.fits


def test_what_fits_comes_first_and_costs_least() -> None:
    facts = replace(FACTS, hardware=replace(GPU, total_memory_bytes=16 * GIB))
    plan = plan_of(VALUES, facts)
    assert not plan.estimate.fits
    found = smaller(VALUES, plan, facts)
    fits = [one.fits for one in found]
    assert fits == sorted(fits, reverse=True) and True in fits and False in fits
    assert "four bits" in found[0].words  # of what fits, what is given up least


@pytest.mark.parametrize(
    ("method", "word"), [({"type": "full"}, "lora"), ({"type": "lora", "rank": 8}, "rank 8 -> 4")]
)
def test_changes_follow_the_method(method: dict[str, Any], word: str) -> None:
    values = VALUES | {"method": method}
    found = smaller(values, plan_of(values), FACTS)
    assert any(word in one.words for one in found)


def test_without_a_device_there_is_nothing_to_say() -> None:
    facts = replace(FACTS, hardware=None)
    assert smaller(VALUES, plan_of(VALUES, facts), facts) == []

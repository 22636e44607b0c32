"""The advised settings: cases, what must always hold, and that a recipe takes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dsl
from dsl import advise as advising
from dsl.advise import Advice, advise, choose_dropout, choose_epochs, choose_rank, not_built, patch
from dsl.approach import Answers
from dsl.edit import apply, patched
from dsl.facts import Facts, Hardware
from dsl.memory import GIB
from dsl.methods import METHODS
from dsl.models import MODELS
from dsl.problems import Change, errors
from dsl.recipe import TYPES, Lora, read
from dsl.rules import check
from dsl.validate import check_schema

RECIPES = Path(dsl.__file__).parents[1] / "recipes"
TASKS = [None, "facts", "style", "classes", "skill"]


def card(gib: int) -> Hardware:
    return Hardware("cuda", "a card", gib * GIB, 8, bf16=True)


def advised(
    base: str, gib: int, need: str = "style", rows: int = 800, rank: int | None = None
) -> Advice:
    return advise(Answers(need, rows), base, MODELS()[base], card(gib), rank)  # type: ignore[arg-type]


def values_of(advice: Advice) -> dict[str, Any]:
    return {choice.path: choice.value for choice in advice.choices}


@pytest.mark.parametrize(
    ("need", "rows", "rank"),
    [
        (None, 100, 8), (None, 500, 16), (None, 49_999, 16), (None, 50_000, 32),
        ("facts", 800, 16), ("style", 50, 8), ("style", 5_000, 8), ("style", 90_000, 16),
        ("classes", 90_000, 8), ("skill", 100, 16), ("skill", 5_000, 32), ("skill", 90_000, 64),
    ],
)  # fmt: skip
def test_rank_by_task_and_rows(need: Any, rows: int, rank: int) -> None:
    assert choose_rank(need, rows).value == rank


@given(st.sampled_from(TASKS), st.integers(0, 10**7), st.integers(0, 10**7))
def test_more_rows_never_lower_the_rank_nor_raise_the_epochs(
    need: Any, rows: int, more: int
) -> None:
    assert choose_rank(need, rows + more).value >= choose_rank(need, rows).value
    assert choose_epochs(rows + more).value <= choose_epochs(rows).value
    assert 1 <= choose_epochs(rows).value <= 3
    dropout = choose_dropout(rows)
    assert dropout is None or dropout.value == 0
    whys = [choose_rank(need, rows).why, choose_epochs(rows).why]
    assert all(any(sign.isdigit() for sign in why) and "{" not in why for why in whys)


@pytest.mark.parametrize(
    ("base", "gib", "method", "fits"),
    [
        ("smollm2-135m-instruct", 8, "lora", True),
        ("llama-3.1-8b-instruct", 24, "lora", True),
        ("llama-3.1-8b-instruct", 8, "qlora", True),
        ("llama-3.1-70b-instruct", 48, "qlora", True),
        ("llama-3.1-70b-instruct", 24, "qlora", False),
    ],
)
def test_the_method_is_the_first_that_fits(base: str, gib: int, method: str, fits: bool) -> None:
    advice = advised(base, gib)
    assert (advice.options[0].method, advice.options[0].fits) == (method, fits)
    assert {option.method for option in advice.options} == set(TYPES["method"])
    assert (advice.fitting_base is None) == fits
    if advice.fitting_base:
        again = advised(advice.fitting_base, gib)
        assert again.options[0].fits
        assert MODELS()[advice.fitting_base].parameters < MODELS()[base].parameters


def test_the_settings_are_those_of_the_method() -> None:
    assert values_of(advised("smollm2-135m-instruct", 8)) == {
        "method.type": "lora",
        "method.rank": 8,
        "training.learning_rate": METHODS["lora"].learning_rate,
        "training.epochs": 2,
    }
    many = values_of(advised("smollm2-135m-instruct", 8, "skill", 60_000))
    assert (many["method.rank"], many["method.dropout"], many["training.epochs"]) == (64, 0, 1)
    chosen = advised("smollm2-135m-instruct", 8, rank=128)
    assert values_of(chosen)["method.rank"] == 128
    assert "8 would be usual" in next(c.why for c in chosen.choices if c.path == "method.rank")


def test_full_training_gets_its_own_rate_and_no_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(advising.TYPES, "method", {"full": TYPES["method"]["full"]})
    advice = advised("smollm2-135m-instruct", 8)
    assert values_of(advice) == {
        "method.type": "full",
        "training.learning_rate": METHODS["full"].learning_rate,
        "training.epochs": 2,
    }
    values = json.loads((RECIPES / "legal-qlora.json").read_text("utf-8"))
    after = patched(values, patch(values, advice))
    assert after["method"] == {"type": "full"} and "quantization" not in after["model"]


@given(st.sampled_from(sorted(MODELS())), st.sampled_from([8, 24, 80]), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_every_reason_names_its_figure_and_every_value_is_valid(
    base: str, gib: int, rows: int
) -> None:
    advice = advised(base, gib, rows=rows)
    for why in [c.why for c in advice.choices] + [o.why for o in advice.options]:
        assert any(sign.isdigit() for sign in why), why
    values = {"name": "x", "model": {"base": "x"}, "data": {"train": [{"path": "x.jsonl"}]}}
    assert check_schema(patched(values, patch(values, advice))) == []
    assert json.loads(json.dumps(advice.to_json()))["base"] == base


def test_a_higher_rank_needs_more_memory() -> None:
    memories = [
        advised("llama-3.1-8b-instruct", 80, rank=rank).options[0].estimate.memory.total
        for rank in (4, 16, 64, 256)
    ]
    assert memories == sorted(set(memories))


@pytest.mark.parametrize("name", sorted(path.name for path in RECIPES.glob("*.json")))
@pytest.mark.parametrize("gib", [8, 24])
def test_the_patch_keeps_a_recipe_valid_and_takes_all_settings(name: str, gib: int) -> None:
    text = (RECIPES / name).read_text("utf-8")
    advice = advised("qwen2.5-7b-instruct", gib)
    after = json.loads(apply(text, "json", patch(json.loads(text), advice)))
    assert check_schema(after) == []
    recipe, _ = read(after)
    assert recipe.model.base == "qwen2.5-7b-instruct"
    assert isinstance(recipe.method, Lora) and recipe.method.alpha is None
    assert (recipe.method.type, recipe.method.rank) == (advice.options[0].method, 8)
    assert recipe.training.learning_rate == METHODS["lora"].learning_rate
    for problem in errors(check(recipe, Facts())):  # as of a merged export of a 4-bit base
        after = patched(after, problem.patch)
    assert errors(check(read(after)[0], Facts())) == []
    # what the advice says nothing of stays
    before = json.loads(text)
    assert after["data"] == before["data"] and after["eval"] == before["eval"]


def test_the_same_base_is_not_written_again() -> None:
    values = {"model": {"base": "qwen2.5-7b-instruct", "revision": "main"}}
    changes = patch(values, advised("qwen2.5-7b-instruct", 8))
    assert not any(change.path.startswith("/model") for change in changes)
    others = patch(values, advised("smollm2-135m-instruct", 8))
    assert Change("remove", "/model/revision") in others


def test_what_is_built_is_not_called_missing() -> None:
    missing = {name for section, name in advising.LATER.values() if name in TYPES[section]}
    assert len(not_built()) == len(advising.LATER) - len(missing)
    assert "IA3" in not_built()

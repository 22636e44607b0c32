from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.edit import patched
from dsl.problems import from_dotted, set_value
from dsl.recipe import (
    ChatTemplate,
    DatabaseSource,
    FileSource,
    Full,
    HubSource,
    JinjaTemplate,
    Lora,
    MixDatabase,
    MixFile,
    MixHub,
    Qlora,
    TrainDatabase,
    TrainFile,
    TrainHub,
    build,
    get,
    read,
    to_json,
    with_value,
)
from dsl.schema import fill
from dsl.validate import check_schema

LEGAL = json.loads((Path(__file__).parents[2] / "recipes" / "legal.json").read_text("utf-8"))
BASE: dict[str, Any] = {
    "name": "t",
    "model": {"base": "b"},
    "data": {"train": [{"path": "a.jsonl"}]},
}
HUB: dict[str, Any] = {"type": "hub", "dataset": "o/d", "token": {"env": "HF_TOKEN"}}
DATABASE: dict[str, Any] = {"type": "database", "path": "x.duckdb", "query": "select 1"}
CHOICES: dict[str, list[Any]] = {
    "method": [{"type": "qlora", "rank": 4}, {"type": "full"}, {"target_modules": ["q_proj"]}],
    "template": [{"type": "alpaca"}, {"type": "jinja", "prompt": "x"}, {"system": "s"}],
    "model.quantization": [{"type": "fp4"}, None],
    "data.checks": [
        {"size": "off", "leakage": {"error_above": None}},
        {"missing": "off", "language": {"expected": ["en", "de"]}, "near_leakage": {"ngram": None}},
    ],
    "data.train": [[{"path": "a", "weight": 2}, HUB | {"weight": 1}], [DATABASE]],
    "data.test": [[HUB], [DATABASE, {"path": "t"}]],
    "data.mix": [[{"path": "g", "share": 0.1}], [HUB | {"share": 0.1, "repeat": True}]],
    "training.early_stopping": [{}, {"min_delta": 0.5}, None],
    "eval.suites": [{"a": {}, "b": {"limit": 3}}],
    "eval.gates": [[{"metric": "a.loss", "max": 2}]],
    "export": [[{"type": "adapter"}, {"type": "merged"}]],
    "compute.threads": [2],
}


@given(st.fixed_dictionaries({}, optional={k: st.sampled_from(v) for k, v in CHOICES.items()}))
@settings(max_examples=100, deadline=None)
def test_a_recipe_as_json_is_what_it_was_built_of(choices: dict[str, Any]) -> None:
    values = patched(BASE, [set_value(from_dotted(path), value) for path, value in choices.items()])
    assert check_schema(values) == []
    filled, _ = fill(values)
    written = to_json(build(filled))
    assert written == {key: value for key, value in filled.items() if key != "$schema"}
    assert to_json(build(fill(json.loads(json.dumps(filled)))[0])) == written


def test_the_example_keeps_what_it_says() -> None:
    recipe, _ = read(LEGAL)
    assert (recipe.method.rank, recipe.training.learning_rate) == (16, 0.0005)  # type: ignore[union-attr]
    assert recipe.data.train[0].columns.given() == {"input": "clause", "output": "plain"}
    assert [part for _, part, _ in recipe.data.sources()] == ["train", "mix"]


@pytest.mark.parametrize(
    ("section", "value", "cls"),
    [
        ("method", {}, Lora),
        ("method", {"type": "qlora"}, Qlora),
        ("method", {"type": "full"}, Full),
        ("template", {}, ChatTemplate),
        ("template", {"type": "jinja", "prompt": "x"}, JinjaTemplate),
    ],
)
def test_the_type_chooses_the_class(section: str, value: Any, cls: type) -> None:
    assert type(getattr(read(BASE | {section: value})[0], section)) is cls


@pytest.mark.parametrize(
    ("part", "more", "classes"),
    [
        ("train", {"weight": 0.5}, (TrainFile, TrainHub, TrainDatabase)),
        ("validation", {}, (FileSource, HubSource, DatabaseSource)),
        ("test", {}, (FileSource, HubSource, DatabaseSource)),
        ("mix", {"share": 0.1}, (MixFile, MixHub, MixDatabase)),
    ],
)
def test_sources_of_every_part_and_type(
    part: str, more: dict[str, Any], classes: tuple[type, ...]
) -> None:
    listed = [source | more for source in ({"path": "legal/a.jsonl"}, HUB, DATABASE)]
    values = patched(BASE, [set_value(("data", part), listed)])
    assert check_schema(values) == []
    found = [source for _, where, source in read(values)[0].data.sources() if where == part]
    assert tuple(map(type, found)) == classes
    assert [source.name for source in found] == ["legal/a.jsonl", "o/d/train", "x.duckdb"]
    assert [source.type for source in found] == ["file", "hub", "database"]
    assert all(getattr(source, key) == value for source in found for key, value in more.items())
    assert get(read(values)[0], ("data", part, 1, "token", "env")) == "HF_TOKEN"


def test_a_threshold_that_is_given_leaves_the_others_as_they_are() -> None:
    given_one = {"duplicates": {"warn_above": 0.2}, "near_leakage": {"error_similarity": 0.95}}
    default, _ = read(BASE)
    recipe, _ = read(patched(BASE, [set_value(("data", "checks"), given_one)]))
    before, after = default.data.checks, recipe.data.checks
    assert before.duplicates and after.duplicates and after.near_leakage
    assert after.duplicates.warn_above == 0.2
    assert after.duplicates.error_above == before.duplicates.error_above is not None
    assert after.near_leakage == replace(before.near_leakage, error_similarity=0.95)
    assert after.secrets == before.secrets


def test_off_is_none_for_a_check_and_a_word_elsewhere() -> None:
    values = patched(
        BASE,
        [
            set_value(("data", "checks"), {"duplicates": "off", "size": "off"}),
            set_value(("data", "train", 0, "columns"), {"id": "off"}),
            set_value(("data", "split", "group_by"), "off"),
            set_value(("template", "system"), "off"),
        ],
    )
    recipe, _ = read(values)
    assert recipe.data.checks.duplicates is None
    assert recipe.data.checks.size is None
    assert recipe.data.checks.missing is not None
    assert recipe.data.train[0].columns.id == "off"
    assert recipe.data.split.group_by == "off"
    assert recipe.template.system == "off"  # type: ignore[union-attr]


def test_a_whole_number_is_one_number_however_it_is_written() -> None:
    whole = read(BASE | {"method": {"rank": 8}, "training": {"epochs": 2}})[0]
    point = read(BASE | {"method": {"rank": 8.0}, "training": {"epochs": 2.0}})[0]
    assert json.dumps(to_json(whole)) == json.dumps(to_json(point))


def test_get_and_with_value() -> None:
    recipe, _ = read(BASE | {"export": [{"type": "adapter"}], "eval": {"suites": {"a": {}}}})
    for path, value in [
        (("export", 0, "type"), "merged"),
        (("eval", "suites", "a", "limit"), 3),
        (("training", "epochs"), 1),
    ]:
        changed = with_value(recipe, path, value)
        assert get(changed, path) == value
        assert get(recipe, path) != value, "the recipe itself never changes"
    with pytest.raises(FrozenInstanceError):
        recipe.name = "x"  # type: ignore[misc]

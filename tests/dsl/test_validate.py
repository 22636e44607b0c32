"""Case files: a recipe's text and what is said of it. RECIPE_UPDATE_CASES=1 writes them anew."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from dsl.edit import apply, patched
from dsl.problems import Change, Problem, from_pointer
from dsl.schema import load
from dsl.source import parse
from dsl.validate import check_schema, locate

CASES = sorted((Path(__file__).parents[1] / "cases" / "validate").glob("*.json"))
VALIDATOR = Draft202012Validator(load())
BASE: dict[str, Any] = {
    "name": "t",
    "model": {"base": "smollm2-135m-instruct"},
    "data": {"train": [{"path": "a.jsonl"}]},
}


def problems_of(text: str) -> list[Problem]:
    source = parse(text, "recipe.json")
    return locate(check_schema(source.values), source)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    case = json.loads(path.read_text("utf-8"))
    found = [problem.to_json() for problem in problems_of("\n".join(case["recipe"]))]
    if os.environ.get("RECIPE_UPDATE_CASES"):
        case["problems"] = found
        path.write_text(json.dumps(case, indent=1, ensure_ascii=False) + "\n", "utf-8")
    assert found == case["problems"]
    assert found, "a case shows a problem"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_patch_makes_its_problem_go_away(path: Path) -> None:
    text = "\n".join(json.loads(path.read_text("utf-8"))["recipe"])
    for problem in problems_of(text):
        if not problem.patch:
            continue
        left = problems_of(apply(text, "json", problem.patch))
        assert (problem.path, problem.message) not in {(p.path, p.message) for p in left}
        assert len(left) < len(problems_of(text))


def test_there_are_cases() -> None:
    assert len(CASES) >= 15


def test_a_good_recipe_has_no_problems() -> None:
    example = Path(__file__).parents[2] / "recipes" / "legal.json"
    assert problems_of(example.read_text("utf-8")) == []
    assert check_schema(BASE) == []


def test_all_problems_come_at_once_in_the_order_of_the_text() -> None:
    text = '{\n"name": "T",\n"modle": {"base": "b"},\n"data": {"train": []},\n"training": 3\n}'
    found = problems_of(text)
    assert [(problem.line, problem.column) for problem in found] == [
        (1, 1),
        (2, 1),
        (3, 1),
        (4, 10),
        (5, 1),
    ]


# ---------------------------------------------------------------- our walker against jsonschema

WORDS = sorted(
    {key for sub in [load(), *load()["$defs"].values()] for key in sub.get("properties", {})}
)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["lora", "full", "off", "x"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from([*WORDS, "rnak"]), inner, max_size=4)
    ),
    max_leaves=6,
)
KINDS = st.sampled_from(
    ["lora", "qlora", "full", "chat", "jinja", "alpaca", "sft", "local", "nope"]
)
SECTIONS = st.fixed_dictionaries({}, optional={
    "type": KINDS,
    "rank": st.just(8),
    "system": st.just("s"),
    "prompt": st.just("p"),
    "loss_on": st.just("last"),
    "device": st.just("cpu"),
    "unknown": st.just(1),
})  # fmt: skip


@given(
    st.fixed_dictionaries(
        {},
        optional={section: SECTIONS for section in ("method", "template", "objective", "compute")},
    )
)
@settings(max_examples=200, deadline=None)
def test_unknown_keys_are_those_that_jsonschema_finds(sections: dict[str, Any]) -> None:
    values = {**copy.deepcopy(BASE), **sections}
    ours = {
        problem.path
        for problem in check_schema(values)
        if "unknown key" in problem.message or "has no meaning" in problem.message
    }
    for error in VALIDATOR.iter_errors(values):
        if error.validator != "unevaluatedProperties":
            continue
        path = tuple(error.absolute_path)
        kind = error.instance.get("type")
        theirs = {(*path, key) for key in error.instance if _refused_alone(path, key, values)}
        wrong_type = kind is not None and _refused_alone(path, "type", values)
        mine = {place for place in ours if place[:-1] == path}
        assert mine <= theirs
        if not wrong_type:  # beside a wrong type, keys of other branches are not reported
            assert mine == theirs


def _refused_alone(path: tuple[Any, ...], key: str, values: dict[str, Any]) -> bool:
    """Whether jsonschema refuses this key of a section when it stands beside its type alone."""
    section = values[path[0]]
    alone = {name: section[name] for name in ("type", key) if name in section}
    errors = VALIDATOR.iter_errors({**BASE, path[0]: alone})
    if key == "type":
        return any(tuple(error.absolute_path) == (*path, "type") for error in errors)
    return any(
        error.validator == "unevaluatedProperties" and f"'{key}'" in error.message
        for error in errors
    )


@given(st.dictionaries(st.sampled_from(WORDS), JUNK, max_size=5))
@settings(max_examples=150, deadline=None)
def test_any_values_give_problems_and_never_a_traceback(values: dict[str, Any]) -> None:
    found = check_schema(values)
    assert bool(found) == (not VALIDATOR.is_valid(values))
    assert found or VALIDATOR.is_valid(values)
    for problem in found:
        assert problem.message and len(problem.message) < 300
        patched(values, [c for c in problem.patch if isinstance(c, Change)])
        assert all(isinstance(from_pointer(change.path), tuple) for change in problem.patch)

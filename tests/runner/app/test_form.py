"""The schema as a form: every place of every recipe has a field, and every field is a place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dsl.edit import patched
from dsl.problems import Path as RecipePath
from dsl.problems import lookup, set_value
from dsl.schema import at
from dsl.validate import check_schema
from runner.app.form import Field, basics, children, field, fresh, items, read_number

RECIPES = Path(__file__).parents[3] / "recipes"
LEGAL = json.loads((RECIPES / "legal.json").read_text("utf-8"))
NESTED = ("section", "items", "named", "check")


def all_fields(values: Any, path: RecipePath = ()) -> list[Field]:
    found = []
    for one in children(values, path):
        found.append(one)
        if one.kind in ("items", "named"):
            for item in items(values, one.path):
                found += all_fields(values, item)
        elif one.kind in NESTED:
            found += all_fields(values, one.path)
    return found


@pytest.mark.parametrize("name", [path.name for path in sorted(RECIPES.glob("*.json"))])
def test_every_field_is_declared_and_shows_what_stands_there(name: str) -> None:
    values = json.loads((RECIPES / name).read_text("utf-8"))
    found = all_fields(values)
    assert len({one.path for one in found}) == len(found) > 60
    for one in found:
        assert at(one.path, values) is not None
        assert one.description
        assert one.value == lookup(values, one.path)


def test_every_value_of_a_recipe_has_a_field() -> None:
    shown = {one.path for one in all_fields(LEGAL)}

    def held(values: Any, path: RecipePath) -> None:
        if isinstance(values, dict):
            for key, value in values.items():
                held(value, (*path, key))
        elif isinstance(values, list) and values and isinstance(values[0], dict):
            for index, value in enumerate(values):
                held(value, (*path, index))
        elif path[0] not in ("$schema", "version"):
            assert path in shown or path[:-1] in shown

    held(LEGAL, ())


def test_fields_follow_the_type() -> None:
    names = {one.name for one in children(LEGAL, ("method",))}
    assert {"rank", "alpha"} <= names
    full = patched(LEGAL, [set_value(("method",), {"type": "full"})])
    assert "rank" not in {one.name for one in children(full, ("method",))}
    assert field(full, ("method", "rank")) is None
    assert [one.name for one in basics(full)] == [
        one.name for one in basics(LEGAL) if one.name != "rank"
    ]


KINDS: dict[RecipePath, str] = {
    ("method", "type"): "choice",
    ("method", "rank"): "integer",
    ("training", "learning_rate"): "number",
    ("training", "packing"): "switch",
    ("template", "prompt"): "prose",
    ("data", "train"): "items",
    ("data", "checks", "pii"): "check",
    ("eval", "suites"): "named",
    ("eval", "suites", "domain", "metrics"): "choices",
    ("model", "quantization"): "section",
}


@pytest.mark.parametrize(("path", "kind"), KINDS.items(), ids=lambda value: str(value))
def test_kinds(path: RecipePath, kind: str) -> None:
    found = field(LEGAL, path)
    assert found and found.kind == kind


def test_a_value_of_another_shape_is_left_to_the_text() -> None:
    values = patched(LEGAL, [set_value(("method", "rank"), "many")])
    found = field(values, ("method", "rank"))
    assert found and found.kind == "other"


def test_new_items_are_valid() -> None:
    for path in (("data", "mix"), ("eval", "gates"), ("data", "test")):
        place = (*path, len(items(LEGAL, path)))
        values = patched(LEGAL, [set_value(place, fresh(LEGAL, path))])
        assert not check_schema(values)


WRITTEN = [("2e-4", "number", 2e-4), ("3", "number", 3), (" 1 000 ", "integer", 1000)]


@pytest.mark.parametrize(("text", "kind", "number"), WRITTEN)
def test_numbers_as_people_write_them(text: str, kind: Any, number: float) -> None:
    assert read_number(text, kind) == number


@pytest.mark.parametrize("text", ["", "x", "1.5.2", "nan", "inf", "1e999"])
def test_what_is_no_number_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        read_number(text, "number")
    with pytest.raises(ValueError, match="whole number"):
        read_number("1.5", "integer")

"""One contract: schema, dataclasses and registries must say the same."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator, Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from jsonschema import Draft202012Validator

from dsl import recipe as recipes
from dsl import sources, thresholds
from dsl.compile import PASSES
from dsl.methods import METHODS
from dsl.metrics import FAMILIES, METRICS
from dsl.problems import pointer
from dsl.rows import EITHER, FORMATS, OPTIONAL, ROLES
from dsl.schema import all_fields, at, fields, fill, is_switch, load, resolve, types_with, walk

DECLARED = {"/".join(path): sub for path, sub in walk()}


def objects(schema: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every subschema as written, with its place in the file."""
    if isinstance(schema, dict):
        yield where, schema
        for key, inner in schema.items():
            if key not in ("default", "examples", "const", "enum"):
                yield from objects(inner, f"{where}/{key}")
    elif isinstance(schema, list):
        for index, inner in enumerate(schema):
            yield from objects(inner, f"{where}/{index}")


def test_it_is_a_schema_of_draft_2020_12() -> None:
    assert load()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(load())


def test_no_one_of_and_no_any_of_anywhere() -> None:
    found = [where for where, sub in objects(load()) if {"oneOf", "anyOf"} & sub.keys()]
    assert found == []


def declarations() -> Iterator[tuple[str, str, Mapping[str, Any], bool]]:
    """(place, key, schema, required) of every property as it is declared, branch by branch."""
    for where, sub in objects(load()):
        if where.endswith("/if"):
            continue
        for key, declared in sub.get("properties", {}).items():
            yield f"{where}/{key}", key, resolve(declared), key in sub.get("required", ())


@pytest.mark.parametrize(
    ("key", "declared", "required"),
    [pytest.param(*rest, id=where) for where, *rest in declarations() if "/if/" not in where],
)
def test_every_property_is_declared_in_full(
    key: str, declared: Mapping[str, Any], required: bool
) -> None:
    assert declared["description"].strip(), "a description"
    assert declared["examples"], "an example"
    ways = [required, "default" in declared, "x-derived" in declared]
    assert sum(ways) == 1, "exactly one of required, default and x-derived"


@pytest.mark.parametrize(
    "declared", [pytest.param(sub, id=where) for where, _, sub, _ in declarations()]
)
def test_examples_and_defaults_validate(declared: Mapping[str, Any]) -> None:
    validator = Draft202012Validator({"$defs": load()["$defs"], **declared})
    values = [*declared["examples"], *([declared["default"]] if "default" in declared else [])]
    for value in values:
        assert not list(validator.iter_errors(value)), value


def test_derived_values_name_their_pass() -> None:
    derived = {sub["x-derived"] for sub in DECLARED.values() if "x-derived" in sub}
    assert derived <= {step.__name__ for step in PASSES}
    assert derived


def test_every_object_is_closed_or_a_declared_map() -> None:
    for where, sub in objects(load()):
        kinds = sub.get("type", ())
        if "object" in ([kinds] if isinstance(kinds, str) else kinds):
            closed = sub.get("unevaluatedProperties") is False
            assert closed != ("additionalProperties" in sub), where


def test_only_the_default_branch_does_without_its_type() -> None:
    for where, sub in objects(load()):
        conditions = [part["if"] for part in sub.get("allOf", ()) if "if" in part]
        if not conditions:
            continue
        loose = [c["properties"]["type"]["const"] for c in conditions if "required" not in c]
        assert loose == [sub["properties"]["type"]["default"]], where


def test_a_unit_stands_where_a_number_could_be_mistaken() -> None:
    without = {
        place
        for place, sub in DECLARED.items()
        if place.endswith(("_steps", "_length", "_tokens"))
        and "x-unit" not in sub
        and "object" not in sub["type"]
    }
    assert without == {"training/gradient_accumulation_steps"}


# ---------------------------------------------------------------- dataclasses


def classes() -> Iterator[tuple[str, type, set[str]]]:
    """(place, dataclass, keys that the schema knows there)."""
    yield from _below("", recipes.Recipe, load())


def _below(
    place: str, hint: Any, schema: Mapping[str, Any]
) -> Iterator[tuple[str, type, set[str]]]:
    """The classes at one place: one for each type where it has types, else those of the hint."""
    schema = resolve(schema)
    inner = schema.get("items") or schema.get("additionalProperties")
    if inner and place not in recipes.TYPES:
        yield from _below(f"{place}/*", hint, inner)
        return
    of_types = recipes.TYPES.get(place, {}).items()
    kinds = of_types or (("", cls) for cls in _dataclasses_in(hint))
    for kind, cls in kinds:
        known = fields(schema, {"type": kind} if kind else {})
        yield f"{place}/{kind}", cls, set(known)
        for name, inside in get_type_hints(cls).items():
            yield from _below(f"{place}/{name}".lstrip("/"), inside, known.get(name, {}))


def _dataclasses_in(hint: Any) -> Iterator[type]:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        yield hint
    elif get_origin(hint) in (Union, types.UnionType, tuple, Mapping) or get_args(hint):
        for inner in get_args(hint):
            yield from _dataclasses_in(inner)


@pytest.mark.parametrize(
    ("cls", "keys"), [pytest.param(cls, keys, id=place) for place, cls, keys in classes()]
)
def test_schema_and_dataclass_have_the_same_fields(cls: type, keys: set[str]) -> None:
    assert {field.name for field in dataclasses.fields(cls)} == keys - {"$schema"}


def test_every_dataclass_of_the_recipe_stands_in_the_schema() -> None:
    placed = {cls for _, cls, _ in classes()}
    declared = {
        cls
        for module in (recipes, sources, thresholds)
        for cls in vars(module).values()
        if isinstance(cls, type)
        and dataclasses.is_dataclass(cls)
        and cls.__module__ == module.__name__
    }
    assert declared == placed


def test_no_dataclass_field_has_a_default_of_its_own() -> None:
    for _, cls, _ in classes():
        for field in dataclasses.fields(cls):
            assert field.default is dataclasses.MISSING, (cls, field.name)
            assert field.default_factory is dataclasses.MISSING, (cls, field.name)


@pytest.mark.parametrize("section", recipes.TYPES)
def test_every_type_has_its_class(section: str) -> None:
    declared = DECLARED[f"{section}/type"]
    assert set(recipes.TYPES[section]) == set(declared.get("enum") or [declared["const"]])


# ---------------------------------------------------------------- registries


def test_metrics_are_those_of_the_schema() -> None:
    items = DECLARED["eval/suites/*/metrics"]["items"]
    assert sorted(items["enum"]) == sorted([*METRICS, *FAMILIES])


def test_methods_are_those_of_the_schema() -> None:
    assert {*METHODS, "qlora"} == set(DECLARED["method/type"]["enum"])  # qlora is sugar for lora


def test_formats_are_those_of_the_schema() -> None:
    assert {*FORMATS, "auto"} == set(DECLARED["data/train/*/format"]["enum"])


def test_roles_of_columns_are_those_of_the_schema() -> None:
    assert tuple(DECLARED["data/train/*/columns"]["properties"]) == ROLES
    for roles in (FORMATS, EITHER, OPTIONAL):
        assert {role for named in roles.values() for role in named} <= {*ROLES}


# ---------------------------------------------------------------- the walker


def test_fields_depend_on_the_type() -> None:
    method = load()["$defs"]["method"]
    assert "rank" in fields(method, {})
    assert "rank" in fields(method, {"type": "qlora"})
    assert "rank" not in fields(method, {"type": "full"})
    assert set(fields(method, {"type": "nonsense"})) == {"type"}
    assert "rank" in all_fields(method)
    assert types_with(method, "rank") == ["lora", "qlora"]
    assert types_with(method, "type") == ["lora", "qlora", "full"]


def test_at_finds_a_place_by_the_values_there() -> None:
    values = {"method": {"type": "full"}, "eval": {"suites": {"x": {}}}, "data": {"train": [{}]}}
    assert at(("method", "rank"), values) is None
    assert at(("method", "rank"), {}) is not None
    assert at(("eval", "suites", "x", "limit"), values) == DECLARED["eval/suites/*/limit"]
    assert at(("data", "train", 0, "path"), values) == DECLARED["data/train/*/path"]
    hub = {"data": {"train": [{"type": "hub"}], "mix": [{"type": "database"}]}}
    assert at(("data", "train", 0, "path"), hub) is None
    assert at(("data", "mix", 0, "query"), hub) is not None
    assert types_with(load()["$defs"]["mix"], "path") == ["file", "database"]
    assert at(("name", "deeper"), {"name": "x"}) is None
    assert is_switch(DECLARED["data/checks/size"])
    assert not is_switch(DECLARED["data/split"])


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items: Any = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        items = enumerate(value)
    if not items:
        yield path
    for key, inner in items:
        yield from leaves(inner, (*path, key))


def test_fill_writes_every_default_and_knows_where_each_leaf_comes_from() -> None:
    given: dict[str, Any] = {
        "name": "t",
        "model": {"base": "b"},
        "data": {"train": [{"path": "a.jsonl"}], "mix": [{"path": "g.jsonl", "share": 0.1}]},
        "eval": {"suites": {"zeta": {}, "alpha": {"limit": 3}, "mid": {}}},
    }
    filled, origins = fill(given)
    assert set(origins) == set(leaves(filled))
    assert origins[("name",)].kind == "given"
    assert origins[("data", "mix", 0, "repeat")].kind == "default"
    assert origins[("training", "learning_rate")].kind == "derived"
    assert origins[("training", "learning_rate")].by == "desugar"
    assert list(filled["eval"]["suites"]) == ["zeta", "alpha", "mid"], "in the order of the text"
    assert not list(Draft202012Validator(load()).iter_errors(_without_none(filled)))
    assert given["eval"]["suites"]["zeta"] == {}, "the given values are not changed"


def test_the_defaults_are_shared_with_nobody() -> None:
    first, _ = fill({"name": "t", "model": {"base": "b"}, "data": {"train": []}})
    first["eval"]["suites"]["domain"]["metrics"].append("changed")
    second, _ = fill({"name": "t", "model": {"base": "b"}, "data": {"train": []}})
    assert "changed" not in second["eval"]["suites"]["domain"]["metrics"]


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return [_without_none(inner) for inner in value] if isinstance(value, list) else value


def test_places_are_unique() -> None:
    assert len({pointer(path) for path, _ in walk()}) == len(DECLARED)

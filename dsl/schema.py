"""Walks recipe.schema.json: which fields an object may have, their defaults, their words.

Knows only the style in which that schema is written: $ref with siblings, properties, allOf,
if/then/else on `type`. Full validation is jsonschema's duty, in validate.py.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from dsl.problems import Path

Schema = Mapping[str, Any]


@cache
def load(name: str = "recipe") -> dict[str, Any]:
    """The schema schemas/<name>.schema.json as a dict. Do not change it."""
    text = resources.files("schemas").joinpath(f"{name}.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def resolve(schema: Schema, root: Schema | None = None) -> Schema:
    """Follows $ref; keywords beside the reference win over those behind it."""
    if "$ref" not in schema:
        return schema
    target: Any = root or load()
    for part in schema["$ref"].removeprefix("#/").split("/"):
        target = target[part]
    siblings = {key: word for key, word in schema.items() if key != "$ref"}
    return {**resolve(target, root), **siblings}


def fields(schema: Schema, value: Any) -> dict[str, Schema]:
    """The properties that `value` may have, given its `type` and those it holds already."""
    schema = resolve(schema)
    if not isinstance(value, Mapping):
        return {}
    found = {key: resolve(sub) for key, sub in schema.get("properties", {}).items()}
    for part in schema.get("allOf", ()):
        found |= fields(part, value)
    if "if" in schema:
        branch = "then" if _matches(schema["if"], value) else "else"
        found |= fields(schema.get(branch, {}), value)
    return found


def all_fields(schema: Schema) -> dict[str, Schema]:
    """The properties of every branch; where two declare one, as the first has it."""
    schema = resolve(schema)
    found = {key: resolve(sub) for key, sub in schema.get("properties", {}).items()}
    for part in (*schema.get("allOf", ()), schema.get("then", {}), schema.get("else", {})):
        for key, sub in all_fields(part).items() if part else ():
            found.setdefault(key, sub)
    return found


def types_with(schema: Schema, key: str) -> list[str]:
    """The `type`s of an object in which `key` is known."""
    kinds = fields(schema, {}).get("type", {})
    names = [kinds["const"]] if "const" in kinds else kinds.get("enum", [])
    return [name for name in names if key in fields(schema, {"type": name})]


def is_switch(schema: Schema) -> bool:
    """Whether a place takes an object or the word "off"."""
    return bool(schema.get("then", {}).get("const") == "off")


def at(path: Path, values: Any) -> Schema | None:
    """The schema of the place `path` in a recipe with these values; None where none is declared."""
    schema: Schema = load()
    for part in path:
        schema = resolve(schema)
        if isinstance(part, int):
            schema, values = schema.get("items", {}), _item(values, part)
            continue
        known = fields(schema, values if isinstance(values, Mapping) else {})
        if part in known:
            schema = known[part]
        elif isinstance(schema.get("additionalProperties"), Mapping):
            schema = schema["additionalProperties"]
        else:
            return None
        values = values.get(part) if isinstance(values, Mapping) else None
    return resolve(schema)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from. `by` names the pass that derives it, `why` its reason."""

    kind: Literal["given", "default", "derived"]
    by: str = ""
    why: str = ""


def fill(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[Path, Origin]]:
    """Values with every default in place, and the origin of every leaf. Derived fields are None."""
    origins: dict[Path, Origin] = {}
    filled = _fill(load(), copy.deepcopy(dict(values)), (), Origin("given"), origins)
    return filled, origins


def _fill(
    schema: Schema, value: Any, path: Path, origin: Origin, origins: dict[Path, Origin]
) -> Any:
    schema = resolve(schema)
    if isinstance(value, Mapping):
        filled: dict[str, Any] = {}
        known = fields(schema, value)
        for key, sub in known.items():
            if key in value:
                filled[key] = _fill(sub, value[key], (*path, key), origin, origins)
            elif "default" in sub:
                default = copy.deepcopy(sub["default"])
                filled[key] = _fill(sub, default, (*path, key), Origin("default"), origins)
            elif "x-derived" in sub:
                filled[key] = None
                origins[(*path, key)] = Origin("derived", sub["x-derived"])
        others = schema.get("additionalProperties") or {}
        # in the order of the text: a set's would change from one process to the next
        for key in (key for key in value if key not in known):
            filled[key] = _fill(others, value[key], (*path, key), origin, origins)
        if not filled:
            origins[path] = origin
        return filled
    if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        items = schema.get("items", {})
        return [_fill(items, item, (*path, i), origin, origins) for i, item in enumerate(value)]
    origins[path] = origin
    return value


def walk(
    schema: Schema | None = None, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Schema]]:
    """Every declared property of every branch, with its path; '*' is an item or a map key."""
    schema = resolve(load() if schema is None else schema)
    for key, sub in all_fields(schema).items():
        yield (*path, key), sub
        yield from walk(sub, (*path, key))
    for inner in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(inner, Mapping):
            yield from walk(inner, (*path, "*"))


def _matches(condition: Schema, value: Mapping[str, Any]) -> bool:
    if condition.get("type") == "string":
        return False
    if not all(key in value for key in condition.get("required", ())):
        return False
    return all(
        key not in value or value[key] == sub.get("const")
        for key, sub in condition.get("properties", {}).items()
    )


def _item(values: Any, index: int) -> Any:
    return values[index] if isinstance(values, list) and index < len(values) else None

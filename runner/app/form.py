"""The schema as the fields of a form: what each place of a recipe may hold, and holds now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dsl.problems import Path, lookup
from dsl.schema import Schema, fields, is_switch, load, resolve

# check: a section that may be switched off as a whole. other: for the text to edit
Kind = Literal[
    "text", "prose", "integer", "number", "switch", "choice", "choices", "section", "items",
    "named", "check", "other",
]  # fmt: skip
# what most people set, in the order of the form; the rest is under 'All settings'
BASIC: tuple[Path, ...] = (
    ("name",),
    ("description",),
    ("model", "base"),
    ("method", "type"),
    ("method", "rank"),
    ("training", "epochs"),
    ("training", "learning_rate"),
    ("training", "max_length"),
    ("data", "split", "test"),
    ("data", "split", "group_by"),
)
OFF = "off"
HIDDEN = ("$schema", "version")
PROSE = ("template", "description")  # sections whose texts run over several lines


@dataclass(frozen=True, slots=True)
class Field:
    """One place. `value`: what stands in the recipe, None where nothing does. `default`: what
    holds then; `derived`: the pass that computes it then. `options`: of a choice."""

    path: Path
    kind: Kind
    given: bool
    value: Any
    default: Any
    derived: str | None
    required: bool
    description: str
    unit: str | None
    options: tuple[Any, ...]
    minimum: float | None
    maximum: float | None
    example: Any

    @property
    def name(self) -> str:
        return str(self.path[-1])


def children(values: Any, path: Path = ()) -> list[Field]:
    """The fields of the object at `path` of a recipe with these values, in the schema's order."""
    schema, value = _at(values, path)
    made = []
    required = _required(schema, value)
    for name, sub in fields(schema, value if isinstance(value, Mapping) else {}).items():
        if not path and name in HIDDEN:
            continue
        made.append(_field((*path, name), sub, value, name in required))
    return made


def field(values: Any, path: Path) -> Field | None:
    """One field; None where the recipe's values allow none there."""
    return next((one for one in children(values, path[:-1]) if one.path == path), None)


def basics(values: Any) -> list[Field]:
    return [found for path in BASIC if (found := field(values, path))]


def items(values: Any, path: Path) -> list[Path]:
    """The paths of what a list or a map of objects holds."""
    held = lookup(values, path)
    keys: Sequence[Any] = ()
    if isinstance(held, Mapping):
        keys = list(held)
    elif isinstance(held, list):
        keys = range(len(held))
    return [(*path, key) for key in keys]


def fresh(values: Any, path: Path) -> Any:
    """What a new item of the list or map at `path` begins with: the schema's example of it."""
    schema, _ = _at(values, path)
    inner = resolve(schema.get("items") or schema.get("additionalProperties") or {})
    examples = inner.get("examples") or [{}]
    return examples[0]


def read_number(text: str, kind: Kind) -> int | float:
    """What a person typed for a number. Raises ValueError with words for the page."""
    plain = text.strip().replace(" ", "").replace("_", "")
    try:
        return int(plain) if kind == "integer" else _float(plain)
    except ValueError:
        what = "a whole number" if kind == "integer" else "a number, such as 0.0002 or 2e-4"
        raise ValueError(f"'{text}' is not {what}") from None


def _float(text: str) -> int | float:
    number = float(text)
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError
    return int(number) if number.is_integer() and "e" not in text.lower() else number


def _at(values: Any, path: Path) -> tuple[Schema, Any]:
    """The schema and the value of a place."""
    schema, value = resolve(load()), values
    for part in path:
        inner = fields(schema, value if isinstance(value, Mapping) else {})
        if isinstance(part, str) and part in inner:
            schema = inner[part]
        else:
            schema = resolve(schema.get("items") or schema.get("additionalProperties") or {})
        value = lookup(value, (part,))
    return schema, value


def _field(path: Path, schema: Schema, parent: Any, required: bool) -> Field:
    given = isinstance(parent, Mapping) and path[-1] in parent
    value = parent[path[-1]] if given else None
    kind = _kind(path, schema, value)
    return Field(
        path=path,
        kind=kind,
        given=given,
        value=value,
        default=schema.get("default"),
        derived=schema.get("x-derived"),
        required=required,
        description=schema.get("description", ""),
        unit=schema.get("x-unit"),
        options=_options(kind, schema),
        minimum=schema.get("minimum", schema.get("exclusiveMinimum")),
        maximum=schema.get("maximum", schema.get("exclusiveMaximum")),
        example=next(iter(schema.get("examples", ())), None),
    )


def _kind(path: Path, schema: Schema, value: Any) -> Kind:
    if is_switch(schema):
        return _fits("check", value, lambda v: v == OFF or isinstance(v, Mapping))
    options = schema.get("enum") or ([schema["const"]] if "const" in schema else None)
    if options:
        return _fits("choice", value, lambda v: v in options)
    types = schema.get("type", ())
    types = {types} if isinstance(types, str) else set(types)
    types -= {"null"}
    if types == {"boolean"}:
        return _fits("switch", value, lambda v: isinstance(v, bool))
    if types in ({"integer"}, {"number"}):
        kind: Kind = "integer" if types == {"integer"} else "number"
        return _fits(kind, value, lambda v: isinstance(v, int | float) and not isinstance(v, bool))
    if types in ({"string"}, {"string", "array"}):
        return _fits("prose" if path[0] in PROSE else "text", value, lambda v: isinstance(v, str))
    if types == {"array"}:
        inner = resolve(schema.get("items", {}))
        if "enum" in inner:
            return _fits("choices", value, lambda v: isinstance(v, list))
        objects = bool(fields(inner, {}))
        return _fits("items" if objects else "other", value, lambda v: isinstance(v, list))
    if types == {"object"}:
        named = not schema.get("properties") and "additionalProperties" in schema
        return _fits("named" if named else "section", value, lambda v: isinstance(v, Mapping))
    return "other"


def _fits(kind: Kind, value: Any, fits: Any) -> Kind:
    """A value of another shape is for the text to edit."""
    return kind if value is None or fits(value) else "other"


def _options(kind: Kind, schema: Schema) -> tuple[Any, ...]:
    if kind == "choices":
        return tuple(resolve(schema.get("items", {})).get("enum", ()))
    if kind != "choice":
        return ()
    return tuple(schema.get("enum", [schema.get("const")]))


def _required(schema: Schema, value: Any) -> set[str]:
    found = set(schema.get("required", ()))
    for part in schema.get("allOf", ()):
        found |= set(resolve(part).get("required", ()))
    return found

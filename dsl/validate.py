"""Schema errors → Problems, all at once, in words, with the smallest fix."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dsl import schema as schemas
from dsl.problems import Change, Path, Problem, closest, one_of, remove, set_value
from dsl.source import Source

_KIND = {
    "object": "an object { }",
    "array": "a list [ ]",
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
}

# words of other tools and of speech that spelling alone would not lead to ours
_ALIASES = {
    "lr": "learning_rate",
    "r": "rank",
    "batch_size": "global_batch_size",
    "per_device_train_batch_size": "micro_batch_size",
    "num_train_epochs": "epochs",
    "lr_scheduler_type": "schedule",
    "gradient_checkpointing": "activation_checkpointing",
    "max_seq_length": "max_length",
    "cutoff_len": "max_length",
    "bf16": "bfloat16",
    "fp16": "float16",
    "fp32": "float32",
    "gpu": "cuda",
}


def check_schema(values: Mapping[str, Any]) -> list[Problem]:
    """All violations of recipe.schema.json, in no order, without lines."""
    # imported here: it costs more CPU than everything else that validation does
    from jsonschema import Draft202012Validator

    problems: dict[tuple[Path, str], Problem] = {}
    for error in Draft202012Validator(schemas.load()).iter_errors(values):
        for problem in _translate(error, values):
            problems.setdefault((problem.path, problem.message), problem)
    return _without_echoes(list(problems.values()))


def locate(problems: list[Problem], source: Source) -> list[Problem]:
    """The problems with line and column, in the order of the text."""
    placed = [problem.at(*source.place(problem.path)) for problem in problems]
    return sorted(placed, key=lambda p: (p.line or 0, p.column or 0, p.severity, p.message))


def _translate(error: Any, values: Mapping[str, Any]) -> Iterator[Problem]:
    """One jsonschema error → Problems. The schema has no anyOf and no oneOf to take apart."""
    path: Path = tuple(error.absolute_path)
    value, bound = error.instance, error.validator_value
    declared = schemas.at(path, values) or {}
    if "propertyNames" in error.absolute_schema_path:
        yield _bad_name((*path, value), value)
        return
    match error.validator:
        case "unevaluatedProperties":
            yield from _unknown_keys(path, value, declared)
        case "required":
            yield from _missing(path, value, bound, values)
        case "type":
            yield _wrong_type(path, value, [bound] if isinstance(bound, str) else bound, declared)
        case "enum" | "const":
            known = declared.get("enum", bound if error.validator == "enum" else [bound])
            yield _not_one_of(path, value, list(known))
        case "minimum":
            message = f"{_show(value)} is too small: at least {bound}"
            yield _bad(path, message, set_value(path, bound))
        case "maximum":
            yield _too_large(path, value, bound, declared)
        case "exclusiveMinimum":
            message = f"{_show(value)} is too small: it must be above {bound}"
            yield _bad(path, message, hint=_example(declared))
        case "exclusiveMaximum":
            message = f"{_show(value)} is too large: it must be below {bound}"
            yield _bad(path, message, hint=_example(declared))
        case "minItems" | "minLength":
            yield _bad(path, "must not be empty", hint=_example(declared))
        case "uniqueItems":
            once = [item for i, item in enumerate(value) if item not in value[:i]]
            yield _bad(path, "names one thing twice", set_value(path, once))
        case "pattern":
            yield _bad(path, f"{_show(value)} is not of the right form", hint=_form(declared))
        case _:
            yield _bad(path, error.message)


def _bad(path: Path, message: str, *patch: Any, hint: str | None = None) -> Problem:
    if patch and hint is None and patch[0].op == "set":
        hint = f"set it to {_show(patch[0].value)}"
    return Problem(path, message, hint, tuple(patch))


def _bad_name(path: Path, name: str) -> Problem:
    hint = "begin with a-z; then a-z, 0-9, _ and - may follow"
    return Problem(path, f"{_show(name)} cannot be a name here", hint)


def _unknown_keys(
    path: Path, value: Mapping[str, Any], declared: schemas.Schema
) -> Iterator[Problem]:
    # jsonschema also lists known keys here when their branch has another error: ours is exact
    known = schemas.fields(declared, value)
    kinds = known.get("type", {})
    kind = value.get("type", kinds.get("default"))
    # beside a type that is itself wrong, every branch's keys may be meant
    sure = kind in (kinds.get("enum") or [kinds.get("const")])
    meant = known if sure else schemas.all_fields(declared)
    for key in value:
        if key in known:
            continue
        types = schemas.types_with(declared, key)
        if types and "type" in known:
            message = f"'{key}' has no meaning for type {_show(kind)}"
            hint = f"it belongs to type {one_of(types)}: remove it or change the type"
            yield Problem((*path, key), message, hint, (remove((*path, key)),))
            continue
        right = _meant(key, meant)
        patch: tuple[Change, ...] = (remove((*path, key)),)
        if right is None:
            hint = f"remove it; known here: {', '.join(meant)}"
        elif right in value:
            hint = f"remove it: '{right}' is there already"
        else:
            hint = f"did you mean {right}?"
            patch = (*patch, set_value((*path, right), value[key]))
        yield Problem((*path, key), f"unknown key '{_short(key)}'", hint, patch)


def _meant(word: str, known: Iterable[str]) -> str | None:
    known = list(known)
    alias = _ALIASES.get(word.lower())
    return alias if alias in known else closest(word, known)


def _missing(path: Path, value: Any, bound: list[str], values: Any) -> Iterator[Problem]:
    for key in bound:
        if key not in value:
            declared = schemas.at((*path, key), values) or {}
            yield Problem((*path, key), f"'{key}' is missing", _example(declared, key))


def _wrong_type(path: Path, value: Any, kinds: list[str], declared: schemas.Schema) -> Problem:
    names = _KIND | ({"string": '"off"'} if schemas.is_switch(declared) else {})
    wanted = one_of([names[kind] for kind in kinds if kind != "null"])
    # a secret that was written out is not repeated on a screen
    is_secret = isinstance(value, str) and "env" in declared.get("properties", {})
    message = f"must be {wanted}, not {'a text' if is_secret else _kind_of(value)}"
    better = _converted(value, kinds)
    if better is None and isinstance(value, str) and "object" in kinds:
        better = _wrapped(value, declared)
    if better is not None:
        return _bad(path, message, set_value(path, better), hint=f"write {_show(better)}")
    return _bad(path, message, hint=_example(declared))


def _converted(value: Any, kinds: list[str]) -> Any:
    """What was probably meant: "8" → 8, 8.0 → 8, "true" → true; None where nothing is safe."""
    if isinstance(value, str):
        word = value.strip().lower()
        if "boolean" in kinds and word in ("true", "false", "yes", "no", "on", "off"):
            return word in ("true", "yes", "on")
        try:
            number = float(word)
        except ValueError:
            return [value] if "array" in kinds and "string" not in kinds else None
        if not math.isfinite(number):
            return None
        if "integer" in kinds and number.is_integer():
            return int(number)
        if "number" in kinds:
            return int(number) if number.is_integer() else number
        return None
    if isinstance(value, float) and "integer" in kinds and value.is_integer():
        return int(value)
    if isinstance(value, dict) and "array" in kinds and value:
        return [value]
    return None


def _wrapped(value: str, declared: schemas.Schema) -> dict[str, str] | None:
    """What a bare word stands for: lora → {"type": "lora"}, a.jsonl → {"path": "a.jsonl"}."""
    known = schemas.all_fields(declared)
    if value in known.get("type", {}).get("enum", ()):
        return {"type": value}
    return {"path": value} if "path" in known and value else None


def _not_one_of(path: Path, value: Any, known: list[Any]) -> Problem:
    names = [name for name in known if name is not None]
    message = f"{_show(value)} is not known here"
    if len(names) == 1:
        return _bad(path, message, set_value(path, names[0]), hint=f"write {_show(names[0])}")
    right = _meant(str(value), names)
    if right:
        return Problem(path, message, f"did you mean {right}?", (set_value(path, right),))
    return Problem(path, message, f"choose {one_of(names)}")


def _too_large(path: Path, value: Any, bound: Any, declared: schemas.Schema) -> Problem:
    message = f"{_show(value)} is too large: at most {bound}"
    if path[-1:] == ("learning_rate",):
        return _bad(path, message, set_value(path, 0.0002), hint=declared["description"])
    if "fraction" in declared.get("x-unit", "") and 1 < value <= 100 * bound:
        share = value / 100
        hint = f"it is a fraction: {value:g} percent is {share:g}"
        return _bad(path, message, set_value(path, share), hint=hint)
    return _bad(path, message, set_value(path, bound))


def _without_echoes(problems: list[Problem]) -> list[Problem]:
    """Drops 'no meaning' for keys beside a `type` that is itself wrong."""
    wrong_types = {p.path[:-1] for p in problems if p.path[-1:] == ("type",)}
    echo = "has no meaning for type"
    return [p for p in problems if not (echo in p.message and p.path[:-1] in wrong_types)]


def _kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {_show(value)}"
    if isinstance(value, int | float):
        return f"the number {_show(value)}"
    return "null" if value is None else "an object" if isinstance(value, dict) else "a list"


def _show(value: Any) -> str:
    return _short(json.dumps(value, ensure_ascii=False))


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _form(declared: schemas.Schema) -> str:
    """What a pattern asks for, in words: the description says it, the example shows it."""
    return f"for example {_show(declared['examples'][0])}. {declared['description']}"


def _example(declared: schemas.Schema, key: str | None = None) -> str | None:
    if not declared.get("examples"):
        return declared.get("description")
    shown = _show(declared["examples"][0])
    return f'for example "{key}": {shown}' if key else f"for example {shown}"

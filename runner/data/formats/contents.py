"""What a cell holds, as far as that tells formats apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orjson import JSONDecodeError, loads

# the words for each kind, in the singular of 'column x holds ...'
WORDS: dict[str, str] = {
    "text": "texts",
    "number": "numbers",
    "flag": "true or false",
    "bit": "0 or 1",
    "role_turns": "lists of {role, content}",
    "from_turns": "lists of {from, value}",
    "role_turn": "a {role, content}",
    "from_turn": "a {from, value}",
    "pairs": "lists of [question, answer]",
    "list": "lists",
    "object": "objects",
    "empty": "nothing",
    "null": "nothing",
}
_BITS = ("true", "false", "0", "1")


def kind_of(value: object) -> str:
    """A key of WORDS. JSON given as text, as in a cell of CSV, counts as what it says."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, int | float):
        return "bit" if value in (0, 1) else "number"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return _object(value)
    return _list(value) if isinstance(value, Sequence) else "object"


def _text(value: str) -> str:
    if value.strip().lower() in _BITS:
        return "bit"
    if value[:1] in ("[", "{"):
        try:
            told = kind_of(loads(value))
        except JSONDecodeError:
            return "text"
        # a text may well begin with a bracket; only what is surely meant as JSON is taken for it
        if told.endswith(("_turn", "_turns", "pairs")):
            return told
    return "text"


def _object(value: Mapping[str, object]) -> str:
    if "role" in value:
        return "role_turn"
    return "from_turn" if "from" in value and "value" in value else "object"


def _list(value: Sequence[object]) -> str:
    if not value:
        return "empty"
    kinds = {_object(item) if isinstance(item, Mapping) else "list" for item in value}
    if len(kinds) == 1 and next(iter(kinds)).endswith("_turn"):
        return kinds.pop() + "s"
    pairs = all(isinstance(item, Sequence) and not isinstance(item, str) and len(item) == 2
                for item in value)  # fmt: skip
    return "pairs" if pairs else "list"

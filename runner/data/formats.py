"""Shapes of a row: which format the columns make, and the canonical row out of a raw one."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from orjson import JSONDecodeError, dumps, loads

from dsl.errors import DataError
from dsl.problems import did_you_mean, one_of
from dsl.recipe import Columns
from dsl.rows import ALPACA_PROMPT, FORMATS, OPTIONAL, Format
from runner.data import files

ROLES = ("system", "user", "assistant")
HEAD_ROWS = 1000
WHOLE_ARRAY_BYTES = 1 << 20


class Refused(ValueError):
    """A record that is no row of its format; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Peek:
    """Columns seen. `complete`: all rows were looked at."""

    columns: tuple[str, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why columns make no format."""

    message: str
    hint: str


# ---------------------------------------------------------------- columns


def peek(path: Path) -> Peek:
    """The columns of a file at little cost and without DuckDB, but for Parquet. Never raises for
    what a file holds: what cannot be read is not complete."""
    try:
        kind = files.sniff(path, path.name)
        if kind == "json" and path.stat().st_size > WHOLE_ARRAY_BYTES:
            return Peek((), False)
        if kind == "csv":
            return Peek(files.csv_header(path, path.name), True)
        if kind == "parquet":
            return Peek(files.parquet_columns(path, path.name), True)
        rows = files.records(path, kind, path.name)
        census = Counter(column for _, row, _ in islice(rows, HEAD_ROWS) for column in row or ())
        return Peek(tuple(census), next(rows, None) is None)
    except (DataError, OSError):
        return Peek((), False)


def detect_format(columns: Sequence[str], given: Columns, declared: str) -> Format | Misfit:
    """The format that these columns make, given which role the recipe maps to which column.

    `declared` is the recipe's `format`; 'auto' takes the first of FORMATS that fits.
    """
    mapped = given.given()
    misfit = Misfit(f"the columns {_listed(columns)} make no known format", _map(columns))
    if declared != "auto":
        misfit = Misfit(f"the mapped columns are not those of format {declared}", _map(columns))
    for format in FORMATS:
        if declared not in ("auto", format):
            continue
        if not set(mapped) <= {*FORMATS[format], *OPTIONAL[format]}:
            continue
        roles = roles_of(format, mapped)
        lacking = [role for role in FORMATS[format] if roles.get(role) not in columns]
        if format == "alpaca" and not any(roles.get(role) in columns for role in ALPACA_PROMPT):
            lacking.append(one_of(ALPACA_PROMPT))
        if not lacking:
            return format
        if declared == format:
            message = f"format {format} lacks a column for {' and '.join(lacking)}"
            misfit = Misfit(message, _map(columns))
    return misfit


def roles_of(format: Format, mapped: Mapping[str, str]) -> dict[str, str]:
    """Role → column of the file: as mapped, else the column of the role's own name.

    A column that the recipe gives to one role does not play another by its name.
    """
    taken = set(mapped.values())
    own = {role: role for role in (*FORMATS[format], *OPTIONAL[format]) if role not in taken}
    roles = {**own, **mapped}
    return {role: column for role, column in roles.items() if role != "id"}


# ---------------------------------------------------------------- rows


def _alpaca(row: Mapping[str, Any], roles: Mapping[str, str]) -> dict[str, Any]:
    texts = {role: text_of(row, column) for role, column in roles.items()}
    asked = [texts[role] for role in ALPACA_PROMPT if texts.get(role, "").strip()]
    return {
        "system": texts.get("system") or None,
        "prompt": "\n\n".join(asked),
        "completion": texts["output"],
        "messages": None,
        "texts": texts,
    }


def _prompt_completion(row: Mapping[str, Any], roles: Mapping[str, str]) -> dict[str, Any]:
    texts = {role: text_of(row, column) for role, column in roles.items()}
    return {
        "system": texts.get("system") or None,
        "prompt": texts["prompt"],
        "completion": texts["completion"],
        "messages": None,
        "texts": texts,
    }


def _messages(row: Mapping[str, Any], roles: Mapping[str, str]) -> dict[str, Any]:
    """prompt: all turns before the last answer but the system's; a single question stands alone,
    so that it equals the same question in another format."""
    turns = _turns(row.get(roles["messages"]), roles["messages"])
    system = "\n\n".join(turn["content"] for turn in turns if turn["role"] == "system")
    asked = [turn for turn in turns[:-1] if turn["role"] != "system"]
    single = len(asked) == 1 and asked[0]["role"] == "user"
    return {
        "system": system or None,
        "prompt": asked[0]["content"]
        if single
        else "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in asked),
        "completion": turns[-1]["content"],
        "messages": turns,
        "texts": {},
    }


# format → raw row and roles → canonical row; raises Refused
CANONICAL: dict[Format, Callable[[Mapping[str, Any], Mapping[str, str]], dict[str, Any]]] = {
    "messages": _messages,
    "prompt_completion": _prompt_completion,
    "alpaca": _alpaca,
}


def text_of(row: Mapping[str, Any], column: str) -> str:
    """A cell as text; numbers and truth values as JSON writes them, null as ''. Raises Refused."""
    value = row.get(column)
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return dumps(value).decode()
    raise Refused(f"'{column}' is {files.in_words(value)}, not a text")


def _turns(value: Any, column: str) -> list[dict[str, str]]:
    if isinstance(value, str):
        try:
            value = loads(value)
        except JSONDecodeError as error:
            raise Refused(f"'{column}' is a text that is not JSON") from error
    if not isinstance(value, list) or not value:
        raise Refused(f"'{column}' is {files.in_words(value)}, not a list of turns")
    for number, turn in enumerate(value, 1):
        if not isinstance(turn, dict):
            raise Refused(f"turn {number} is {files.in_words(turn)}, not an object")
        if turn.get("role") not in ROLES:
            raise Refused(f"turn {number} has no role of {one_of(ROLES)}: {turn.get('role')!r:.60}")
        if not isinstance(turn.get("content"), str):
            content = files.in_words(turn.get("content"))
            raise Refused(f"the content of turn {number} is {content}, not a text")
    if value[-1]["role"] != "assistant":
        answered = any(turn["role"] == "assistant" for turn in value)
        raise Refused("the last turn is not the assistant's" if answered else "no assistant turn")
    return [{"role": turn["role"], "content": turn["content"]} for turn in value]


def normalised(text: str) -> str:
    """The text that equality is judged by: NFC, lower case, runs of blanks as one space."""
    return " ".join(unicodedata.normalize("NFC", text).lower().split())


def keys(system: str | None, prompt: str, completion: str) -> tuple[str, str]:
    """(prompt_key, pair_key), SHA-256 in hex. Rows without a prompt differ by their answer."""
    question, answer = _digest(normalised(prompt)), _digest(normalised(completion))
    pair = _digest(f"{_digest(normalised(system or ''))}{question}{answer}")
    return (question if prompt.strip() else _digest(f"answer {answer}")), pair


def no_column(column: str, known: Sequence[str]) -> str:
    """A hint: the column that was probably meant, and those there are."""
    close = did_you_mean(column, known)
    return f"{close + ' ' if close else ''}the columns: {_listed(known)}"


def _map(columns: Sequence[str]) -> str:
    return (
        'say which column plays which part, as in "columns": {"prompt": "question", '
        f'"completion": "answer"}}; the columns: {_listed(columns)}'
    )


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(sorted(columns)[:20]) + (", ..." if len(columns) > 20 else "")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

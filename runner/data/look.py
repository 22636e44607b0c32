"""look(data) → the files of a data set with their first rows and the format that these make."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from dsl.errors import DataError, RecipeError
from dsl.problems import did_you_mean
from dsl.rows import ROLES
from runner.data import files
from runner.data.databases import tables
from runner.data.files import File
from runner.data.formats import Detected, Misfit, detect
from runner.data.kinds import HEAD_BYTES, database_of

HEAD_ROWS = 1000
SHOWN_COLUMNS = 12


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user says about the data: a database's query, role → column."""

    query: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    def given(self) -> dict[str, str]:
        return dict(self.columns)


@dataclass(frozen=True, slots=True)
class Seen:
    """One file with its first rows and what they make."""

    file: File
    head: Sequence[Mapping[str, Any]]
    found: Detected

    @property
    def there(self) -> tuple[str, ...]:
        """Every column of the first rows."""
        return _columns(self.head)

    @property
    def columns(self) -> dict[str, str]:
        """Role → column, for roles that are played by columns of other names."""
        there, roles = set(self.there), self.found.roles.items()
        return {role: column for role, column in roles if column in there and column != role}

    @property
    def unread(self) -> tuple[str, ...]:
        """Columns of text that play no role."""
        used = set(self.found.roles.values())
        return tuple(column for column in texts(self.head) if column not in used)


def look(path: str, base: Path, asked: Asked) -> list[Seen]:
    """Every file that `path`, relative to `base`, names. Raises DataError for the first that
    cannot be read or has no format, RecipeError for a role that does not exist."""
    for role in asked.columns:
        if role not in ROLES:
            hint = did_you_mean(role, ROLES) or f"the parts: {', '.join(ROLES)}"
            raise RecipeError(f"--column {role}: no part of a row is called so", hint)
    opened = [
        files.sniff(file, name, asked.query or _query_of(file, name))
        for file, name in files.expand(path, base)
    ]
    return [_seen(file, asked) for file in opened]


def texts(head: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The columns whose first value is a text."""
    return tuple(column for column in _columns(head) if isinstance(_first(head, column), str))


def _query_of(file: Path, name: str) -> str | None:
    """A database with one table has one query that suggests itself."""
    if not file.is_file():
        return None
    with file.open("rb") as opened:
        if database_of(opened.read(HEAD_BYTES)) is None:
            return None
    listed = tables(file, name)
    if not listed:
        raise DataError(f"{name}: a database without tables")
    if len(listed) > 1:
        raise DataError(
            f"{name}: a database of {len(listed)} tables: which rows are meant?",
            f"say it by --query 'select * from {listed[0]}'; its tables: {', '.join(listed[:20])}",
        )
    return 'select * from "{}"'.format(listed[0].replace('"', '""'))


def _seen(file: File, asked: Asked) -> Seen:
    head: list[dict[str, Any]] = []
    refused = ""
    for line, row, reason in islice(files.records(file), HEAD_ROWS):
        if row is not None:
            head.append(row)
        elif reason and not refused:
            refused = f"line {line}: {reason}"
    if not head:
        raise DataError(
            f"{file.name}: no row can be read" + (f"; {refused}" if refused else ""),
            "a row is a JSON object" if refused else "put rows into it",
        )
    there = _columns(head)
    for role, column in asked.columns.items():
        if column not in there:
            hint = did_you_mean(column, there) or f"the columns: {', '.join(there[:SHOWN_COLUMNS])}"
            raise DataError(f"{file.name}: no column '{column}', which --column {role} names", hint)
    found = detect(head, asked)
    if isinstance(found, Misfit):
        raise DataError(f"{file.name}: {found.message}", _how_to_map(head))
    return Seen(file, head, found)


def _how_to_map(head: Sequence[Mapping[str, Any]]) -> str:
    """The columns with an example each, and a mapping that may be meant."""
    there = _columns(head)
    shown = there[:SHOWN_COLUMNS]
    width = max(map(len, shown), default=0)
    lines = [f"{column:<{width}}  {_example(head, column)}" for column in shown]
    if len(there) > len(shown):
        lines.append(f"and {len(there) - len(shown)} more")
    lines.append(f"say which column plays which part, as in {mapping(texts(head))}")
    return "\n    ".join(lines)


def mapping(columns: Sequence[str]) -> str:
    """Words of the command line that map the first two columns to question and answer."""
    asked, answer = columns[:2] if len(columns) > 1 else ("QUESTION", "ANSWER")
    parts = (f"prompt={asked}", f"completion={answer}")
    return " ".join(f"--column {shlex.quote(part)}" for part in parts)


def _example(head: Sequence[Mapping[str, Any]], column: str) -> str:
    text = json.dumps(_first(head, column), ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _first(head: Sequence[Mapping[str, Any]], column: str) -> Any:
    return next((row[column] for row in head if row.get(column) not in (None, "")), None)


def _columns(head: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(column for row in head for column in row))

"""peek(source) → the columns and formats of its files at little cost: of the first rows alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsl.errors import DataError
from dsl.rows import Format
from dsl.sources import HubSource, Source
from runner.data import files
from runner.data.files import File
from runner.data.formats import Detected, detect

HEAD_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Peek:
    """Columns seen in one file, and the format they make. `complete`: all rows were looked at, or
    the file declares its columns."""

    name: str
    format: Format | None
    columns: tuple[str, ...]
    complete: bool


def peek(source: Source, base: Path) -> list[Peek]:
    """One for each file; paths are relative to `base`. Nothing is fetched from a hub.

    Never raises for what a file holds: what cannot be read has no columns.
    """
    if isinstance(source, HubSource):
        return []
    try:
        opened = files.open_source(source, base)
    except DataError:
        return [Peek(source.name, None, (), False)]
    return [_peek(file, source) for file in opened]


def _peek(file: File, source: Source) -> Peek:
    try:
        seen = head(file)
    except DataError:
        return Peek(file.name, None, (), False)
    found = detect(seen.rows, source.columns, source.format, seen.columns) if seen.columns else None
    format = found.format if isinstance(found, Detected) else None
    return Peek(file.name, format, seen.columns, seen.complete)


@dataclass(frozen=True, slots=True)
class Head:
    """The first rows of a file. `columns`: those that it declares, else those of these rows.
    `complete`: no row can bring others. `refused`: why the first record that is no row is none."""

    rows: tuple[Mapping[str, Any], ...]
    columns: tuple[str, ...]
    complete: bool
    refused: str | None


def head(file: File) -> Head:
    """Reads until HEAD_ROWS rows are seen. Raises DataError."""
    declared = files.columns(file)
    rows: list[Mapping[str, Any]] = []
    refused = None
    complete = True
    for line, row, reason in files.records(file):
        if row is None:
            refused = refused or (f"line {line}: {reason}" if reason else None)
        elif len(rows) == HEAD_ROWS:
            complete = declared is not None
            break
        else:
            rows.append(row)
    columns = declared or tuple(dict.fromkeys(column for row in rows for column in row))
    return Head(tuple(rows), columns, complete, refused)

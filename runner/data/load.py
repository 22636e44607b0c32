"""Sources → the table `rows`, and a report of each: what was read, refused and blank."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orjson import JSONEncodeError, dumps

from dsl.errors import DataError
from dsl.problems import Path as RecipePath
from dsl.problems import dotted
from dsl.recipe import FileSource
from dsl.rows import Format
from runner.data import files
from runner.data.formats import (
    CANONICAL,
    HEAD_ROWS,
    Misfit,
    Refused,
    detect_format,
    keys,
    no_column,
    roles_of,
    text_of,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

BATCH_ROWS = 5000
BATCH_CHARACTERS = 1 << 24


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What was read from one source. rows + len(refused) + blank = records of the file.

    `columns`: column → rows that have it. `refused`: (line, reason).
    """

    path: RecipePath
    part: str
    name: str
    kind: str
    format: Format
    sha256: str
    bytes: int
    rows: int
    refused: tuple[tuple[int, str], ...]
    blank: int
    columns: Mapping[str, int]

    @property
    def records(self) -> int:
        return self.rows + len(self.refused) + self.blank


def load(
    connection: DuckDBPyConnection,
    sources: Sequence[tuple[RecipePath, str, FileSource]],
    base: Path,
    group_by: str | None,
) -> tuple[SourceReport, ...]:
    """Fills the table `rows` from all sources. Paths are relative to `base`.

    Raises one DataError that names every source that cannot be read.
    """
    reports: list[SourceReport] = []
    failed: list[tuple[RecipePath, DataError]] = []
    for index, (path, part, source) in enumerate(sources):
        try:
            reports.append(_load_one(connection, index, path, part, source, base, group_by))
        except DataError as error:
            failed.append((path, error))
    if not failed and group_by:
        failed = [(("data", "split", "group_by"), e) for e in _lacks_group(reports, group_by)]
    if failed:
        raise _together(failed)
    return tuple(reports)


def _load_one(
    connection: DuckDBPyConnection,
    index: int,
    path: RecipePath,
    part: str,
    source: FileSource,
    base: Path,
    group_by: str | None,
) -> SourceReport:
    file, name = base / source.path, source.path
    kind = files.sniff(file, name)
    format = _format_of(file, kind, source)
    roles = roles_of(format, source.columns.given())
    canonical, grouped = CANONICAL[format], None if part == "mix" else group_by
    constants = [part, index, name, part == "mix", format]
    census: Counter[str] = Counter()
    refused: list[tuple[int, str]] = []
    rows = blank = size = 0
    batch: list[tuple[Any, ...]] = []
    for line, raw, reason in files.records(file, kind, name):
        if raw is None:
            if reason is None:
                blank += 1
            else:
                refused.append((line, reason))
            continue
        census.update(raw.keys())
        try:
            made = _row(raw, canonical(raw, roles), line, name, source.columns.id, grouped)
        except Refused as reason_:
            refused.append((line, str(reason_)))
            continue
        rows += 1
        batch.append(made)
        size += len(made[-5])
        if len(batch) >= BATCH_ROWS or size > BATCH_CHARACTERS:
            _insert(connection, constants, batch)
            batch, size = [], 0
    _insert(connection, constants, batch)
    _mapped_exist(source, census)
    with file.open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    return SourceReport(
        path, part, name, kind, format, sha256, file.stat().st_size,
        rows, tuple(refused), blank, dict(census),
    )  # fmt: skip


def _row(
    raw: dict[str, Any],
    made: dict[str, Any],
    line: int,
    name: str,
    id_column: str | None,
    group_by: str | None,
) -> tuple[Any, ...]:
    """The values in the order of _insert. Raises Refused where JSON cannot hold the row."""
    own = text_of(raw, id_column).strip() if id_column else ""
    prompt, completion = made["prompt"], made["completion"]
    try:
        columns = dumps(raw | made["texts"]).decode()
        messages = dumps(made["messages"]).decode() if made["messages"] else None
    except JSONEncodeError as error:
        raise Refused(f"cannot be kept as JSON: {error}") from error
    group = _group(raw.get(group_by)) if group_by else None
    return (
        line, own or f"{name}:{line}", group, made["system"], prompt, completion, messages,
        columns, not prompt.strip(), not completion.strip(),
        *keys(made["system"], prompt, completion),
    )  # fmt: skip


def _insert(
    connection: DuckDBPyConnection, constants: list[Any], batch: list[tuple[Any, ...]]
) -> None:
    if not batch:
        return
    types = ("bigint", *["varchar"] * 7, "boolean", "boolean", "varchar", "varchar")
    unnested = ", ".join(f"unnest(?::{type_}[])" for type_ in types)
    connection.execute(
        "insert into rows (part, source, name, general, format, line, id, grp, system, prompt,"
        " completion, messages, columns, blank_prompt, blank_completion, prompt_key, pair_key)"
        f" select ?, ?, ?, ?, ?, {unnested}",
        [*constants, *map(list, zip(*batch, strict=True))],
    ).fetchall()


def _format_of(file: Path, kind: str, source: FileSource) -> Format:
    """From the first rows, or from all where those are not enough."""
    rows = files.records(file, kind, source.path)
    census: Counter[str] = Counter()
    seen = 0
    first = ""
    for some in (islice(rows, HEAD_ROWS), rows):
        for line, row, reason in some:
            seen += row is not None
            census.update(row.keys() if row else ())
            first = first or (f"line {line}: {reason}" if reason else "")
        fitting = detect_format(tuple(census), source.columns, source.format)
        if isinstance(fitting, str):
            return fitting
    if not seen:
        message = f"no row can be read; {first}" if first else "no rows"
        raise DataError(f"{source.path}: {message}", "a row is a JSON object" if first else None)
    _mapped_exist(source, census)
    assert isinstance(fitting, Misfit)
    raise DataError(f"{source.path}: {fitting.message}", fitting.hint)


def _mapped_exist(source: FileSource, census: Mapping[str, int]) -> None:
    for role, column in source.columns.given().items():
        if not census.get(column):
            raise DataError(
                f"{source.path}: no column '{column}', which columns.{role} names",
                no_column(column, tuple(census)),
            )


def _lacks_group(reports: Sequence[SourceReport], group_by: str) -> Iterator[DataError]:
    for report in reports:
        if report.part == "train" and not report.columns.get(group_by):
            hint = no_column(group_by, tuple(report.columns))
            yield DataError(f"{report.name}: no column '{group_by}'", hint)


def _together(failed: Sequence[tuple[RecipePath, DataError]]) -> DataError:
    lines = [f"{dotted(path)}: {error.message}" for path, error in failed]
    hints = [error.hint for _, error in failed if error.hint]
    if len(failed) == 1:
        return DataError(lines[0], hints[0] if hints else None)
    numbered = "\n".join(
        f"  {line}" + (f" ({error.hint})" if error.hint else "")
        for line, (_, error) in zip(lines, failed, strict=True)
    )
    return DataError(f"{len(failed)} data sources cannot be used:\n{numbered}")


def _group(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value if value and value.strip() else None
    return dumps(value).decode()

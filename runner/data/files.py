"""Kinds of file: which one a file is, and its records in order, nothing dropped in silence.

Every reader yields (number, record, reason). A record is a dict; without one, `reason` tells why
it is refused, and None means a blank line. Numbers count from 1: lines of JSONL, records of the
others. Memory: one record, but for JSON arrays, which are parsed whole.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from orjson import JSONDecodeError, loads

from dsl.errors import DataError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Record = tuple[int, dict[str, Any] | None, str | None]

BOM = b"\xef\xbb\xbf"
HEAD_BYTES = 1 << 16
PARQUET = "read_parquet(?, union_by_name=true, hive_partitioning=false, binary_as_string=true)"
NESTED = re.compile(r"^(STRUCT|MAP|UNION|JSON)|\]$")
# what a user drops in by mistake, by its first bytes
FOREIGN: dict[bytes, tuple[str, str]] = {
    b"\xff\xfe": ("UTF-16 text", "save it as UTF-8"),
    b"\xfe\xff": ("UTF-16 text", "save it as UTF-8"),
    b"\x1f\x8b": ("compressed with gzip", "unpack it with gunzip"),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "unpack it with unzstd"),
    b"PK\x03\x04": ("a zip archive or an Excel sheet", "unpack it, or save the sheet as CSV"),
    b"%PDF": ("a PDF", "extract its text first"),
    b"ARROW1": ("an Arrow file", "save it as Parquet"),
}


def sniff(path: Path, name: str) -> str:
    """The kind of a file: a key of READERS. `name` is what messages call it.

    Raises DataError where it cannot be read, is empty, or is none of the kinds.
    """
    try:
        if not path.exists():
            raise DataError(f"{name}: no such file", _near(path))
        if not path.is_file():
            raise DataError(f"{name}: not a file", "name the file itself")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise _unreadable(name, error) from error
    if not head:
        raise DataError(f"{name}: the file is empty", "put rows into it, or remove the source")
    if head.startswith(b"PAR1"):
        return "parquet"
    for magic, (what, hint) in FOREIGN.items():
        if head.startswith(magic):
            raise DataError(f"{name}: {what}, not rows of text", hint)
    text = head.removeprefix(BOM).lstrip()
    if len(text) > 1 and 0 in text[:2]:
        raise DataError(f"{name}: UTF-16 text without a mark", "save it as UTF-8")
    if b"\0" in head and text[:1] not in (b"{", b"["):
        raise DataError(f"{name}: binary data, not rows of text", "use JSONL, JSON, CSV or Parquet")
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return "csv"
    if text.startswith(b"["):
        return "jsonl" if suffix in (".jsonl", ".ndjson") and _first_line_is_json(text) else "json"
    if suffix == ".json" and not _first_line_is_json(text):
        return "json"
    return "jsonl"


def records(path: Path, kind: str, name: str) -> Iterator[Record]:
    """Every record of a file. Raises DataError where the file as a whole cannot be read."""
    try:
        yield from READERS[kind](path, name)
    except OSError as error:
        raise _unreadable(name, error) from error


def _jsonl(path: Path, name: str) -> Iterator[Record]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            text = line.removeprefix(BOM) if number == 1 else line
            if not text.strip():
                yield number, None, None
                continue
            try:
                row = loads(text)
            except JSONDecodeError as error:
                yield number, None, f"not JSON: {error.msg} (column {error.colno})"
            else:
                yield _object(number, row)


def _json(path: Path, name: str) -> Iterator[Record]:
    try:
        rows = loads(path.read_bytes().removeprefix(BOM))
    except JSONDecodeError as error:
        raise DataError(
            f"{name}: not JSON: {error.msg} (line {error.lineno}, column {error.colno})",
            "one object a line in a .jsonl file lets single bad lines be found and counted",
        ) from error
    if not isinstance(rows, list):
        items = rows.items() if isinstance(rows, dict) else ()
        lists = [key for key, value in items if isinstance(value, list)]
        raise DataError(
            f"{name}: {in_words(rows)}, not a list of rows",
            f"keep only the list under '{lists[0]}'" if lists else "write [{...}, {...}]",
        )
    for number, row in enumerate(rows, 1):
        yield _object(number, row)


def csv_header(path: Path, name: str) -> tuple[str, ...]:
    """The columns of a CSV file. Raises DataError."""
    with _text(path) as file:
        return tuple(_header(_csv_reader(file), name))


def _csv(path: Path, name: str) -> Iterator[Record]:
    with _text(path) as file:
        reader = _csv_reader(file)
        header = _header(reader, name)
        number = 0
        while True:
            number += 1
            try:
                fields = next(reader, None)
            except csv.Error as error:
                yield number, None, f"not CSV: {error}"
                continue
            if fields is None:
                return
            if not fields:
                yield number, None, None
            elif len(fields) != len(header):
                yield number, None, f"{len(fields)} fields where the header has {len(header)}"
            elif any(_not_utf8(field) for field in fields):
                yield number, None, "not UTF-8"
            else:
                yield number, dict(zip(header, fields, strict=True)), None


def parquet_columns(path: Path, name: str) -> tuple[str, ...]:
    """The columns of a Parquet file. Raises DataError."""
    with _parquet_types(path, name) as (_, types):
        return tuple(types)


def _parquet(path: Path, name: str) -> Iterator[Record]:
    """Text as it is, nested values as JSON, everything else as DuckDB writes it as text."""
    with _parquet_types(path, name) as (connection, types):
        nested = {column for column, kind in types.items() if NESTED.search(kind)}
        selected = ", ".join(
            f"to_json({_quoted(c)})::varchar" if c in nested else f"{_quoted(c)}::varchar"
            for c in types
        )
        cursor = connection.execute(f"select {selected} from {PARQUET}", [_literal(path)])
        number = 0
        while batch := cursor.fetchmany(2048):
            for values in batch:
                number += 1
                row: dict[str, Any] = dict(zip(types, values, strict=True))
                try:
                    row |= {c: loads(row[c]) for c in nested if row[c] is not None}
                except JSONDecodeError as error:
                    yield number, None, f"a nested value is not JSON: {error.msg}"
                else:
                    yield number, row, None


@contextmanager
def _parquet_types(path: Path, name: str) -> Iterator[tuple[DuckDBPyConnection, dict[str, str]]]:
    """An open connection and column → DuckDB type."""
    import duckdb

    try:
        with duckdb.connect(":memory:") as connection:
            described = connection.execute(f"describe select * from {PARQUET}", [_literal(path)])
            yield connection, {column: kind for column, kind, *_ in described.fetchall()}
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{name}: not readable as Parquet: {reason}", "write it again") from error


# kind → reader
READERS: dict[str, Callable[[Path, str], Iterator[Record]]] = {
    "jsonl": _jsonl,
    "json": _json,
    "csv": _csv,
    "parquet": _parquet,
}


def _object(number: int, row: Any) -> Record:
    if isinstance(row, dict):
        return number, row, None
    return number, None, f"{in_words(row)}, not an object"


def in_words(value: Any) -> str:
    """What kind of JSON value this is."""
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    kinds: dict[type, str] = {dict: "an object", str: "a text"}
    return kinds.get(type(value), "a number")


def _first_line_is_json(head: bytes) -> bool:
    """Whether the first line of the head is a value of its own, or too long to tell."""
    line, newline, rest = head.partition(b"\n")
    if not newline and len(head) >= HEAD_BYTES - len(BOM):
        return head.startswith(b"{")
    if line.startswith(b"[") and not rest.strip():
        return False  # a whole array on one line
    try:
        loads(line)
    except JSONDecodeError:
        return False
    return True


def _text(path: Path) -> TextIO:
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _csv_reader(file: TextIO) -> Iterator[list[str]]:
    """Delimiter: comma, tab or semicolon, whichever the first line has most of."""
    # the module's limit of 128 KiB a field is global and would refuse long texts
    csv.field_size_limit(sys.maxsize)
    line = file.readline()
    file.seek(0)
    return csv.reader(file, delimiter=max(",", "\t", ";", key=line.count), strict=True)


def _header(reader: Iterator[list[str]], name: str) -> list[str]:
    try:
        header = next((fields for fields in reader if fields), [])
    except csv.Error as error:
        hint = "the first line names the columns"
        raise DataError(f"{name}: the header is not CSV: {error}", hint) from error
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise DataError(f"{name}: column '{twice[0]}' stands twice in the header", "rename one")
    if any(_not_utf8(column) for column in header):
        raise DataError(f"{name}: the header is not UTF-8", "save the file as UTF-8")
    return header


def _not_utf8(text: str) -> bool:
    return not text.isascii() and any("\udc80" <= character <= "\udcff" for character in text)


def _quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _literal(path: Path) -> str:
    """A path that DuckDB does not read as a pattern."""
    return re.sub(r"([\[*?])", r"[\1]", str(path))


def _unreadable(name: str, error: OSError) -> DataError:
    return DataError(f"{name}: {error.strerror or error}", "check the path and its rights")


def _near(path: Path) -> str:
    """The file that was probably meant."""
    from dsl.problems import did_you_mean

    folder = path.parent
    names = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    return did_you_mean(path.name, names) or "paths are relative to the recipe"

"""A data file of any kind as lines, one record each, nothing dropped in silence.

Numbers count from 1: lines of JSONL, records of the other kinds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orjson import JSONDecodeError, loads

from dsl.sources import DatabaseSource, HubSource, Source
from runner.data.csv_rows import csv_blocks, csv_columns
from runner.data.databases import database_blocks
from runner.data.json_rows import in_words, json_blocks
from runner.data.kinds import File, opened, sniff, unreadable
from runner.data.lines import Stream, insert, lines, scanning, spooled
from runner.data.paths import expand, held
from runner.data.tabular import table_blocks, table_columns

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = [
    "File", "columns", "expand", "in_words", "open_source", "records", "relate", "scanning",
    "sniff",
]  # fmt: skip

Record = tuple[int, dict[str, Any] | None, str | None]

# of text; below, lines are an ordinary table, and neither numpy nor pyarrow is imported
SMALL_BYTES = 1 << 24
BLOCK_BYTES = 1 << 20
# what a file may become as lines: texts shrink to a tenth, the same row again and again to a 100th
UNPACKED_BYTES = 1 << 32
UNPACKED_TIMES = 200


def _jsonl_blocks(file: File) -> Iterator[bytes]:
    with opened(file) as stream:
        while block := stream.read(BLOCK_BYTES):
            yield block


# kind → its text as blocks of lines, see runner.data.lines
BLOCKS: dict[str, Callable[[File], Iterator[bytes]]] = {
    "jsonl": _jsonl_blocks,
    "json": json_blocks,
    "csv": csv_blocks,
    "parquet": table_blocks,
    "arrow": table_blocks,
    "database": database_blocks,
}
# kind → its columns, for kinds that know them without their rows
COLUMNS: dict[str, Callable[[File], tuple[str, ...]]] = {
    "csv": csv_columns,
    "parquet": table_columns,
    "arrow": table_columns,
}


def open_source(source: Source, base: Path) -> list[File]:
    """The files of a source of a recipe; paths are relative to `base`. Raises DataError."""
    if isinstance(source, HubSource):
        from runner.data.hub import fetch

        token = source.token.env if source.token else None
        path, _ = fetch(source.dataset, source.config, source.split, source.revision, token)
        return [sniff(path, source.name)]
    if isinstance(source, DatabaseSource):
        path = held(base / source.path, source.name, base)
        return [sniff(path, source.name, source.query)]
    return [sniff(path, name) for path, name in expand(source.path, base)]


def columns(file: File) -> tuple[str, ...] | None:
    """The columns that a file declares, None where only its rows tell. Raises DataError."""
    return COLUMNS[file.kind](file) if file.kind in COLUMNS else None


def records(file: File) -> Iterator[Record]:
    """(number, record, reason). Without a record `reason` tells why it is refused, and None means
    a blank line. Lazy, for a look at the head. Raises DataError where the file cannot be read."""
    for number, text, reason in lines(BLOCKS[file.kind](file), _marked(file)):
        if text is None:
            yield number, None, reason
            continue
        try:
            row = loads(text)
        except JSONDecodeError as error:
            yield number, None, f"not JSON: {error.msg} (column {error.colno})"
        else:
            refused = None if isinstance(row, dict) else f"{in_words(row)}, not an object"
            yield number, None if refused else row, refused


def relate(connection: DuckDBPyConnection, table: str, file: File) -> Stream | None:
    """Makes the relation `table` (line BIGINT, raw VARCHAR, reason VARCHAR), which can be scanned
    any number of times, in any order of scans.

    raw: the text of one object; that of JSONL is the line as it stands, with its line break, and
    need not be JSON. reason: why the record is refused; raw is null then. Both null: a blank line.
    A large file is read anew by every scan: JSONL itself, other kinds and archives from a
    temporary copy as lines; of these the stream is returned. Raises DataError; a scan of a JSONL
    file that has changed fails, see `scanning`.
    """
    if _plain(file) and _bytes(file) >= SMALL_BYTES:
        try:
            descriptor = os.open(file.path, os.O_RDONLY)
        except OSError as error:
            raise unreadable(file.name, error) from error
        return _register(connection, table, Stream(descriptor, file.name, False, file.path))
    blocks = BLOCKS[file.kind](file)
    head, size = [], 0
    for block in blocks:
        head.append(block)
        size += len(block)
        if size > SMALL_BYTES:
            most = max(UNPACKED_BYTES, UNPACKED_TIMES * _bytes(file))
            copy = spooled(chain(head, blocks), file.name, most)
            return _register(connection, table, Stream(copy, file.name, _marked(file)))
    insert(connection, table, head, _marked(file))
    return None


def _register(connection: DuckDBPyConnection, table: str, stream: Stream) -> Stream:
    connection.register(table, stream)
    return stream


def _marked(file: File) -> bool:
    return file.kind != "jsonl"


def _plain(file: File) -> bool:
    return file.kind == "jsonl" and file.compression is None


def _bytes(file: File) -> int:
    try:
        return file.path.stat().st_size
    except OSError as error:
        raise unreadable(file.name, error) from error

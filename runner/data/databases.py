"""Rows that a query reads from a DuckDB or SQLite file. It can write nothing and read no other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orjson import JSONEncodeError, dumps

from dsl.errors import DataError
from runner.data.kinds import HEAD_BYTES, File, database_of
from runner.data.lines import MARK
from runner.data.tabular import CONFIG, FETCHED_ROWS, first_line, relation_blocks

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

READ_ONLY = "only a query that reads is allowed, as in select question, answer from t"
LOCKED = {**CONFIG, "enable_external_access": "false", "lock_configuration": "true"}
SQLITE_READS = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}


def database_blocks(file: File) -> Iterator[bytes]:
    """Blocks of marked lines, one a row of the file's query. Raises DataError."""
    query = (file.query or "").strip().rstrip(";")
    if _kind(file.path) == "sqlite":
        yield from _sqlite_blocks(file, query)
    else:
        yield from _duckdb_blocks(file, query)


def tables(path: Path, name: str) -> tuple[str, ...]:
    """The names of the tables and views of a database. Raises DataError."""
    file = File(path, name, "database")
    if _kind(path) == "sqlite":
        with _sqlite(file) as database:
            listed = "select name from sqlite_schema where type in ('table', 'view') order by name"
            return tuple(row[0] for row in database.execute(listed))
    with _duckdb(file) as connection:
        listed = "select table_name from information_schema.tables order by all"
        return tuple(row[0] for row in connection.execute(listed).fetchall())


def _kind(path: Path) -> str | None:
    with path.open("rb") as file:
        return database_of(file.read(HEAD_BYTES))


# ---------------------------------------------------------------- DuckDB


def _duckdb_blocks(file: File, query: str) -> Iterator[bytes]:
    import duckdb

    with _duckdb(file) as connection:
        statements = duckdb.extract_statements(query)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise DataError(f"{file.name}: the query is not one select", READ_ONLY)
        yield from relation_blocks(connection, f"({query}\n)")


@contextmanager
def _duckdb(file: File) -> Iterator[DuckDBPyConnection]:
    import duckdb

    try:
        with duckdb.connect(str(file.path), read_only=True, config=LOCKED) as connection:
            yield connection
    except duckdb.Error as error:
        raise _failed(file, error) from error


# ---------------------------------------------------------------- SQLite


def _sqlite_blocks(file: File, query: str) -> Iterator[bytes]:
    with _sqlite(file) as database:
        database.set_authorizer(_only_reads)
        # texts that are not UTF-8 come as they are, and refuse their row
        database.text_factory = bytes
        cursor = database.execute(query)
        columns = [column for column, *_ in cursor.description or ()]
        twice = sorted({column for column in columns if columns.count(column) > 1})
        if not columns or twice:
            what = f"gives two columns '{twice[0]}'" if twice else "is not a select"
            raise DataError(f"{file.name}: the query {what}", READ_ONLY)
        while batch := cursor.fetchmany(FETCHED_ROWS):
            yield b"".join(_line(columns, values) + b"\n" for values in batch)


@contextmanager
def _sqlite(file: File) -> Iterator[sqlite3.Connection]:
    address = f"{file.path.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True)) as database:
            yield database
    except sqlite3.Error as error:
        raise _failed(file, error) from error


def _only_reads(action: int, *_: Any) -> int:
    return sqlite3.SQLITE_OK if action in SQLITE_READS else sqlite3.SQLITE_DENY


def _line(columns: list[str], values: tuple[Any, ...]) -> bytes:
    row: dict[str, Any] = {}
    for column, value in zip(columns, values, strict=True):
        try:
            row[column] = value.decode() if isinstance(value, bytes) else value
        except UnicodeDecodeError:
            return MARK + f"column {column!r} holds binary data, not text".encode()
    try:
        return dumps(row)
    except JSONEncodeError as error:
        return MARK + f"cannot be written as JSON: {error}".encode()


def _failed(file: File, error: Exception) -> DataError:
    return DataError(f"{file.name}: the database refuses: {first_line(error)}", READ_ONLY)

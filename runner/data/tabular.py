"""Rows of typed tables (Parquet, Arrow, and what a DuckDB query gives) as objects of JSON.

Text stays text; numbers, truth values and nested values are JSON; dates, decimals and what JSON
has no word for (NaN) are text. Binary is text where it is UTF-8, else its row is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dsl.errors import DataError
from runner.data.kinds import ARROW_FILE, File, unreadable
from runner.data.lines import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FETCHED_ROWS = 1024
# nothing is fetched from the network, and no extension changes how time zones are written
CONFIG = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "threads": "1",
}
NESTED = re.compile(r"^(STRUCT|MAP|UNION)|\]$")
DECIMAL = re.compile(r"DECIMAL\(\d+,\s*\d+\)")


def table_blocks(file: File) -> Iterator[bytes]:
    """Blocks of marked lines of a Parquet or Arrow file. Raises DataError."""
    with _table(file) as (connection, relation):
        yield from relation_blocks(connection, relation)


def table_columns(file: File) -> tuple[str, ...]:
    """The columns of a Parquet or Arrow file. Raises DataError."""
    with _table(file) as (connection, relation):
        return tuple(_types(connection, relation))


def relation_blocks(connection: DuckDBPyConnection, relation: str) -> Iterator[bytes]:
    """Blocks of marked lines, one a row of `relation` (SQL) in its order."""
    select = _as_lines(_types(connection, relation))
    cursor = connection.execute(f"select {select} from {relation}")
    while batch := cursor.fetchmany(FETCHED_ROWS):
        yield "".join(line for (line,) in batch).encode()


def _types(connection: DuckDBPyConnection, relation: str) -> dict[str, str]:
    described = connection.execute(f"describe select * from {relation}").fetchall()
    return {column: kind for column, kind, *_ in described}


def _as_lines(types: dict[str, str]) -> str:
    """SQL of the line of a row: its object, or the mark and why it is refused."""
    members = ", ".join(f"{text(c)}, {_as_json(quoted(c), kind)}" for c, kind in types.items())
    refused = "".join(
        f" when {condition} then {text(f'!column {column!r} holds binary data, not text')}"
        for column, kind in types.items()
        if (condition := _binary(quoted(column), kind))
    )
    line = f"json_object({members})::varchar"
    return (f"case{refused} else {line} end" if refused else line) + " || chr(10)"


def _as_json(column: str, kind: str) -> str:
    if kind == "BLOB":
        return f"try(decode({column}))"
    if kind in ("DOUBLE", "FLOAT"):
        as_text = f"to_json({column}::varchar)"
        return f"case when isfinite({column}) then to_json({column}) else {as_text} end"
    if kind == "TIMESTAMP WITH TIME ZONE":
        # else it would be written in the time zone of this machine
        return f"make_timestamp(epoch_us({column}))::varchar || '+00'"
    if DECIMAL.search(kind):
        return f"{column}::{DECIMAL.sub('VARCHAR', kind)}"
    return column


def _binary(column: str, kind: str) -> str | None:
    """SQL: whether the value holds binary data that is no text. Inside others it never is one."""
    if kind == "BLOB":
        return f"{column} is not null and try(decode({column})) is null"
    return f"{column} is not null" if NESTED.search(kind) and "BLOB" in kind else None


# ---------------------------------------------------------------- files


@contextmanager
def _table(file: File) -> Iterator[tuple[DuckDBPyConnection, str]]:
    """A connection and SQL of the relation that the file is in it."""
    import duckdb

    try:
        with duckdb.connect(":memory:", config=CONFIG) as connection:
            yield connection, RELATIONS[file.kind](connection, file)
    except duckdb.Error as error:
        raise _damaged(file, error) from error


def _damaged(file: File, error: Exception) -> DataError:
    kind = file.kind.capitalize()
    return DataError(f"{file.name}: not readable as {kind}: {first_line(error)}", "write it again")


def _parquet(connection: DuckDBPyConnection, file: File) -> str:
    path = re.sub(r"([\[*?])", r"[\1]", str(file.path))  # no pattern
    return f"read_parquet({text(path)}, hive_partitioning=false)"


def _arrow(connection: DuckDBPyConnection, file: File) -> str:
    connection.register("arrow", _Batches(file))
    return "arrow"


# kind → what makes a relation of the file and gives its SQL
RELATIONS: dict[str, Callable[[DuckDBPyConnection, File], str]] = {
    "parquet": _parquet,
    "arrow": _arrow,
}


class _Batches:
    """The batches of an Arrow file or stream, read anew by every scan. Raises DataError."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._open()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        import pyarrow as pa

        schema, batches = self._open()
        reader = pa.RecordBatchReader.from_batches(schema, map(_sound, batches))
        return reader.__arrow_c_stream__(requested_schema)

    def _open(self) -> tuple[Any, Iterator[Any]]:
        import pyarrow as pa

        file = self._file
        try:
            source = pa.OSFile(str(file.path))
            if source.read(len(ARROW_FILE)) == ARROW_FILE:
                whole = pa.ipc.open_file(source)
                return whole.schema, map(whole.get_batch, range(whole.num_record_batches))
            source.seek(0)
            stream = pa.ipc.open_stream(source)
        except pa.ArrowInvalid as error:
            raise _damaged(file, error) from error
        except OSError as error:
            if error.errno is None:  # of Arrow, not of the system
                raise _damaged(file, error) from error
            raise unreadable(file.name, error) from error
        return stream.schema, iter(stream)


def _sound(batch: Any) -> Any:
    """DuckDB trusts what it is given: a damaged file is found here."""
    batch.validate(full=True)
    return batch


def text(value: str) -> str:
    """A text as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"


def first_line(error: Exception) -> str:
    line = str(error).strip().partition("\n")[0]
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in line)

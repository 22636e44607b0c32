"""Which kind a data file is, told by its content, and its bytes without their compression."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, cast

from orjson import JSONDecodeError, loads

from dsl.errors import DataError

BOM = b"\xef\xbb\xbf"
HEAD_BYTES = 1 << 16
# a first line that is longer tells nothing about a .json file: it is read as one value
LONG_HEAD_BYTES = 1 << 24
COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
COMPRESSED = (".gz", ".zst", ".zstd")
# what a user drops in by mistake, by its first bytes
FOREIGN: dict[bytes, tuple[str, str]] = {
    b"\xff\xfe": ("UTF-16 text", "save it as UTF-8"),
    b"\xfe\xff": ("UTF-16 text", "save it as UTF-8"),
    b"PK\x03\x04": ("a zip archive or an Excel sheet", "unpack it, or save the sheet as CSV"),
    b"%PDF": ("a PDF", "extract its text first"),
    b"FEA1": ("a Feather file of version 1", "write it as Parquet"),
    b"BZh": ("compressed with bzip2", "unpack it, or use gzip or zstd"),
    b"\xfd7zXZ\0": ("compressed with xz", "unpack it, or use gzip or zstd"),
}
PARQUET, ARROW_FILE, ARROW_STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"
SQLITE, DUCKDB = b"SQLite format 3\0", b"DUCK"
# a list of such objects is a conversation in one row, not rows
TURN_KEYS = ({"role", "content"}, {"from", "value"})


@dataclass(frozen=True, slots=True)
class File:
    """A file of rows. `name` is what messages call it, relative as in the recipe.

    kind: jsonl, json, csv (also TSV), parquet, arrow or database. compression: gzip, zstd or None,
    whatever the suffix. query: of a database, and of nothing else.
    """

    path: Path
    name: str
    kind: str
    compression: str | None = None
    query: str | None = None


def sniff(path: Path, name: str, query: str | None = None) -> File:
    """The file with its kind. `query` is for databases.

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
        raise unreadable(name, error) from error
    if not head:
        raise DataError(f"{name}: the file is empty", "put rows into it, or remove the source")
    if database_of(head):
        return _database(path, name, query)
    if query is not None:
        raise DataError(f"{name}: not a DuckDB or SQLite file", "only a database takes a query")
    if head.startswith(PARQUET):
        return File(path, name, "parquet")
    if head.startswith((ARROW_FILE, ARROW_STREAM)):
        return File(path, name, "arrow")
    compression = next((c for magic, c in COMPRESSIONS.items() if head.startswith(magic)), None)
    file_ = File(path, name, "jsonl", compression)
    with opened(file_) as stream:
        head = stream.read(HEAD_BYTES)
        if b"\n" not in head and len(head) == HEAD_BYTES:
            head += stream.read(LONG_HEAD_BYTES)
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in COMPRESSED]
    return replace(file_, kind=_kind_of_text(head, suffixes[-1] if suffixes else "", name))


def _kind_of_text(head: bytes, suffix: str, name: str) -> str:
    if not head:
        raise DataError(f"{name}: nothing in the archive", "put rows into it, or remove the source")
    for magic, (what, hint) in FOREIGN.items():
        if head.startswith(magic):
            raise DataError(f"{name}: {what}, not rows of text", hint)
    if head.startswith((PARQUET, ARROW_FILE, ARROW_STREAM, *COMPRESSIONS)) or database_of(head):
        raise DataError(f"{name}: not text inside the archive", "unpack it")
    text = head.removeprefix(BOM).lstrip()
    if len(text) > 1 and 0 in text[:2]:
        raise DataError(f"{name}: UTF-16 text without a mark", "save it as UTF-8")
    if b"\0" in head and text[:1] not in (b"{", b"["):
        raise DataError(
            f"{name}: binary data, not rows of text",
            "use JSONL, JSON, CSV, Parquet, Arrow or a database",
        )
    if suffix in (".csv", ".tsv"):
        return "csv"
    if text.startswith(b"["):
        return "jsonl" if suffix in (".jsonl", ".ndjson") and _rows_by_line(text) else "json"
    if suffix == ".json" and not _rows_by_line(text):
        return "json"
    return "jsonl"


def _rows_by_line(head: bytes) -> bool:
    """Whether the first line of the head is a row of its own."""
    line, newline, rest = head.partition(b"\n")
    alone = not rest.strip()
    if not newline and len(head) >= LONG_HEAD_BYTES:
        return False
    if line.startswith(b"[") and alone:
        return False  # a whole array on one line
    try:
        value = loads(line)
    except JSONDecodeError:
        return False
    return not (alone and _holds_rows(value))


def _holds_rows(value: Any) -> bool:
    """Whether an object is a wrapper of rows, as in {"data": [{...}]} or {"id1": {...}}."""
    if not isinstance(value, dict) or not value:
        return False
    lists = [v for v in value.values() if isinstance(v, list) and v and isinstance(v[0], dict)]
    if not lists:
        return all(isinstance(v, dict) for v in value.values())
    return not any(keys <= lists[0][0].keys() for keys in TURN_KEYS)


def database_of(head: bytes) -> str | None:
    """sqlite or duckdb, by the first bytes of a file."""
    if head.startswith(SQLITE):
        return "sqlite"
    return "duckdb" if head[8:12] == DUCKDB else None


def _database(path: Path, name: str, query: str | None) -> File:
    if query is not None:
        return File(path, name, "database", query=query)
    from runner.data.databases import tables

    listed = ", ".join(tables(path, name)[:20])
    raise DataError(
        f"{name}: a database, which needs a query",
        'give one, as in {"type": "database", "path": ..., "query": "select * from t"}; '
        + (f"its tables: {listed}" if listed else "it has no tables"),
    )


# ---------------------------------------------------------------- bytes


@contextmanager
def opened(file: File) -> Iterator[IO[bytes]]:
    """The bytes of a file of text. Errors of the file and its archive become DataErrors."""
    try:
        with OPENERS[file.compression](file.path) as stream:
            yield stream
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(file, error) from error
    except OSError as error:
        if file.compression and error.errno is None:
            raise _damaged(file, error) from error
        raise unreadable(file.name, error) from error


def _zstd(path: Path) -> IO[bytes]:
    import pyarrow as pa

    return cast(IO[bytes], pa.input_stream(str(path), compression="zstd"))


OPENERS: dict[str | None, Callable[[Path], Any]] = {
    None: lambda path: path.open("rb"),
    "gzip": gzip.GzipFile,
    "zstd": _zstd,
}


def _damaged(file: File, error: Exception) -> DataError:
    return DataError(
        f"{file.name}: the {file.compression} archive is cut off or damaged: {error}",
        "fetch or pack it again; the rows before the damage are not used",
    )


def unreadable(name: str, error: OSError) -> DataError:
    return DataError(f"{name}: {error.strerror or error}", "check the path and its rights")


def _near(path: Path) -> str:
    """The file that was probably meant."""
    from dsl.problems import did_you_mean

    folder = path.parent
    names = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    return did_you_mean(path.name, names) or "paths are relative to the recipe"

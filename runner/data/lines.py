"""Lines of text as a relation (line, raw, reason): small ones as a table, a large file as an Arrow
stream that every scan reads anew, so that texts are never held in memory. Of a stream the places
of the lines are remembered, eight bytes each, so that single ones are read by themselves.

A reader of a kind gives blocks of lines. A line is an object of JSON, blank, or, where the reader
writes the lines itself ('marked'), '!' and the reason why the record is refused.
"""

from __future__ import annotations

import os
import re
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from dsl.errors import DataError
from runner.data.kinds import BOM, unreadable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# (number from 1, text of an object, why refused); neither: a blank line
Line = tuple[int, str | None, str | None]

CHUNK_BYTES = 1 << 20
GROWTH_BYTES = 1 << 29
PICKED_LINES = 1 << 16
MAX_LINE_BYTES = 1 << 30
MARK = b"!"
TOO_LONG = "longer than a gibibyte"
INSERT_ROWS = 10_000
# what DuckDB tells of a stream that failed ends with the error itself
# Ctrl-C as DuckDB tells it: within a stream, and by itself
INTERRUPTED = re.compile(r"^KeyboardInterrupt\b|^Query interrupted|^INTERRUPT Error", re.MULTILINE)
FAILED = re.compile(r"^dsl\.errors\.DataError: (.*)$", re.MULTILINE)


def judged(number: int, line: bytes, marked: bool) -> Line:
    """One line as it stands, with its line break; behind the mark at the front of the file."""
    if not line.strip():
        return number, None, None
    if len(line) > MAX_LINE_BYTES:
        return number, None, TOO_LONG
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return number, None, "not UTF-8"
    if marked and line.startswith(MARK):
        return number, None, text[1:].rstrip("\n")
    return number, text, None


def lines(blocks: Iterable[bytes], marked: bool) -> Iterator[Line]:
    """Every line of the blocks in order; a line may reach over several of them."""
    number = 1
    for line in _whole(blocks):
        plain = number == 1 and not marked
        yield judged(number, line.removeprefix(BOM) if plain else line, marked)
        number += 1


def _whole(blocks: Iterable[bytes]) -> Iterator[bytes]:
    parts: list[bytes] = []
    size = 0
    for block in blocks:
        for piece in BytesIO(block):  # lines end at \n alone
            size += len(piece)
            # of a line that is too long only so much is kept that its length shows it
            if size - len(piece) <= MAX_LINE_BYTES:
                parts.append(piece)
            if piece.endswith(b"\n"):
                yield b"".join(parts)
                parts, size = [], 0
    if parts:
        yield b"".join(parts)


def insert(
    connection: DuckDBPyConnection, table: str, blocks: Iterable[bytes], marked: bool
) -> None:
    """Makes an ordinary table of the lines."""
    connection.execute(
        f"create or replace table {quoted(table)} (line bigint, raw varchar, reason varchar)"
    )
    batch: list[Line] = []
    for line in lines(blocks, marked):
        batch.append(line)
        if len(batch) == INSERT_ROWS:
            _insert(connection, table, batch)
            batch = []
    if batch:
        _insert(connection, table, batch)


def _insert(connection: DuckDBPyConnection, table: str, batch: list[Line]) -> None:
    connection.execute(
        f"insert into {quoted(table)}"
        " select unnest(?::bigint[]), unnest(?::varchar[]), unnest(?::varchar[])",
        [list(column) for column in zip(*batch, strict=True)],
    ).fetchall()


def spooled(blocks: Iterable[bytes], name: str, most: int) -> int:
    """The descriptor of a file without a name that holds the blocks, of at most so many bytes.
    Raises DataError."""
    size = 0
    with tempfile.TemporaryFile(buffering=0) as file:
        for block in blocks:
            size += len(block)
            if size > most:
                raise DataError(
                    f"{name}: its rows are more than {most >> 30:,} GiB, far more than the file",
                    "a small file that becomes so large is broken, or made to fill the disk",
                )
            try:
                _write(file, block)
            except OSError as error:
                raise _no_room(name, error) from error
        return os.dup(file.fileno())


def _write(file: IO[bytes], block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[file.write(rest) :]


def _no_room(name: str, error: OSError) -> DataError:
    folder = tempfile.gettempdir()
    return DataError(
        f"{name}: cannot be unpacked into {folder}: {error.strerror}",
        "make room there, or set TMPDIR to a folder of another disk",
    )


class Stream:
    """An open file of lines as an Arrow stream (line, raw, reason) for DuckDB.

    The descriptor is closed with the stream. `path`: the file, which may not change between scans;
    None where nobody else can reach it.
    Scans read by position and do not disturb one another. Memory: a few chunks, or one line, and
    the places of the lines.
    """

    def __init__(self, descriptor: int, name: str, marked: bool, path: Path | None = None) -> None:
        weakref.finalize(self, os.close, descriptor)
        self._descriptor = descriptor
        self._name = name
        self._marked = marked
        self._path = path
        self._seen = self._state()
        self._places: Any = None  # where each line begins and the last one ends; of a whole scan

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        return _arrow(self._batches(), requested_schema)

    def only(self, lines: Any) -> Lines:
        """These lines alone: numbers in ascending order, none twice."""
        if self._places is None:
            for _ in self._batches():
                pass
        return Lines(self, lines)

    def _state(self) -> tuple[int, int, int] | None:
        if self._path is None:
            return None
        try:
            state = self._path.stat()
        except OSError as error:
            raise unreadable(self._name, error) from error
        return state.st_ino, state.st_size, state.st_mtime_ns

    def _unchanged(self) -> None:
        if self._state() != self._seen:
            raise DataError(f"{self._name}: the file changed while it was read", "start again")

    def _batches(self) -> Iterator[Any]:
        import numpy as np
        import pyarrow as pa

        self._unchanged()
        position, number, kept, skipping = 0, 1, b"", False
        places = [np.zeros(1, np.int64)]
        while True:
            size = len(kept) + min(max(CHUNK_BYTES, len(kept)), GROWTH_BYTES)
            # of Arrow's pool, whose pages are used again: fresh ones cost as much as the reading
            buffer = pa.allocate_buffer(size)
            view = memoryview(buffer).cast("B")
            view[: len(kept)] = kept
            base = position - len(kept)
            read = self._read(view[len(kept) :], position)
            position += read
            filled = len(kept) + read
            characters = np.frombuffer(buffer, np.uint8)[:filled]
            ends = np.flatnonzero(characters[len(kept) :] == 10)
            ends += len(kept) + 1
            if not read and filled:
                ends = np.array([filled])
            start = 0
            if skipping and (len(ends) or not read):
                yield _refused(number, TOO_LONG)
                number, skipping = number + 1, False
                start, ends = (int(ends[0]), ends[1:]) if len(ends) else (filled, ends)
                places.append(np.array([base + start]))
            elif skipping:
                kept = b""
                continue
            if len(ends):
                if number == 1 and not self._marked and bytes(view[:3]) == BOM:
                    places[0][0] = start = 3
                offsets = np.empty(len(ends) + 1, np.int32)
                offsets[0], offsets[1:] = start, ends
                places.append(ends + base)
                numbers = np.arange(number, number + len(ends))
                yield self._batch(numbers, buffer, offsets, characters)
                number += len(ends)
                start = int(ends[-1])
            if not read:
                break
            kept = bytes(view[start:filled])
            if len(kept) > MAX_LINE_BYTES:
                kept, skipping = b"", True
        self._unchanged()
        self._places = np.concatenate(places)

    def _picked(self, lines: Any) -> Iterator[Any]:
        """Batches of these lines, gathered from wherever they stand."""
        import numpy as np
        import pyarrow as pa

        self._unchanged()
        while len(lines):
            begins, ends = (self._places[lines[:PICKED_LINES] - 1 + end] for end in (0, 1))
            filled = np.cumsum(ends - begins)
            count = max(1, int(np.searchsorted(filled, CHUNK_BYTES, "right")))
            some, lines, size = lines[:count], lines[count:], int(filled[count - 1])
            if size > MAX_LINE_BYTES:  # one alone
                yield _refused(int(some[0]), TOO_LONG)
                continue
            buffer = pa.allocate_buffer(size)
            view = memoryview(buffer).cast("B")
            offsets = np.concatenate(([0], filled[:count])).astype(np.int32)
            # neighbours are read at once
            apart = begins[1:count] != ends[: count - 1]
            firsts = np.flatnonzero(np.concatenate(([True], apart)))
            edges = [*offsets[firsts].tolist(), size]
            for place, (start, stop) in zip(begins[firsts].tolist(), pairwise(edges), strict=True):
                if self._read(view[start:stop], place) < stop - start:
                    self._unchanged()
            yield self._batch(some, buffer, offsets, np.frombuffer(buffer, np.uint8))
        self._unchanged()

    def _read(self, view: memoryview, position: int) -> int:
        """Fills the view as far as the file reaches. Returns the bytes read."""
        done = 0
        try:
            while done < len(view) and (
                read := os.preadv(self._descriptor, [view[done:]], position + done)
            ):
                done += read
        except OSError as error:
            raise unreadable(self._name, error) from error
        return done

    def _batch(self, numbers: Any, buffer: Any, offsets: Any, characters: Any) -> Any:
        """One batch of lines. Those that are not plainly an object's are judged one by one."""
        import numpy as np
        import pyarrow as pa

        count = len(offsets) - 1
        parts = [None, pa.py_buffer(offsets), buffer]
        raw = pa.Array.from_buffers(pa.string(), count, parts)
        reason = pa.nulls(count, pa.string())
        try:
            raw.validate(full=True)
        except pa.ArrowInvalid:
            doubtful = np.arange(count)
        else:
            doubtful = self._doubtful(offsets, characters)
        if len(doubtful):
            valid = np.ones(count, bool)
            reasons: list[str | None] = [None] * count
            for index in doubtful.tolist():
                line = characters[offsets[index] : offsets[index + 1]].tobytes()
                _, text, reasons[index] = judged(int(numbers[index]), line, self._marked)
                valid[index] = text is not None
            parts[0] = pa.py_buffer(np.packbits(valid, bitorder="little"))
            raw = pa.Array.from_buffers(pa.string(), count, parts)
            reason = _texts(reasons)
        return pa.record_batch([_numbers(numbers), raw, reason], schema=_schema())

    def _doubtful(self, offsets: Any, characters: Any) -> Any:
        """Indices of lines that begin with a blank or the mark, or are empty or too long."""
        import numpy as np

        starts, lengths = offsets[:-1], np.diff(offsets)
        if not len(characters):
            return np.arange(len(starts))
        first = characters[np.minimum(starts, len(characters) - 1)]
        found = (first <= 32) | (lengths == 0) | (lengths > MAX_LINE_BYTES)
        if self._marked:
            found |= first == MARK[0]
        return np.flatnonzero(found)


class Lines:
    """Some lines of a stream, in its order, as a stream of their own."""

    def __init__(self, stream: Stream, lines: Any) -> None:
        self._stream = stream
        self._lines = lines

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        return _arrow(self._stream._picked(self._lines), requested_schema)


def _arrow(batches: Iterator[Any], requested_schema: object | None) -> Any:
    import pyarrow as pa

    reader = pa.RecordBatchReader.from_batches(_schema(), batches)
    return reader.__arrow_c_stream__(requested_schema)


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema([("line", pa.int64()), ("raw", pa.string()), ("reason", pa.string())])


def _refused(number: int, reason: str) -> Any:
    import pyarrow as pa

    columns = [_numbers([number]), _texts([None]), _texts([reason])]
    return pa.record_batch(columns, schema=_schema())


# pa.array imports pandas wherever it is installed, which costs half a second and 40 MB


def _numbers(numbers: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    wide = np.ascontiguousarray(numbers, np.int64)
    return pa.Array.from_buffers(pa.int64(), len(wide), [None, pa.py_buffer(wide)])


def _texts(texts: Sequence[str | None]) -> Any:
    import numpy as np
    import pyarrow as pa

    encoded = [(text or "").encode() for text in texts]
    valid = np.packbits([text is not None for text in texts], bitorder="little")
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    parts = [pa.py_buffer(part) for part in (valid, offsets, b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), parts)


@contextmanager
def scanning() -> Iterator[None]:
    """Around queries over streams: what goes wrong in a stream is told as a DataError, and Ctrl-C,
    which may reach Python inside a stream, stays what it is."""
    import duckdb

    try:
        yield
    except (duckdb.Error, RuntimeError) as error:
        if INTERRUPTED.search(str(error)):
            raise KeyboardInterrupt from None
        found = FAILED.search(str(error))
        if not found:
            raise
        raise DataError(found[1], "start again") from error


def quoted(name: str) -> str:
    """A name of a table or column as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'

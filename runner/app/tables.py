"""The rows of a data file, paged and searched, however large it is.

Small files are a table of DuckDB, large ones are read from the disk by the places of their lines.
The database is closed to files and network, and its settings cannot be changed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orjson import JSONDecodeError, loads

from dsl.rows import Example
from runner.app.sources import as_text
from runner.data import files
from runner.data.files import File, in_words, scanning
from runner.data.formats import NOT_JSON, Detected, canonical
from runner.data.lines import Stream

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MOST_HITS = 10_000
CELL_CHARACTERS = 400
FIRST_WINDOW = 20_000  # lines
WINDOW_SECONDS = 0.25
LOWER = "(select line, lower(raw) as text from {})"
LOCKED = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "preserve_insertion_order": "true",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A record. `values`: its columns, None where it is no object. `raw`: as it stands, None where
    it is no text. `refused`: why it cannot be used. Neither of the last two: a blank line."""

    line: int
    raw: str | None
    values: Mapping[str, Any] | None
    refused: str | None

    def cells(self, columns: Sequence[str]) -> list[str]:
        """The columns as short texts; of a line that is no object, its text in the first."""
        if self.values is None:
            shown = as_text((self.raw or "").rstrip("\r\n"), CELL_CHARACTERS)
            return [shown, *[""] * (len(columns) - 1)] if columns else []
        return [as_text(self.values.get(column), CELL_CHARACTERS) for column in columns]


@dataclass(frozen=True, slots=True)
class Hits:
    """What a search has found by now: line numbers, at most MOST_HITS, in the lines up to
    `through`. `done`: it ended, at the end of the file or at so many hits."""

    lines: tuple[int, ...]
    through: int
    done: bool

    @property
    def capped(self) -> bool:
        return len(self.lines) >= MOST_HITS


@dataclass(frozen=True, slots=True)
class Table:
    """An opened file of `count` lines, numbered from 1. Several sessions may read it at once."""

    file: File
    count: int
    connection: DuckDBPyConnection = field(repr=False, compare=False)
    stream: Stream | None = field(repr=False, compare=False)

    def page(self, start: int, size: int) -> list[tuple[int, str | None, str | None]]:
        """(line, raw, reason) of the lines from `start` on."""
        return self.lines(range(start, min(start + size, self.count + 1)))

    def lines(self, numbers: Sequence[int]) -> list[tuple[int, str | None, str | None]]:
        """(line, raw, reason) of these lines, in ascending order. Raises DataError where the file
        has changed since."""
        wanted = sorted({n for n in numbers if 1 <= n <= self.count})
        if not wanted:
            return []
        if self.stream is None:
            only = " where line in (select unnest(?::bigint[]))"
            return self._asked(f"select line, raw, reason from lines{only} order by line", [wanted])
        return self._asked("select line, raw, reason from part order by line", [], wanted)

    def rows(self, numbers: Sequence[int], found: Detected | None) -> list[Row]:
        """These lines as rows, judged by the format where there is one."""
        listed = self.lines(numbers)
        refused = self._refusals(listed, found) if found else {}
        return [_row(line, raw, reason, refused.get(line)) for line, raw, reason in listed]

    def search(self, text: str) -> Iterator[Hits]:
        """Lines that hold the text, whatever the case; told anew whenever a stretch of the file is
        through, so that the first hits come at once."""
        needles = _needles(text)
        told = " or ".join("contains(text, lower(?))" for _ in needles)
        found: list[int] = []
        low, size = 1, FIRST_WINDOW
        while low <= self.count:
            high = min(low + size, self.count + 1)
            started = time.monotonic()
            listed = self._window(
                low, high, f"({told}) order by line limit ?", [*needles, MOST_HITS - len(found)]
            )
            found += [line for (line,) in listed]
            if time.monotonic() - started < WINDOW_SECONDS:
                size *= 2
            low = high
            done = low > self.count or len(found) >= MOST_HITS
            yield Hits(tuple(found), high - 1, done)
            if done:
                return
        if not self.count:
            yield Hits((), 0, True)

    def example(self, line: int, found: Detected, general: bool = False) -> Example | None:
        """The row of a line in the shape of training; None where it cannot be used. `general`: it
        is of data.mix."""
        from runner.data.prepare import TEXTS, example_of

        listed = self.lines([line])
        names = [name.split(" as ")[-1] for name in TEXTS.split(", ")]
        selected = self._judged(listed, found, TEXTS)
        if not selected or selected[0][1] or selected[0][2] is not None:
            return None
        head = {"id": f"{self.file.name}:{line}", "source": self.file.name}
        texts = dict(zip(names, selected[0][3:], strict=True))
        return example_of({**head, "grp": None, "general": general, **texts})

    def _refusals(
        self, listed: Sequence[tuple[int, str | None, str | None]], found: Detected
    ) -> dict[int, str]:
        return {
            line: refusal
            for line, _, refusal in self._judged(listed, found)
            if refusal and refusal != NOT_JSON
        }

    def _judged(
        self,
        listed: Sequence[tuple[int, str | None, str | None]],
        found: Detected,
        columns: str = "",
    ) -> list[Any]:
        """line, blank, refusal and `columns` of these lines, as the format reads them."""
        if not listed:
            return []
        more = f", {columns}" if columns else ""
        wanted = {"line", "blank", "refusal", *columns.replace(",", " ").split()}
        cursor = self.connection.cursor()  # a temporary table is seen by its cursor alone
        try:
            cursor.execute(
                "create temp table page as select unnest(?::bigint[]) as line,"
                " unnest(?::varchar[]) as raw, unnest(?::varchar[]) as reason",
                [list(column) for column in zip(*listed, strict=True)],
            ).fetchall()
            select = canonical(found.format, found.roles, "page", wanted=wanted)
            answer: list[Any] = cursor.execute(
                f"select line, blank, refusal{more} from ({select}) order by line"
            ).fetchall()
            return answer
        finally:
            cursor.close()

    def _window(self, low: int, high: int, where: str, values: list[Any]) -> list[Any]:
        """Of the lines from low to below high, those for which `where` holds."""
        if self.stream is None:
            within = "line >= ? and line < ? and "
            return self._asked(
                f"select line from {LOWER.format('lines')} where {within}{where}",
                [low, high, *values],
            )
        query = f"select line from {LOWER.format('part')} where {where}"
        return self._asked(query, values, range(low, high))

    def _asked(
        self, query: str, values: list[Any], lines: Sequence[int] | None = None
    ) -> list[Any]:
        """`lines`: of a large file, in ascending order; they are the relation `part`."""
        cursor = self.connection.cursor()  # sees the tables, and alone what it registers
        try:
            with scanning():
                if self.stream is not None and lines is not None:
                    import numpy as np

                    cursor.register("part", self.stream.only(np.asarray(lines)))
                return list(cursor.execute(query, values).fetchall())
        finally:
            cursor.close()


def open_table(file: File) -> Table:
    """Reads the file once, and finds where its lines begin. Raises DataError."""
    connection = _locked()
    with scanning():
        stream = files.relate(connection, "lines", file)
        # this pass over a large file is the one that remembers the places
        counted = connection.execute("select count(*) from lines").fetchall()
    return Table(file, counted[0][0], connection, stream)


def _locked() -> DuckDBPyConnection:
    import duckdb

    connection = duckdb.connect(":memory:", config=LOCKED)
    connection.execute("set lock_configuration = true")
    return connection


def _needles(text: str) -> list[str]:
    """The text as it may stand in JSON: as it is, and with its escapes."""
    escaped = (json.dumps(text, ensure_ascii=plain)[1:-1] for plain in (False, True))
    return list(dict.fromkeys([text, *escaped]))


def _row(line: int, raw: str | None, reason: str | None, refusal: str | None) -> Row:
    if raw is None:
        return Row(line, None, None, reason)
    try:
        value = loads(raw.rstrip("\r\n"))
    except JSONDecodeError as error:
        return Row(line, raw, None, f"not JSON: {error.msg} (column {error.colno})")
    if not isinstance(value, dict):
        return Row(line, raw, None, refusal or f"{in_words(value)}, not an object")
    return Row(line, raw, value, refusal)

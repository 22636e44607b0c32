"""Sources → the table `features` in one pass a file, and a report of each file.

rows + refused + blank = records of the file, always.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from orjson import JSONDecodeError, loads

from dsl.errors import DataError
from dsl.problems import Path as RecipePath
from dsl.problems import dotted
from dsl.rows import Format
from dsl.sources import Source
from runner.data import files, formats
from runner.data.files import File
from runner.data.formats import Detected, Misfit, blank_sql, canonical, with_normalised
from runner.data.formats.texts import quoted_text
from runner.data.lines import Stream
from runner.data.peek import HEAD_ROWS, head
from runner.data.tables import one

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

EXPLAINED_AT_ONCE = 1000
REMARKS, NAME = 5, 60  # of an odd row; characters of a key
OPENING = 40  # characters
FEATURED = formats.CANONICAL_COLUMNS.keys() - {"messages", "texts", "raw", "keys", "types"}
COUNTED = ("line", "keys", "types")
TEXT = {formats.EMPTY: "VARCHAR"}
NUMBERS = count()  # of relations of single lines

# a row without a prompt differs from others by its answer; no normalised text begins with a blank
ASKED = "case when blank_prompt then completion else prompt end"
PROMPT_KEY = "md5_number(case when blank_prompt then ' ' || asked else asked end)"


Tell = Callable[[str], None]


def silent(_: str) -> None:
    """Tells nobody."""


@dataclass(frozen=True, slots=True)
class Opened:
    """One file of one source, ready to be scanned. `index`: over all files of the recipe."""

    index: int
    path: RecipePath
    part: str
    source: Source
    file: File
    found: Detected
    stream: Stream | None = field(compare=False)  # of a large file

    @property
    def conversation(self) -> bool:
        return not {"messages", "conversations"}.isdisjoint(self.found.roles)

    @property
    def lines(self) -> str:
        """The relation of its records."""
        return f"lines_{self.index}"

    def rows(self, group_by: str | None, lines: str, wanted: Collection[str]) -> str:
        """SQL: the `wanted` of formats.CANONICAL_COLUMNS of the records of the relation `lines`."""
        grouped = None if self.part == "mix" else group_by
        return canonical(
            self.found.format, self.found.roles, lines, self.source.columns.id, grouped, wanted
        )


@dataclass(frozen=True, slots=True)
class Rows:
    """The canonical rows of all files; every query reads the files anew."""

    opened: tuple[Opened, ...]
    group_by: str | None
    connection: DuckDBPyConnection = field(repr=False, compare=False)

    def select(self, columns: str, hits: str | None = None) -> str:
        """SQL: source, line and `columns` of the rows that can be used.

        `hits`: SQL of a relation (source, line), asked at once; only its rows are read.
        """
        # what is named nowhere is left out: to bind it costs more than to read a small file
        wanted = {"line", "blank", "refusal", *re.findall(r"\w+", columns)}
        lines = self.lines(hits)
        return " union all by name ".join(
            f"select {opened.index}::usmallint as source, line, {columns}"
            f" from ({opened.rows(self.group_by, lines[opened.index], wanted)})"
            " where not blank and refusal is null"
            for opened in self.opened
        )

    def lines(self, hits: str | None) -> dict[int, str]:
        """Index of a file → relation of its records, of `hits` alone if given."""
        if hits is None:
            return {opened.index: opened.lines for opened in self.opened}
        streams = [opened for opened in self.opened if opened.stream]
        read = _picked(self.connection, streams, hits) if streams else {}
        some = {
            opened.index: f"(from {opened.lines} semi join"
            f" (select line from ({hits}) where source = {opened.index}) using (line))"
            for opened in self.opened
            if not opened.stream
        }
        return some | read

    def by_source(self, values: Sequence[bool], source: str = "source") -> str:
        """SQL: the value of the file whose index the expression `source` gives."""
        return f"[{', '.join(str(value).lower() for value in values)}][{source} + 1]"

    def names(self, source: str) -> str:
        """SQL: the name of the file whose index the expression `source` gives."""
        listed = ", ".join(quoted_text(opened.file.name) for opened in self.opened)
        return f"[{listed}][{source} + 1]"


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What was read from one file. rows + refused + blank = its records.

    `columns`: column → rows that have it. `types`: mapped column → JSON type → rows. `empty`:
    mapped column → rows where it is an empty text. `first_lines`: column → the first line that has
    it. `evidence`: why the format was taken.
    """

    path: RecipePath
    part: str
    name: str
    kind: str
    compression: str | None
    format: Format
    evidence: str
    file: Path
    state: tuple[int, int]  # of the file when it was read: size, time of change
    bytes: int
    rows: int
    refused: int
    blank: int
    columns: Mapping[str, int]
    types: Mapping[str, Mapping[str, int]]
    empty: Mapping[str, int]
    first_lines: Mapping[str, int]

    @property
    def sha256(self) -> str:
        """Of the bytes that were read. Computed when it is asked for: a second a gigabyte or two.

        Raises DataError where the file is another one by now.
        """
        try:
            known = _sha256(self.file, self.state)
            if _state(self.file) == self.state:
                return known
        except OSError:
            pass
        raise DataError(f"{self.name}: the file changed while it was read", "start again")

    @property
    def records(self) -> int:
        return self.rows + self.refused + self.blank


def scan(
    connection: DuckDBPyConnection,
    sources: Sequence[tuple[RecipePath, str, Source]],
    base: Path,
    group_by: str | None,
    tell: Tell = silent,
) -> tuple[Rows, tuple[SourceReport, ...]]:
    """Fills the table `features` from all sources. Paths are relative to `base`. `tell` hears the
    name of each file.

    Raises one DataError that names every source that cannot be read.
    """
    opened: list[Opened] = []
    reports: list[SourceReport] = []
    failed: list[tuple[RecipePath, DataError]] = []
    for path, part, source in sources:
        try:
            for file in files.open_source(source, base):
                tell(f"reading {file.name}")
                found = _detect(file, source)
                stream = files.relate(connection, f"lines_{len(opened)}", file)
                made = Opened(len(opened), path, part, source, file, found, stream)
                reports.append(_scan_one(connection, made, group_by))
                opened.append(made)
            _mapped_exist(source, [report for report in reports if report.path == path])
        except DataError as error:
            failed.append((path, error))
    if not failed and group_by:
        failed = [(("data", "split", "group_by"), e) for e in _lacks_group(reports, group_by)]
    if failed:
        raise _together(failed)
    return Rows(tuple(opened), group_by, connection), tuple(reports)


def _scan_one(connection: DuckDBPyConnection, opened: Opened, group_by: str | None) -> SourceReport:
    file = opened.file
    state = _state(file.path)
    features = _features(opened.index, opened.part, opened.rows(group_by, opened.lines, FEATURED))
    # every query that depends on the order of rows says which; to keep it costs a copy of the table
    connection.execute("set preserve_insertion_order = false").fetchall()
    connection.execute(features).fetchall()
    connection.execute("reset preserve_insertion_order").fetchall()
    _explain(connection, opened)
    census = _census(connection, opened, group_by)
    blank, refused, rows = connection.execute(
        "select count(*) filter (blank), count(*) filter (refusal is not null),"
        " count(*) filter (not blank and refusal is null) from features where source = ?",
        [opened.index],
    ).fetchall()[0]
    return SourceReport(
        opened.path, opened.part, file.name, file.kind, file.compression,
        opened.found.format, opened.found.evidence, file.path, state, state[0],
        rows, refused, blank, census.columns, census.types, census.empty, census.first_lines,
    )  # fmt: skip


def _features(index: int, part: str, rows: str) -> str:
    judged = (
        "select *, hash(completion, system, tools) as answer_hash,"
        f" {blank_sql('prompt')} as blank_prompt,"
        f" {blank_sql('completion')} as blank_completion from ({rows})"
    )
    return (
        f"insert into features select {index}, line,"
        f" case when not blank and refusal is null then '{part}'::part end, 0, false,"
        " blank, refusal, roles, calls, own_id, grp, label, desirable,"
        " completion = rejected, turns,"
        f" {PROMPT_KEY}, answer_hash, hash(prompt, answer_hash),"
        f" hash(lower(left(completion, {OPENING}))),"
        " length(prompt), length(completion), length(rejected),"
        " strlen(prompt) + strlen(completion) + coalesce(strlen(system), 0),"
        " blank_prompt, blank_completion, shape"
        f" from ({with_normalised(judged, ASKED, 'asked')})"
    )


def _picked(connection: DuckDBPyConnection, opened: Sequence[Opened], hits: str) -> dict[int, str]:
    """Index of a file → relation of those of its records which `hits` (SQL) names."""
    import numpy as np

    found = connection.execute(f"select distinct source, line from ({hits}) order by all")
    named = found.fetchnumpy()
    made = {}
    for file in opened:
        assert file.stream
        lines = np.asarray(named["line"][named["source"] == file.index])
        made[file.index] = name = f"hits_{next(NUMBERS)}"
        connection.register(name, file.stream.only(lines))
    return made


def _explain(connection: DuckDBPyConnection, opened: Opened) -> None:
    """DuckDB says only that a line is not JSON; orjson says where."""
    bad = (
        "select source, line from features"
        f" where source = {opened.index} and refusal = '{formats.NOT_JSON}'"
    )
    if not one(connection, f"select count(*) from ({bad})"):
        return
    lines = Rows((opened,), None, connection).lines(bad)[opened.index]
    found = connection.execute(f"select line, raw from {lines}")
    reasons: list[tuple[int, str]] = []
    while some := found.fetchmany(EXPLAINED_AT_ONCE):
        reasons += [(line, _reason(raw)) for line, raw in some]
    connection.execute(
        "update features set refusal = reason from"
        " (select unnest(?::bigint[]) as bad, unnest(?::varchar[]) as reason)"
        f" where source = {opened.index} and line = bad",
        [list(column) for column in zip(*reasons, strict=True)],
    ).fetchall()


def _reason(raw: str) -> str:
    try:
        loads(raw.rstrip("\r\n"))  # else a cut text ends in a control character
    except JSONDecodeError as error:
        return f"not JSON: {error.msg} (column {error.colno})"
    return "not JSON"


@dataclass(frozen=True, slots=True)
class Census:
    """See SourceReport."""

    columns: dict[str, int]
    types: dict[str, dict[str, int]]
    empty: dict[str, int]
    first_lines: dict[str, int]


def _census(connection: DuckDBPyConnection, opened: Opened, group_by: str | None) -> Census:
    """Counts keys and types by one row of each shape, and fills `shapes` with the odd ones."""
    connection.execute(
        "create or replace table firsts as"
        " select source, shape, count(*) as rows, min(line) as line from features"
        f" where source = {opened.index} and not blank group by all"
    ).fetchall()
    lines = Rows((opened,), None, connection).lines("from firsts")[opened.index]
    found = connection.execute(
        "select firsts.shape, line, rows, keys, types"
        f" from ({opened.rows(group_by, lines, COUNTED)})"
        " join firsts using (line) where keys is not null order by line"
    ).fetchall()
    connection.execute("drop table firsts").fetchall()
    columns: Counter[str] = Counter()
    types: dict[str, Counter[str]] = {}
    empty: Counter[str] = Counter()
    first: dict[str, int] = {}
    for _, line, rows, keys, kinds in found:
        for key in dict.fromkeys(keys):
            columns[key] += rows
            first.setdefault(key, line)
        for column, kind in zip(opened.found.typed, kinds, strict=True):
            empty[column] += rows * (kind == formats.EMPTY)
            if kind is not None:
                types.setdefault(column, Counter())[TEXT.get(kind, kind)] += rows
    usual = {column: _usual(kinds) for column, kinds in types.items()}
    odd = [
        (shape, remark)
        for shape, _, _, keys, kinds in found
        if (remark := _odd(keys, dict(zip(opened.found.typed, kinds, strict=True)), first, usual))
    ]
    if odd:
        connection.execute(
            f"insert into shapes select {opened.index}, unnest(?::ubigint[]), unnest(?::varchar[])",
            [list(column) for column in zip(*odd, strict=True)],
        ).fetchall()
    by_type = {name: dict(kinds) for name, kinds in types.items()}
    return Census(dict(columns), by_type, dict(empty), first)


def _odd(
    keys: Sequence[str],
    kinds: Mapping[str, str | None],
    first: Mapping[str, int],
    usual: Mapping[str, str],
) -> str | None:
    """What sets rows of this shape apart, if anything."""
    counted = Counter(keys)
    said = [f"key {_named(key)} {times} times" for key, times in counted.items() if times > 1]
    said += [
        f"key {_named(key)} first comes at line {first[key]}"
        for key in counted
        if first[key] > HEAD_ROWS
    ]
    said += [
        f"'{column}' is {_in_words(kind)}, mostly {_in_words(usual[column])}"
        for column, kind in kinds.items()
        if kind not in (None, "NULL") and _in_words(kind) != _in_words(usual[column])
    ]
    more = f"; {len(said) - REMARKS} more" if len(said) > REMARKS else ""
    return "; ".join(said[:REMARKS]) + more or None


def _named(key: str) -> str:
    return f"'{key[:NAME]}{'…' if len(key) > NAME else ''}'"


def _usual(kinds: Mapping[str, int]) -> str:
    present = {kind: rows for kind, rows in kinds.items() if kind != "NULL"} or kinds
    return max(present, key=lambda kind: present[kind])


def _in_words(kind: str) -> str:
    """A JSON type of DuckDB's."""
    words = {"VARCHAR": "a text", "ARRAY": "a list", "OBJECT": "an object", "NULL": "null"}
    kind = TEXT.get(kind, kind)
    return words.get(kind, "true or false" if kind == "BOOLEAN" else "a number")


def _detect(file: File, source: Source) -> Detected:
    """The format, by the first rows that can be read."""
    seen = head(file)
    if not seen.columns:
        message = f"no row can be read; {seen.refused}" if seen.refused else "no rows"
        raise DataError(
            f"{file.name}: {message}", "a row is a JSON object" if seen.refused else None
        )
    found = formats.detect(seen.rows, source.columns, source.format, seen.columns)
    if isinstance(found, Misfit):
        _mapped_in(source, file.name, dict.fromkeys(seen.columns, 1))
        raise DataError(f"{file.name}: {found.message}", found.hint)
    return found


def _mapped_exist(source: Source, reports: Sequence[SourceReport]) -> None:
    for report in reports:
        if report.columns:  # a table without rows has been held against its header
            _mapped_in(source, report.name, report.columns)


def _mapped_in(source: Source, name: str, census: Mapping[str, int]) -> None:
    for role, column in source.columns.given().items():
        if not census.get(column):
            raise DataError(
                f"{name}: no column '{column}', which columns.{role} names",
                formats.no_column(column, tuple(census)),
            )


def _lacks_group(reports: Sequence[SourceReport], group_by: str) -> Iterator[DataError]:
    for report in reports:
        if report.part == "train" and not report.columns.get(group_by):
            hint = formats.no_column(group_by, tuple(report.columns))
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


def _state(path: Path) -> tuple[int, int]:
    there = path.stat()
    return there.st_size, there.st_mtime_ns


@cache
def _sha256(path: Path, state: tuple[int, int]) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()

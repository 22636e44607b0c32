"""Finding: the verdict of one check, and how counts are held against thresholds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from dsl.facts import PartFacts
from dsl.recipe import Data
from dsl.thresholds import ShareCheck
from runner.data.scan import Rows, SourceReport, Tell, silent
from runner.data.split import Placed, named
from runner.data.tables import one

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from runner.data.checks.tokens import Encoder

State = Literal["pass", "warn", "error", "not_run", "off"]
How = Literal["exact", "sampled", "estimated"]
SCHEMA_VERSION = 1
SHOWN_ROWS = 20
SAID_ROWS = 3
# state → its word in a list, its ANSI code, one and several of it in a summary
STATES: dict[State, tuple[str, str, str, str]] = {
    "pass": ("ok", "32", "passed", "passed"),
    "warn": ("warning", "33", "warning", "warnings"),
    "error": ("ERROR", "1;31", "error", "errors"),
    "not_run": ("not run", "36", "not run", "not run"),
    "off": ("off", "2", "off", "off"),
}


@dataclass(frozen=True, slots=True)
class FoundRow:
    """One row that a check found. `note` says why, or where its twin stands. A check that knows
    ids only leaves line and source open."""

    id: str
    line: int | None
    source: str | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict of one check. count of total; None where nothing was counted.

    `rows` holds the first 20; all of them are in findings.parquet. `how` the number was got.
    """

    check: str
    state: State
    definition: str
    threshold: str
    count: int | None
    total: int | None
    share: float | None
    rows: tuple[FoundRow, ...]
    how: How
    message: str
    hint: str | None


@dataclass(frozen=True, slots=True)
class Read:
    """What a check may look at: the tables (see tables.py), the texts, and what was read."""

    connection: DuckDBPyConnection
    rows: Rows
    reports: tuple[SourceReport, ...]
    data: Data
    placed: Placed
    parts: dict[str, PartFacts]
    encoder: Encoder | None = None  # where the model's tokenizer is at hand
    tell: Tell = silent  # told what is being done, for a terminal
    languages: dict[str, int] = field(default_factory=dict)  # told by the check of that name
    done: set[str] = field(default_factory=set)  # passes over the texts that serve several checks

    def named(self, relation: str) -> str:
        """SQL: rows of `placed` with what `final` adds. A join goes below: there, the id of every
        row would be put together before it."""
        return named(self.rows, relation)

    def count(self, query: str) -> int:
        return one(self.connection, query)

    def note(self, check: str, query: str) -> None:
        """Adds to `found` what the query selects: id, line, name of the file, note."""
        self.connection.execute(
            f"insert into found select '{check}', id, line, name, note from ({query})"
        ).fetchall()

    def note_twins(self, check: str, query: str, note: str, order: str = "") -> None:
        """As `note`, of rows that stand beside another one.

        The query selects source, line, twin_source, twin_line and what `note` (SQL) needs besides
        twin, the id of the other row. Joins build on their right side: the few rows found.
        """
        self.connection.execute(f"create table twins as {query}").fetchall()
        both = "select source, line from twins union select twin_source, twin_line from twins"
        # the names of the few, not of all rows
        picked = f"(from placed semi join ({both}) using (source, line) where copy = 0)"
        self.connection.execute(
            f"create table picked as select source, line, id, name from ({self.named(picked)})"
        ).fetchall()
        self.note(
            check,
            f"select picked.id, line, picked.name, {note} as note from picked join ("
            "  select twins.*, one.id as twin from picked as one join twins"
            "  on one.source = twin_source and one.line = twin_line)"
            f" using (source, line) order by {order} source, line",
        )
        for table in ("twins", "picked"):
            self.connection.execute(f"drop table {table}").fetchall()

    def add(self, check: str, rows: Sequence[tuple[str, int, str, str]]) -> None:
        """Adds rows found outside the database to `found`: id, line, name of the file, note."""
        if rows:
            self.connection.execute(
                f"insert into found select '{check}', unnest(?::varchar[]), unnest(?::bigint[]),"
                " unnest(?::varchar[]), unnest(?::varchar[])",
                [list(column) for column in zip(*rows, strict=True)],
            ).fetchall()

    def add_rows(self, check: str, rows: Sequence[tuple[int, int, str]]) -> None:
        """As `add`, of (source, line, note)."""
        if rows:
            picked = (
                "(from placed join (select unnest(?::usmallint[]) as source,"
                " unnest(?::bigint[]) as line, unnest(?::varchar[]) as note)"
                " using (source, line) where copy = 0)"
            )
            self.connection.execute(
                f"insert into found select '{check}', id, line, name, note"
                f" from ({self.named(picked)}) order by source, line",
                [list(column) for column in zip(*rows, strict=True)],
            ).fetchall()

    def found(self, check: str) -> int:
        return self.count(f"select count(*) from found where check_name = '{check}'")

    def first_rows(self, check: str) -> tuple[FoundRow, ...]:
        listed = self.connection.execute(
            f"select id, line, source, note from found where check_name = '{check}'"
            f" order by rowid limit {SHOWN_ROWS}"
        ).fetchall()
        return tuple(FoundRow(*row) for row in listed)


@dataclass(frozen=True, slots=True)
class Said:
    """What a check is called and means; makes its findings."""

    check: str
    definition: str

    def share(
        self,
        read: Read,
        limits: ShareCheck,
        total: int,
        unit: str,
        hint: str,
        how: How = "exact",
        remark: str = "",
    ) -> Finding:
        """Holds the rows in `found` against thresholds that are shares of `total`."""
        count, rows = read.found(self.check), read.first_rows(self.check)
        return self.judged(limits, count, total, rows, unit, hint, how, remark)

    def judged(
        self,
        limits: ShareCheck,
        count: int,
        total: int,
        rows: tuple[FoundRow, ...],
        unit: str,
        hint: str,
        how: How = "exact",
        remark: str = "",
    ) -> Finding:
        share = count / total if total else 0.0
        state: State = "pass"
        if limits.error_above is not None and share > limits.error_above:
            state = "error"
        elif limits.warn_above is not None and share > limits.warn_above:
            state = "warn"
        message = f"{count:,} of {total:,} {unit}" + (f" ({percent(share)})" if count else "")
        return Finding(
            self.check, state, self.definition, share_text(limits), count, total, share, rows,
            how, message + (f"; {remark}" if remark and count else ""), hint if count else None,
        )  # fmt: skip

    def measured(
        self,
        state: State,
        threshold: str,
        message: str,
        hint: str | None,
        count: int | None = None,
        total: int | None = None,
        rows: tuple[FoundRow, ...] = (),
        how: How = "exact",
    ) -> Finding:
        """A verdict on a number that is no share of rows."""
        share = count / total if count is not None and total else None
        return Finding(
            self.check, state, self.definition, threshold, count, total, share, rows, how, message,
            None if state == "pass" else hint,
        )  # fmt: skip

    def silent(self, state: State, message: str, threshold: str = "none") -> Finding:
        """Not run, or off: no number."""
        return Finding(
            self.check, state, self.definition, "off" if state == "off" else threshold,
            None, None, None, (), "exact", message, None,
        )  # fmt: skip


def failed(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that stop a run."""
    return [finding for finding in findings if finding.state == "error"]


def to_json(findings: Iterable[Finding]) -> dict[str, Any]:
    """The content of checks.json; see schemas/checks.schema.json."""
    listed = [asdict(finding) for finding in findings]
    plain = [{**finding, "rows": list(finding["rows"])} for finding in listed]
    return {"schema_version": SCHEMA_VERSION, "findings": plain}


def describe(findings: Iterable[Finding], color: bool = False) -> Iterator[str]:
    """A line for each finding, in their order, and below it where it is and what to do."""
    told = tuple(findings)
    states = max(len(word) for word, *_ in STATES.values())
    names = max((len(finding.check) for finding in told), default=0)
    for finding in told:
        word, code, *_ = STATES[finding.state]
        shown = f"{word:<{states}}"
        start = f"\x1b[{code}m{shown}\x1b[0m" if color else shown
        message = "" if finding.state == "off" else printable(finding.message)
        how = "" if finding.how == "exact" or finding.count is None else f" [{finding.how}]"
        yield f"{start}  {finding.check:<{names}}  {message}{how}".rstrip()
        if finding.state in ("warn", "error"):
            margin = " " * (states + names + 4)
            yield from (margin + printable(line) for line in _details(finding))


def _details(finding: Finding) -> Iterator[str]:
    where = [row.id + (f" ({row.note})" if row.note else "") for row in finding.rows[:SAID_ROWS]]
    yield from where
    if where and (more := (finding.count or 0) - len(where)) > 0:
        yield f"and {more:,} more"
    if finding.hint:
        yield f"-> {finding.hint}"


def printable(text: str) -> str:
    """On one line and without control characters: names and notes are what stands in the data."""
    return "".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in text)


def percent(share: float) -> str:
    """0.0123 → '1.23%'; what is above 0 never reads as 0%."""
    return f"{100 * share:.3g}%"


def share_text(limits: ShareCheck) -> str:
    bounds = (("warn", limits.warn_above), ("error", limits.error_above))
    words = [f"{word} above {percent(bound)}" for word, bound in bounds if bound is not None]
    return ", ".join(words) or "none"


def listed(texts: Sequence[str], most: int = 3) -> str:
    """'a, b, c and 4 more'"""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more

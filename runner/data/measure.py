"""measure(data) → counts and lengths of a recipe's rows, and the columns that look like groups."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dsl.recipe import Data
from runner.data.files import scanning
from runner.data.scan import Rows, SourceReport, scan
from runner.data.tables import connect

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

USABLE = "not blank and refusal is null"
# lengths of answers are counted in characters: as many bytes each as the row's have
ANSWER_BYTES = "completion_length::bigint * bytes // greatest(prompt_length + completion_length, 1)"
# names of columns by which rows belong together, the most telling first
GROUPS = (
    "doc|document",
    "conversation|conv|dialog|dialogue|thread|session",
    "article|paper|page|book",
    "case|contract|ticket|patient|customer|client",
    "file|filename|url|source|origin",
    "user|author|speaker",
    "group|cluster|topic|domain",
)


@dataclass(frozen=True, slots=True)
class Group:
    """A column whose values repeat: distinct values, rows that have one, rows of the largest."""

    column: str
    values: int
    rows: int
    largest: int


@dataclass(frozen=True, slots=True)
class Measures:
    """Rows that can be used and that cannot, in all sources; lengths in bytes of UTF-8.

    `row_bytes`: 95% and 99% of the rows are not longer. `answer_bytes`: 95% of the answers.
    `groups`: of data.train, the most telling first.
    """

    reports: tuple[SourceReport, ...]
    rows: int
    refused: int
    row_bytes: tuple[int, int]
    answer_bytes: int
    groups: tuple[Group, ...]


def measure(data: Data, base: Path) -> Measures:
    """Reads every row once, and once more where a column looks like a group. Raises DataError."""
    connection = connect()
    try:
        with scanning():
            rows, reports = scan(connection, data.sources(), base, None)
            usual, long, answer = connection.execute(
                "select quantile_disc(bytes, 0.95), quantile_disc(bytes, 0.99),"
                f" quantile_disc({ANSWER_BYTES}, 0.95) from features where {USABLE}"
            ).fetchall()[0]
            used = {column for opened in rows.opened for column in opened.found.roles.values()}
            trained = [report for report in reports if report.part == "train"]
            groups = _groups(connection, rows, trained, used)
    finally:
        connection.close()
    return Measures(
        reports,
        sum(report.rows for report in reports),
        sum(report.refused for report in reports),
        (usual or 0, long or 0),
        answer or 0,
        groups,
    )


def looks_like_group(column: str) -> int | None:
    """How telling a column's name is, 0 the most; None where it names no group."""
    words = re.sub(r"([a-z])([A-Z])", r"\1_\2", column).lower()
    for rank, names in enumerate(GROUPS):
        if re.fullmatch(rf"(?:.*[_\W])?(?:{names})(?:[_\W]?(?:id|name|key|no|nr))?", words):
            return rank
    return None


def _groups(
    connection: DuckDBPyConnection, rows: Rows, trained: Sequence[SourceReport], used: set[str]
) -> tuple[Group, ...]:
    named = {
        column: rank
        for report in trained
        for column in report.columns
        if column not in used and (rank := looks_like_group(column)) is not None
        and all(other.columns.get(column) for other in trained)
    }  # fmt: skip
    found = [
        (rank, group)
        for column, rank in named.items()
        if (group := _group(connection, rows, column))
    ]
    return tuple(group for _, group in sorted(found, key=lambda one: (one[0], -one[1].values)))


def _group(connection: DuckDBPyConnection, rows: Rows, column: str) -> Group | None:
    """The column, if its values repeat: at least two of them, in two rows each on average."""
    trained = tuple(opened for opened in rows.opened if opened.part == "train")
    only = Rows(trained, column, connection)
    values, having, largest = connection.execute(
        "select count(*), coalesce(sum(rows), 0)::bigint, coalesce(max(rows), 0) from ("
        f" select grp, count(*) as rows from ({only.select('grp')})"
        " where grp is not null and grp <> '' group by grp)"
    ).fetchall()[0]
    if not 2 <= values <= having / 2:
        return None
    return Group(column, values, having, largest)

"""canonical(): the SQL that reads every row of a format."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from dsl.rows import Format
from runner.data.formats import dialogues, flat
from runner.data.formats.cells import CANONICAL_COLUMNS, Cells, cells, select
from runner.data.formats.conversations import conversation

# format → its cells → (relation, column of CANONICAL_COLUMNS → SQL expression over it)
SHAPES: dict[Format, Callable[[Cells], tuple[str, dict[str, str]]]] = {
    "messages": lambda cells: conversation(cells, "messages"),
    "sharegpt": lambda cells: conversation(cells, "conversations"),
    "preference": dialogues.preference,
    "kto": dialogues.kto,
    "classification": flat.classification,
    "prompt_completion": flat.prompt_completion,
    "alpaca": dialogues.alpaca,
    "text": flat.text,
}


def canonical(
    format: Format,
    roles: Mapping[str, str],
    lines: str,
    id_column: str | None = None,
    group_by: str | None = None,
    wanted: Collection[str] = CANONICAL_COLUMNS,
) -> str:
    """SQL: the `wanted` of CANONICAL_COLUMNS of the relation or subquery `lines` (line, raw,
    reason).

    `roles`: role → column, as detection gives them. Every record of `lines` gives one row. Where a
    key stands twice in an object, one of its values is read. DuckDB's JSON takes a comma before a
    closing bracket, NaN and Infinity.
    """
    read = cells(roles, lines, id_column, group_by)
    relation, columns = SHAPES[format](read)
    return select(read, relation, columns, wanted)

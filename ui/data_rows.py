"""The rows of a file: paged, searched, one in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from dsl.errors import RecipeError
from runner.app.profiles import Refused
from runner.app.sources import Look, as_text
from runner.app.tables import CELL_CHARACTERS, MOST_HITS, Hits, Row, Table
from runner.data.files import File
from ui.data_columns import ROLE_WORDS
from ui.data_state import table_of
from ui.parts import badge, failure
from ui.words import term

PAGE_ROWS = 50
FIRST_ROWS = 5
SHOWN_COLUMNS = 30
VALUE_CHARACTERS = 20_000
LINE = "data-line"  # the line that was selected last
JUMP = "data-jump"  # how often a line was asked for, and the page that the last one is on
FOUND = "data-found"  # (file, text, Hits) of the last search


def first_rows(look: Look) -> None:
    names = _names(look)
    listed = [{n: as_text(row.get(n), CELL_CHARACTERS) for n in names} for row in look.head.rows]
    st.dataframe(listed[:FIRST_ROWS], hide_index=True, alt=f"The first rows of {look.file.name}")


def _rows(file: File, look: Look, refused: tuple[Sequence[Refused], int] | None) -> None:
    """`refused`: lines that cannot be used, and how many there are, once that is known."""
    try:
        table = table_of(file)
        numbers = _numbers(table, look, refused)
        shown = _page(table, look, numbers)
        if shown is not None:
            _whole(shown, look)
    except RecipeError as error:
        failure(error)


def _numbers(
    table: Table, look: Look, refused: tuple[Sequence[Refused], int] | None
) -> Sequence[int]:
    """The lines that are asked for."""
    left, middle, right = st.columns([4, 3, 2], vertical_alignment="bottom")
    text = left.text_input(
        "Search in the rows",
        key="data-search",
        type="search",
        placeholder="a word or a phrase, as it stands in the rows",
        icon=":material/search:",
    )
    only = middle.toggle(
        "Only unusable lines" + (f" ({refused[1]:,})" if refused else ""),
        key="data-only",
        disabled=refused is None or not refused[1],
        help=term("refused") if refused else "Known once all rows are looked at: see above.",
    )
    right.number_input(
        "Go to line",
        1,
        max(1, table.count),
        value=None,
        key="data-goto",
        placeholder=f"1 to {table.count:,}",
        on_change=_go_to,
        disabled=bool(text) or only,
    )
    bad = {one.line for one in refused[0]} if refused and only else None
    if bad is not None and refused and refused[1] > len(refused[0]):
        st.caption(f"The first {len(refused[0]):,} of {refused[1]:,} lines that cannot be used.")
    if text:
        hits = _search(table, text, look)
        return hits.lines if bad is None else [line for line in hits.lines if line in bad]
    return range(1, table.count + 1) if bad is None else sorted(bad)


def _search(table: Table, text: str, look: Look) -> Hits:
    """Shows the first hits while it is searched on; all are kept until another search."""
    key = (str(table.file.path), table.count, text)
    known = st.session_state.get(FOUND)
    if known is None or known[0] != key:
        told, first = st.empty(), st.empty()
        hits = Hits((), 0, False)
        shown = 0
        for hits in table.search(text):
            share = hits.through / max(1, table.count)
            told.progress(share, f"{len(hits.lines):,} found in {hits.through:,} lines")
            if shown < min(len(hits.lines), PAGE_ROWS) and not hits.done:
                early = table.rows(hits.lines[:PAGE_ROWS], look.detected)
                first.dataframe(_cells(early, look), hide_index=True, alt="The first rows found")
                shown = len(early)
        told.empty()
        first.empty()
        known = st.session_state[FOUND] = (key, hits)
    found: Hits = known[1]
    if found.capped:
        st.caption(f"The first {MOST_HITS:,} rows that hold it; there may be more.")
    else:
        count = len(found.lines)
        st.caption(f"{count:,} of {table.count:,} lines hold it." if count else "No line holds it.")
    return found


def _page(table: Table, look: Look, numbers: Sequence[int]) -> Row | None:
    """One page of rows; the row that is selected on it."""
    if not numbers:
        return None
    pages = -(-len(numbers) // PAGE_ROWS)
    asked = [st.session_state.get(name) for name in ("data-search", "data-only")]
    jump, page = (0, 1) if any(asked) else st.session_state.get(JUMP, (0, 1))
    # another search is another list: its pages are counted anew
    key = f"data-page-{table.file.name}-{jump}-{asked}"
    at = min(st.session_state.get(key, page), pages)
    first = (at - 1) * PAGE_ROWS
    listed = table.rows(numbers[first : first + PAGE_ROWS], look.detected)
    cells = _cells(listed, look)
    chosen: Any = st.dataframe(
        cells,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "line": st.column_config.NumberColumn(
                "line", width=70, pinned=True, format="localized"
            ),
            "note": st.column_config.TextColumn("cannot be used because", width="medium"),
        },
        height=min(430, 38 + 35 * len(cells)),
        key=f"data-rows-{key}-{at}",
        alt=f"Lines {listed[0].line} to {listed[-1].line} of {look.file.name}" if listed else None,
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        if pages > 1:
            st.pagination(pages, default=min(page, pages), key=key)
        st.caption(f"{len(numbers):,} lines, {PAGE_ROWS} a page. Select a row to read it in full.")
    selected: list[int] = chosen["selection"]["rows"]
    last = st.session_state.get(LINE)
    if selected and selected[0] < len(listed):
        st.session_state[LINE] = listed[selected[0]].line
        return listed[selected[0]]
    named = (row for row in listed if row.line == last)
    return next(named, None)


def _cells(rows: Sequence[Row], look: Look) -> list[dict[str, Any]]:
    """The rows of a table; why one cannot be used stands beside its line, if any cannot."""
    names = _names(look)
    odd = any(row.refused or row.values is None for row in rows)
    return [
        {
            "line": row.line,
            **({"note": _note(row)} if odd else {}),
            **dict(zip(names, row.cells(names), strict=True)),
        }
        for row in rows
    ]


def _whole(row: Row, look: Look) -> None:
    """A row with all its text."""
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.header(f"Line {row.line:,}")
            if row.refused:
                badge("error", "cannot be used")
            elif row.values is None:
                badge("info", "blank line")
            else:
                badge("pass", "can be used")
        if row.refused:
            st.text(row.refused)
        roles = {column.name: column.role for column in look.columns}
        for name, value in sorted(
            (row.values or {}).items(), key=lambda cell: roles.get(cell[0]) is None
        ):
            role = roles.get(name)
            st.text(name + (f": {ROLE_WORDS[role]}" if role else ""))
            st.code(_clipped(as_text(value)), language=None, wrap_lines=True)
        if row.raw is not None:
            with st.expander("The line as it stands in the file"):
                st.code(_clipped(row.raw.rstrip("\r\n")), language=None, wrap_lines=True)


def _go_to() -> None:
    line = st.session_state["data-goto"]
    if line:
        jumps, _ = st.session_state.get(JUMP, (0, 1))
        st.session_state[JUMP] = (jumps + 1, (line - 1) // PAGE_ROWS + 1)
        st.session_state[LINE] = line


def _note(row: Row) -> str:
    return row.refused or ("blank line" if row.values is None else "")


def _names(look: Look) -> list[str]:
    """The columns that are shown, those that play a part first."""
    ordered = sorted(look.columns, key=lambda column: column.role is None)
    # Streamlit's own columns of the table
    return [c.name for c in ordered if c.name not in ("line", "note")][:SHOWN_COLUMNS]


def _clipped(text: str) -> str:
    if len(text) <= VALUE_CHARACTERS:
        return text
    return f"{text[:VALUE_CHARACTERS]}\n… and {len(text) - VALUE_CHARACTERS:,} more characters"


rows = st.fragment(_rows)  # a page is turned without the rest of the page

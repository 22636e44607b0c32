"""Tables filled by hand, and rows read from a file, for the tests of the checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from dsl.recipe import Data, Recipe
from runner.data.checks import Read
from runner.data.files import File
from runner.data.formats import Detected
from runner.data.scan import Opened, Rows, scan
from runner.data.split import Placed, named, place
from runner.data.tables import connect

Row = Mapping[str, Any]
Table = Callable[[Sequence[Row]], Read]
Texts = Callable[..., Read]
Found = Callable[[Read, str], dict[int, str | None]]

ROW: dict[str, Any] = {
    "source": 0, "own_id": None, "grp": None, "label": None, "same_pair": None, "prompt_key": 0,
    "opening": None,
    "prompt_length": 100, "completion_length": 100, "rejected_length": None,
    "blank_prompt": False, "blank_completion": False, "part": "train", "copy": 0, "general": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def table(recipe_with: Callable[..., Recipe]) -> Iterator[Table]:
    """Makes what the split makes of rows; columns that a row leaves out are those of ROW."""
    connection = connect()
    data: Data = recipe_with(train=[{"path": "a.jsonl"}]).data
    file, format = File(Path("a.jsonl"), "a", "jsonl"), Detected("prompt-completion", {}, "")
    opened = Opened(0, ("data", "train", 0), "train", data.train[0], file, format, None)
    read = Rows((opened,), None, connection)
    connection.execute(
        "create table placed as select * exclude (blank, refusal) from features limit 0"
    )
    connection.execute(f"create view final as {named(read, 'placed')}")
    connection.execute(
        "create view repeated as select prompt_key from placed group by 1 having count(*) > 1"
    )

    kinds = dict(
        connection.execute("select name, type from pragma_table_info('placed')").fetchall()
    )
    cells = ", ".join(f"unnest(?::{kinds[column]}[])" for column in ("line", *ROW))

    def make(rows: Sequence[Row]) -> Read:
        connection.execute("delete from placed; delete from found")
        filled = [{"line": line, **ROW, **row} for line, row in enumerate(rows, 1)]
        connection.execute(
            f"insert into placed (line, {', '.join(ROW)}) select {cells}",
            [[row[column] for row in filled] for column in ("line", *ROW)],
        ).fetchall()
        return Read(connection, read, (), data, Placed(0, 0, 0, ()), {})

    yield make
    connection.close()


@pytest.fixture
def texts(
    tmp_path: Path, recipe_with: Callable[..., Recipe], write_rows: Callable[..., None]
) -> Iterator[Texts]:
    """Reads rows from a file, all of them for training."""
    opened: list[Read] = []

    def make(rows: Sequence[Row], general: Sequence[Row] = ()) -> Read:
        write_rows(tmp_path / "a.jsonl", rows)
        mix = []
        if general:
            write_rows(tmp_path / "g.jsonl", general)
            mix = [{"path": "g.jsonl", "share": 0.5}]
        held = {"validation": 0, "test": 0}
        data = recipe_with(train=[{"path": "a.jsonl"}], mix=mix, split=held).data
        connection = connect()
        read, reports = scan(connection, data.sources(), tmp_path, None)
        placed = place(connection, data, read)
        opened.append(Read(connection, read, reports, data, placed, {}))
        return opened[-1]

    yield make
    for read in opened:
        read.connection.close()


@pytest.fixture(scope="session")
def found() -> Found:
    """Line → note of what a check found, in the order in which it was noted."""

    def rows(read: Read, check: str) -> dict[int, str | None]:
        noted = read.connection.execute(
            "select line, note from found where check_name = ? order by rowid", [check]
        )
        return dict(noted.fetchall())

    return rows

"""What stands in the data does not reach the terminal as it is: one line, no control characters."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dsl
from dsl.errors import DataError
from dsl.recipe import Recipe
from runner.data.checks import CHECKS, describe
from runner.data.prepare import prepare
from runner.data.tabular import first_line

ROOT = Path(dsl.__file__).parents[1]
ODD = "x\x1b[2J\nok       forged\r\x07\u202e"
OFF = dict.fromkeys(CHECKS, "off")

# name → rows, columns of the recipe, the check that tells of them
ROWS: dict[str, tuple[list[dict[str, Any]], dict[str, str], str]] = {
    "own id": (
        [{"id": f"{n}{ODD}", "prompt": f"q {n}", "completion": ""} for n in range(9)],
        {"id": "id"},
        "missing",
    ),
    "label": (
        [{"text": f"text {n}", "label": f"yes{ODD}" if n else f"Yes{ODD}"} for n in range(9)],
        {},
        "label_variants",
    ),
    "role of a turn": (
        [
            {"messages": [{"role": role, "content": "q"}, {"role": "assistant", "content": "a"}]}
            for role in ("user", "user", ODD)
        ],
        {},
        "malformed",
    ),
    "key": (
        [{"prompt": f"q {n}", "completion": "a"} for n in range(1_001)]
        + [{"prompt": "q", "completion": "a", ODD: 1}],
        {},
        "columns",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ROWS)
def test_findings(case: str, recipe_with: Callable[..., Recipe], tmp_path: Path) -> None:
    rows, columns, check = ROWS[case]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"path": "a.jsonl"} | ({"columns": columns} if columns else {})
    checks = {name: limits for name, limits in OFF.items() if name != check}
    prepared = prepare(recipe_with(train=[source], checks=checks), tmp_path)
    found = {finding.check: finding for finding in prepared.findings}[check]
    prepared.close()
    assert found.count
    told = list(describe([found]))
    assert len(told) > 1
    assert all(line.isprintable() for line in told), told
    assert "forged" in "".join(told)


def test_names_of_columns_in_errors(recipe_with: Callable[..., Recipe], tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({ODD: 1, "y": 2}) + "\n")
    for source in ({"path": "a.jsonl"}, {"path": "a.jsonl", "columns": {"prompt": "p"}}):
        with pytest.raises(DataError) as caught:
            prepare(recipe_with(train=[source], checks=OFF), tmp_path)
        assert caught.value.message.isprintable(), caught.value.message
        assert str(caught.value.hint).isprintable(), caught.value.hint


def test_words_of_libraries_are_shown_as_one_plain_line() -> None:
    """They quote bytes of damaged files."""
    assert first_line(OSError("\n don't know what type: \x0f\x1b[2J\nmore")).isprintable()
    assert first_line(OSError("plain: ü\nmore")) == "plain: ü"


def test_queries_draw_no_bar_into_the_output() -> None:
    """DuckDB does by itself where it takes Python for interactive: -c, notebooks."""
    code = (
        "from runner.data.tables import connect\n"
        "print(connect().execute(\"select current_setting('enable_progress_bar')\").fetchall())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[(False,)]\n"

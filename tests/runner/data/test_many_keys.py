"""Rows of many keys, or of keys that no other row has: read as others are, told in few words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dsl.recipe import Recipe
from dsl.schema import load
from runner.data import profile
from runner.data.checks import CHECKS
from runner.data.prepare import prepare, read_examples

Row = dict[str, Any]
ON = ("malformed", "columns", "missing")
VALIDATOR = jsonschema.Draft202012Validator(load("profile"))


def pair(n: int) -> Row:
    return {"prompt": f"q {n}", "completion": f"a {n}"}


# name → rows, their distinct keys, rows that are unlike the others
MANY: dict[str, tuple[list[Row], int, int]] = {
    "one row of all": (
        [pair(n) | ({f"key {k}": k for k in range(100_000)} if n == 7 else {}) for n in range(60)],
        100_002, 0,
    ),
    "every row its own": (
        [pair(n) | {f"key {n} {k}": k for k in range(9)} for n in range(5_000)], 45_002, 4_000,
    ),
    "few": ([pair(n) | {"key": n} for n in range(60)], 3, 0),
}  # fmt: skip


@pytest.mark.parametrize("case", MANY)
def test_rows_of_many_keys(case: str, recipe_with: Callable[..., Recipe], tmp_path: Path) -> None:
    rows, keys, odd = MANY[case]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    checks = {check: "off" for check in CHECKS if check not in ON}
    recipe = recipe_with(train=[{"path": "a.jsonl"}], checks=checks)
    prepared = prepare(recipe, tmp_path, "full")
    counts = {finding.check: finding.count for finding in prepared.findings}
    assert (counts["malformed"], counts["columns"], counts["missing"]) == (0, odd, 0)
    notes = prepared.connection.execute("select note from found").fetchall()
    assert all(len(note) < 500 for (note,) in notes)

    written = prepared.write(tmp_path / "data")
    prepared.close()
    made = json.loads(written["profile"].read_text())
    assert not list(VALIDATOR.iter_errors(made))
    assert made["sources"][0]["columns"] == keys
    listed = made["columns"]
    assert len(listed) == min(keys, profile.LISTED_COLUMNS)
    assert [(one["name"], one["role"], one["rows"]) for one in listed[:2]] == [
        ("prompt", "prompt", len(rows)), ("completion", "completion", len(rows)),
    ]  # fmt: skip
    read = [e for part in ("train", "validation", "test") for e in read_examples(written[part])]
    assert len(read) == len(rows)
    kept = sum(name.startswith("key") for example in read for name in example.columns)
    assert kept == sum(name.startswith("key") for row in rows for name in row)


def test_columns_that_are_used_are_told_however_late_they_come(
    recipe_with: Callable[..., Recipe], tmp_path: Path
) -> None:
    rows = [{f"key {n} {k}": k for k in range(40)} | pair(n) for n in range(60)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    checks = dict.fromkeys(CHECKS, "off")
    prepared = prepare(recipe_with(train=[{"path": "a.jsonl"}], checks=checks), tmp_path, "full")
    assert prepared.profile is not None
    listed = prepared.profile["columns"]
    assert len(listed) == profile.LISTED_COLUMNS
    assert {one["role"]: one["rows"] for one in listed if one["role"]} == {
        "prompt": 60, "completion": 60,
    }  # fmt: skip
    prepared.close()

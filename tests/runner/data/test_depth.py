"""Rows that are nested deeper than they could be read again: refused one by one, and told early."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsl.recipe import Recipe
from runner.data import files
from runner.data.checks import CHECKS
from runner.data.prepare import prepare, read_examples

OFF = {check: "off" for check in CHECKS if check != "malformed"}
NO_SPLIT = {"test": 0, "validation": 0}


def row(more: str, n: int = 0) -> str:
    return f'{{"prompt": "q {n}", "completion": "a {n}", "more": {more}}}\n'


def lists(depth: int) -> str:
    return "[" * depth + "]" * depth


DEEP = {
    "lists": lists(1_500),
    "objects": '{"a": ' * 1_500 + "1" + "}" * 1_500,
    "by turns": '[{"a": ' * 800 + "null" + "}]" * 800,
    "behind much that is flat": f"[{'[], ' * 3_000}{lists(1_500)}]",
    "with blanks": "[\t \r" * 1_500 + "]" * 1_500,
    "before its siblings": '{"a": ' * 1_500 + "1" + ', "b": "]"}' * 1_500,
    "too deep for the readers of rows, not for that of the file": lists(1_000),
}  # fmt: skip
FLAT = {
    "many brackets side by side": f"[{'[], ' * 3_000}{{}}]",
    "brackets in a text": json.dumps("[{" * 3_000),
    "brackets behind a quote in a text": json.dumps('say "' + "[" * 3_000 + '\\"'),
    "as deep as rows may be": lists(400),
}


@pytest.mark.parametrize("stream", [False, True], ids=["small", "stream"])
def test_deep_rows_are_refused_and_flat_ones_kept(
    stream: bool, recipe_with: Callable[..., Recipe], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if stream:
        monkeypatch.setattr(files, "SMALL_BYTES", 0)
    cases = [*DEEP, "plain", *FLAT]
    every = DEEP | FLAT | {"plain": "1"}
    (tmp_path / "a.jsonl").write_text(
        "".join(row(every[case], n) for n, case in enumerate(cases, 1))
    )
    recipe = recipe_with(train=[{"path": "a.jsonl"}], split=NO_SPLIT, checks=OFF)
    prepared = prepare(recipe, tmp_path, "full")
    (report,) = prepared.reports
    assert (report.rows, report.refused) == (1 + len(FLAT), len(DEEP))
    refused = prepared.connection.execute("select line, refusal from refused").fetchall()
    assert [cases[line - 1] for line, _ in sorted(refused)] == list(DEEP)
    assert all("nested" in reason for _, reason in refused)
    written = prepared.write(tmp_path / "data")
    prepared.close()
    read = read_examples(written["train"])
    assert {cases[int(example.prompt[2:]) - 1] for example in read} == {"plain", *FLAT}


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_of_three_rows(place: int, recipe_with: Callable[..., Recipe], tmp_path: Path) -> None:
    lines = [row("1", n) for n in range(3)]
    lines[place] = row(lists(1_500), place)
    (tmp_path / "a.jsonl").write_text("".join(lines))
    recipe = recipe_with(train=[{"path": "a.jsonl"}], split=NO_SPLIT, checks=OFF)
    prepared = prepare(recipe, tmp_path, "full")
    (report,) = prepared.reports
    assert (report.rows, report.refused, report.blank) == (2, 1, 0)
    assert prepared.connection.execute("select line from refused").fetchall() == [(place + 1,)]
    prepared.close()


def test_commands_tell_the_row(recipe: Callable[..., Any], tmp_path: Path) -> None:
    lines = [row("1", n) for n in range(60)]
    (tmp_path / "a.jsonl").write_text("".join([*lines[:3], row(lists(1_500)), *lines[3:]]))
    values = {
        "name": "tiny",
        "model": {"base": "smollm2-135m-instruct"},
        "data": {"train": [{"path": "a.jsonl"}], "checks": OFF},
    }
    (tmp_path / "tiny.json").write_text(json.dumps(values))
    for words in (("check", "tiny.json"), ("check", "tiny.json", "--quick"), ("plan", "tiny.json")):
        told = recipe(*words, cwd=tmp_path)
        assert told.code == 3, told.err
        assert "1 of 61 records" in told.out
        assert "a.jsonl:4 (nested" in told.out
    fixed = recipe("check", "tiny.json", "--fix", cwd=tmp_path)
    assert fixed.code == 0, fixed.err
    assert (tmp_path / "tiny-clean" / "a.jsonl").read_text() == "".join(lines)

"""Tables: paging and search give what a plain reading of the file gives, small or large."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from dsl.errors import DataError
from runner.app import sources, tables
from runner.app.sources import Look
from runner.app.tables import Hits, Table, open_table
from runner.data import files

ODD = [
    '{"prompt": "Déjà vu?", "completion": "Oui, \\"déjà\\"."}',
    "",
    '{"prompt": "cut',
    '["a", "list"]',
    '{"prompt": "no answer"}',
    '{"prompt": "escaped", "completion": "caf\\u00e9\\nline"}',
    "# a comment",
]


@pytest.fixture(params=["small", "large"])
def odd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with all kinds of lines, read as a table or from the disk."""
    if request.param == "large":
        monkeypatch.setattr(files, "SMALL_BYTES", 1)
    path = tmp_path / "odd.jsonl"
    path.write_bytes("\n".join(ODD).encode() + b"\n\xff\xfe bytes\n")
    return path


def opened(path: Path) -> tuple[Table, Look]:
    source = sources.alone(path.name)
    (file,) = sources.opened(source, path.parent)
    return open_table(file), sources.look(source, file)


def found(table: Table, text: str) -> Hits:
    *_, last = table.search(text)
    return last


def test_both_ways_to_read_are_tried(odd: Path, request: pytest.FixtureRequest) -> None:
    table, _ = opened(odd)
    assert (table.stream is not None) == ("large" in request.node.name)


def test_every_line_is_there_with_its_reason(odd: Path) -> None:
    table, look = opened(odd)
    assert table.count == len(ODD) + 1
    rows = table.rows(range(1, table.count + 1), look.detected)
    assert [row.line for row in rows] == list(range(1, table.count + 1))
    refused = {row.line: row.refused for row in rows if row.refused}
    assert refused.pop(3).startswith("not JSON: ")
    assert refused.pop(7).startswith("not JSON: ")
    assert refused.pop(5).startswith("no 'completion'") if 5 in refused else True
    assert refused == {4: "a list, not an object", 8: "not UTF-8"}
    assert rows[0].values == json.loads(ODD[0])
    assert rows[1].values is None and rows[1].raw is None and rows[1].refused is None


def test_pages_are_what_a_plain_reading_gives(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    lines = [json.dumps({"prompt": f"q{n}", "completion": "a" * (n % 90)}) for n in range(997)]
    path.write_text("\n".join(lines))
    table, _ = opened(path)
    for start in (1, 50, 951, 990, 997):
        page = table.page(start, 50)
        assert [raw.rstrip("\n") for _, raw, _ in page if raw] == lines[start - 1 : start + 49]
    assert table.page(998, 50) == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("déjà", [1]),
        ("DÉJÀ", [1]),
        ('"déjà"', [1]),  # stands with its escapes
        ("café", [6]),
        ("comment", [7]),
        ("%", []),
        ("'; drop table lines; --", []),
        ("prompt", [1, 3, 5, 6]),
    ],
)
def test_search_finds_lines_whatever_case_and_escapes(
    odd: Path, text: str, lines: list[int]
) -> None:
    table, _ = opened(odd)
    hits = found(table, text)
    assert (list(hits.lines), hits.done, hits.through) == (lines, True, table.count)


def test_search_goes_on_from_stretch_to_stretch(odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "FIRST_WINDOW", 2)
    monkeypatch.setattr(tables, "WINDOW_SECONDS", 0.0)
    table, _ = opened(odd)
    told = list(table.search("prompt"))
    assert [hits.through for hits in told] == [2, 4, 6, 8]
    assert [len(hits.lines) for hits in told] == [1, 2, 4, 4]
    assert [hits.done for hits in told] == [False, False, False, True]


def test_search_ends_at_so_many_hits(odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST_HITS", 2)
    table, _ = opened(odd)
    hits = found(table, "prompt")
    assert hits.lines == (1, 3) and hits.done and hits.capped


def test_the_database_is_closed_to_files_and_stays_so(odd: Path) -> None:
    table, _ = opened(odd)
    with pytest.raises(duckdb.PermissionException):
        table.connection.execute(f"select * from read_text('{odd}')").fetchall()
    with pytest.raises(duckdb.InvalidInputException):
        table.connection.execute("set enable_external_access = true")


def test_a_row_becomes_an_example(odd: Path) -> None:
    table, look = opened(odd)
    assert look.detected
    example = table.example(1, look.detected)
    assert example and (example.prompt, example.completion) == ("Déjà vu?", 'Oui, "déjà".')
    assert table.example(2, look.detected) is None
    assert table.example(3, look.detected) is None
    mixed = table.example(1, look.detected, general=True)
    assert mixed and mixed.general


def test_a_line_that_is_not_there_is_no_row(odd: Path) -> None:
    table, look = opened(odd)
    (row,) = table.rows([4, 99], look.detected)
    assert (row.line, row.refused) == (4, "a list, not an object")


def test_a_file_that_changed_is_not_read_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SMALL_BYTES", 1)
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\n' * 3)
    table, _ = opened(path)
    path.write_text('{"prompt": "other", "completion": "rows"}\n' * 5)
    with pytest.raises(DataError, match="changed"):
        table.page(1, 2)


def test_other_kinds_are_paged_too(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("question,answer\na,b\nonly one\nc,d\n")
    source = sources.alone("rows.csv", given={"prompt": "question", "completion": "answer"})
    (file,) = sources.opened(source, tmp_path)
    table, look = open_table(file), sources.look(source, file)
    rows = table.rows([1, 2, 3], look.detected)
    assert [row.refused for row in rows] == [None, "1 fields where the header has 2", None]
    assert rows[2].cells(["answer", "question"]) == ["d", "c"]

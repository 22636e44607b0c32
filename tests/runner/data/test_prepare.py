"""The whole pipeline: parts, artifacts, examples, and every error of every file at once."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dsl.errors import DataError
from dsl.facts import PartFacts
from dsl.recipe import Recipe
from dsl.rows import Message
from runner.data.checks import CHECKS
from runner.data.prepare import (
    WRITTEN,
    count_examples,
    prepare,
    read_examples,
    stream_examples,
    write,
)

Make = Callable[..., Recipe]
Write = Callable[..., None]


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {"uid": f"u{n}", "clause": f"clause {n}", "plain": f"plain {n}", "document": f"d{n // 4}"}
        for n in range(count)
    ]


NO_SPLIT = {"test": 0, "validation": 0}
ON = ("malformed", "missing", "duplicates", "size", "test_part")
OFF = {check: "off" for check in CHECKS if check not in ON}
LEGAL: dict[str, Any] = {
    "checks": OFF,
    "train": [{"path": "a.jsonl", "columns": {"id": "uid", "input": "clause", "output": "plain"}}],
    "split": {"group_by": "document"},
}


def test_report_of_a_source(tmp_path: Path, recipe_with: Make, write_rows: Write) -> None:
    write_rows(tmp_path / "a.jsonl", rows(8))
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write('\nbroken\n{"clause": "c", "late": 1}\n')
    prepared = prepare(recipe_with(**LEGAL), tmp_path)
    (report,) = prepared.reports
    content = (tmp_path / "a.jsonl").read_bytes()
    assert report.sha256 == hashlib.sha256(content).hexdigest()
    assert report.bytes == len(content)
    assert (report.kind, report.format, report.name) == ("jsonl", "alpaca", "a.jsonl")
    assert (report.part, report.path, report.compression) == ("train", ("data", "train", 0), None)
    assert (report.rows, report.refused, report.blank, report.records) == (9, 1, 1, 11)
    assert report.columns == {"uid": 8, "clause": 9, "plain": 8, "document": 8, "late": 1}
    assert report.types == {"clause": {"VARCHAR": 9}, "plain": {"VARCHAR": 8}}
    assert report.first_lines == {"uid": 1, "clause": 1, "plain": 1, "document": 1, "late": 11}
    prepared.close()


def test_parts_count_rows_groups_and_characters(
    tmp_path: Path, recipe_with: Make, write_rows: Write
) -> None:
    data = [{"prompt": "äöü" * 2, "completion": "\U0001f600", "g": "x"}] * 3
    write_rows(tmp_path / "a.jsonl", [*data, {"prompt": "p", "completion": "", "g": None}])
    recipe = recipe_with(
        train=[{"path": "a.jsonl"}], split={"test": 0, "validation": 0, "group_by": "g"}
    )
    assert prepare(recipe, tmp_path).parts == {
        "train": PartFacts(4, 2, 19, 3),
        "validation": PartFacts(0, 0, 0, 0),
        "test": PartFacts(0, 0, 0, 0),
    }


def test_written_parts_read_back_as_examples(
    kind: str, tmp_path: Path, recipe_with: Make, write_rows: Write
) -> None:
    write_rows(tmp_path / f"a.{kind}", rows(100))
    source = {**LEGAL["train"][0], "path": f"a.{kind}"}
    prepared = prepare(recipe_with(**{**LEGAL, "train": [source]}), tmp_path)
    written = write(prepared, tmp_path / "run" / "data")
    assert {path.name for path in (tmp_path / "run" / "data").iterdir()} == {
        "train.parquet", "validation.parquet", "test.parquet", "findings.parquet", "checks.json",
    }  # fmt: skip
    examples = [e for part in ("train", "validation", "test") for e in read_examples(written[part])]
    assert len(examples) == 100
    for number, example in enumerate(sorted(examples, key=lambda e: int(e.id[1:]))):
        assert (example.id, example.source) == (f"u{number}", f"a.{kind}")
        assert (example.prompt, example.completion) == (f"clause {number}", f"plain {number}")
        assert (example.group, example.general, example.messages) == (f"d{number // 4}", False, ())
        assert example.columns is not None
        assert example.columns["clause"] == example.columns["input"] == f"clause {number}"
        assert example.reference == f"plain {number}"
    first = read_examples(written["train"], limit=3)
    assert first == read_examples(written["train"])[:3]
    everything = read_examples(written["train"])
    assert count_examples(written["train"]) == len(everything) > 3
    assert list(stream_examples(written["train"], 2, skip=1)) == everything[1:3]


def test_a_part_of_many_row_groups_is_read_in_its_order(tmp_path: Path) -> None:
    """Which threads read at once."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    numbers = range(30_000)
    columns = dict.fromkeys(WRITTEN.split(", "), [None] * len(numbers))
    columns |= {"id": [str(n) for n in numbers], "columns": ["{}"] * len(numbers)}
    part = tmp_path / "train.parquet"
    parquet.write_table(pa.table(columns), part, row_group_size=1_000)
    assert [int(example.id) for example in stream_examples(part)] == list(numbers)
    some = stream_examples(part, 2_500, skip=12_345)
    assert [int(example.id) for example in some] == list(numbers)[12_345:][:2_500]


def test_conversations_keep_their_turns(
    kind: str, tmp_path: Path, recipe_with: Make, write_rows: Write
) -> None:
    talk: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "a\n'b' \"c\" ü"},
        {"role": "assistant", "content": "d"},
    ]
    write_rows(tmp_path / f"a.{kind}", [{"messages": talk, "n": 1}, {"messages": talk, "n": 2}])
    recipe = recipe_with(train=[{"path": f"a.{kind}"}], split=NO_SPLIT, checks=OFF)
    written = write(prepare(recipe, tmp_path), tmp_path / "data")
    example, _ = read_examples(written["train"])
    assert example.messages == tuple(Message(**turn) for turn in talk)
    assert (example.prompt, example.completion, example.system) == ("", "", None)
    assert (example.id, example.reference) == (f"a.{kind}:1", "d")


def test_null_and_other_values_of_columns(tmp_path: Path, recipe_with: Make) -> None:
    row = '{"prompt": 7, "completion": null, "a": null, "b": [1, {"c": true}], "d": false}\n'
    (tmp_path / "a.jsonl").write_text(row)
    recipe = recipe_with(train=[{"path": "a.jsonl"}], split=NO_SPLIT, checks=OFF)
    (example,) = read_examples(write(prepare(recipe, tmp_path), tmp_path / "data")["train"])
    assert (example.prompt, example.completion, example.system) == ("7", "", None)
    assert example.columns == {
        "prompt": "7", "completion": "", "system": "", "a": "", "b": [1, {"c": True}], "d": False,
    }  # fmt: skip


def test_repeated_ids_become_unique(tmp_path: Path, recipe_with: Make, write_rows: Write) -> None:
    write_rows(tmp_path / "a.jsonl", [{**row, "uid": "same"} for row in rows(3)])
    recipe = recipe_with(**{**LEGAL, "split": NO_SPLIT})
    examples = read_examples(write(prepare(recipe, tmp_path), tmp_path / "data")["train"])
    assert {e.id: e.prompt for e in examples} == {
        "same": "clause 0", "same#2": "clause 1", "same#3": "clause 2",
    }  # fmt: skip


def test_artifacts_are_the_same_every_time(
    tmp_path: Path, recipe_with: Make, write_rows: Write
) -> None:
    write_rows(tmp_path / "a.jsonl", rows(200))
    hashes = []
    for name in ("one", "two"):
        written = write(prepare(recipe_with(**LEGAL), tmp_path), tmp_path / name)
        hashes.append({n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in written.items()})
    assert hashes[0] == hashes[1]


def test_findings_hold_every_row(tmp_path: Path, recipe_with: Make, write_rows: Write) -> None:
    write_rows(tmp_path / "a.jsonl", rows(2)[:1] * 30)
    written = write(prepare(recipe_with(**LEGAL), tmp_path), tmp_path / "it's data")
    with duckdb.connect() as connection:
        found = connection.execute("select * from read_parquet(?)", [str(written["findings"])])
        assert [column[0] for column in found.description or ()] == [
            "check", "state", "id", "line", "source", "note",
        ]  # fmt: skip
        values = found.fetchall()
    duplicates = [row for row in values if row[0] == "duplicates"]
    assert len(duplicates) == 29
    assert duplicates[0] == ("duplicates", "error", "u0#2", 2, "a.jsonl", "same as u0")
    shown = json.loads(written["checks"].read_text("utf-8"))["findings"]
    assert next(f for f in shown if f["check"] == "duplicates")["rows"][0]["line"] == 2


def test_failed_write_leaves_the_old_file_whole(
    tmp_path: Path, recipe_with: Make, write_rows: Write
) -> None:
    write_rows(tmp_path / "a.jsonl", rows(50))
    prepared = prepare(recipe_with(**LEGAL), tmp_path)
    before = write(prepared, tmp_path / "data")["train"].read_bytes()
    prepared.close()
    with pytest.raises(duckdb.Error):
        write(prepared, tmp_path / "data")
    assert (tmp_path / "data" / "train.parquet").read_bytes() == before
    assert not [path for path in (tmp_path / "data").iterdir() if path.name.startswith(".")]


ERRORS: dict[str, tuple[dict[str, Any], str, str]] = {
    "mapped column": (
        {"train": [{"path": "a.jsonl", "columns": {"input": "clause", "output": "plian"}}]},
        r"data.train\[0\]: a.jsonl: no column 'plian', which columns.output names",
        "did you mean plain? the columns: clause, document, plain, uid",
    ),
    "id column": (
        {
            "train": [
                {**LEGAL["train"][0], "columns": {**LEGAL["train"][0]["columns"], "id": "key"}}
            ]
        },
        "no column 'key', which columns.id names",
        "the columns: clause, document, plain, uid",
    ),
    "no format": (
        {"train": [{"path": "odd.jsonl"}]},
        "the columns clause, plain make no known format",
        '"columns": {"prompt"',
    ),
    "group column": (
        {**LEGAL, "split": {"group_by": "documents"}},
        "data.split.group_by: a.jsonl: no column 'documents'",
        "did you mean document?",
    ),
    "only broken lines": (
        {"train": [{"path": "broken.jsonl"}]},
        "no row can be read; line 1: not JSON",
        "JSON object",
    ),
    "only blank lines": ({"train": [{"path": "blank.jsonl"}]}, "blank.jsonl: no rows", ""),
    "column of a header": (
        {"train": [{"path": "header.csv", "columns": {"prompt": "asked"}}]},
        "header.csv: no column 'asked', which columns.prompt names",
        "the columns: completion, prompt",
    ),
}


def test_a_header_without_rows_is_no_error_of_reading(tmp_path: Path, recipe_with: Make) -> None:
    (tmp_path / "a.csv").write_text("prompt,completion\n")
    columns = {"prompt": "prompt", "completion": "completion"}
    for mapped in ({}, {"columns": columns}):
        recipe = recipe_with(train=[{"path": "a.csv", **mapped}], checks=OFF)
        prepared = prepare(recipe, tmp_path, "full")
        states = {f.check: f.state for f in prepared.findings}
        assert (states["malformed"], states["size"], states["test_part"]) == (
            "pass", "error", "error",
        )  # fmt: skip
        assert read_examples(write(prepared, tmp_path / "data")["train"]) == []
        prepared.close()


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str, tmp_path: Path, recipe_with: Make, write_rows: Write) -> None:
    data, message, hint = ERRORS[case]
    write_rows(tmp_path / "a.jsonl", rows(5))
    write_rows(tmp_path / "odd.jsonl", [{"clause": "c", "plain": "p"}])
    (tmp_path / "broken.jsonl").write_text("one\ntwo\n")
    (tmp_path / "blank.jsonl").write_text("\n \n")
    (tmp_path / "header.csv").write_text("prompt,completion\n")
    with pytest.raises(DataError, match=message) as caught:
        prepare(recipe_with(**data), tmp_path)
    assert hint in (caught.value.hint or "")
    assert caught.value.exit_status == 3


def test_errors_of_all_sources_at_once(
    tmp_path: Path, recipe_with: Make, write_rows: Write
) -> None:
    write_rows(tmp_path / "a.jsonl", rows(5))
    (tmp_path / "empty.jsonl").touch()
    recipe = recipe_with(
        train=[LEGAL["train"][0], {"path": "b.jsonl"}], test=[{"path": "empty.jsonl"}]
    )
    with pytest.raises(DataError) as caught:
        prepare(recipe, tmp_path)
    lines = caught.value.message.splitlines()
    assert lines[0] == "2 data sources cannot be used:"
    assert lines[1].startswith("  data.train[1]: b.jsonl: no such file (did you mean a.jsonl?")
    assert lines[2].startswith("  data.test[0]: empty.jsonl: the file is empty")


def test_column_that_comes_late_is_seen(
    tmp_path: Path, recipe_with: Make, write_rows: Write
) -> None:
    """The first rows have no answer, and the last brings a system message of its own."""
    data = [{"prompt": f"p{n}", "completion": None} for n in range(1500)]
    write_rows(tmp_path / "a.jsonl", [*data, {"prompt": "p", "completion": "c", "system": "s"}])
    recipe = recipe_with(
        train=[{"path": "a.jsonl"}],
        split=NO_SPLIT,
        checks=OFF,
    )
    prepared = prepare(recipe, tmp_path)
    assert prepared.reports[0].columns == {"prompt": 1501, "completion": 1501, "system": 1}
    examples = read_examples(write(prepared, tmp_path / "data")["train"])
    (last,) = (example for example in examples if example.id == "a.jsonl:1501")
    assert (last.completion, last.system) == ("c", "s")


def test_line_of_six_megabytes_reaches_its_part(
    tmp_path: Path, recipe_with: Make, write_rows: Write
) -> None:
    text = "ab " * 2_000_000
    write_rows(tmp_path / "a.jsonl", [{"prompt": "q", "completion": text}, *rows(1)])
    recipe = recipe_with(train=[{"path": "a.jsonl"}], split=NO_SPLIT, checks=OFF)
    prepared = prepare(recipe, tmp_path)
    assert prepared.parts["train"].completion_characters == len(text)


def test_nothing_heavy_is_imported(tmp_path: Path, write_rows: Write) -> None:
    write_rows(tmp_path / "a.jsonl", rows(20))
    code = (
        "import sys, json; from pathlib import Path; from dsl.recipe import build;"
        "from dsl.schema import fill; from runner.data.prepare import prepare, write;"
        "columns = {'input': 'clause', 'output': 'plain'};"
        "data = {'train': [{'path': 'a.jsonl', 'columns': columns}]};"
        "base = Path(sys.argv[1]); values = {'name': 't', 'model': {'base': 'b'}, 'data': data};"
        "write(prepare(build(fill(values)[0]), base), base / 'data');"
        "print({'numpy', 'pyarrow', 'pandas', 'torch', 'jsonschema'} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "set()"

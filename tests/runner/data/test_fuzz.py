"""Files of every kind, damaged byte by byte: findings or one DataError, and no record is lost."""

from __future__ import annotations

import csv
import gzip
import json
import sqlite3
import tempfile
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.errors import DataError
from dsl.recipe import Recipe
from runner.data import files, lines
from runner.data.checks import CHECKS, Depth, State
from runner.data.prepare import Prepared, prepare, read_examples
from runner.propose import propose

Rows = Sequence[Mapping[str, Any]]
RecipeWith = Callable[..., Recipe]

CALL = {"id": "c1", "type": "function", "function": {"name": "tram", "arguments": '{"line": 4}'}}
TOOLS = [{"type": "function", "function": {"name": "tram", "parameters": {"type": "object"}}}]
# rows of every format; lists stand in cells of CSV and databases as JSON
SETS: dict[str, Rows] = {
    "prompt_completion": [
        {"prompt": f"Which tram {n}?", "completion": "Line 4.\nü", "id": f"r{n}"} for n in range(4)
    ],
    "alpaca": [
        {"instruction": "Name it.", "input": "N/A", "output": f"Line {n}", "history": [["q", "a"]]}
        for n in range(3)
    ],
    "messages": [
        {
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": f"Tram {n}?"},
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "content": "12:04", "tool_call_id": "c1"},
                {"role": "assistant", "content": "At 12:04."},
            ],
            "tools": TOOLS,
        }
        for n in range(3)
    ],
    "sharegpt": [
        {
            "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": f"a {n}"}],
            "tools": json.dumps(TOOLS),
        }
        for n in range(3)
    ],
    "preference": [
        {"prompt": "p", "chosen": f"c {n}", "rejected": [{"role": "assistant", "content": "r"}]}
        for n in range(3)
    ],
    "kto": [{"prompt": "p", "completion": f"c {n}", "label": n == 1} for n in range(3)],
    "classification": [{"text": f"late {n}", "label": "complaint"} for n in range(4)],
    "text": [{"text": "Line 4 runs\tto the harbour. " * 3}, {"text": "x"}],
}  # fmt: skip


def as_jsonl(rows: Rows) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def as_json(rows: Rows) -> bytes:
    return json.dumps(rows, indent=1).encode()


def as_wrapped(rows: Rows) -> bytes:
    return json.dumps({"version": 1, "data": rows}).encode()


def cells(rows: Rows) -> Rows:
    return [{k: v if isinstance(v, str) else json.dumps(v) for k, v in row.items()} for row in rows]


def as_csv(rows: Rows, delimiter: str = ",") -> bytes:
    out = StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(cells(rows))
    return out.getvalue().encode()


def as_tsv(rows: Rows) -> bytes:
    return as_csv(rows, "\t")


def as_parquet(rows: Rows) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(list(rows)), sink)
    return sink.getvalue().to_pybytes()


def as_arrow(rows: Rows) -> bytes:
    sink = pa.BufferOutputStream()
    pyarrow.feather.write_feather(pa.Table.from_pylist(list(rows)), sink)
    return sink.getvalue().to_pybytes()


def as_stream(rows: Rows) -> bytes:
    sink, table = pa.BufferOutputStream(), pa.Table.from_pylist(list(rows))
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def as_sqlite(rows: Rows) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.db"
        database = sqlite3.connect(path)
        columns = list(rows[0])
        database.execute("pragma page_size = 512")
        database.execute(f"create table t ({', '.join(f'{column} text' for column in columns)})")
        marks = ", ".join("?" * len(columns))
        written = [tuple(row[column] for column in columns) for row in cells(rows)]
        database.executemany(f"insert into t values ({marks})", written)
        database.commit()
        database.close()
        return path.read_bytes()


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


# what follows the name of a file → how its rows are written, and how that is packed
KINDS: dict[str, tuple[Callable[[Rows], bytes], Callable[[bytes], bytes]]] = {
    "jsonl": (as_jsonl, bytes),
    "json": (as_json, bytes),
    "wrapped.json": (as_wrapped, bytes),
    "csv": (as_csv, bytes),
    "tsv": (as_tsv, bytes),
    "parquet": (as_parquet, bytes),
    "arrow": (as_arrow, bytes),
    "stream.arrow": (as_stream, bytes),
    "db": (as_sqlite, bytes),
    "jsonl.gz": (as_jsonl, gzip.compress),
    "jsonl.zst": (as_jsonl, zstd),
    "csv.gz": (as_csv, gzip.compress),
    "json.zst": (as_json, zstd),
}
SCRAPS = (
    b"\0", b"\xff", b"\xef\xbb\xbf", b"\\ud800", b'"', b'""', b"'", b"{", b"}", b"[", b"]", b",",
    b":", b"\n", b"\r", b"\r\n", b"\t", b";", b" ", b"null", b"true", b"1e9999", b"-0", b"\\u0000",
    b"\xed\xa0\x80", b"\xf0\x9f", b"!", b"\\", b"NaN", b"[[", b'{"a":1}', b'"role"', b'"from"',
    b"\x1b[2J", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"{{x}}", b"$", b"/",
    "\u202e\u2028".encode(),
)  # fmt: skip


ANYWHERE = st.integers(0, (1 << 20) - 1)  # else places near the front are drawn most


def edited(draw: st.DrawFn, content: bytes, most: int) -> bytes:
    """With some bytes replaced, flipped, removed, repeated or put elsewhere, or cut off."""
    for _ in range(draw(st.integers(1, most))):
        at, place = (draw(ANYWHERE) % (len(content) + 1) for _ in range(2))
        end = min(len(content), at + draw(st.integers(0, 12)))
        before, some, after = content[:at], content[at:end], content[end:]
        match draw(st.sampled_from(("scrap", "noise", "flip", "repeat", "move", "cut"))):
            case "scrap":
                content = before + draw(st.sampled_from(SCRAPS)) + after
            case "noise":
                content = before + draw(st.binary(max_size=4)) + after
            case "flip":
                bit = 1 << draw(st.integers(0, 7))
                content = before + bytes(byte ^ bit for byte in some[:1]) + some[1:] + after
            case "repeat":
                content = before + some * draw(st.integers(2, 4)) + after
            case "move":
                content = content[:place] + some + content[place:]
            case "cut":
                content = content[: max(at, place)] or content
    return content


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes, bytes]:
    """(kind, bytes of the file, the bytes before they were packed)."""
    kind = draw(st.sampled_from(list(KINDS)))
    _, pack = KINDS[kind]
    content = WHOLE[
        kind.split(".")[0] if pack is not bytes else kind, draw(st.sampled_from(list(SETS)))
    ]
    if pack is bytes:
        content = edited(draw, content, 6)
        return kind, content, content
    if draw(st.booleans()):
        content = edited(draw, content, 6)
        return kind, pack(content), content
    return kind, edited(draw, pack(content), 2), content


WHOLE = {
    (kind, name): write(rows)
    for kind, (write, pack) in KINDS.items()
    if pack is bytes
    for name, rows in SETS.items()
}


def source_of(path: Path) -> dict[str, Any]:
    if path.suffix == ".db":
        return {"type": "database", "path": path.name, "query": "select * from t"}
    return {"path": path.name}


def accounts_for(prepared: Prepared, plain: bytes) -> None:
    """Every record is a row, refused with a reason, or blank; every finding counts within bounds.

    `plain`: the bytes of the file, unpacked.
    """
    (report,) = prepared.reports
    asked = prepared.connection
    (there,) = asked.execute("select count(*) from lines_0").fetchall()[0]
    assert report.rows + report.refused + report.blank == report.records == there
    if report.kind == "jsonl":
        ended = plain.endswith(b"\n") or not plain
        assert report.records == plain.count(b"\n") + (not ended)
    refused = asked.execute("select refusal from refused").fetchall()
    assert len(refused) == report.refused
    assert all(reason and "\n" not in reason for (reason,) in refused)
    assert asked.execute("select count(*) from final").fetchall() == [(report.rows,)]
    assert {finding.check for finding in prepared.findings} >= set(CHECKS)
    for finding in prepared.findings:
        assert finding.state in get_args(State)
        assert "\n" not in finding.message
        if finding.count is not None and finding.total is not None:
            assert finding.count >= 0
            assert finding.count <= finding.total or finding.share is None
    found = prepared.findings[0]
    assert found.check == "malformed"
    assert (found.count, found.total) == (report.refused, report.rows + report.refused)


# how far a file goes → its depth, and the checks that look at it
EFFORTS: dict[str, tuple[Depth, tuple[str, ...]]] = {
    "read": ("quick", ("malformed", "columns", "missing", "roles", "tool_calls")),
    "quick": ("quick", tuple(CHECKS)),
    "full": ("full", tuple(CHECKS)),
}


def judged(path: Path, plain: bytes, effort: str, recipe_with: RecipeWith) -> str:
    """'rows', or the one message that says why there are none."""
    depth, on = EFFORTS[effort]
    off = {check: "off" for check in CHECKS if check not in on}
    try:
        prepared = prepare(recipe_with(train=[source_of(path)], checks=off), path.parent, depth)
    except DataError as error:
        assert error.message.startswith(f"data.train[0]: {path.name}")
        assert error.message.isprintable()
        return error.message
    try:
        accounts_for(prepared, plain)
        if effort != "read":
            written = prepared.write(path.parent / "data")
            parts = ("train", "validation", "test")
            rows = sum(len(read_examples(written[part])) for part in parts)
            assert rows == prepared.reports[0].rows
    finally:
        prepared.close()
    return "rows"


@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_are_rows(kind: str, recipe_with: RecipeWith, tmp_path: Path) -> None:
    """A reader that loses a row would pass all that follows."""
    write, pack = KINDS[kind]
    paths = [tmp_path / f"{name}.{kind}" for name in SETS]
    for path, rows in zip(paths, SETS.values(), strict=True):
        path.write_bytes(pack(write(rows)))
    off = dict.fromkeys(CHECKS, "off")
    prepared = prepare(recipe_with(train=[source_of(path) for path in paths], checks=off), tmp_path)
    assert [(report.format, report.rows, report.records) for report in prepared.reports] == [
        (name, len(rows), len(rows)) for name, rows in SETS.items()
    ]
    prepared.close()


@settings(max_examples=25, deadline=None)
@given(
    drawn=damaged(),
    stream=st.booleans(),
    effort=st.sampled_from([*["read"] * 6, *["quick"] * 3, "full"]),
)
def test_damaged_files_are_findings_or_one_error(
    recipe_with: RecipeWith, drawn: tuple[str, bytes, bytes], stream: bool, effort: str
) -> None:
    kind, content, plain = drawn
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        if stream:
            patch.setattr(files, "SMALL_BYTES", 0)
            patch.setattr(lines, "CHUNK_BYTES", 64)
        path = Path(folder) / f"a.{kind}"
        path.write_bytes(content)
        judged(path, plain, effort, recipe_with)


@settings(max_examples=10, deadline=None)
@given(drawn=damaged())
def test_damaged_files_are_proposed_a_recipe_or_refused(drawn: tuple[str, bytes, bytes]) -> None:
    kind, content, _ = drawn
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{kind}"
        path.write_bytes(content)
        try:
            proposal = propose(path, Path(folder))
        except DataError as error:
            assert error.message.isprintable()
        else:
            assert proposal.recipe["data"]["train"]

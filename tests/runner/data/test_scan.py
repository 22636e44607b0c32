"""Broken files: findings or one DataError, nothing else, and every line is accounted for."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.errors import DataError
from dsl.recipe import Recipe
from runner.data import files, lines
from runner.data.checks import CHECKS
from runner.data.prepare import prepare, read_examples

See = Callable[..., Any]
NO_SPLIT = {"test": 0, "validation": 0}
ROW = b'{"prompt": "a", "completion": "b"}\n'
TALK = (
    b'{"messages": [{"role": "user", "content": "a"},'
    b' {"role": "assistant", "content": "\xc3\xbc"}]}\n'
)
PREFERENCE = b'{"prompt": "p", "chosen": "c", "rejected": "r", "n": [1, {"k": null}]}\n'
JUDGED = ("malformed", "columns", "missing", "roles", "tool_calls")
OFF = {check: "off" for check in CHECKS if check not in JUDGED}


@pytest.fixture(scope="module")
def see(see: See) -> See:
    return partial(see, only=JUDGED)


def line_count(content: bytes) -> int:
    return content.count(b"\n") + (not content.endswith(b"\n") and bool(content))


@pytest.fixture(params=["small", "stream"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How files are read: into a table, or anew by every pass."""
    if request.param == "stream":
        monkeypatch.setattr(files, "SMALL_BYTES", 0)
        monkeypatch.setattr(lines, "CHUNK_BYTES", 64)
    return str(request.param)


def seen_or_error(see: See, content: bytes, kind: str = "jsonl", **more: Any) -> Any:
    """What was seen, or None where the file cannot be used. Other errors pass through."""
    try:
        return see({"train": content}, kind=kind, **more)
    except DataError as error:
        assert error.message.startswith(f"data.train[0]: train.{kind}: ")
        assert "\n" not in error.message
        return None


def accounts_for(seen: Any, count: int) -> None:
    """rows + refused + blank = lines, in the report, in the findings, in the parts."""
    (report,) = seen.prepared.reports
    assert report.records == report.rows + report.refused + report.blank == count
    malformed = seen.findings["malformed"]
    assert (malformed.count, malformed.total) == (report.refused, count - report.blank)
    assert len(seen.ids("malformed")) == report.refused
    assert all(note for _, note in seen.found.get("malformed", []))
    assert sum(map(len, seen.parts.values())) == report.rows


# ---------------------------------------------------------------- by cases

BROKEN: dict[str, tuple[bytes, tuple[int, int, int]]] = {
    # name → content, rows, refused and blank lines
    "cut off": (ROW * 3 + ROW[:20], (3, 1, 0)),
    "no line break at the end": (ROW * 2 + ROW.strip(), (3, 0, 0)),
    "mark at the front": (b"\xef\xbb\xbf" + ROW * 2, (2, 0, 0)),
    "mark inside": (ROW + b"\xef\xbb\xbf" + ROW, (1, 1, 0)),
    "line of UTF-16": (ROW + ROW.decode().strip().encode("utf-16") + b"\n" + ROW, (2, 1, 0)),
    "lone surrogate": (ROW + b'{"prompt": "\\ud800", "completion": "b"}\n', (1, 1, 0)),
    "pair of surrogates": (b'{"prompt": "\\ud83d\\ude00", "completion": "b"}\n', (1, 0, 0)),
    "NUL": (ROW + b"\0\0\0\n" + ROW, (2, 1, 0)),
    "NUL in a text": (ROW + b'{"prompt": "a\0", "completion": "b"}\n', (1, 1, 0)),
    "NUL escaped": (b'{"prompt": "a\\u0000b", "completion": "\\u0000"}\n', (1, 0, 0)),
    "not UTF-8": (ROW + b'{"prompt": "\xff", "completion": "b"}\n' + ROW, (2, 1, 0)),
    "overlong": (ROW + b'{"prompt": "\xc0\xaf", "completion": "b"}\n', (1, 1, 0)),
    "blank lines": (b"\n \n\t\r\n" + ROW + b"\r\n\n", (1, 0, 5)),
    "other values": (ROW + b'3\n"a"\nnull\n[]\ntrue\n', (1, 5, 0)),
    "two objects on a line": (ROW + ROW.strip() + ROW, (1, 1, 0)),
    "empty objects": (ROW + b"{}\n" * 3, (4, 0, 0)),
    "numbers beyond all bounds": (ROW + b'{"prompt": 1e999, "completion": -' + b"9" * 400 + b"}\n",
                                  (2, 0, 0)),
    "a mark of refusal": (ROW + b"!no\n", (1, 1, 0)),
    "key twice": (b'{"prompt": "a", "prompt": "b", "completion": "c"}\n', (1, 0, 0)),
    "odd keys": (b'{"prompt": "a", "completion": "b", "": 1, "\'\\"/~$.[]": 2}\n', (1, 0, 0)),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_lines(case: str, see: See) -> None:
    content, expected = BROKEN[case]
    seen = see({"train": content}, split=NO_SPLIT)
    accounts_for(seen, line_count(content))
    (report,) = seen.prepared.reports
    assert (report.rows, report.refused, report.blank) == expected


def nested(depth: int) -> bytes:
    return b'{"prompt": "deep", "completion": "b", "n": ' + b"[" * depth + b"]" * depth + b"}\n"


HUGE: dict[str, bytes] = {
    "twenty megabytes": b'{"prompt": "q", "completion": "' + b"ab " * 7_000_000 + b'"}\n',
    "a hundred thousand keys": json.dumps(
        {"prompt": "q", "completion": "b", **{f"key {n}": n for n in range(100_000)}}
    ).encode() + b"\n",
    "nested deeply": nested(500),
    "a hundred thousand braces": b'{"a":' * 100_000 + b"\n",
}  # fmt: skip


@pytest.mark.parametrize("case", HUGE)
@pytest.mark.parametrize("first", [True, False], ids=["first", "late"])
def test_huge_lines(
    case: str, first: bool, tmp_path: Path, recipe_with: Callable[..., Any]
) -> None:
    """They are read, judged and written, or refused by a reason that is short."""
    plain = b"".join(b'{"prompt": "q %d", "completion": "b"}\n' % n for n in range(1_100))
    content = HUGE[case] + plain if first else plain + HUGE[case]
    (tmp_path / "train.jsonl").write_bytes(content)
    recipe = recipe_with(
        train=[{"path": "train.jsonl"}], split=NO_SPLIT, checks={**OFF, "encoding": {}, "pii": {}}
    )
    prepared = prepare(recipe, tmp_path, "full")
    (report,) = prepared.reports
    assert report.records == report.rows + report.refused == 1_101
    notes = prepared.connection.execute("select note from found").fetchall()
    assert all(len(note) < 1_000 for (note,) in notes)
    written = prepared.write(tmp_path / "data")
    assert len(read_examples(written["train"])) == report.rows >= 1_100
    prepared.close()


def test_a_row_nested_beyond_reading_is_refused(
    tmp_path: Path, recipe_with: Callable[..., Any]
) -> None:
    (tmp_path / "a.jsonl").write_bytes(ROW + nested(100_000))
    recipe = recipe_with(train=[{"path": "a.jsonl"}], split=NO_SPLIT, checks=OFF)
    prepared = prepare(recipe, tmp_path)
    refused = prepared.connection.execute("select line, refusal from refused").fetchall()
    written = prepared.write(tmp_path / "data")
    prepared.close()
    assert [line for line, _ in refused] == [2] and "nested" in refused[0][1]
    assert [row.id for row in read_examples(written["train"])] == ["a.jsonl:1"]


WHOLE: dict[str, bytes] = {
    "random bytes": random.Random(1).randbytes(2_000),
    "UTF-16": (ROW * 3).decode().encode("utf-16"),
    "UTF-16 without a mark": (ROW * 3).decode().encode("utf-16-le"),
    "NULs alone": b"\0" * 100,
    "a mark alone": b"\xef\xbb\xbf",
    "line breaks alone": b"\n\r\n\n",
    "broken lines alone": b"one\ntwo\n",
    "nothing": b"",
    "half a gzip": gzip.compress(ROW * 900)[:-30],
    "gzip of random bytes": gzip.compress(random.Random(2).randbytes(900)),
    "half a Parquet file": b"PAR1" + b"\0" * 90,
}


@pytest.mark.parametrize("case", WHOLE)
@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
def test_files_that_cannot_be_used_are_one_clear_error(case: str, kind: str, see: See) -> None:
    if kind == "csv" and case in ("broken lines alone", "line breaks alone"):
        return  # a table with a column called 'one' has its own message
    assert seen_or_error(see, WHOLE[case], kind) is None


# ---------------------------------------------------------------- drawn

BASES = (ROW * 4, TALK * 3, PREFERENCE * 3, ROW + b"\n" + TALK + b"\xef\xbb\xbf\n" + ROW)
SCRAPS = (
    b"\0", b"\xff", b"\xef\xbb\xbf", b"\\ud800", b'"', b"{", b"}", b"[", b"]", b",", b":", b"\n",
    b"\r", b" ", b"null", b"1e9999", b"\\u0000", b"\xed\xa0\x80", b"\xf0\x9f", b"!", b"\\", b"NaN",
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    content = draw(st.sampled_from(BASES))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content)))
        end = place + draw(st.integers(0, 6))
        scrap = draw(st.sampled_from(SCRAPS) | st.binary(max_size=3))
        content = content[:place] + scrap + content[end:]
    return content[: draw(st.integers(1, len(content)))] if draw(st.booleans()) else content


@settings(max_examples=30, deadline=None)
@given(content=damaged(), stream=st.booleans())
def test_damaged_lines(see: See, content: bytes, stream: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if stream:
            patch.setattr(files, "SMALL_BYTES", 0)
            patch.setattr(lines, "CHUNK_BYTES", 50)
        seen = seen_or_error(see, content, split=NO_SPLIT)
    if seen is not None and seen.prepared.reports[0].kind == "jsonl":
        accounts_for(seen, line_count(content))


@settings(max_examples=20, deadline=None)
@given(content=damaged(), kind=st.sampled_from(["json", "csv", "jsonl.gz"]))
def test_damaged_files_of_other_kinds(see: See, content: bytes, kind: str) -> None:
    packed = gzip.compress(content) if kind == "jsonl.gz" else content
    if kind == "json":
        packed = b"[" + content.replace(b"\n", b",") + b"]"
    seen = seen_or_error(see, packed, kind, split=NO_SPLIT)
    if seen is not None:
        (report,) = seen.prepared.reports
        accounts_for(seen, report.records)
        if kind == "jsonl.gz" and report.kind == "jsonl":
            assert report.records == line_count(content)


# ---------------------------------------------------------------- reports


def test_rows_of_other_sources_are_counted_apart(see: See) -> None:
    parts = {"train": ROW * 5 + b"?\n", "validation": ROW + b"\n", "test": ROW * 2, "mix": ROW * 9}
    reports = see(parts).prepared.reports
    assert [(r.part, r.path, r.rows, r.refused, r.blank) for r in reports] == [
        ("train", ("data", "train", 0), 5, 1, 0),
        ("validation", ("data", "validation", 0), 1, 0, 1),
        ("test", ("data", "test", 0), 2, 0, 0),
        ("mix", ("data", "mix", 0), 9, 0, 0),
    ]


def test_reason_tells_where_the_line_breaks(way: str, see: See) -> None:
    content = ROW + b'{"prompt": "a" "completion": "b"}\n{"prompt": "a"\n'
    seen = see({"train": content}, split=NO_SPLIT)
    told = [str(note) for _, note in seen.found["malformed"]]
    assert told[0].startswith("not JSON: ") and told[0].endswith("(column 16)")
    assert told[1] == "not JSON: unexpected end of data (column 15)"


def test_the_hash_is_of_the_bytes_that_were_read(
    tmp_path: Path, recipe_with: Callable[..., Recipe]
) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"prompt": "a", "completion": "b"}\n')
    prepared = prepare(recipe_with(train=[{"path": "a.jsonl"}]), tmp_path)
    (report,) = prepared.reports
    assert report.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    file.write_text('{"prompt": "a", "completion": "another"}\n')
    with pytest.raises(DataError, match="the file changed"):
        _ = report.sha256
    file.unlink()
    with pytest.raises(DataError, match="the file changed"):
        _ = report.sha256
    prepared.close()


@pytest.mark.parametrize("depth", ["quick", "full"])
def test_ctrl_c_within_a_stream_is_ctrl_c(
    depth: Any, tmp_path: Path, recipe_with: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"prompt": f"what is {n}", "completion": f"it is {n}"} for n in range(200)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = recipe_with(train=[{"path": "a.jsonl"}])
    monkeypatch.setattr(files, "SMALL_BYTES", 0)

    def interrupted(*_: Any) -> int:
        raise KeyboardInterrupt

    prepare(recipe, tmp_path, depth).close()
    monkeypatch.setattr(lines.Stream, "_read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(recipe, tmp_path, depth)

"""Reading files: every record is a row, refused with a reason, or blank; never a traceback."""

from __future__ import annotations

import gzip
import json
import math
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dsl
from dsl.errors import DataError
from dsl.recipe import Recipe
from runner.data import csv_rows, files, json_rows, lines
from runner.data.files import (
    File,
    columns,
    expand,
    in_words,
    open_source,
    records,
    relate,
    scanning,
    sniff,
)

ROOT = Path(dsl.__file__).parents[1]
ROW = b'{"prompt": "a", "completion": "b"}'
ROWS = [{"prompt": f"p {n}", "completion": "ü\n\"'"} for n in range(5)]

Line = tuple[int, str | None, str | None]


def read(path: Path, query: str | None = None) -> list[files.Record]:
    return list(records(sniff(path, path.name, query)))


CONNECTION = duckdb.connect(config={"threads": 1})


def related(file: File) -> list[Line]:
    relate(CONNECTION, "t", file)
    try:
        return CONNECTION.execute("select line, raw, reason from t order by line").fetchall()
    finally:
        CONNECTION.unregister("t")
        CONNECTION.execute("drop table if exists t")


def large(file: File, chunk: int = 1 << 22) -> list[Line]:
    """As a stream, whatever the size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "SMALL_BYTES", 0)
        patch.setattr(lines, "CHUNK_BYTES", chunk)
        return related(file)


@pytest.fixture(params=["small", "large"])
def relation(request: pytest.FixtureRequest) -> Callable[[File], list[Line]]:
    return related if request.param == "small" else large


def rows_of(found: list[Line]) -> list[Any]:
    return [json.loads(raw) for _, raw, _ in found if raw is not None]


# ---------------------------------------------------------------- JSONL

LINES: dict[str, tuple[bytes, list[int], dict[int, str], list[int]]] = {
    # name → bytes, numbers of rows, refused, blank
    "plain": (ROW + b"\n" + ROW + b"\n", [1, 2], {}, []),
    "no newline at the end": (ROW + b"\n" + ROW, [1, 2], {}, []),
    "mark at the front": (b"\xef\xbb\xbf" + ROW + b"\n", [1], {}, []),
    "mark on a line of its own": (b"\xef\xbb\xbf\n" + ROW + b"\n", [2], {}, [1]),
    "crlf": (ROW + b"\r\n" + ROW + b"\r\n", [1, 2], {}, []),
    "blank lines": (b"\n" + ROW + b"\n \t\n\r\n" + ROW + b"\n", [2, 5], {}, [1, 3, 4]),
    "cut off": (ROW + b'\n{"prompt": "a\n' + ROW, [1, 3], {2: "not JSON"}, []),
    "not an object": (ROW + b"\n[1]\n3\nnull\n", [1], {2: "a list", 3: "a number", 4: "null"}, []),
    "lone surrogate": (ROW + b'\n{"prompt": "\\ud800"}\n', [1], {2: "not JSON"}, []),
    "invalid UTF-8": (ROW + b'\n{"prompt": "\xff"}\n', [1], {2: "not UTF-8"}, []),
    "not a number of JSON": (ROW + b'\n{"prompt": NaN}\n', [1], {2: "not JSON"}, []),
    "two objects on a line": (ROW + b"\n" + ROW + ROW + b"\n", [1], {2: "not JSON"}, []),
    "escaped null character": (b'{"prompt": "\\u0000"}\n', [1], {}, []),
    "line separator inside": ('{"prompt": "a\u2028b\u0085c"}\n'.encode(), [1], {}, []),
    "text behind a mark of refusal": (ROW + b"\n!no\n", [1], {2: "not JSON"}, []),
    "indented": (b"  " + ROW + b"\n\t" + ROW, [1, 2], {}, []),
}


@pytest.mark.parametrize("case", LINES)
def test_lines(case: str, tmp_path: Path) -> None:
    content, rows, refused, blank = LINES[case]
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    found = read(path)
    assert [number for number, row, _ in found if row is not None] == rows
    assert [number for number, row, reason in found if row is None and reason is None] == blank
    reasons = {number: reason for number, _, reason in found if reason}
    assert reasons.keys() == refused.keys()
    assert all(reasons[number].startswith(words) for number, words in refused.items())


def oracle(content: bytes) -> list[Line]:
    """The lines of JSONL, plainly."""
    *ended, rest = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    pieces = [piece + b"\n" for piece in ended] + ([rest] if rest else [])
    if content == b"\xef\xbb\xbf":
        pieces = [b""]
    found: list[Line] = []
    for number, piece in enumerate(pieces, 1):
        try:
            raw = piece.decode() if piece.strip() else None
        except UnicodeDecodeError:
            found.append((number, None, "not UTF-8"))
        else:
            found.append((number, raw, None))
    return found


@pytest.mark.parametrize("case", LINES)
def test_relation_is_the_lines_as_they_stand(
    case: str, relation: Callable[[File], list[Line]], tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINES[case][0])
    assert relation(File(path, "a", "jsonl")) == oracle(LINES[case][0])


pieces = st.lists(
    st.one_of(
        st.just(ROW),
        st.sampled_from(
            [b"", b" ", b"\r", b"[1]", b"nul", b'{"a": "\\ud800"}', b'{"a": "\xff"}', b"!x", b"\0",
             b'{"a": "\0"}', b"\xef\xbb\xbf", "ü€😀".encode(), b"\x0b", b'{"a": "cut']
        ),
        st.binary(max_size=12),
    ),
    max_size=12,
)  # fmt: skip


@settings(deadline=None)
@given(pieces, st.booleans(), st.booleans(), st.integers(4, 40))
def test_small_and_large_files_are_what_a_plain_reading_gives(
    drawn: list[bytes], mark: bool, ended: bool, chunk: int
) -> None:
    content = b"\xef\xbb\xbf" * mark + b"\n".join(drawn) + b"\n" * ended
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_bytes(content)
        file = File(path, "a", "jsonl")
        expected = oracle(content)
        assert related(file) == expected
        assert large(file, chunk) == expected
        found = list(records(file))
    count = content.count(b"\n") + (content != b"" and not content.endswith(b"\n"))
    assert [number for number, _, _ in found] == list(range(1, count + 1))
    for (_, row, reason), (_, raw, unread) in zip(found, expected, strict=True):
        blank = raw is None and unread is None
        assert (row is not None) + (reason is not None) + blank == 1


def test_stream_can_be_scanned_again_and_beside_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(b'{"n": %d}\n' % n for n in range(5000)))
    with pytest.MonkeyPatch.context() as patch, duckdb.connect() as connection:
        patch.setattr(files, "SMALL_BYTES", 0)
        patch.setattr(lines, "CHUNK_BYTES", 1 << 12)
        relate(connection, "t", sniff(path, "a"))
        queries = {
            "select count(*), max(line) from t": (5000, 5000),
            "select sum((raw->>'/n')::int + 1 - line) from t": (0,),
            "select count(*) from t a join t b using (line) where a.raw = b.raw": (5000,),
            "select raw from t where line = 4711": ('{"n": 4710}\n',),
            "select count(*) from (from t limit 7)": (7,),
        }
        for query, expected in [*queries.items(), *queries.items()]:
            assert connection.execute(query).fetchall() == [expected]


def test_file_that_changes_between_scans_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(ROW + b"\n")
    with pytest.MonkeyPatch.context() as patch, duckdb.connect() as connection:
        patch.setattr(files, "SMALL_BYTES", 0)
        relate(connection, "t", sniff(path, "a.jsonl"))
        with scanning():
            assert connection.execute("select count(*) from t").fetchall() == [(1,)]
        path.write_bytes(ROW + b"\n" + ROW + b"\n")
        with pytest.raises(DataError, match=r"^a\.jsonl: the file changed") as caught, scanning():
            connection.execute("select count(*) from t").fetchall()
        assert "\n" not in caught.value.message
        path.unlink()
        with pytest.raises(DataError, match=r"^a\.jsonl: No such file"), scanning():
            connection.execute("select count(*) from t").fetchall()
        with pytest.raises(duckdb.Error, match="no_such"), scanning():
            connection.execute("select * from no_such")


def test_line_of_twenty_megabytes(relation: Callable[[File], list[Line]], tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    text = "x" * 20_000_000
    path.write_text(f"{ROW.decode()}\n{json.dumps({'prompt': text})}\n{ROW.decode()}")
    assert [row for _, row, _ in read(path)][1] == {"prompt": text}
    assert rows_of(relation(sniff(path, "a")))[1:] == [{"prompt": text}, json.loads(ROW)]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=8), st.integers(4, 30))
@settings(deadline=None, max_examples=50)
def test_lines_that_are_too_long_are_refused(lengths: list[int], chunk: int) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "MAX_LINE_BYTES", 20)
        path = Path(folder) / "a.jsonl"
        path.write_bytes(b"\n".join(b"x" * length for length in lengths) + b"\n")
        file = File(path, "a", "jsonl")
        expected = [
            (n, "x" * k + "\n" if 0 < k < 20 else None, lines.TOO_LONG if k >= 20 else None)
            for n, k in enumerate(lengths, 1)
        ]
        assert large(file, chunk) == related(file) == expected


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,{}\n",
        "a,{}\n1,2\n",
        'a,b\n1,"{}\n"\n',
        "{}",
    ],
)
def test_a_csv_line_without_end_is_not_held_in_memory(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_rows, "MOST_CHARACTERS", 100)
    monkeypatch.setattr(csv_rows, "HEADER_CHARACTERS", 10)
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(text.format("x" * 101).encode()))
    with pytest.raises(DataError, match="a line of more than 100 characters"):
        read(path)
    path.write_bytes(gzip.compress(text.format("x" * 80).encode()))
    read(path)


def test_a_csv_field_of_too_many_lines_refuses_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_rows, "MOST_CHARACTERS", 100)
    path = tmp_path / "a.csv"
    path.write_text('a,b\n1,"' + "x\n" * 200 + '"\n')
    (_, row, reason), *_ = read(path)
    assert row is None and reason is not None and "field larger" in reason


@pytest.mark.parametrize("kind", ["gzip", "parquet", "database"])
def test_a_small_file_does_not_fill_the_disk(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SMALL_BYTES": 1 << 10, "UNPACKED_BYTES": 1 << 16}.items():
        monkeypatch.setattr(files, name, value)
    path, query = tmp_path / "a", None
    if kind == "gzip":
        path.write_bytes(gzip.compress((ROW + b"\n") * 1_000_000))
    elif kind == "parquet":
        pq.write_table(pa.table({"text": ["x" * 1000] * 200_000}), path)
    else:
        duckdb.connect(str(path)).close()
        query = "select repeat('x', 1000) as text from range(1_000_000_000)"
    file = sniff(path, "a", query)
    with pytest.raises(DataError, match="far more than the file"):
        relate(CONNECTION, "t", file)


def test_a_large_archive_of_ordinary_text_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SMALL_BYTES": 1 << 10, "UNPACKED_BYTES": 1 << 16}.items():
        monkeypatch.setattr(files, name, value)
    words = "".join(json.dumps({"prompt": f"What is {n} plus one?"}) + "\n" for n in range(9000))
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(words.encode()))
    assert len(words) > 1 << 16
    assert relate(CONNECTION, "t", sniff(path, "a")) is not None


pieces = st.sampled_from(
    [b"x", b"\n", b"\n\n", b" ", b"\r", b"\xef\xbb\xbf", b"\xff", ROW, b"y" * 25]
)


@given(
    st.lists(pieces, max_size=30).map(b"".join), st.integers(4, 40), st.integers(1, 9), st.data()
)
@settings(deadline=None, max_examples=100)
def test_single_lines_are_those_of_the_whole(
    content: bytes, chunk: int, most: int, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "SMALL_BYTES", -1)
        patch.setattr(lines, "CHUNK_BYTES", chunk)
        patch.setattr(lines, "PICKED_LINES", most)
        patch.setattr(lines, "MAX_LINE_BYTES", 40)
        path = Path(folder) / "a.jsonl"
        path.write_bytes(content)
        stream = relate(CONNECTION, "t", File(path, "a", "jsonl"))
        assert stream
        whole = CONNECTION.execute("from t").fetchall()
        wanted = data.draw(st.sets(st.sampled_from(whole))) if whole else set()
        numbers = np.array(sorted(line for line, _, _ in wanted), np.int64)
        CONNECTION.register("picked", stream.only(numbers))
        try:
            for _ in range(2):
                found = CONNECTION.execute("from picked").fetchall()
                assert found == [line for line in whole if line in wanted]
        finally:
            CONNECTION.unregister("picked")
            CONNECTION.unregister("t")


def test_single_lines_of_a_file_that_has_changed_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes((ROW + b"\n") * 3)
    with pytest.MonkeyPatch.context() as patch, duckdb.connect() as connection:
        patch.setattr(files, "SMALL_BYTES", 0)
        stream = relate(connection, "t", sniff(path, "a.jsonl"))
        assert stream
        connection.register("second", stream.only(np.array([2], np.int32)))
        assert connection.execute("select line from second").fetchall() == [(2,)]
        path.write_bytes(ROW + b"\n")
        with pytest.raises(DataError, match=r"^a\.jsonl: the file changed"), scanning():
            connection.execute("from second").fetchall()


def test_small_files_need_neither_numpy_nor_pyarrow(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(ROW)
    (tmp_path / "a.json").write_bytes(b"[" + ROW + b"]")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    code = (
        "import sys, duckdb; from pathlib import Path; from runner.data.files import *\n"
        "with duckdb.connect() as connection:\n"
        "    for name in ('a.jsonl', 'a.json', 'a.csv.gz'):\n"
        "        relate(connection, 't', sniff(Path(sys.argv[1]) / name, name))\n"
        "        assert connection.execute('select count(*) from t').fetchall() == [(1,)]\n"
        "print([name for name in ('numpy', 'pyarrow', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "[]\n"


def test_large_files_need_no_pandas(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(ROW + b"\n\n\xff\n" + ROW)
    code = (
        "import os, sys, duckdb; from runner.data.lines import Stream\n"
        "stream = Stream(os.open(sys.argv[1], os.O_RDONLY), 'a.jsonl', False)\n"
        "with duckdb.connect() as connection:\n"
        "    connection.register('t', stream)\n"
        "    print(connection.execute('select line, reason from t').fetchall())\n"
        "print('pyarrow' in sys.modules, 'pandas' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.jsonl")],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "[(1, None), (2, None), (3, 'not UTF-8'), (4, None)]\nTrue False\n"


# ---------------------------------------------------------------- JSON

WHOLE: dict[str, tuple[str, list[Any], dict[int, str]]] = {
    "array": ('[{"a": 1}, {"a": "x"}]', [{"a": 1}, {"a": "x"}], {}),
    "array over lines": ('[\n{"a":\n 1},\r\n\n{"a": [\n2]}\n]\n', [{"a": 1}, {"a": [2]}], {}),
    "elements that are no objects": (
        '[{"a": 1}, 3, "x", null, [], true, -1.5e3]',
        [{"a": 1}],
        {2: "a number", 3: "a text", 4: "null", 5: "an empty list", 6: "true", 7: "a number"},
    ),
    "empty array": ("[\n]", [], {}),
    "mark at the front": ('\ufeff[\n{"a": "ü"}]', [{"a": "ü"}], {}),
    "list in an object": ('{"version": 1, "data":\n [{"a": 1}, 2]}', [{"a": 1}], {2: "a number"}),
    "list behind an object": ('{"info": {"b": 2}, "no": [1],\n"rows": [{"a": 1}]}', [{"a": 1}], {}),
    "rows by their ids": ('{\n"x": {"a": 1},\n"y": {"a": 2}}', [{"a": 1}, {"a": 2}], {}),
    "one line": ('{"data": [{"a": 1}]}\n', [{"a": 1}], {}),
    "one line of ids": ('{"x": {"a": 1}, "y": {"a": 2}}', [{"a": 1}, {"a": 2}], {}),
    "surrogate pair": ('["\\ud83d\\ude00", {"a": "\\ud83d\\ude00"}]', [{"a": "😀"}], {1: "a text"}),
    "no row by itself": ('{"messages": [{"role": "user", "content": "q"}]}',
                         [{"messages": [{"role": "user", "content": "q"}]}], {}),
}  # fmt: skip


@pytest.mark.parametrize("window", [3, 1 << 20])
@pytest.mark.parametrize("case", WHOLE)
def test_json(
    case: str, window: int, relation: Callable[[File], list[Line]], tmp_path: Path
) -> None:
    content, rows, refused = WHOLE[case]
    path = tmp_path / "a.json"
    path.write_bytes(content.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "WINDOW_BYTES", window)
        found = relation(sniff(path, "a"))
    assert rows_of(found) == rows
    reasons = {line: reason for line, _, reason in found if reason}
    assert reasons == {line: f"{kind}, not an object" for line, kind in refused.items()}
    assert [line for line, _, _ in found] == list(range(1, len(rows) + len(refused) + 1))
    assert [row for _, row, _ in read(path) if row is not None] == rows


BROKEN: dict[str, tuple[str, str]] = {
    "no value": ('[{"a": 1},\n{"a": }]', r"not JSON: .*\(line 2, column 7\)"),
    "cut in a text": ('[{"a": 1},\n {"a": "xy', r"not JSON: Unterminated .*\(line 2, column 8\)"),
    "cut between rows": ('[{"a": 1},\n', r"not JSON: unexpected end of data \(line 2, column 1\)"),
    "no comma": ('[{"a": 1}\n {"a": 2}]', r"not JSON: expected ',' \(line 2, column 2\)"),
    "more behind": ('[{"a": 1}]\n x', r"not JSON: more text behind the end \(line 2, column 2\)"),
    "line break in a text": ('[{"a": "x\ny"}]', r"not JSON: Invalid control .*\(line 1, col"),
    "too deep": ('[{"a": ' + "[" * 100_000, "not JSON: nested too deeply"),
    "one object": ('{\n "version": 1,\n "data": "x"}', "an object, not a list of rows"),
    "list without rows": ('{\n "version": 1,\n "data": [1]}', "an object, not a list of rows"),
    "two lists": ('{"a": [{"x": 1}],\n"b": [{"x": 1}]}', "two lists of rows, 'a' and 'b'"),
    "a text": ('"text"', "not JSON|a text, not a list of rows"),
}


@pytest.mark.parametrize("window", [3, 1 << 20])
@pytest.mark.parametrize("case", BROKEN)
def test_broken_json_has_a_place(
    case: str, window: int, relation: Callable[[File], list[Line]], tmp_path: Path
) -> None:
    content, words = BROKEN[case]
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "WINDOW_BYTES", window)
        with pytest.raises(DataError, match=words) as caught:
            relation(File(path, "a.json", "json"))
    assert caught.value.message.startswith("a.json: ")
    assert caught.value.hint


def test_element_that_is_not_utf8_is_refused_alone(
    relation: Callable[[File], list[Line]], tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'[{"a": "\xff"},\n{"a": "\\ud800"},\n{"a": 3}]')
    found = relation(sniff(path, "a"))
    assert [reason for _, _, reason in found] == ["not UTF-8", None, None]
    assert [row for _, row, _ in read(path)] == [None, None, {"a": 3}]


def test_numbers_and_repeated_keys_stay_as_written(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    written = '{"a": 1.10, "b": 123456789012345678901234567890, "a": 2}'
    path.write_text(f"[{written}]")
    assert related(sniff(path, "a")) == [(1, written + "\n", None)]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False,
                                                                            allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner,
                                                                max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(st.lists(values, max_size=6), st.none() | st.integers(0, 3), st.integers(1, 30))
def test_elements_are_those_of_the_array(drawn: list[Any], indent: int | None, window: int) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "WINDOW_BYTES", window)
        path = Path(folder) / "a.json"
        path.write_text(json.dumps(drawn, indent=indent, ensure_ascii=not window % 2), "utf-8")
        found = related(File(path, "a", "json"))
    expected = [
        (n, row, None) if isinstance(row, dict) else (n, None, f"{in_words(row)}, not an object")
        for n, row in enumerate(drawn, 1)
    ]
    assert [(n, raw and json.loads(raw), reason) for n, raw, reason in found] == expected


def test_look_at_the_head_reads_only_the_head(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with path.open("w") as file:
        file.write("[\n")
        file.writelines(f'{{"a": {n}}},\n' for n in range(50_000))
        file.write("broken")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "WINDOW_BYTES", 1 << 16)
        found = records(sniff(path, "a"))
        assert [next(found)[1] for _ in range(3)] == [{"a": n} for n in range(3)]
        with pytest.raises(DataError, match="line 50002"):
            list(found)


def test_kind_is_told_by_content(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    kinds = {
        b'[{"a": 1}, {"a": 2}]': "json",
        b'[\n{"a": 1},\n{"a": 2}]\n': "json",
        b'[1]\n{"a": 2}\n': "jsonl",
        b'{"data": [{"a": 1}]}\n': "jsonl",
    }
    for content, kind in kinds.items():
        path.write_bytes(content)
        assert sniff(path, "a").kind == kind
    path = tmp_path / "a.json"
    kinds = {
        b'{"a": 1}\n{"a": 2}\n': "jsonl",
        b'{"a": {"b": 1}}\n{"a": {"b": 1}}\n': "jsonl",
        b'{"a": "' + b"x" * 100_000 + b'"}\n{"a": 2}': "jsonl",
        b'{"data": [{"a": "' + b"x" * 100_000 + b'"}]}': "json",
        b'{"conversations": [{"from": "human", "value": "q"}]}': "jsonl",
    }
    for content, kind in kinds.items():
        path.write_bytes(content)
        assert sniff(path, "a").kind == kind


# ---------------------------------------------------------------- CSV

CSV: dict[str, tuple[str, list[dict[str, str]], dict[int, str], list[int]]] = {
    "plain": ("a,b\n1,\n", [{"a": "1", "b": ""}], {}, []),
    "quoted newline": ('a,b\r\n"x\ny","z ""q"""\r\n', [{"a": "x\ny", "b": 'z "q"'}], {}, []),
    "semicolons": ("a;b\n1,5;2\n", [{"a": "1,5", "b": "2"}], {}, []),
    "tabs": ("a\tb\n1\t2\n", [{"a": "1", "b": "2"}], {}, []),
    "blank line": ("a,b\n\n1,2\n", [{"a": "1", "b": "2"}], {}, [1]),
    "too few and too many": (
        "a,b\n1\n1,2,3\n1,2\n",
        [{"a": "1", "b": "2"}],
        {1: "1 f", 2: "3 f"},
        [],
    ),
    "open quote": ('a,b\n1,2\n"3,4\n', [{"a": "1", "b": "2"}], {2: "not CSV"}, []),
    "text behind a quote": ('a,b\n"1"x,2\n3,4\n', [{"a": "3", "b": "4"}], {1: "not CSV"}, []),
    "no type is guessed": ("a,b\n007,NULL\n", [{"a": "007", "b": "NULL"}], {}, []),
    "mark at the front": ("\ufeffa,b\n1,2\n", [{"a": "1", "b": "2"}], {}, []),
    "newline in the header": ('"a\nx",b\n1,2\n', [{"a\nx": "1", "b": "2"}], {}, []),
    "no newline at the end": ("a,b\n1,2", [{"a": "1", "b": "2"}], {}, []),
    "lines of old Macs": ("a,b\r1,2\r", [{"a": "1", "b": "2"}], {}, []),
    "exclamation": ("a,b\n!1,2\n", [{"a": "!1", "b": "2"}], {}, []),
    "only a header": ("a,b\n", [], {}, []),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("case", CSV)
def test_csv(
    case: str, packed: bool, relation: Callable[[File], list[Line]], tmp_path: Path
) -> None:
    content, rows, refused, blank = CSV[case]
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    found = read(path)
    assert [row for _, row, _ in found if row is not None] == rows
    assert [number for number, row, reason in found if row is None and reason is None] == blank
    reasons = {number: reason for number, _, reason in found if reason}
    assert reasons.keys() == refused.keys()
    assert all(reasons[number].startswith(words) for number, words in refused.items())
    as_relation = relation(sniff(path, "a"))
    assert [(n, raw and json.loads(raw), reason) for n, raw, reason in as_relation] == found


def test_csv_that_is_not_utf8_is_refused_by_the_row(
    relation: Callable[[File], list[Line]], tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("a,b\ngut,ja\nschön,nein\n".encode("latin-1"))
    found = relation(sniff(path, "a"))
    assert [(n, reason) for n, _, reason in found] == [(1, None), (2, "not UTF-8")]


# ---------------------------------------------------------------- tables

DAY, TIME = date(2024, 2, 29), datetime(2024, 1, 1, 12, tzinfo=UTC)
ID = "47183823-2574-4BFD-b411-99ed177d3e43"
TYPED: dict[str, tuple[pa.Array, list[Any]]] = {
    # column → values of one row and what they become
    "text": (pa.array([' "ü"\n\0', ID]), [' "ü"\n\0', ID]),
    "large": (pa.array([2**53 + 1, None]), [2**53 + 1, None]),
    "unsigned": (pa.array([2**64 - 1, 0], pa.uint64()), [2**64 - 1, 0]),
    "real": (pa.array([0.1, math.nan]), [0.1, "nan"]),
    "flag": (pa.array([True, None]), [True, None]),
    "day": (pa.array([DAY, None]), ["2024-02-29", None]),
    "moment": (pa.array([TIME, None], pa.timestamp("us", "Europe/Berlin")),
               ["2024-01-01 12:00:00+00", None]),
    "price": (pa.array([Decimal("1.50"), None]), ["1.50", None]),
    "binary": (pa.array(["ü".encode(), None], pa.binary()), ["ü", None]),
    "turns": (pa.array([[{"role": "user", "cost": Decimal("2.0")}], []]),
              [[{"role": "user", "cost": "2.0"}], []]),
    "kind": (pa.array(["x", "y"]).dictionary_encode(), ["x", "y"]),
    "odd \"name' ü": (pa.array(["1", "2"]), ["1", "2"]),
}  # fmt: skip


def write_table(path: Path, table: pa.Table) -> None:
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=100)
    elif path.suffix == ".arrow":
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=100)
    elif path.suffix == ".feather":
        pa.feather.write_feather(table, str(path), compression="zstd")
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=100)


TABLES = ["a.parquet", "a.arrow", "a.feather", "a.stream"]


@pytest.mark.parametrize("name", TABLES)
def test_typed_values(
    name: str, relation: Callable[[File], list[Line]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    table = pa.table({column: values for column, (values, _) in TYPED.items()})
    write_table(tmp_path / name, table)
    file = sniff(tmp_path / name, name)
    expected = [{column: made[n] for column, (_, made) in TYPED.items()} for n in (0, 1)]
    found = relation(file)
    assert [line for line, _, _ in found] == [1, 2]
    assert rows_of(found) == expected
    assert columns(file) == tuple(TYPED)


@pytest.mark.parametrize("name", TABLES)
def test_order_of_many_rows(
    name: str, relation: Callable[[File], list[Line]], tmp_path: Path
) -> None:
    write_table(tmp_path / name, pa.table({"n": list(range(3000))}))
    assert [row["n"] for row in rows_of(relation(sniff(tmp_path / name, name)))] == [*range(3000)]


@pytest.mark.parametrize("name", TABLES)
def test_binary_that_is_no_text_is_refused(
    name: str, relation: Callable[[File], list[Line]], tmp_path: Path
) -> None:
    table = pa.table(
        {
            "b'": pa.array([b"\xff", b"ok", None], pa.binary()),
            "image": pa.array([None, None, {"bytes": b"\x89PNG"}]),
        }
    )
    write_table(tmp_path / name, table)
    found = relation(sniff(tmp_path / name, name))
    reasons = [None if reason is None else reason.split(" holds")[0] for _, _, reason in found]
    assert reasons == ['column "b\'"', None, "column 'image'"]
    assert rows_of(found) == [{"b'": "ok", "image": None}]


def test_pattern_in_a_name_is_no_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "x=1"
    folder.mkdir()
    write_table(folder / "a.parquet", pa.table({"prompt": ["wrong"]}))
    odd = folder / "[ab]*?.parquet"
    pq.write_table(pa.table({"prompt": ["right"]}), str(folder / "b.tmp"))
    (folder / "b.tmp").rename(odd)
    assert [row for _, row, _ in read(odd)] == [{"prompt": "right"}]


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("damage", ["cut", "head", "middle"])
def test_damaged_tables_are_one_clear_error(name: str, damage: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write_table(path, pa.table({"a": [f"text {n}" for n in range(1000)]}))
    whole = path.read_bytes()
    half = len(whole) // 2
    damaged = {
        "cut": whole[:half],
        "head": whole[:8] + b"\xff" * 64 + whole[72:],
        "middle": whole[:half] + b"\xff" * 200 + whole[half + 200 :],
    }[damage]
    path.write_bytes(damaged)
    try:
        found = related(sniff(path, name))
    except DataError as error:
        assert error.message.startswith(f"{name}: not readable") and "\n" not in error.message
        assert error.hint
    else:  # without checksums not every change of a text can be told
        assert damage != "cut" and len(found) == 1000


# ---------------------------------------------------------------- databases


@pytest.fixture(params=["sqlite", "duckdb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "rows.db"
    module = {"sqlite": sqlite3, "duckdb": duckdb}[request.param]
    connection = module.connect(str(path))
    connection.execute("create table chats (id bigint, question text, answer blob)")
    rows = [(2, "q 2", None), (1, "ü\n'\"", "täxt".encode()), (3, "q 3", b"\xff\x00")]
    connection.executemany("insert into chats values (?, ?, ?)", rows)
    connection.commit()
    connection.close()
    return path


QUERY = "select id, question, answer from chats order by id; -- in order\n"


def test_query(database: Path, relation: Callable[[File], list[Line]]) -> None:
    found = relation(sniff(database, "rows.db", QUERY.split(" --")[0]))
    assert rows_of(found) == [
        {"id": 1, "question": "ü\n'\"", "answer": "täxt"},
        {"id": 2, "question": "q 2", "answer": None},
    ]
    assert found[2] == (3, None, "column 'answer' holds binary data, not text")


def test_database_without_a_query_lists_its_tables(database: Path) -> None:
    with pytest.raises(DataError, match="needs a query") as caught:
        sniff(database, "rows.db")
    assert "chats" in str(caught.value.hint)


REFUSED = [
    "insert into chats values (4, 'x', null)",
    "delete from chats",
    "drop table chats",
    "update chats set question = 'x'",
    "create table other (a int)",
    "attach '{folder}/other.db' as other",
    "select 1 as a; drop table chats",
    "pragma user_version = 3",
    "vacuum into '{folder}/copy.db'",
    "copy chats to '{folder}/copy.csv'",
    "select * from read_csv('{folder}/secret.csv')",
    "select * from '{folder}/secret.csv'",
    "select 1) union (select 2",
    "select * from no_such_table",
    "set threads = 1",
    "nonsense",
    "",
]


@pytest.mark.parametrize("query", REFUSED)
def test_queries_can_only_read(query: str, database: Path) -> None:
    (database.parent / "secret.csv").write_text("a\n1\n")
    before = database.read_bytes()
    with pytest.raises(DataError, match=r"^rows\.db: ") as caught:
        related(File(database, "rows.db", "database", None, query.format(folder=database.parent)))
    assert "\n" not in caught.value.message and caught.value.hint
    assert database.read_bytes() == before
    assert {path.name for path in database.parent.iterdir()} == {"rows.db", "secret.csv"}


def test_only_a_database_takes_a_query(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(ROW)
    with pytest.raises(DataError, match="not a DuckDB or SQLite file"):
        sniff(tmp_path / "a.jsonl", "a", "select 1")


# ---------------------------------------------------------------- archives


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


PACK: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd}
CONTENT = {
    "jsonl": b"".join(json.dumps(row).encode() + b"\n" for row in ROWS),
    "json": json.dumps(ROWS, indent=1).encode(),
    "csv": b"prompt,completion\n" + b"".join(b'p %d,"\xc3\xbc\n""\'"\n' % n for n in range(5)),
}


@pytest.mark.parametrize("name", ["a.{}", "a.{}.gz", "a.{}.ZST", "a.b.{}.zst"])
@pytest.mark.parametrize("kind", CONTENT)
@pytest.mark.parametrize("packing", PACK)
def test_archives_are_told_by_their_first_bytes(
    packing: str, kind: str, name: str, relation: Callable[[File], list[Line]], tmp_path: Path
) -> None:
    path = tmp_path / name.format(kind)
    path.write_bytes(PACK[packing](CONTENT[kind]))
    file = sniff(path, "a")
    assert (file.kind, file.compression) == (kind, packing)
    assert rows_of(relation(file)) == ROWS
    assert [row for _, row, _ in read(path)] == ROWS


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("damage", ["cut", "garbage behind", "changed"])
def test_damaged_archives_are_not_read_in_part(
    packing: str, damage: str, relation: Callable[[File], list[Line]], tmp_path: Path
) -> None:
    whole = PACK[packing](b"".join(b'{"a": "%d"}\n' % (n * n) for n in range(50_000)))
    half = len(whole) // 2
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(
        {
            "cut": whole[:-5],
            "garbage behind": whole + b"garbage",
            "changed": whole[:half] + b"\xff\0\xff\0" * 8 + whole[half + 32 :],
        }[damage]
    )
    with pytest.raises(DataError, match="cut off or damaged") as caught:
        relation(sniff(path, "a.jsonl.gz"))
    assert caught.value.message.startswith("a.jsonl.gz: the " + packing)


def test_archive_of_several_parts(relation: Callable[[File], list[Line]], tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for pack in PACK.values():
        path.write_bytes(pack(ROW + b"\n") + pack(ROW + b"\n"))
        assert len(rows_of(relation(sniff(path, "a")))) == 2


# ---------------------------------------------------------------- what is no file of rows

FOREIGN: dict[str, tuple[str, bytes, str]] = {
    "empty": ("a.jsonl", b"", "empty"),
    "UTF-16": ("a.jsonl", '{"a": "b"}'.encode("utf-16"), "UTF-16"),
    "UTF-16 without a mark": ("a.jsonl", '{"a": "b"}'.encode("utf-16-le"), "UTF-16"),
    "UTF-16 in an archive": ("a.jsonl", gzip.compress('{"a": "b"}'.encode("utf-16")), "UTF-16"),
    "gzip and no more": ("a.jsonl", b"\x1f\x8b\x08\x00", "gzip"),
    "zstd and no more": ("a.jsonl", b"\x28\xb5\x2f\xfd", "zstd"),
    "empty archive": ("a.jsonl.gz", gzip.compress(b""), "nothing in the archive"),
    "archive in an archive": ("a.jsonl.gz", gzip.compress(gzip.compress(ROW)), "not text inside"),
    "Parquet in an archive": ("a.jsonl.gz", gzip.compress(b"PAR1xxxx"), "not text inside"),
    "sheet": ("a.csv", b"PK\x03\x04....", "Excel"),
    "PDF": ("a.txt", b"%PDF-1.7", "PDF"),
    "binary": ("a.jsonl", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary"),
    "broken array": ("a.json", b'[{"a": 1},\n{"a": }]', "line 2"),
    "one object": ("a.json", b'{\n "version": 1,\n "data": 3\n}', "an object"),
    "broken Parquet": ("a.parquet", b"PAR1 and no more", "Parquet"),
    "broken Arrow": ("a.arrow", b"ARROW1 and no more", "Arrow"),
    "broken stream": ("a.arrow", b"\xff\xff\xff\xff\x10\0\0\0 and no more", "Arrow"),
    "column twice": ("a.csv", b"a,b,a\n1,2,3\n", "'a' stands twice"),
    "header that is not CSV": ("a.csv", b'"a"b,c\n1,2\n', "header"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_foreign_files(case: str, tmp_path: Path) -> None:
    name, content, words = FOREIGN[case]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read(path)
    assert caught.value.message.startswith(name)
    assert caught.value.hint


def test_missing_file_and_folder(tmp_path: Path) -> None:
    (tmp_path / "clauses.jsonl").write_bytes(ROW)
    with pytest.raises(DataError, match="no such file") as caught:
        sniff(tmp_path / "clause.jsonl", "clause.jsonl")
    assert "clauses.jsonl" in str(caught.value.hint)
    with pytest.raises(DataError, match="not a file"):
        sniff(tmp_path, "x")
    with pytest.raises(DataError, match="too long"):
        sniff(tmp_path / ("x" * 5000), "x")


@settings(deadline=None)
@given(
    st.sampled_from([*files.BLOCKS, "gzip", "zstd"]),
    st.binary(max_size=60),
    st.integers(0, 4000),
    st.integers(0, 60),
)
def test_fuzzed_files_give_one_clear_error_or_rows(
    kind: str, noise: bytes, at: int, cut: int
) -> None:
    whole = WHOLE_FILES[kind]
    at = at % (len(whole) + 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{kind}"
        path.write_bytes(whole[:at] + noise + whole[at + cut :])
        query = "select * from t" if kind == "database" else None
        try:
            file = sniff(path, path.name, query)
            found, small, streamed = list(records(file)), related(file), large(file)
        except DataError as error:
            assert error.message.startswith(path.name) and "\n" not in error.message
        else:
            assert small == streamed
            assert [number for number, _, _ in found] == [line for line, _, _ in small]
            assert all(row is None or isinstance(row, dict) for _, row, _ in found)


def whole_files() -> Iterator[tuple[str, bytes]]:
    yield from CONTENT.items()
    yield "gzip", gzip.compress(CONTENT["jsonl"])
    yield "zstd", zstd(CONTENT["jsonl"])
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("parquet", "arrow"):
            path = Path(folder) / f"a.{kind}"
            write_table(path, pa.table({"a": ["x"], "b": [[{"c": 1}]]}))
            yield kind, path.read_bytes()
        path = Path(folder) / "a.db"
        database = sqlite3.connect(path)
        database.execute("create table t as select 1 as a, 'x' as b")
        database.commit()
        database.close()
        yield "database", path.read_bytes()


WHOLE_FILES = dict(whole_files())


def test_one_set_in_every_kind_is_the_same_rows(
    relation: Callable[[File], list[Line]], tmp_path: Path
) -> None:
    for kind, content in CONTENT.items():
        (tmp_path / f"a.{kind}").write_bytes(content)
    for name in TABLES:
        write_table(tmp_path / name, pa.Table.from_pylist(ROWS))
    for path in sorted(tmp_path.iterdir()):
        assert rows_of(relation(sniff(path, path.name))) == ROWS, path.name


# ---------------------------------------------------------------- folders and patterns


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("d/b.jsonl", "d/a.csv.gz", "d/.hidden.jsonl", "d/README.md", "d/e/c.parquet",
                 "odd/[ab].jsonl", "odd/a.jsonl", "bare/README.md", "clauses.jsonl"):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(ROW)
    (tmp_path / "empty").mkdir()
    return tmp_path


EXPANDED = {
    "clauses.jsonl": ["clauses.jsonl"],
    "d": ["d/a.csv.gz", "d/b.jsonl"],
    "d/": ["d/a.csv.gz", "d/b.jsonl"],
    "d/*": ["d/a.csv.gz", "d/b.jsonl"],
    "d/*.jsonl": ["d/b.jsonl"],
    "d/**": ["d/a.csv.gz", "d/b.jsonl", "d/e/c.parquet"],
    "**/*.parquet": ["d/e/c.parquet"],
    "d/*.md": ["d/README.md"],
    "odd/[ab].jsonl": ["odd/[ab].jsonl"],
    "odd/?.jsonl": ["odd/a.jsonl"],
    "missing.jsonl": ["missing.jsonl"],
}


@pytest.mark.parametrize("pattern", EXPANDED)
def test_expand(pattern: str, tree: Path) -> None:
    assert expand(pattern, tree) == [(tree / name, name) for name in EXPANDED[pattern]]
    absolute = str(tree / pattern)
    assert [path for path, _ in expand(absolute, Path("elsewhere"))] == [
        tree / name for name in EXPANDED[pattern]
    ]


NOTHING = {
    "bare": ("no data file", "README.md"),
    "bare/*": ("no data file", "README.md"),
    "empty": ("no data file", ".jsonl"),
    "clauze*.jsonl": ("no file matches", "clauses.jsonl"),
    "nowhere/*.jsonl": ("no file matches", "nowhere"),
    "empty/*.jsonl": ("no file matches", "empty"),
}


@pytest.mark.parametrize("pattern", NOTHING)
def test_nothing_to_expand(pattern: str, tree: Path) -> None:
    message, named = NOTHING[pattern]
    with pytest.raises(DataError, match=message) as caught:
        expand(pattern, tree)
    assert named in f"{caught.value.message} {caught.value.hint}"


def test_sources_of_a_recipe(
    tree: Path, database: Path, recipe_with: Callable[..., Recipe]
) -> None:
    recipe = recipe_with(
        train=[
            {"path": "d/*.jsonl"},
            {"type": "database", "path": database.name, "query": "select id from chats"},
        ]
    )
    opened = [open_source(source, tree) for source in recipe.data.train]
    assert [[(file.name, file.kind) for file in some] for some in opened] == [
        [("d/b.jsonl", "jsonl")],
        [("rows.db", "database")],
    ]
    assert [row for _, row, _ in records(opened[1][0])] == [{"id": 2}, {"id": 1}, {"id": 3}]

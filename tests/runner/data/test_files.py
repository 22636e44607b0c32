"""Reading files: every record is a row, refused with a reason, or blank; never a traceback."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.errors import DataError
from runner.data.files import READERS, records, sniff

ROW = b'{"prompt": "a", "completion": "b"}'


def read(path: Path) -> list[tuple[int, dict[str, Any] | None, str | None]]:
    return list(records(path, sniff(path, path.name), path.name))


LINES: dict[str, tuple[bytes, list[int], dict[int, str], list[int]]] = {
    # name → bytes, numbers of rows, refused, blank
    "plain": (ROW + b"\n" + ROW + b"\n", [1, 2], {}, []),
    "no newline at the end": (ROW + b"\n" + ROW, [1, 2], {}, []),
    "mark at the front": (b"\xef\xbb\xbf" + ROW + b"\n", [1], {}, []),
    "crlf": (ROW + b"\r\n" + ROW + b"\r\n", [1, 2], {}, []),
    "blank lines": (b"\n" + ROW + b"\n \t\n\r\n" + ROW + b"\n", [2, 5], {}, [1, 3, 4]),
    "cut off": (ROW + b'\n{"prompt": "a\n' + ROW, [1, 3], {2: "not JSON"}, []),
    "not an object": (ROW + b"\n[1]\n3\nnull\n", [1], {2: "a list", 3: "a number", 4: "null"}, []),
    "lone surrogate": (ROW + b'\n{"prompt": "\\ud800"}\n', [1], {2: "not JSON"}, []),
    "invalid UTF-8": (ROW + b'\n{"prompt": "\xff"}\n', [1], {2: "not JSON"}, []),
    "not a number of JSON": (ROW + b'\n{"prompt": NaN}\n', [1], {2: "not JSON"}, []),
    "two objects on a line": (ROW + b"\n" + ROW + ROW + b"\n", [1], {2: "not JSON"}, []),
    "escaped null character": (b'{"prompt": "\\u0000"}\n', [1], {}, []),
    "line separator inside": ('{"prompt": "a\u2028b\u0085c"}\n'.encode(), [1], {}, []),
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
}


@pytest.mark.parametrize("case", CSV)
def test_csv(case: str, tmp_path: Path) -> None:
    content, rows, refused, blank = CSV[case]
    path = tmp_path / "a.csv"
    path.write_text(content, "utf-8", newline="")
    found = read(path)
    assert [row for _, row, _ in found if row is not None] == rows
    assert [number for number, row, reason in found if row is None and reason is None] == blank
    reasons = {number: reason for number, _, reason in found if reason}
    assert reasons.keys() == refused.keys()
    assert all(reasons[number].startswith(words) for number, words in refused.items())


def test_csv_that_is_not_utf8_is_refused_by_the_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("a,b\ngut,ja\nschön,nein\n".encode("latin-1"))
    assert [(n, reason) for n, _, reason in read(path)] == [(1, None), (2, "not UTF-8")]


FOREIGN: dict[str, tuple[str, bytes, str]] = {
    "empty": ("a.jsonl", b"", "empty"),
    "UTF-16": ("a.jsonl", '{"a": "b"}'.encode("utf-16"), "UTF-16"),
    "UTF-16 without a mark": ("a.jsonl", '{"a": "b"}'.encode("utf-16-le"), "UTF-16"),
    "gzip": ("a.jsonl", b"\x1f\x8b\x08\x00", "gzip"),
    "sheet": ("a.csv", b"PK\x03\x04....", "Excel"),
    "binary": ("a.jsonl", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary"),
    "broken array": ("a.json", b'[{"a": 1},\n{"a": }]', "line 2"),
    "one object": ("a.json", b'{\n "version": 1,\n "data": [{"a": 1}]\n}', "an object"),
    "broken Parquet": ("a.parquet", b"PAR1 and no more", "Parquet"),
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


def test_list_inside_an_object_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{\n"data": [{"a": 1}]}')
    with pytest.raises(DataError) as caught:
        read(path)
    assert "'data'" in str(caught.value.hint)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    (tmp_path / "clauses.jsonl").write_bytes(ROW)
    with pytest.raises(DataError, match="no such file") as caught:
        sniff(tmp_path / "clause.jsonl", "clause.jsonl")
    assert "clauses.jsonl" in str(caught.value.hint)
    with pytest.raises(DataError, match="not a file"):
        sniff(tmp_path, "x")
    with pytest.raises(DataError, match="too long"):
        sniff(tmp_path / ("x" * 5000), "x")


def test_array_under_the_wrong_name(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'[{"a": 1}, {"a": 2}]')
    assert sniff(path, "a") == "json"
    path.write_bytes(b'[\n{"a": 1},\n{"a": 2}]\n')
    assert [row for _, row, _ in read(path)] == [{"a": 1}, {"a": 2}]
    path.write_bytes(b'[1]\n{"a": 2}\n')
    assert sniff(path, "a") == "jsonl"


def test_pattern_in_a_name_is_no_pattern(
    tmp_path: Path, write_rows: Callable[[Path, list[dict[str, Any]]], None]
) -> None:
    write_rows(tmp_path / "a.parquet", [{"prompt": "right"}])
    write_rows(tmp_path / "b.parquet", [{"prompt": "wrong"}])
    folder = tmp_path / "x=1"
    folder.mkdir()
    (tmp_path / "a.parquet").rename(folder / "[ab]*?.parquet")
    assert [row for _, row, _ in read(folder / "[ab]*?.parquet")] == [{"prompt": "right"}]


def test_parquet_types_become_text(tmp_path: Path) -> None:
    import duckdb

    path = tmp_path / "a.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            "copy (select 7 as number, date '2024-02-29' as day, true as flag,"
            " encode('ü') as bytes,"
            " [{'role': 'user', 'content': 'q'}] as turns, null::varchar as nothing)"
            f" to '{path}' (format parquet)"
        )
    ((_, row, _),) = read(path)
    assert row is not None
    assert (row["number"], row["day"], row["flag"]) == ("7", "2024-02-29", "true")
    assert row["turns"] == [{"role": "user", "content": "q"}]
    assert (row["bytes"], row["nothing"]) == ("ü", None)


def test_line_of_twenty_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    text = "x" * 20_000_000
    path.write_text(json.dumps({"prompt": text}) + "\n")
    ((_, row, _),) = read(path)
    assert row == {"prompt": text}


lines = st.lists(
    st.one_of(
        st.just(ROW),
        st.sampled_from([b"", b" ", b"\r", b"[1]", b"nul", b'{"a": "\\ud800"}', b'{"a": "\xff"}']),
        st.binary(max_size=12).filter(lambda line: b"\n" not in line),
    ),
    max_size=12,
)


@given(lines)
def test_rows_and_refused_and_blank_are_all_lines(drawn: list[bytes]) -> None:
    content = b"\n".join([ROW, *drawn]) + b"\n"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_bytes(content)
        found = list(records(path, "jsonl", "a"))
    assert [number for number, _, _ in found] == list(range(1, content.count(b"\n") + 1))
    for (_, row, reason), line in zip(found, content.split(b"\n"), strict=False):
        assert (row is not None) + (reason is not None) + (not line.strip()) == 1


@settings(max_examples=80)
@given(st.sampled_from(sorted(READERS)), st.binary(max_size=60), st.integers(0, 40))
def test_fuzzed_files_give_one_clear_error_or_rows(kind: str, noise: bytes, at: int) -> None:
    whole = {"json": b'[{"a": "1"}, {"a": "2"}]', "csv": b'a,b\n"1",2\n3,4\n'}.get(kind, ROW)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{kind}"
        path.write_bytes((b"PAR1" if kind == "parquet" else b"") + whole[:at] + noise + whole[at:])
        try:
            found = read(path)
        except DataError as error:
            assert error.message.startswith(path.name) and "\n" not in error.message
        else:
            assert all(row is None or isinstance(row, dict) for _, row, _ in found)

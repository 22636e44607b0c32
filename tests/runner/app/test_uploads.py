"""Uploads: names made harmless, nothing written over, data told from recipes."""

from __future__ import annotations

import io
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.errors import RecipeError
from runner.app.uploads import PLACE, clean, data_files, keep

TOP = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("clauses.jsonl", "clauses.jsonl"),
        ("../../etc/passwd.jsonl", "passwd.jsonl"),
        ("C:\\Users\\x\\rows.csv", "rows.csv"),
        (".hidden.json", "hidden.json"),
        ("Klauseln für Köln.jsonl", "Klauseln für Köln.jsonl"),
        ("a\u202egnp.jsonl", "a_gnp.jsonl"),
        ("a\nb;rm -rf $x.csv", "a_b_rm -rf _x.csv"),
        ("", "rows"),
        ("..", "rows"),
        ("x" * 300 + ".jsonl.gz", "x" * 91 + ".jsonl.gz"),
    ],
)
def test_names_are_made_harmless(sent: str, kept: str) -> None:
    assert clean(sent) == kept


@given(st.text())
def test_a_name_is_one_part_of_a_path(name: str) -> None:
    cleaned = clean(name)
    assert Path(cleaned).name == cleaned and not cleaned.startswith(".")
    assert len(cleaned) <= 110 and cleaned.isprintable()
    assert clean(cleaned) == cleaned


def test_nothing_is_written_over(tmp_path: Path) -> None:
    first = keep(tmp_path, "rows.jsonl", io.BytesIO(b"one"))
    again = keep(tmp_path, "rows.jsonl", io.BytesIO(b"one"))
    other = keep(tmp_path, "rows.jsonl", io.BytesIO(b"two"))
    assert first == again == Path(PLACE, "rows.jsonl")
    assert other == Path(PLACE, "rows-2.jsonl")
    assert (tmp_path / first).read_bytes() == b"one"
    assert (tmp_path / other).read_bytes() == b"two"
    assert len(list((tmp_path / PLACE).iterdir())) == 2  # no part is left


def test_uploads_at_once_do_not_meet(tmp_path: Path) -> None:
    contents = [str(n).encode() for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda c: keep(tmp_path, "x.csv", io.BytesIO(c)), contents))
    assert len(set(paths)) == 8
    assert [(tmp_path / path).read_bytes() for path in paths] == contents


def test_a_place_that_is_taken_is_told(tmp_path: Path) -> None:
    (tmp_path / PLACE).write_text("a file")
    with pytest.raises(RecipeError, match=r"'rows\.csv' cannot be kept in data/"):
        keep(tmp_path, "rows.csv", io.BytesIO(b"x"))


def test_data_files_are_told_from_others(tmp_path: Path) -> None:
    shutil.copytree(TOP / "recipes/legal", tmp_path / "legal")
    shutil.copyfile(TOP / "recipes/legal.json", tmp_path / "legal.json")
    for name in ("rows.json", "notes.txt", "a.csv", ".hidden.csv", "runs/x.jsonl", "b.jsonl.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('[{"prompt": "a", "completion": "b"}]')
    found = [path.as_posix() for path in data_files(tmp_path, tmp_path / "runs")]
    assert found == [
        "a.csv", "b.jsonl.gz", "legal/clauses.jsonl", "legal/general.jsonl", "rows.json",
    ]  # fmt: skip

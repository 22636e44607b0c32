"""Sources as the text of a recipe names them, and the patches that give columns their parts."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from dsl.edit import apply
from dsl.errors import DataError, InvalidRecipe, RecipeError
from dsl.rows import FORMATS
from dsl.rules.objective import OTHER_OBJECTIVES
from runner.app import sources
from runner.app.recipes import judged
from runner.app.sources import Named, alone, assign, declare, look, named, opened, still_lacking
from runner.app.uploads import data_files
from runner.data.formats import Misfit

ROWS = (
    '{"frage": "a?", "antwort": "b", "note": null}\n{"frage": "c?", "antwort": "d", "note": "n"}\n'
)


def recipe(source: dict[str, Any]) -> str:
    return json.dumps({"name": "x", "data": {"train": [source]}}, indent=2)


def first(text: str) -> Named:
    return named(text, "x.json")[0]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    (tmp_path / "rows.jsonl").write_text(ROWS)
    return tmp_path


def test_sources_are_named_also_in_a_recipe_with_errors() -> None:
    text = '{"modle": 1, "data": {"test": [{"path": "t"}], "train": [{"path": "a"}, 7, {}]}}'
    listed = named(text, "x.json")
    assert [source.path for source in listed] == [
        ("data", "train", 0),
        ("data", "train", 2),
        ("data", "test", 0),
    ]
    assert listed[0].title == "training: a"
    with pytest.raises(InvalidRecipe):
        named("{", "x.json")


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.jsonl", "a/../../x.jsonl", ""])
def test_nothing_is_read_outside_of_the_folder(tmp_path: Path, path: str) -> None:
    with pytest.raises(RecipeError, match="outside"):
        opened(alone(path), tmp_path)


OUTSIDE = ("{out}/s.jsonl", "{out}/*", "{out}", "../out/s.jsonl")
LINKED = ("link.jsonl", "*.jsonl", "linked", "linked/s.jsonl", "linked/*.jsonl")


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A folder with links out of it, to rows that are nobody's business here."""
    out, folder = tmp_path / "out", tmp_path / "folder"
    out.mkdir()
    folder.mkdir()
    (out / "s.jsonl").write_text('{"frage": "a?", "geheim": "b"}\n' * 3)
    with sqlite3.connect(out / "s.db") as database:
        database.execute("create table t (geheim text)")
    (folder / "link.jsonl").symlink_to(out / "s.jsonl")
    (folder / "link.db").symlink_to(out / "s.db")
    (folder / "linked").symlink_to(out)
    return folder


@pytest.mark.parametrize("path", [*OUTSIDE, *LINKED])
def test_a_draft_is_judged_without_a_look_outside_of_its_folder(linked: Path, path: str) -> None:
    named = path.format(out=linked.parent / "out")
    whole = {"version": 1, "name": "x", "model": {"base": "smollm2-135m-instruct"}}
    text = json.dumps({**whole, "data": {"train": [{"path": named}]}})
    found = judged(text, "x.json", linked)
    assert not [column for source in found.facts.sources for column in source.columns]


@pytest.mark.parametrize("path", LINKED)
def test_no_link_leads_out_of_the_folder(linked: Path, path: str) -> None:
    with pytest.raises(DataError, match="a link out of the folder"):
        opened(alone(path), linked)


def test_no_link_leads_to_a_database_outside(linked: Path) -> None:
    with pytest.raises(DataError, match="a link out of the folder"):
        opened(alone("link.db", "select * from t"), linked)


def test_a_link_within_the_folder_is_followed(rows: Path) -> None:
    (rows / "below").mkdir()
    (rows / "below/link.jsonl").symlink_to(rows / "rows.jsonl")
    assert [file.name for file in opened(alone("below/link.jsonl"), rows)] == ["below/link.jsonl"]


@pytest.mark.parametrize("kind", ["a pipe", "a device"])
def test_what_never_ends_is_not_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "rows.jsonl"
    if kind == "a pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(DataError):
        opened(alone("rows.jsonl"), tmp_path)
    with pytest.raises(DataError):
        opened(alone("*.jsonl"), tmp_path)
    assert not data_files(tmp_path)


def test_nothing_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="of a hub"):
        opened(first(recipe({"type": "hub", "dataset": "a/b"})), tmp_path)


def test_columns_are_given_their_parts_one_by_one(rows: Path) -> None:
    text = recipe({"path": "rows.jsonl"})
    for column, role in (("frage", "prompt"), ("antwort", "completion")):
        source = first(text)
        seen = look(source, opened(source, rows)[0])
        assert isinstance(seen.found, Misfit)
        text = apply(text, "json", assign(source, column, role))
    source = first(text)
    seen = look(source, opened(source, rows)[0])
    assert seen.detected and seen.detected.format == "prompt_completion"
    assert [(c.name, c.role, c.given, c.filled) for c in seen.columns] == [
        ("frage", "prompt", True, 2),
        ("antwort", "completion", True, 2),
        ("note", None, False, 1),
    ]
    assert json.loads(text)["data"]["train"][0]["columns"] == {
        "prompt": "frage",
        "completion": "antwort",
    }


@pytest.mark.parametrize(
    ("before", "column", "role", "after"),
    [
        ({}, "a", "prompt", {"prompt": "a"}),
        ({"prompt": "a"}, "b", "prompt", {"prompt": "b"}),
        ({"prompt": "a"}, "a", "completion", {"completion": "a"}),
        ({"prompt": "a", "completion": "b"}, "a", "completion", {"completion": "a"}),
        ({"prompt": "a", "completion": "b"}, "b", None, {"prompt": "a"}),
        ({"prompt": "a"}, "a", None, None),
        ({"prompt": "a"}, "a", "prompt", {"prompt": "a"}),
        ({"prompt": "a"}, "c", None, {"prompt": "a"}),
    ],
)
def test_a_column_plays_one_part_and_a_part_has_one_column(
    before: dict[str, str], column: str, role: str | None, after: dict[str, str] | None
) -> None:
    text = recipe({"path": "x", **({"columns": before} if before else {})})
    changed = apply(text, "json", assign(first(text), column, role))
    assert json.loads(changed)["data"]["train"][0].get("columns") == after
    if before == after:
        assert changed == text


def test_the_format_is_declared_or_told_from_the_rows() -> None:
    text = recipe({"path": "x"})
    declared = apply(text, "json", declare(first(text), "alpaca"))
    assert json.loads(declared)["data"]["train"][0]["format"] == "alpaca"
    assert json.loads(apply(declared, "json", declare(first(declared), "auto"))) == json.loads(text)
    assert declare(first(text), "auto") == ()


def test_a_patch_can_be_typed() -> None:
    source = first(recipe({"path": "x", "columns": {"prompt": "a"}}))
    assert sources.settings(assign(source, "b", "completion")) == [
        "data.train[0].columns.completion=b"
    ]
    fresh = first(recipe({"path": "x"}))
    assert sources.settings(assign(fresh, "b", "completion")) == [
        'data.train[0].columns={"completion": "b"}'
    ]


@pytest.mark.parametrize(
    ("given", "format", "lacks"),
    [
        ({"prompt": "a"}, "prompt_completion", ["completion"]),
        ({"chosen": "a"}, "preference", ["rejected"]),
        ({"instruction": "a"}, "alpaca", ["output"]),
        ({"conversations": "a"}, "sharegpt", []),
    ],
)
def test_what_is_still_missing_is_told(
    given: dict[str, str], format: str, lacks: list[str]
) -> None:
    assert still_lacking(given) == (format, lacks)


def test_nothing_is_missing_where_nothing_is_said() -> None:
    assert still_lacking({}) is None
    assert still_lacking({"chosen": "a", "output": "b"}) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n\n", "no rows"),
        (b"nonsense\n", "no row can be read"),
        (b"%PDF-1", "PDF"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_fix(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=message) as raised:
        source = alone("rows.jsonl")
        look(source, opened(source, tmp_path)[0])
    assert raised.value.hint


def test_formats_that_nothing_trains_yet_say_what_is_missing() -> None:
    for format in FORMATS:
        said = sources.not_trained(format)
        assert (said is not None) == (format in OTHER_OBJECTIVES)
        if said:
            assert OTHER_OBJECTIVES[format][1] in said


@pytest.mark.parametrize("name", ["{folder}", "../x", "./x", "https://elsewhere.example/x", "x\n"])
def test_a_folder_of_this_machine_is_no_dataset_of_a_hub(
    rows: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("RECIPE_CACHE", str(rows / "cache"))
    source = Named((), {"type": "hub", "dataset": name.format(folder=rows)})
    with pytest.raises(DataError, match="is no name of a dataset"):
        sources.fetch(source)
    assert not (rows / "cache").exists()

"""Drafts: kept at every change, saved without loss, never outside of the folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.errors import RecipeError
from runner.app.drafts import DRAFTS, begin, discard, drafts, keep, load, own, save, state


def test_a_draft_is_there_after_a_restart(tmp_path: Path) -> None:
    draft = begin(tmp_path, '{"name": "ü"}')
    draft = keep(tmp_path, replace(draft, text="{"))
    assert load(tmp_path, draft.id).text == "{"
    assert [one.id for one in drafts(tmp_path)] == [draft.id]
    discard(tmp_path, draft)
    assert list(drafts(tmp_path)) == []
    with pytest.raises(RecipeError, match="no longer there"):
        load(tmp_path, draft.id)


def test_a_second_window_gets_a_draft_of_its_own(tmp_path: Path) -> None:
    draft = begin(tmp_path, "1")
    typed = replace(draft, text="2")
    assert own(tmp_path, typed, "1") == typed
    keep(tmp_path, typed)
    other = own(tmp_path, replace(draft, text="3"), "1")  # this window has not seen "2"
    assert (other.text, other.id == draft.id) == ("3", False)
    keep(tmp_path, other)
    assert {one.text for one in drafts(tmp_path)} == {"2", "3"}
    discard(tmp_path, typed)
    assert own(tmp_path, typed, "1") == typed


@given(st.text())
def test_any_text_comes_back_as_it_was(text: str) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        draft = begin(Path(folder), text)
        assert load(Path(folder), draft.id).text == text


@pytest.mark.parametrize("draft_id", ["../../etc/passwd", "x", "", "0123456789ab/", "ABCDEF012345"])
def test_an_id_names_no_other_file(tmp_path: Path, draft_id: str) -> None:
    with pytest.raises(RecipeError):
        load(tmp_path, draft_id)


def test_states_of_a_draft(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("1", "utf-8")
    draft = begin(tmp_path, "1", file)
    assert state(tmp_path, draft) == "saved"
    draft = keep(tmp_path, replace(draft, text="2"))
    assert state(tmp_path, draft) == "edited"
    file.write_text("3", "utf-8")
    assert state(tmp_path, draft) == "conflict"
    with pytest.raises(RecipeError, match="somebody else"):
        save(tmp_path, draft)
    assert file.read_text("utf-8") == "3"
    draft = save(tmp_path, draft, over=True)
    assert (file.read_text("utf-8"), state(tmp_path, draft)) == ("2", "saved")


def test_a_new_draft_takes_no_name_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("1", "utf-8")
    draft = begin(tmp_path, "2")
    assert state(tmp_path, draft) == "new"
    with pytest.raises(RecipeError, match="is there already"):
        save(tmp_path, draft, Path("a.json"))
    saved = save(tmp_path, draft, Path("b.json"))
    assert (saved.path, state(tmp_path, saved)) == ("b.json", "saved")
    assert (tmp_path / "a.json").read_text("utf-8") == "1"


@pytest.mark.parametrize("name", ["../a.json", "/etc/a.json", "a.yaml", "a"])
def test_recipes_are_saved_in_the_folder_as_json(tmp_path: Path, name: str) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    with pytest.raises(RecipeError):
        save(inner, begin(inner, "1"), Path(name))
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.parent for path in written] == [inner / DRAFTS]


def test_a_damaged_draft_hides_no_other(tmp_path: Path) -> None:
    draft = begin(tmp_path, "1")
    for name, text in (("0" * 12, "{"), ("1" * 12, '{"x": 1}'), ("2" * 12, "")):
        (tmp_path / DRAFTS / f"{name}.json").write_text(text, "utf-8")
    assert [one.id for one in drafts(tmp_path)] == [draft.id]


@pytest.mark.parametrize(
    "change",
    [
        {"id": "../../../elsewhere"},
        {"id": "b" * 12},
        {"id": None},
        {"text": 1},
        {"changed": 1},
        {"base": ["x"]},
        {"path": 1},
        {"path": "../outside.json"},
        {"path": "/etc/x.json"},
        {"path": "linked/x.json"},
        {"more": 1},
    ],
)
def test_a_draft_that_came_with_the_folder_leads_nowhere_else(
    tmp_path: Path, change: dict[str, object]
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "linked").symlink_to(tmp_path)
    draft = begin(inner, "1")
    file = inner / DRAFTS / f"{draft.id}.json"
    assert load(inner, draft.id) == draft
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | change), "utf-8")
    with pytest.raises(RecipeError):
        load(inner, draft.id)
    assert not list(drafts(inner))

"""The recipe's text and its form are one recipe, whoever changes it and whenever."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

import ui.editor

BUILT = any((Path(ui.editor.__file__).parent / "bundle").glob("editor-*.js"))
ROWS = [{"prompt": f"question {n}", "completion": f"answer {n}"} for n in range(60)]


@pytest.fixture
def recipe_page(serve: Callable[[], Any], visit: Callable[..., Any], tmp_path: Path) -> Any:
    """A window with letters.json open; its second line is the name."""
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    (tmp_path / "rows.jsonl").write_text(lines, "utf-8")
    recipe = {
        "name": "letters",
        "model": {"base": "smollm2-135m-instruct"},
        "data": {"train": [{"path": "rows.jsonl"}]},
        "method": {"type": "lora", "rank": 8},
    }
    (tmp_path / "letters.json").write_text(json.dumps(recipe, indent=2) + "\n", "utf-8")
    window = visit(serve().url)
    window.click("letters.json")
    window.go("Recipe")
    window.sees("saved")
    return window


def saved(window: Any, folder: Path) -> Any:
    window.click("Save")
    window.sees("Save as")
    expect(window.page.get_by_role("button", name="Save Shortcut")).to_be_disabled()
    return json.loads((folder / "letters.json").read_text("utf-8"))


def into_the_name(window: Any) -> None:
    """Puts the cursor behind the last letter of the name."""
    window.editor.click()
    for key in ("Control+Home", "ArrowDown", "End", "ArrowLeft", "ArrowLeft"):
        window.page.keyboard.press(key)


def test_typing_and_a_click_at_once_are_both_kept(recipe_page: Any, tmp_path: Path) -> None:
    page = recipe_page.page
    into_the_name(recipe_page)
    page.keyboard.type("-of-law")
    page.get_by_role("button", name="undo icon").last.click()  # at once: the rank's default
    recipe_page.settled()
    expect(page.get_by_role("textbox", name="name", exact=True)).to_have_value("letters-of-law")
    found = saved(recipe_page, tmp_path)
    assert (found["name"], found["method"]) == ("letters-of-law", {"type": "lora"})


def test_what_was_typed_survives_a_reload(recipe_page: Any, tmp_path: Path) -> None:
    page = recipe_page.page
    into_the_name(recipe_page)
    page.keyboard.type("-2")
    page.keyboard.press("Escape")
    page.get_by_role("heading", name="Recipe", level=1).click()  # leaves the text
    recipe_page.sees("changes kept as a draft")
    page.reload()
    recipe_page.settled()
    expect(page.get_by_role("textbox", name="name", exact=True)).to_have_value("letters-2")
    assert json.loads((tmp_path / "letters.json").read_text("utf-8"))["name"] == "letters"
    assert saved(recipe_page, tmp_path)["name"] == "letters-2"


def test_the_form_waits_for_a_text_that_can_be_read(recipe_page: Any) -> None:
    page = recipe_page.page
    recipe_page.write('{"name": "letters",')
    page.get_by_role("heading", name="Recipe", level=1).click()
    recipe_page.sees("The form waits until the text can be read")
    expect(page.get_by_role("textbox", name="name", exact=True)).not_to_be_visible()


# ---------------------------------------------------------------- where 'make ui' was run

where_built = pytest.mark.skipif(not BUILT, reason="the editor is built by 'make ui'")


@where_built
def test_a_change_of_the_form_can_be_undone_in_the_text(recipe_page: Any, tmp_path: Path) -> None:
    page = recipe_page.page
    rank = page.get_by_role("textbox", name="method.rank")
    rank.fill("32")
    page.keyboard.press("Enter")
    expect(recipe_page.editor).to_contain_text('"rank": 32')
    recipe_page.editor.click()
    page.keyboard.press("Control+z")
    expect(rank).to_have_value("8")
    expect(recipe_page.editor).to_contain_text('"rank": 8')


@where_built
def test_the_editor_completes_explains_and_marks(recipe_page: Any) -> None:
    page = recipe_page.page
    into_the_name(recipe_page)
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    page.keyboard.type('"tra')
    page.keyboard.press("Control+Space")
    option = page.locator(".cm-tooltip-autocomplete li", has_text="training").first
    expect(option).to_be_visible()
    page.keyboard.press("Escape")
    for _ in range(4):
        page.keyboard.press("Backspace")
    recipe_page.write('{"name": "letters", "method": {"type": "lora", "rnak": 8}}')
    expect(page.locator(".cm-lintRange-error").first).to_be_visible()
    recipe_page.editor.get_by_text('"method"').first.hover()
    expect(page.locator(".cm-tooltip-hover")).to_be_visible()

"""The page of a recipe: text and form, problems and fixes, saving."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from runner.app.recipes import judged
from ui import editor
from ui.text import plain


@pytest.fixture
def page(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The page with the plain editor: the other one is the browser's tests'."""
    monkeypatch.setattr(editor, "_built", lambda: False)
    return app.switch_page("ui/recipe.py").run()


def texts(app: AppTest) -> str:
    return "\n".join(element.value for element in app.text)


def opened(app: AppTest, name: str = "legal.json") -> AppTest:
    return app.selectbox(key="file").select(name).run()


def text_of(app: AppTest) -> str:
    return str(app.text_area(key="editor").value)


def typed(app: AppTest, text: str) -> AppTest:
    return app.text_area(key="editor").set_value(text).run()


def headings(app: AppTest) -> list[str]:
    return [element.value for element in app.header]


def test_only_recipes_are_offered(page: AppTest) -> None:
    assert page.selectbox(key="file").options == ["legal.json"]
    assert "No recipe is open" in headings(page)


def test_text_and_form_are_one_recipe(page: AppTest, folder: Path) -> None:
    opened(page)
    assert not page.exception
    assert text_of(page) == (folder / "legal.json").read_text("utf-8")
    assert page.text_input(key="form/method/rank").value == "16"
    page.text_input(key="form/method/rank").set_value("32").run()
    assert json.loads(text_of(page))["method"]["rank"] == 32
    typed(page, text_of(page).replace('"rank": 32', '"rank": 8'))
    assert page.text_input(key="form/method/rank").value == "8"
    assert headings(page)[-1] == plain("legal.json is valid")


def test_a_field_goes_back_to_its_default(page: AppTest) -> None:
    opened(page)
    page.button(key="form-reset/method/rank").click().run()
    assert "rank" not in json.loads(text_of(page))["method"]
    assert page.text_input(key="form/method/rank").placeholder == "default: 16"


def test_what_is_no_number_changes_nothing(page: AppTest) -> None:
    before = text_of(opened(page))
    page.text_input(key="form/training/learning_rate").set_value("fast").run()
    assert text_of(page) == before
    assert any("'fast' is not a number" in element.value for element in page.caption)


def test_a_fix_edits_the_text_and_nothing_else(page: AppTest) -> None:
    text = text_of(opened(page))
    typed(page, text.replace('"rank": 16', '"rnak": 16'))
    assert "did you mean rank?" in texts(page) and "line 19" in texts(page)
    assert "fix: set method.rank to 16" in texts(page)
    page.button(key="fix-0").click().run()
    fixed = text_of(page)
    assert json.loads(fixed) == json.loads(text)
    changed = [
        pair
        for pair in zip(fixed.splitlines(), text.splitlines(), strict=True)
        if len(set(pair)) > 1
    ]
    assert len(changed) <= 1 and all('"rank"' in line for line, _ in changed)
    assert headings(page)[-1] == plain("legal.json is valid")


def test_the_form_waits_for_text_that_cannot_be_read(page: AppTest) -> None:
    opened(page)
    typed(page, '{"name": "x",\n "name": "y"}')
    assert not page.exception
    assert "The form waits" in texts(page) and "line 2" in texts(page)


def test_problems_are_those_of_the_command_line(page: AppTest, folder: Path) -> None:
    opened(page)
    values = json.loads((folder / "legal.json").read_text("utf-8"))
    values["data"]["train"][0]["path"] = "legal/clause.jsonl"
    values["training"]["epochs"] = -1
    text = json.dumps(values, indent=1)
    typed(page, text)
    expected = judged(text, "legal.json", folder).problems
    assert expected and all(problem.message in texts(page) for problem in expected)


def test_what_stands_in_a_recipe_is_shown_as_text(page: AppTest) -> None:
    opened(page)
    typed(page, '{"name": "x", "model": {"base": "x"}, "data": {}, "<img src=x onerror=1>": 1}')
    assert "<img src=x onerror=1>" in texts(page)
    assert all("<img" not in element.value for element in page.markdown)


def test_a_change_is_a_draft_until_it_is_saved(page: AppTest, folder: Path) -> None:
    before = text_of(opened(page))
    after = before.replace('"epochs": 1', '"epochs": 2')
    typed(page, after)
    assert (folder / "legal.json").read_text("utf-8") == before
    assert any('+    "epochs": 2' in element.value for element in page.code)
    page.button(key="save").click().run()
    assert (folder / "legal.json").read_text("utf-8") == after


def test_a_reload_loses_nothing(page: AppTest, folder: Path) -> None:
    opened(page)
    after = text_of(page).replace('"epochs": 1', '"epochs": 2')
    typed(page, after)
    again = AppTest.from_file(str(Path(editor.__file__).parents[2] / "app.py"), default_timeout=60)
    again.query_params["draft"] = page.query_params["draft"]
    again.run().switch_page("ui/recipe.py").run()
    assert text_of(again) == after


def test_a_file_changed_by_somebody_else_is_not_written_over(page: AppTest, folder: Path) -> None:
    opened(page)
    typed(page, text_of(page).replace('"epochs": 1', '"epochs": 2'))
    other = (folder / "legal.json").read_text("utf-8").replace('"rank": 16', '"rank": 4')
    (folder / "legal.json").write_text(other, "utf-8")
    page.button(key="save").click().run()
    assert (folder / "legal.json").read_text("utf-8") == other
    page.button(key="over").click().run()
    assert '"epochs": 2' in (folder / "legal.json").read_text("utf-8")


def test_yaml_is_read_and_converted_never_written(page: AppTest, folder: Path) -> None:
    yaml = "name: y\nmodel: {base: smollm2-135m-instruct}\n"
    yaml += (
        "data: {train: [{path: legal/clauses.jsonl, columns: {input: clause, output: plain}}]}\n"
    )
    (folder / "y.yaml").write_text(yaml, "utf-8")
    opened(page.run(), "y.yaml")
    assert "never written" in texts(page) and text_of(page) == yaml
    page.button(key="convert").click().run()
    assert json.loads(text_of(page))["name"] == "y"
    assert (folder / "y.yaml").read_text("utf-8") == yaml

"""The page of a recipe: problems, fixes, plan and the command line."""

from __future__ import annotations

import json
from pathlib import Path

from streamlit.testing.v1 import AppTest

from runner.app import draft


def texts(app: AppTest) -> str:
    return "\n".join(element.value for element in app.text)


def opened(app: AppTest, name: str = "legal.json") -> AppTest:
    return app.selectbox(key="file").select(name).run()


def test_only_recipes_are_offered(app: AppTest) -> None:
    assert app.selectbox(key="file").options == ["legal.json"]


def test_a_valid_recipe_is_planned(app: AppTest, folder: Path) -> None:
    opened(app)
    assert not app.exception
    assert app.text_area(key="text").value == (folder / "legal.json").read_text("utf-8")
    assert "legal.json is valid" in [element.value for element in app.subheader]
    plan, command = (element.value for element in app.code)
    assert "4,884,480 parameters" in plan and "first run of this recipe here" in plan
    assert command == "recipe plan legal.json\nrecipe run legal.json"


def test_a_fix_edits_the_text_and_nothing_else(app: AppTest) -> None:
    text = opened(app).text_area(key="text").value
    app.text_area(key="text").set_value(text.replace('"rank": 16', '"rnak": 16')).run()
    assert "did you mean rank?" in texts(app) and "line 19" in texts(app)
    assert all("trainable" not in element.value for element in app.code)
    assert "fix: set method.rank to 16" in texts(app)
    app.button(key="fix-0").click().run()
    fixed = app.text_area(key="text").value
    assert json.loads(fixed) == json.loads(text)
    changed = [
        pair
        for pair in zip(fixed.splitlines(), text.splitlines(), strict=True)
        if len(set(pair)) > 1
    ]
    assert len(changed) <= 1 and all('"rank"' in line for line, _ in changed)
    assert "legal.json is valid" in [element.value for element in app.subheader]


def test_bad_text_is_told_with_its_line(app: AppTest) -> None:
    app.text_area(key="text").set_value('{"name": "x",\n "name": "y"}').run()
    assert not app.exception
    assert "line 2" in texts(app) and "name" in texts(app)


def test_problems_are_those_of_the_command_line(app: AppTest, folder: Path) -> None:
    values = json.loads((folder / "legal.json").read_text("utf-8"))
    values["data"]["train"][0]["path"] = "legal/clause.jsonl"
    values["training"]["epochs"] = -1
    text = json.dumps(values, indent=1)
    app.text_area(key="text").set_value(text).run()
    expected = draft(text, "pasted.json", folder).problems
    assert expected and all(problem.message in texts(app) for problem in expected)


def test_what_stands_in_a_recipe_is_shown_as_text(app: AppTest) -> None:
    text = '{"name": "x", "model": {"base": "x"}, "data": {}, "<img src=x onerror=1>": 1}'
    app.text_area(key="text").set_value(text).run()
    assert "<img src=x onerror=1>" in texts(app)
    assert all("<img" not in element.value for element in app.markdown)


def test_an_edited_text_is_offered_for_saving(app: AppTest) -> None:
    text = opened(app).text_area(key="text").value
    app.text_area(key="text").set_value(text.replace('"epochs": 1', '"epochs": 2')).run()
    assert app.code[-1].value.startswith("recipe plan my-recipe.json")

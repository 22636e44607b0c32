"""Home, plan and checklist: what they show in each of their states."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from runner.app import drafts
from runner.runs.store import RunFolder

MakeRun = Callable[[str, "str | None", "str | None"], RunFolder]
SECONDS = 120


@pytest.fixture
def opened(app: AppTest, folder: Path) -> AppTest:
    """The app with legal.json open; what other tests looked at is forgotten."""
    st.cache_data.clear()
    st.cache_resource.clear()
    app.button(key="open-legal.json").click().run()
    assert not app.exception
    return app


def shown(app: AppTest) -> str:
    """All that is said on the page."""
    return "\n".join(
        str(element.value)
        for kind in (app.title, app.header, app.subheader, app.text, app.caption, app.markdown)
        for element in kind
    )


def typed(app: AppTest, folder: Path, old: str, new: str) -> AppTest:
    """The open draft with a change, as another page would make it."""
    draft = drafts.load(folder, app.query_params["draft"])
    drafts.keep(folder, replace(draft, text=draft.text.replace(old, new)))
    app.session_state["draft"] = drafts.load(folder, draft.id)
    return app


def wait(app: AppTest, until: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not until():
        assert time.monotonic() < end, shown(app)
        time.sleep(0.2)
        app.run()
        assert not app.exception


# ---------------------------------------------------------------- home


def test_home_offers_recipes_and_examples(app: AppTest, folder: Path) -> None:
    assert not app.exception
    assert "Open a recipe" in shown(app) and "None in" in shown(app)
    (folder / "legal.json").unlink()
    app.run()
    assert "Begin with your data" in shown(app)
    app.button(key="example-support").click().run()
    assert (folder / "support.json").is_file()
    assert "Check the data of support.json" in shown(app).replace("\\", "")


def test_home_says_what_the_work_waits_for(
    opened: AppTest, folder: Path, make_run: MakeRun
) -> None:
    assert "Check the data of legal.json" in shown(opened).replace("\\", "")
    make_run("legal-1", "gate_failed", None)
    assert "See what to change" in shown(opened.run())
    typed(opened, folder, '"rank"', '"rnak"').run()
    assert "Mend legal.json" in shown(opened).replace("\\", "")


# ---------------------------------------------------------------- plan


@pytest.mark.parametrize("page", ["plan", "checklist"])
def test_pages_without_a_recipe_say_where_to_get_one(app: AppTest, page: str) -> None:
    app.switch_page(f"ui/{page}.py").run()
    assert not app.exception and "No recipe is open" in shown(app)


@pytest.mark.parametrize("page", ["plan", "checklist"])
def test_pages_of_a_recipe_with_errors_tell_them(opened: AppTest, folder: Path, page: str) -> None:
    typed(opened, folder, '"rank"', '"rnak"').switch_page(f"ui/{page}.py").run()
    assert (not opened.exception and "did you mean" in shown(opened)) or "rnak" in shown(opened)


def test_the_plan_is_that_of_the_command_line(opened: AppTest) -> None:
    opened.switch_page("ui/plan.py").run()
    assert not opened.exception
    values = {metric.label: metric.value for metric in opened.metric}
    assert values["Trained parameters"] == "4,884,480"
    assert "first run of this recipe here" in shown(opened)
    assert "recipe plan legal.json" in opened.code[-1].value
    opened.number_input(key="price").set_value(36.0).run()
    assert any("for the run" in element.value for element in opened.caption)


def test_a_smaller_plan_is_one_click_away(opened: AppTest, folder: Path) -> None:
    opened.switch_page("ui/plan.py").run()
    opened.button(key="smaller-0").click().run()
    assert not opened.exception
    draft = drafts.load(folder, opened.query_params["draft"])
    assert json.loads(draft.text)["training"]["micro_batch_size"] == 1
    assert drafts.state(folder, draft) == "edited"


# ---------------------------------------------------------------- checklist


def test_the_checklist_tells_findings_and_what_was_not_run(opened: AppTest) -> None:
    opened.switch_page("ui/checklist.py").run()
    wait(opened, lambda: any(b.label == "Check everything" for b in opened.button))
    wait(opened, lambda: "492 training rows" in shown(opened))
    said = shown(opened)
    assert "not run" in said and "Apache-2.0" in said
    assert "there is no run of this recipe yet" in said


def test_a_setting_is_mended_by_its_button(opened: AppTest, folder: Path) -> None:
    text = drafts.load(folder, opened.query_params["draft"]).text
    values = json.loads(text)
    assert values["training"].pop("early_stopping")
    typed(opened, folder, text, json.dumps(values, indent=2))
    opened.switch_page("ui/checklist.py").run()
    wait(opened, lambda: any(b.key == "item-early_stopping" for b in opened.button))
    opened.button(key="item-early_stopping").click().run()
    draft = drafts.load(folder, opened.query_params["draft"])
    assert json.loads(draft.text)["training"]["early_stopping"] == {"patience": 3}

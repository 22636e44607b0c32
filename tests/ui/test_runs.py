"""The page of the runs: listed, found, sorted, compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from runner.runs.events import EventLog
from runner.runs.store import RunFolder, write_json

MakeRun = Callable[[str, "str | None", "str | None"], RunFolder]
PAGE = "ui/runs.py"


@pytest.fixture(autouse=True)
def fresh() -> None:
    """What other tests looked at is forgotten."""
    st.cache_data.clear()


@pytest.fixture
def three(make_run: MakeRun) -> list[RunFolder]:
    """Two that ended, with plans and curves, and one that did not."""
    runs = [make_run("legal-1", "done", None), make_run("legal-2", "failed", None)]
    for number, run in enumerate(runs, 1):
        training = {"epochs": 1, "learning_rate": number * 1e-4}
        write_json(run.plan, {"recipe": {"name": "legal", "training": training}})
        for at in range(1, 4):
            EventLog(run.events, "train", 1)("train", at=at, steps=3, loss=number / at)
    return [*runs, make_run("legal-3", None, None)]


def opened(app: AppTest, **address: Any) -> AppTest:
    app.switch_page(PAGE)
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def listed(app: AppTest) -> list[str]:
    return list(app.dataframe[0].value["Run"])


def said(app: AppTest) -> str:
    kinds = (app.title, app.header, app.subheader, app.text, app.caption, app.markdown)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def test_without_runs_the_page_says_how_to_make_one(app: AppTest) -> None:
    assert "'recipe run RECIPE' makes one" in said(opened(app))


def test_runs_are_listed_newest_first_with_their_status(
    app: AppTest, three: list[RunFolder]
) -> None:
    table = opened(app).dataframe[0].value
    assert list(table["Run"]) == ["legal-3", "legal-2", "legal-1"]
    # a sign and a word: never told by colour alone
    assert list(table["Status"]) == ["✗ lost", "✗ failed", "✓ done"]
    assert list(table["Why"]) == ["", "the disk is full", ""]
    assert app.dataframe[0].proto.alt == "3 runs with status, recipe, time and result"


def test_a_damaged_run_hides_no_other(app: AppTest, three: list[RunFolder]) -> None:
    three[1].run.write_text("{", "utf-8")
    table = opened(app).dataframe[0].value
    assert dict(zip(table["Run"], table["Status"], strict=True)) == {
        "legal-3": "✗ lost",
        "legal-2": "✗ damaged",
        "legal-1": "✓ done",
    }


def test_what_runs_tell_anew_is_shown(
    app: AppTest, three: list[RunFolder], make_run: MakeRun
) -> None:
    opened(app)
    write_json(three[2].result, {"status": "interrupted", "reason": "stopped during train"})
    make_run("legal-4", "done", None)
    table = app.run().dataframe[0].value
    assert list(table["Run"]) == ["legal-4", "legal-3", "legal-2", "legal-1"]
    assert list(table["Why"])[1] == "stopped during train"


def test_runs_are_found_and_sorted(app: AppTest, three: list[RunFolder]) -> None:
    opened(app).text_input(key="q").set_value("disk").run()
    assert listed(app) == ["legal-2"]
    app.text_input(key="q").set_value("nowhere").run()
    assert "No run is so" in said(app) and not app.exception
    app.text_input(key="q").set_value("").run()
    app.multiselect(key="status").set_value(["done", "lost"]).run()
    assert listed(app) == ["legal-3", "legal-1"]
    app.selectbox(key="order").select("oldest").run()
    assert listed(app) == ["legal-1", "legal-3"]


def test_one_run_leads_to_its_pages(app: AppTest, three: list[RunFolder]) -> None:
    opened(app).multiselect(key="compare").set_value(["legal-2"]).run()
    links = [(link.proto.label, link.proto.query_string) for link in app.get("page_link")]
    assert ("Report", "run=legal-2") in links and ("Run", "run=legal-2") in links
    assert "the disk is full" in said(app) and "What differs" not in said(app)


def test_runs_are_compared(app: AppTest, three: list[RunFolder]) -> None:
    opened(app).multiselect(key="compare").set_value(["legal-1", "legal-2"]).run()
    assert not app.exception
    (chart,) = app.get("vega_lite_chart")
    assert chart.proto.alt == (
        "Loss by step, training. legal-1: 1 at step 1, 0.333 at step 3. "
        "legal-2: 2 at step 1, 0.667 at step 3."
    )
    recipe = next(t.value for t in app.dataframe if "training.learning_rate" in str(t.value))
    assert list(recipe["value"]) == ["training.learning_rate"]
    assert list(recipe["legal-2"]) == ["0.0002"]
    assert "1 of 3 values differ." in said(app)
    assert "recipe runs diff legal-1 legal-2" in app.code[-1].value
    app.toggle(key="compare-only").set_value(False).run()
    recipe = next(t.value for t in app.dataframe if "training.learning_rate" in str(t.value))
    assert list(recipe["value"]) == ["name", "training.epochs", "training.learning_rate"]
    assert list(recipe["differs"]) == ["", "", "≠"]


def test_the_address_names_what_is_compared(app: AppTest, three: list[RunFolder]) -> None:
    opened(app, compare=["legal-1", "legal-2"])
    assert app.multiselect(key="compare").value == ["legal-1", "legal-2"]
    assert "What differs" in said(app)


def test_runs_without_curves_or_files_are_compared_too(
    app: AppTest, three: list[RunFolder]
) -> None:
    opened(app).multiselect(key="compare").set_value(["legal-1", "legal-3"]).run()
    assert not app.exception
    assert "legal-3 has no training loss." in said(app)
    assert "None of these runs has any." in said(app)  # there is no lock


def test_what_is_in_the_address_must_be_a_run(
    app: AppTest, folder: Path, three: list[RunFolder]
) -> None:
    (folder / "secret").mkdir()
    (folder / "secret/run.json").write_text(json.dumps({"name": "secret"}), "utf-8")
    opened(app, compare=["../secret", "legal-1"])
    assert "secret" not in said(app)


def test_texts_of_others_stay_text(app: AppTest, three: list[RunFolder]) -> None:
    write_json(three[1].result, {"status": "failed", "reason": "**bold** <b>x</b> \u202eevil"})
    opened(app).multiselect(key="compare").set_value(["legal-2"]).run()
    assert "**bold** <b>x</b> [U+202E]evil" in [text.value for text in app.text]

"""The page of the data: its states, the parts of columns, rows, one example, the profile."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from runner.app import drafts

PAGE = "ui/data.py"
SECONDS = 60
Open = Callable[..., AppTest]


@pytest.fixture
def page(folder: Path, app: AppTest) -> Open:
    """(recipe or None, view) → the page with a draft of that recipe."""

    def opened(recipe: str | None = "legal.json", view: str = "Columns") -> AppTest:
        app.switch_page(PAGE)
        if recipe:
            text = (folder / recipe).read_text("utf-8")
            app.query_params["draft"] = drafts.begin(folder, text, folder / recipe).id
        app.query_params["view"] = view
        return fine(app.run())

    return opened


def fine(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    return app


def counted(app: AppTest) -> AppTest:
    """Once all rows are counted."""
    until = time.monotonic() + SECONDS
    while not [one for one in app.metric if one.label == "Usable rows"]:
        assert time.monotonic() < until
        fine(app.run())
    return app


def texts(app: AppTest) -> str:
    return "\n".join(one.value for one in (*app.text, *app.caption, *app.code))


def badges(app: AppTest) -> str:
    return "\n".join(one.value for one in app.markdown)


def part(app: AppTest, column: str) -> Any:
    (found,) = [one for one in app.selectbox if one.label == f"Part of the column {column}"]
    return found


def recipe(folder: Path, rows: bytes, source: dict[str, Any] | None = None) -> str:
    (folder / "rows.jsonl").write_bytes(rows)
    train = [{"path": "rows.jsonl", **(source or {})}]
    values = {"name": "x", "model": {"base": "smollm2-135m-instruct"}, "data": {"train": train}}
    (folder / "x.json").write_text(json.dumps(values, indent=2))
    return "x.json"


def source_of(folder: Path) -> dict[str, Any]:
    """The first source, as the draft has it."""
    draft = next(drafts.drafts(folder))
    source: dict[str, Any] = json.loads(draft.text)["data"]["train"][0]
    return source


# ---------------------------------------------------------------- states


def test_without_a_recipe_data_are_asked_for(page: Open) -> None:
    app = page(None)
    assert "Begin with the rows" in texts(app)
    there = next(one for one in app.selectbox if one.key == "data-there")
    assert there.options == ["legal/clauses.jsonl", "legal/general.jsonl", "other.json"]
    assert "Up to 200 MB" in texts(app)


@pytest.mark.parametrize(
    ("rows", "said", "fix"),
    [
        (b"", "the file is empty", "put rows into it"),
        (b"\n\n", "no rows", "choose another file"),
        (b"PK\x03\x04", "a zip archive or an Excel sheet", "save the sheet as CSV"),
        (b"nonsense\n", "no row can be read; line 1: not JSON", "a row is a JSON object"),
    ],
)
def test_what_cannot_be_read_is_told_once_with_its_fix(
    page: Open, folder: Path, rows: bytes, said: str, fix: str
) -> None:
    app = page(recipe(folder, rows))
    assert texts(app).count(said) == 1 and fix in texts(app)


def test_a_missing_file_is_told(page: Open, folder: Path) -> None:
    name = recipe(folder, b"{}")
    (folder / "rows.jsonl").unlink()
    assert "no such file" in texts(page(name))


def test_a_recipe_that_cannot_be_parsed_leads_to_its_page(page: Open, folder: Path) -> None:
    (folder / "bad.json").write_text('{"data": ')
    assert "The recipe cannot be read" in [one.value for one in page("bad.json").header]


def test_rows_that_no_objective_trains_yet_say_which_is_missing(page: Open, folder: Path) -> None:
    rows = b'{"prompt": "a", "chosen": "b", "rejected": "c"}\n' * 3
    assert "the objective dpo or reward, which is not built yet" in texts(
        page(recipe(folder, rows))
    )


def test_a_file_elsewhere_is_not_read(page: Open, folder: Path) -> None:
    app = page(recipe(folder, b"{}", {"path": "../../etc/passwd"}))
    assert "lies outside of the recipe's folder" in texts(app)


def test_rows_of_a_hub_are_seen_once_they_were_fetched(page: Open, folder: Path) -> None:
    from runner.data import hub

    name = recipe(folder, b"", {"type": "hub", "dataset": "acme/rows"})
    assert "names rows of a hub: acme/rows" in texts(page(name))
    assert not (folder / "cache/datasets").exists()  # nobody was asked
    rows = folder / "rows"
    rows.mkdir()
    (rows / "train.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    made, _ = hub.fetch(str(rows), None, "train", None)
    made.parent.rename(hub._folder("acme/rows", None, "train", None))
    seen = texts(page(name))
    assert "names rows of a hub" not in seen and "prompt" in seen


def test_why_a_fetch_failed_is_told(page: Open, folder: Path) -> None:
    app = page(recipe(folder, b"", {"type": "hub", "dataset": str(folder / "legal"), "split": "x"}))
    app.button(key="fetch").click().run()
    assert not app.exception and "it could not be fetched" in badges(app)


# ---------------------------------------------------------------- new data


def test_a_chosen_file_becomes_a_recipe(page: Open, folder: Path) -> None:
    app = page(None)
    fine(app.selectbox(key="data-there").select("legal/clauses.jsonl").run())
    assert "column 'document' holds texts" in texts(app)
    fine(part(app, "clause").select("prompt").run())
    assert "no known format" in badges(app)
    assert "still missing: answer (completion)" in texts(app)
    assert app.button(key="write-recipe").disabled
    fine(part(app, "plain").select("completion").run())
    command = "recipe new legal/clauses.jsonl --column prompt=clause --column completion=plain"
    assert command in [one.value for one in app.code]
    fine(app.button(key="write-recipe").click().run())
    made = json.loads((folder / "legal/clauses.json").read_text())
    assert made["data"]["train"] == [
        {"path": "clauses.jsonl", "columns": {"prompt": "clause", "completion": "plain"}}
    ]
    assert "The data of legal/clauses.json" in texts(app)
    assert "data.split.group_by" in list(app.dataframe[0].value["setting"])


def test_a_place_that_is_taken_is_told(page: Open, folder: Path) -> None:
    (folder / "legal/general.json").write_text("{}")
    app = page(None)
    fine(app.selectbox(key="data-there").select("legal/general.jsonl").run())
    fine(app.button(key="write-recipe").click().run())
    assert "is there already" in texts(app)
    assert (folder / "legal/general.json").read_text() == "{}"


def test_an_upload_is_kept_in_the_folder(page: Open, folder: Path) -> None:
    app = page(None)
    rows = b'{"prompt": "a", "completion": "b"}\n'
    app.file_uploader(key="data-upload").set_value(("../My rows.jsonl", rows, "text/plain"))
    fine(app.run())
    assert (folder / "data/My rows.jsonl").read_bytes() == rows
    assert "data/My rows" in app.header[0].value
    fine(app.run())
    assert len(list((folder / "data").iterdir())) == 1


def test_a_recipe_that_uses_the_file_can_be_opened(page: Open) -> None:
    app = page(None)
    fine(app.selectbox(key="data-there").select("legal/clauses.jsonl").run())
    fine(app.button(key="open-legal.json").click().run())
    assert "The data of legal.json" in texts(app)


# ---------------------------------------------------------------- columns


def test_the_format_is_told_with_its_evidence(page: Open) -> None:
    app = page()
    assert "instruction and answer (Alpaca)" in badges(app)
    assert "column 'plain' holds texts in 588" in texts(app)
    assert part(app, "clause").value == "input" and part(app, "plain").value == "output"
    assert "Rows with the same value stay together" in texts(app)


def test_a_part_is_written_into_the_draft_and_told_again(page: Open, folder: Path) -> None:
    app = page()
    before = (folder / "legal.json").read_text()
    fine(part(app, "clause").select("instruction").run())
    assert source_of(folder)["columns"] == {"instruction": "clause", "output": "plain"}
    assert part(app, "clause").value == "instruction"
    assert "column 'clause' holds texts in 588" in texts(app)
    assert "--set data.train[0].columns.instruction=clause" in texts(app).replace("'", "")
    assert (folder / "legal.json").read_text() == before  # the draft alone is changed


def test_the_format_can_be_given(page: Open, folder: Path) -> None:
    app = page()
    box = next(one for one in app.selectbox if one.label == "Format")
    fine(box.select("alpaca").run())
    assert source_of(folder)["format"] == "alpaca"


EVIL = "<img src=x onerror=1> :red[x] **b**"


def evil(folder: Path) -> str:
    row = json.dumps({"prompt": EVIL, "completion": "b", EVIL: "c"})
    return recipe(folder, f"{row}\n".encode() * 2)


def test_columns_are_shown_as_text(page: Open, folder: Path) -> None:
    app = page(evil(folder))
    assert EVIL in [one.value for one in app.text]
    assert all("<img" not in one.value for one in app.markdown)


def test_an_example_is_shown_as_text(page: Open, folder: Path) -> None:
    app = page(evil(folder), "As the model sees it")
    (shown,) = [one for one in app.get("html") if "onerror" in one.proto.body]
    assert "<img" not in shown.proto.body and "&lt;img src=x onerror=1&gt;" in shown.proto.body


# ---------------------------------------------------------------- rows


def test_rows_are_paged_and_searched(page: Open) -> None:
    app = page(view="Rows")
    table = app.dataframe[0].value
    assert list(table["line"]) == list(range(1, 51))
    (pages,) = app.get("pagination")
    fine(pages.set_value(12).run())
    assert list(app.dataframe[0].value["line"])[-1] == 588
    fine(app.text_input(key="data-search").set_value("RUCKSACK nobody wrote").run())
    assert "No line holds it." in texts(app)
    fine(app.text_input(key="data-search").set_value("imelda").run())
    assert "of 588 lines hold it." in texts(app)
    assert 1 in list(app.dataframe[0].value["line"])
    assert all("melda" in " ".join(map(str, row)) for row in app.dataframe[0].value.values[:3])


def test_a_line_is_gone_to_and_shown_in_full(page: Open) -> None:
    app = page(view="Rows")
    fine(app.number_input(key="data-goto").set_value(301).run())
    assert 301 in list(app.dataframe[0].value["line"])
    assert "Line 301" in [one.value for one in app.header]
    assert "clause: text to work on (input)" in texts(app)


def test_lines_that_cannot_be_used_stand_with_reason_and_number(page: Open, folder: Path) -> None:
    good = b'{"prompt": "What is it?", "completion": "A row."}\n'
    rows = good * 3 + b"[1]\n" + good * 60 + b"\xff\n" + b'{"prompt": "cut\n'
    app = counted(page(recipe(folder, rows), "Rows"))
    fine(app.toggle(key="data-only").set_value(True).run())
    table = app.dataframe[0].value
    assert list(table["line"]) == [4, 65, 66]
    notes = list(table["note"])
    assert notes[:2] == ["a list, not an object", "not UTF-8"] and "not JSON" in notes[2]


# ---------------------------------------------------------------- example and profile


def test_an_example_is_marked_and_explained(page: Open) -> None:
    app = page(view="As the model sees it")
    assert "is not on this machine yet" in texts(app)
    legend, text = [one.proto.body for one in app.get("html")][:2]
    assert "trained: the model learns to write this" in legend and "masked" in legend
    assert text.count("<mark") == 1 and "border-bottom:2px solid" in text


def test_a_line_without_an_example_says_why(page: Open, folder: Path) -> None:
    rows = b'[1]\n{"prompt": "a", "completion": "b"}\n'
    app = page(recipe(folder, rows), "As the model sees it")
    assert "Line 1 cannot be used: a list, not an object" in texts(app)


def test_the_profile_counts_all_rows(page: Open) -> None:
    app = counted(page(view="Profile"))
    figures = {one.label: one.value for one in app.metric}
    assert figures["Unusable lines"] == "0" and figures["Repeated rows"] == "0"
    app = fine(app.run())
    assert "Half have at most" in texts(app)
    assert "Not run yet: part of the full look." in texts(app)
    assert "recipe check legal.json" in texts(app)
    charts = app.get("vega_lite_chart")
    assert len(charts) >= 3 and all(one.proto.alt for one in charts)


def test_a_recipe_with_errors_still_shows_its_rows(page: Open, folder: Path) -> None:
    text = (folder / "legal.json").read_text().replace('"rank": 16', '"rnak": 16')
    (folder / "legal.json").write_text(text)
    app = page(view="Rows")
    assert len(app.dataframe[0].value) == 50
    assert "All rows are counted once the recipe has no errors" in texts(app)

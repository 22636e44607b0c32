"""From a file of rows to a judged model, by clicks alone."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

STEPS = 300  # long enough to be stopped on the way


@pytest.fixture
def table(rows: list[dict[str, str]]) -> bytes:
    """The task of the tests as CSV, with columns that nobody knows."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["thing", "frage", "antwort"])
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {"thing": row["thing"], "frage": row["prompt"], "antwort": row["completion"]}
        )
    return text.getvalue().encode()


def test_from_rows_to_a_judged_model(
    serve: Callable[[], Any],
    visit: Callable[..., Any],
    tmp_path: Path,
    tiny_model: Path,
    tiny_recipe: Callable[..., dict[str, Any]],
    table: bytes,
) -> None:
    server = serve()
    window = visit(server.url)
    page = window.page

    # a recipe from a file
    window.go("Data")
    page.locator("input[type=file]").set_input_files(
        {"name": "paint.csv", "mimeType": "text/csv", "buffer": table}
    )
    window.sees("no known format")
    for column, part in (("frage", "question (prompt)"), ("antwort", "answer (completion)")):
        page.get_by_label(f"Part of the column {column}").click()
        page.get_by_role("option", name=part).click()
        window.settled()
    window.click("Write a recipe for it")
    window.sees("why its settings are as they are")
    recipe = tmp_path / "data/paint.json"
    written = json.loads(recipe.read_text("utf-8"))
    assert written["data"]["train"] == [
        {"path": "paint.csv", "columns": {"prompt": "frage", "completion": "antwort"}}
    ]

    # the form changes the text; a slip of the text is mended by its button
    window.go("Recipe")
    page.get_by_role("textbox", name="model.base").fill(str(tiny_model))
    page.keyboard.press("Enter")
    window.sees("changes kept as a draft")
    whole = {**written, **tiny_recipe(data=written["data"])}
    whole["training"] |= {"max_steps": STEPS, "eval_steps": 50}
    window.write(json.dumps(whole, indent=2).replace('"rank"', '"rnak"'))
    window.sees("did you mean rank?")
    window.click("Fix")
    window.sees("1 warning")  # the learning rate: the tiny model needs it
    window.click("Save")
    expect(page.get_by_role("button", name="Save Shortcut")).to_be_disabled()
    assert json.loads(recipe.read_text("utf-8")) == whole
    window.go("Plan")
    window.sees("It fits.")

    # stopped on the way, gone on with from its checkpoint
    window.go("Run")
    window.click("Start")
    expect(page.get_by_text(re.compile(r"[1-9]\d* of \d+ steps"))).to_be_visible()
    page.get_by_role("button", name="Stop and save a checkpoint").click()
    window.sees("interrupted")
    (run,) = (tmp_path / "runs").glob("tiny-*")
    assert json.loads((run / "result.json").read_text())["status"] == "interrupted"
    assert list((run / "attempts/001/checkpoints").iterdir())
    window.click("Resume")
    expect(page.get_by_role("button", name="Resume")).not_to_be_visible()
    report = page.get_by_test_id("stMain").get_by_role("link", name="Report")
    expect(report).to_be_visible(timeout=600_000)
    result = json.loads((run / "result.json").read_text())
    assert (result["status"], result["attempt"]) == ("done", 2)
    report.click()
    window.sees_heading("Report")
    window.sees("The tuned model is better on the held-out test examples")
    with page.expect_download() as download:
        page.get_by_role("button", name="HTML").click()
    assert download.value.path().read_bytes() == (run / "report.html").read_bytes()

    # a shorter trial beside it
    window.go("Run")
    page.get_by_test_id("stMain").get_by_text("Options", exact=True).click()
    page.get_by_role("spinbutton").fill("2")
    page.keyboard.press("Enter")
    window.settled()
    window.click("Start")
    expect(report).to_be_visible(timeout=600_000)
    (trial,) = (other for other in (tmp_path / "runs").glob("tiny-*") if other != run)
    window.go("Runs")
    for known in (run, trial):
        page.get_by_role("combobox", name="Selected runs").click()
        page.get_by_role("option", name=known.name).click()
        window.settled()
    page.keyboard.press("Escape")
    window.sees("Show differences only")
    window.sees("What differs")
    expect(page.get_by_role("region", name=re.compile("^Recipe: .* of tiny"))).to_be_visible()
    steps = json.loads((trial / "plan.json").read_text())["schedule"]["steps"]
    assert steps == 2

    # base and tuned answer the same question; a good one becomes an example of evaluation
    window.go("Playground")
    window.click("Ask a test question")
    answers = page.get_by_text(re.compile(r"\d+ tokens?, [\d.]+ a second"))
    expect(answers).to_have_count(2)
    box = page.get_by_role("textbox", name="Your question")
    box.fill("Paint the river blue.")
    box.press("Enter")
    expect(answers).to_have_count(4)
    page.get_by_text("Add to eval set").last.click()
    page.get_by_role("textbox", name="Expected answer").fill("The river is blue.")
    page.get_by_role("button", name="Add", exact=True).click()
    window.sees("1 question")
    (kept,) = (tmp_path / "data").glob("*.eval.jsonl")
    row = json.loads(kept.read_text("utf-8"))
    assert (row["prompt"], row["completion"]) == ("Paint the river blue.", "The river is blue.")

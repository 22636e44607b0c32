"""The page of a report: the whole of one, and why there is none."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from runner.report.collect import collect
from runner.report.html import write
from runner.runs.store import RunFolder

MakeRun = Callable[[str, "str | None", "str | None"], RunFolder]
PAGE = "ui/report.py"
RUN = "legal-20261122-101500-3fa9"
HAND_MADE = runpy.run_path(str(Path(__file__).parents[1] / "runner/report/conftest.py"))


@pytest.fixture(autouse=True)
def fresh() -> None:
    """What other tests looked at is forgotten."""
    st.cache_data.clear()


@pytest.fixture
def run(folder: Path) -> RunFolder:
    """A finished run with its report."""
    path: Path = HAND_MADE["make_run"](folder / "runs" / RUN)
    write(path, collect(path, HAND_MADE["GATES"], "pass"))
    return RunFolder(path)


def opened(app: AppTest, run: str = RUN) -> AppTest:
    app.switch_page(PAGE)
    app.query_params["run"] = run
    app.run()
    assert not app.exception
    return app


def said(app: AppTest) -> str:
    kinds = (app.title, app.header, app.subheader, app.text, app.caption, app.markdown)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def html(app: AppTest) -> str:
    return "\n".join(element.proto.body for element in app.get("html"))


def changed(run: RunFolder, **values: Any) -> None:
    report = json.loads(run.report.read_text("utf-8"))
    run.report.write_text(json.dumps(report | values), "utf-8")


# A whole report ----------------------------------------------------------------------------------


def test_the_verdict_comes_first(app: AppTest, run: RunFolder) -> None:
    opened(app)
    assert "The tuned model is better on the held-out test examples: loss 3.41" in html(app)
    tiles = {tile.label: tile for tile in app.metric}
    assert tiles["Loss: base → tuned"].value == "3.41 → 2.29"
    assert tiles["Loss: base → tuned"].delta.endswith(": better")
    assert tiles["Loss: base → tuned"].proto.color == 1  # green: lower is better here
    assert tiles["Better / equal / worse"].value == "88 / 0 / 2"
    assert tiles["Required gates passed"].value == "2 of 2"


def test_gates_tell_their_reasons(app: AppTest, run: RunFolder) -> None:
    text = said(opened(app))
    assert "Loss (domain): better than the base model" in text
    assert "with 95% confidence it is better by at least 1.064" in text
    assert "not required" in text and "0 of 90 answers looped" in text


def test_figures_are_a_chart_with_words_and_a_table(app: AppTest, run: RunFolder) -> None:
    opened(app)
    table = next(t.value for t in app.dataframe if "Verdict" in t.value)
    row = dict(zip(table.columns, table[table["Metric"] == "Loss"].values[0], strict=True))
    assert row["Base (95%)"] == "3.41 (3.32 to 3.51)"
    assert (row["Verdict"], row["Better"], row["Worse"]) == ("better", "88", "2")
    worse = table[table["Metric"] == "Answers cut off"]
    assert list(worse["Verdict"]) == ["worse"]
    alts = [chart.proto.alt for chart in app.get("vega_lite_chart")]
    assert any("Loss: base 3.41 (3.32 to 3.51), tuned 2.29 (2.21 to 2.36), better." in a
               for a in alts)  # fmt: skip
    assert any(alt.startswith("Loss by step. Training: ") for alt in alts)


def test_training_data_and_effort(app: AppTest, run: RunFolder) -> None:
    text = said(opened(app))
    assert "Step 60 of 60 was reached. The best checkpoint is that of step 48." in text
    assert "duplicates: 3 of 600 rows repeat an earlier one. remove them" in text
    parts, steps = (table.value for table in app.table)
    assert list(parts["Examples"]) == ["480", "30", "90"]
    assert "6 min 53 s" in list(steps["Time"])


def test_files_to_keep(app: AppTest, run: RunFolder) -> None:
    labels = [button.proto.label for button in opened(app).get("download_button")]
    assert labels == ["HTML", "JSON"]
    (run.path / "report.html").unlink()
    labels = [button.proto.label for button in opened(app).get("download_button")]
    assert labels == ["JSON"]


def test_a_suite_without_results_is_named(app: AppTest, run: RunFolder) -> None:
    path = {"path": "eval.suites.general.data", "value": "x", "origin": "given", "why": ""}
    changed(run, settings=[path])
    assert "The suite general of the recipe was not evaluated." in said(opened(app))


# Answers -----------------------------------------------------------------------------------------


def test_regressions_come_first_and_words_are_marked(app: AppTest, run: RunFolder) -> None:
    opened(app)
    scores = [text.value for text in app.text if text.value.startswith("ROUGE-L 0.")]
    assert scores[0] == "ROUGE-L 0.530 → 0.210 (higher is better)"
    assert len(scores) == 6
    marked = html(app)
    assert "text-decoration:underline dotted" in marked and "only the tuned model says" in marked
    assert ">You may not sell</mark>" in marked


def test_what_models_say_is_text_and_never_markup(app: AppTest, run: RunFolder) -> None:
    report = json.loads(run.report.read_text("utf-8"))
    changed(run, verdict=report["verdict"] | {"headline": "<img src=x> www.example.org"})
    opened(app)
    assert "&lt;img src=x&gt; www.example.org" in html(app)
    shown = html(app)
    assert "<script" not in shown and "alert" in shown  # it is there, and harmless
    assert "\u202e" not in shown and "\x1b" not in shown
    assert "alert" not in "".join(element.value for element in app.markdown)


def test_answers_are_filtered_searched_and_sorted(app: AppTest, run: RunFolder) -> None:
    opened(app)
    group = next(g for g in app.button_group if "answers-outcomes" in (g.key or ""))
    group.set_value(["win"]).run()
    assert "4 answers, 8 a page." in said(app)
    app.text_input(key="answers-text").set_value("base RATE").run()
    assert "1 answer, 8 a page." in said(app)
    app.text_input(key="answers-text").set_value("nowhere").run()
    assert "No answer holds that" in said(app)
    app.text_input(key="answers-text").set_value("").run()
    app.selectbox(key="answers-order").select("best first").run()
    scores = [text.value for text in app.text if text.value.startswith("ROUGE-L 0.")]
    assert scores[0].startswith("ROUGE-L 0.120 → 0.880")


def test_differences_can_be_marked_otherwise(app: AppTest, run: RunFolder) -> None:
    opened(app)
    for side, marked in (("reference", True), ("none", False), ("base", True)):
        app.selectbox(key="answers-side").select(side).run()
        assert not app.exception
        assert ("<mark" in html(app)) is marked


def test_every_suite_has_its_figures_and_answers(app: AppTest, run: RunFolder) -> None:
    import duckdb

    (path,) = run.path.glob("evals/*/predictions.parquet")
    with duckdb.connect() as connection:
        connection.execute("create table p as from read_parquet($1)", [str(path)])
        connection.execute("insert into p select 'general', * exclude suite from p limit 2")
        connection.query("from p").write_parquet(str(path))
    report = json.loads(run.report.read_text("utf-8"))
    changed(run, suites=[*report["suites"], {**report["suites"][0], "name": "general"}])
    opened(app)
    headings = [heading.value for heading in app.header]
    assert {"Base against tuned: domain", "Base against tuned: general"} <= set(headings)
    assert "6 answers, 8 a page." in said(app)
    next(g for g in app.button_group if g.key == "answers-suite").set_value("general").run()
    assert not app.exception and "2 answers, 8 a page." in said(app)


def test_many_answers_are_paged(app: AppTest, run: RunFolder) -> None:
    (path,) = run.path.glob("evals/*/predictions.parquet")
    rows = [(f"row {n}", "g", "p", "r", "b", "t", 0.5, 0.001 * n) for n in range(30)]
    HAND_MADE["write_predictions"](path, rows, True)
    assert "30 answers, 8 a page." in said(opened(app))
    assert "row 0, g" in said(app) and "row 9, g" not in said(app)


def test_answers_that_are_gone_or_damaged(app: AppTest, run: RunFolder) -> None:
    (path,) = run.path.glob("evals/*/predictions.parquet")
    path.write_bytes(b"PAR1 no more")
    assert "cannot be read" in said(opened(app))
    path.unlink()
    assert "The answers of this run are not there any more" in said(opened(app))


# No report ---------------------------------------------------------------------------------------


def test_without_runs_the_page_says_how_to_make_one(app: AppTest) -> None:
    app.switch_page(PAGE).run()
    assert not app.exception and "'recipe run RECIPE' makes one" in said(app)


def test_without_a_choice_the_newest_are_offered(
    app: AppTest, run: RunFolder, make_run: MakeRun
) -> None:
    make_run("legal-1", "failed", None)
    app.switch_page(PAGE).run()
    assert "The newest" in said(app) and "the disk is full" in said(app)
    app.button(key=f"open-{RUN}").click().run()
    assert not app.exception and "Required gates passed" in [tile.label for tile in app.metric]


@pytest.mark.parametrize(
    ("status", "text"),
    [("failed", "The disk is full"), (None, "Its process ended without a word")],
)
def test_a_run_without_report_says_why(
    app: AppTest, make_run: MakeRun, status: str | None, text: str
) -> None:
    make_run("legal-1", status, None)
    assert text in said(opened(app, "legal-1"))
    assert "No report was written." in said(app)
    assert "ended before its plan was written" in said(app)


def test_a_report_that_is_missing_or_damaged_is_built_again(app: AppTest, run: RunFolder) -> None:
    from dsl.recipe import to_json
    from runner.read import read

    recipe = to_json(read(Path("legal.json")).valid().recipe)
    recipe["eval"]["gates"] = []  # the hand-made figures hold only what a report shows
    plan = json.loads(run.plan.read_text("utf-8"))
    run.plan.write_text(json.dumps(plan | {"recipe": recipe}), "utf-8")
    run.report.write_text("{", "utf-8")
    assert "cannot be read" in said(opened(app))
    run.report.unlink()
    assert "No report was written." in said(opened(app))
    (again,) = [button for button in app.button if button.label == "Build the report"]
    again.click().run()
    assert not app.exception and run.report.is_file()
    assert "Judged on 90 examples" in said(app)


def test_what_cannot_be_built_says_why(app: AppTest, run: RunFolder) -> None:
    run.report.unlink()
    run.plan.write_text('{"recipe": 3}', "utf-8")
    opened(app)
    (again,) = [button for button in app.button if button.label == "Build the report"]
    again.click().run()
    assert not app.exception
    assert "its other files are damaged" in "".join(toast.value for toast in app.toast)


@pytest.mark.parametrize("resumed", [False, True])
def test_a_run_that_goes_on_is_watched_elsewhere(
    app: AppTest, run: RunFolder, resumed: bool
) -> None:
    import os

    from runner.runs.process import create_time
    from runner.runs.store import write_json

    run.result.unlink()
    if not resumed:  # else the report of its last attempt is there
        run.report.unlink()
    supervisor = {"pid": os.getpid(), "create_time": create_time(os.getpid()), "state": "running"}
    write_json(run.supervisor(1), supervisor)
    opened(app)
    assert "The report is written when the run ends." in said(app) and not app.metric


def test_a_run_that_ended_early_tells_how_far_it_came(app: AppTest, run: RunFolder) -> None:
    result = json.loads(run.result.read_text("utf-8"))
    failed = {"status": "failed", "reason": "the disk is full", "hint": "free 3 GiB"}
    run.result.write_text(json.dumps(result | failed), "utf-8")
    for path in run.path.glob("evals/*/*"):
        path.unlink()
    write(run.path, collect(run.path, [], None))
    text = said(opened(app))
    assert "The run failed" in html(app) and "What helps: free 3 GiB." in text
    assert "nothing was compared" in text and "did not come so far" in text


def test_a_run_in_the_address_must_be_one_of_the_folder(
    app: AppTest, folder: Path, run: RunFolder
) -> None:
    (folder / "secret").mkdir()
    (folder / "secret/report.json").write_text("{}", "utf-8")
    for run_id in ("../secret", "legal-2", "/etc"):
        opened(app, run_id)
        assert "The newest" in said(app) and not app.metric


def test_a_lock_without_counts_of_rows_is_shown(app: AppTest, run: RunFolder) -> None:
    lock = {"data": {"rows.jsonl": {"sha256": "ab" * 32}}}
    changed(run, lock=lock)
    assert "rows.jsonl: sha256 abababababababab" in said(opened(app))


def test_a_report_says_that_its_run_is_damaged_since(app: AppTest, run: RunFolder) -> None:
    run.result.write_text("{", "utf-8")
    assert "cannot be read" in said(opened(app))

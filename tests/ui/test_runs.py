"""The pages of the runs and of a report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from streamlit.testing.v1 import AppTest

from runner.runs.store import RunFolder

MakeRun = Callable[[str, "str | None", "str | None"], RunFolder]


def test_without_runs_the_pages_say_how_to_make_one(app: AppTest) -> None:
    for page in ("ui/runs.py", "ui/report.py"):
        app.switch_page(page).run()
        assert not app.exception
        assert "'recipe run RECIPE' makes one" in app.text[0].value


def test_runs_are_listed_newest_first_with_their_status(app: AppTest, make_run: MakeRun) -> None:
    make_run("legal-1", "done", "<p>one</p>")
    make_run("legal-2", "failed", None)
    make_run("legal-3", None, None)
    app.switch_page("ui/runs.py").run()
    table = app.dataframe[0].value
    assert list(table["id"]) == ["legal-3", "legal-2", "legal-1"]
    assert list(table["status"]) == ["lost", "failed", "done"]
    assert "the disk is full" in list(table["reason"])


def test_the_report_of_a_run_is_shown(app: AppTest, make_run: MakeRun) -> None:
    make_run("legal-1", "done", "<p>one</p>")
    app.switch_page("ui/report.py").run()
    app.selectbox(key="run").select("legal-1").run()
    assert not app.exception and not app.error
    (frame,) = app.get("iframe")
    assert frame.proto.srcdoc == "<p>one</p>"


def test_a_run_without_report_says_why(app: AppTest, make_run: MakeRun) -> None:
    make_run("legal-1", "failed", None)
    app.switch_page("ui/report.py").run()
    app.selectbox(key="run").select("legal-1").run()
    assert app.text[0].value == "failed: no report yet. the disk is full"


def test_a_run_in_the_address_must_be_one_of_the_folder(
    app: AppTest, folder: Path, make_run: MakeRun
) -> None:
    make_run("legal-1", "done", "<p>one</p>")
    (folder / "secret").mkdir()
    (folder / "secret/report.html").write_text("secret", "utf-8")
    for run_id in ("../secret", "legal-2", "/etc"):
        app.switch_page("ui/report.py")
        app.query_params["run"] = run_id
        app.run()
        assert not app.exception
        assert not app.get("iframe")


def test_a_damaged_run_is_told_in_words(app: AppTest, make_run: MakeRun) -> None:
    make_run("legal-1", "done", None).run.write_text("{", "utf-8")
    app.switch_page("ui/runs.py").run()
    assert not app.exception
    assert list(app.dataframe[0].value["status"]) == ["damaged"]
    app.switch_page("ui/report.py").run()
    app.selectbox(key="run").select("legal-1").run()
    assert "damaged: no report yet." in app.text[0].value

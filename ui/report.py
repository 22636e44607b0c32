"""The page of a report: what a run has shown, the verdict first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import streamlit as st

from dsl.errors import RecipeError
from runner.app.history import Entry
from runner.app.launch import with_runs
from runner.app.monitor import standing
from runner.app.results import answers_of, rebuild, report_of
from runner.report.words import visible
from runner.runs.store import RunFolder
from ui import current
from ui.parts import badge, command, empty, failure, plain
from ui.report_answers import answers
from ui.report_course import data, effort, training
from ui.report_parts import gates, suites, verdict
from ui.runs_known import entries, playground

RUN = "run"  # in the address
NEWEST = 5


def _read(folder: str, stamp: tuple[int, int]) -> dict[str, Any] | None:
    return report_of(RunFolder(Path(folder)))


# read again only where the file has changed
_report = st.cache_data(max_entries=8, show_spinner=False)(_read)


def page() -> None:
    st.title("Report")
    known = {entry.id: entry for entry in entries()}
    if not known:
        empty(
            "No runs yet",
            f"None in {current.runs()}: a report is written when a run ends. "
            "'recipe run RECIPE' makes one.",
            "ui/run.py",
            "Start a run",
        )
        return
    chosen = st.selectbox(
        "Run",
        list(known),
        index=None,
        key=RUN,
        bind="query-params",
        placeholder="Choose a run",
    )
    if chosen is None:
        _newest(list(known.values())[:NEWEST])
        return
    run = RunFolder(current.runs() / chosen)
    try:
        report = _report(str(run.path), _stamp(run.report))
    except RecipeError as error:
        failure(error)
        _again(run)
        return
    # a run that was resumed still has the report of its last attempt
    if report is None or known[chosen].going_on:
        _none(run, known[chosen])
        return
    _shown(run, known[chosen], report)


def _shown(run: RunFolder, entry: Entry, report: dict[str, Any]) -> None:
    if entry.status in ("lost", "damaged"):
        # the report is older than that
        with st.container(border=True):
            badge(entry.status)
            st.text(visible(standing(run).reason or entry.reason or ""))
    verdict(report)
    _links(run, entry, report)
    for problem in report["problems"]:
        with st.container(horizontal=True, vertical_alignment="center"):
            badge("warn")
            st.text(problem)
    worse = (report["examples"] or {}).get("worse")
    titles = ["Gates and figures", f"Answers ({worse:,} worse)" if worse else "Answers",
              "Training", "Data, time, memory"]  # fmt: skip
    figures, each, course, rest = st.tabs(titles)
    with figures:
        gates(report)
        suites(report)
    with each:
        _answers(run, report)
    with course:
        training(report)
    with rest:
        data(report)
        effort(report)
    command(with_runs(("recipe", "report", run.id), current.folder(), current.runs()))


def _answers(run: RunFolder, report: dict[str, Any]) -> None:
    try:
        found = answers_of(run)
    except RecipeError as error:
        failure(error)
        return
    if found is not None:
        answers(found)
    elif report["suites"]:
        st.text("The answers of this run are not there any more: only their figures are.")
    else:
        st.text("No model has answered anything: the run did not come so far.")


def _links(run: RunFolder, entry: Entry, report: dict[str, Any]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        html = run.path / "report.html"
        if html.is_file():
            st.download_button(
                "HTML", html.read_bytes, f"{run.id}.html", "text/html",
                icon=":material/download:", on_click="ignore",
                help="One file that opens in any browser, to send or to print.",
            )  # fmt: skip
        st.download_button(
            "JSON", lambda: json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False),
            f"{run.id}.json", "application/json", icon=":material/download:", on_click="ignore",
            help="The same for other programs, as 'recipe report --json' prints it.",
        )  # fmt: skip
        st.page_link(
            "ui/run.py", label="The run, step by step", icon=":material/play_circle:",
            query_params={RUN: run.id},
        )  # fmt: skip
        playground(entry)
        st.page_link(
            "ui/runs.py", label="Compare with other runs", icon=":material/compare_arrows:",
            query_params={"compare": run.id},
        )  # fmt: skip


def _newest(found: list[Entry]) -> None:
    """What to choose from, where the address names no run."""
    st.header("The newest")
    for entry in found:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            badge(entry.status)
            st.text(entry.id)
            st.button("Open", key=f"open-{entry.id}", on_click=_open, args=(entry.id,))
            if entry.headline or entry.reason:
                st.text(visible(entry.headline or entry.reason or ""))
    st.page_link("ui/runs.py", label="All runs", icon=":material/list:")


def _none(run: RunFolder, entry: Entry) -> None:
    """Why there is no report, and what to do."""
    with st.container(border=True):
        badge(entry.status)
        if entry.going_on:
            st.text("The report is written when the run ends. Until then its own page shows it.")
        else:
            now = standing(run)
            st.text("No report was written.")
            for text in filter(None, (now.reason, now.hint)):
                st.text(visible(text[:1].upper() + text[1:]))
        st.page_link(
            "ui/run.py",
            label="Watch the run" if entry.going_on else "See how far it came",
            query_params={RUN: run.id},
        )
    if not entry.going_on:
        _again(run)


def _again(run: RunFolder) -> None:
    """A report can be made from the run's other files at any time, where there is a plan."""
    if not run.plan.is_file():
        st.caption("It ended before its plan was written: there is nothing to report. Start anew.")
        return
    st.button("Build the report", icon=":material/build:", on_click=_build, args=(run,))
    command(with_runs(("recipe", "report", run.id), current.folder(), current.runs()))


def _build(run: RunFolder) -> None:
    try:
        rebuild(run)
    except RecipeError as error:
        st.toast(plain(f"{error.message}. {error.hint or ''}"))


def _open(run_id: str) -> None:
    st.session_state[RUN] = run_id


def _stamp(path: Path) -> tuple[int, int]:
    if not path.is_file():
        return 0, 0
    known = path.stat()
    return known.st_mtime_ns, known.st_size


page()

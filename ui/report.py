"""The page of a report: report.html of a run, as it is."""

from __future__ import annotations

import streamlit as st

from dsl.errors import RecipeError
from runner.app.server import runs_folder
from runner.runs.store import open_run
from runner.start import overview

HEIGHT_PIXELS = 1200


def page() -> None:
    st.title("Report")
    try:
        rows = overview(runs_folder())
        ids = [row["id"] for row in rows]
        if not ids:
            st.text(f"No runs in {runs_folder()}. 'recipe run RECIPE' makes one.")
            return
        chosen = st.selectbox("Run", ids, index=None, key="run", bind="query-params")
        if chosen is None:
            st.caption("Choose a run.")
            return
        run = open_run(runs_folder(), chosen)
    except RecipeError as error:
        st.error(error.message)
        return
    row = rows[ids.index(chosen)]
    report = run.path / "report.html"
    if not report.is_file():
        st.text(f"{row['status']}: no report yet. {row['reason'] or ''}")
        return
    html = report.read_text("utf-8")
    st.download_button("Download", html, f"{run.id}.html", "text/html", on_click="ignore")
    # its own content policy lets no script run but the one whose hash it names
    st.iframe(html, height=HEIGHT_PIXELS)


page()

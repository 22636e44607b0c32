"""The page of the runs: one row each, newest first."""

from __future__ import annotations

import streamlit as st

from runner.app.server import runs_folder
from runner.start import overview

EVERY_SECONDS = 2
COLUMNS = {"id": "Run", "name": "Recipe", "status": "Status", "created": "Begun", "reason": "Why"}


def table() -> None:
    rows = overview(runs_folder())
    if not rows:
        st.text(f"No runs in {runs_folder()}. 'recipe run RECIPE' makes one.")
        return
    found = st.dataframe(
        rows,
        column_order=list(COLUMNS),
        column_config=dict(COLUMNS),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key="chosen",
        placeholder="",
        alt="Runs with their status, newest first",
    )
    st.caption("Select a row to see its report.")
    if chosen := found["selection"]["rows"]:
        st.switch_page("ui/report.py", query_params={"run": rows[chosen[0]]["id"]})


st.title("Runs")
st.fragment(table, run_every=EVERY_SECONDS)()

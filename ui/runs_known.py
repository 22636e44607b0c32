"""The runs of the folder as pages of runs know them, and the ways from one to its pages."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from runner.app.history import Entry, history, now, stamp
from ui import current


def _history(runs: str, stamp: object) -> list[Entry]:
    return history(Path(runs))


# read again only where a run has told something new
_known = st.cache_data(max_entries=4, show_spinner=False)(_history)


def entries() -> list[Entry]:
    """All runs, the newest first."""
    runs = current.runs()
    return now(runs, _known(str(runs), stamp(runs)))


def playground(entry: Entry) -> None:
    """The way to talk to what the run has made."""
    if entry.after is not None:
        st.page_link(
            "ui/playground.py",
            label="Try the model",
            icon=":material/forum:",
            query_params={"run": entry.id},
        )

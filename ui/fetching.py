"""Datasets of a hub: the one thing that a page may fetch from outside, and only when asked."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dsl.errors import RecipeError
from runner.app import sources
from runner.app.drafts import Draft
from runner.app.sources import Named
from ui import current
from ui.parts import badge

FAILED = "fetch-failed"  # what the last try said


def unfetched(of: Draft) -> bool:
    """Shows which datasets of a hub are not on this machine, if any, with the way to them.

    Raises InvalidRecipe.
    """
    lacking = sources.unfetched(of.text, current.place(of).name)
    if lacking:
        offer(lacking)
    return bool(lacking)


def offer(lacking: Sequence[Named]) -> None:
    names = ", ".join(str(source.values.get("dataset")) for source in lacking)
    with st.container(border=True):
        badge("info", "not fetched yet")
        st.text(
            f"The recipe names rows of a hub: {names}. They are not on this machine, "
            "and are seen and counted here once they were fetched."
        )
        if said := st.session_state.pop(FAILED, None):
            badge("error", "it could not be fetched")
            st.text(said)
        if st.button("Fetch now", key="fetch", icon=":material/download:"):
            _fetch(lacking)
            st.rerun()
        st.caption(
            "It comes from huggingface.co and is kept on this machine. "
            "On a terminal 'recipe check' does the same."
        )


def _fetch(lacking: Sequence[Named]) -> None:
    try:
        for source in lacking:
            with st.spinner("Fetching"):
                sources.fetch(source)
    except RecipeError as error:
        st.session_state[FAILED] = ": ".join(filter(None, (error.message, error.hint)))

"""Parts of all pages: states, problems, commands. What others wrote is shown as text."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import join

import streamlit as st

from dsl.errors import RecipeError
from runner.app.drafts import Draft
from ui import current
from ui.text import plain as plain

# state → colour, icon, word: never told by colour alone
STATES: dict[str, tuple[str, str, str]] = {
    "pass": ("green", ":material/check_circle:", "passed"),
    "warn": ("orange", ":material/warning:", "warning"),
    "error": ("red", ":material/error:", "error"),
    "info": ("blue", ":material/info:", "note"),
    "not_run": ("gray", ":material/pending:", "not run"),
    "off": ("gray", ":material/block:", "off"),
    "starting": ("blue", ":material/hourglass_top:", "starting"),
    "queued": ("blue", ":material/schedule:", "queued"),
    "running": ("blue", ":material/play_circle:", "running"),
    "stopping": ("orange", ":material/stop_circle:", "stopping"),
    "stalled": ("orange", ":material/hourglass_disabled:", "stalled"),
    "done": ("green", ":material/check_circle:", "done"),
    "gate_failed": ("red", ":material/gpp_bad:", "gate failed"),
    "inconclusive": ("orange", ":material/help:", "inconclusive"),
    "failed": ("red", ":material/error:", "failed"),
    "interrupted": ("orange", ":material/pause_circle:", "interrupted"),
    "lost": ("red", ":material/link_off:", "lost"),
    "damaged": ("red", ":material/broken_image:", "damaged"),
    "waiting": ("gray", ":material/pending:", "to do"),
    "cached": ("green", ":material/inventory_2:", "was there"),
    "stopped": ("orange", ":material/pause_circle:", "stopped"),
    "fail": ("red", ":material/gpp_bad:", "did not pass"),
    "measured": ("blue", ":material/straighten:", "measured"),
    "unfinished": ("orange", ":material/hourglass_empty:", "has not ended"),
    "win": ("green", ":material/trending_up:", "better"),
    "tie": ("gray", ":material/drag_handle:", "equal"),
    "loss": ("red", ":material/trending_down:", "worse"),
    "unknown": ("gray", ":material/help:", "not measured"),
}


def badge(state: str, words: str | None = None) -> None:
    """A state with its icon and its word."""
    color, icon, word = STATES[state]
    st.badge(words or word, icon=icon, color=color)


def empty(title: str, text: str, page: str | None = None, label: str = "") -> None:
    """Why a page shows nothing yet, and the way on: `page` as in 'ui/data.py'."""
    with st.container(border=True):
        st.header(title)
        st.text(text)
        if page:
            st.page_link(page, label=label)


def failure(error: RecipeError) -> None:
    """What went wrong and the smallest fix. As plain text: it may quote data."""
    with st.container(border=True):
        badge("error")
        st.text(error.message)
        if error.hint:
            st.text(error.hint)


def command(*lines: Sequence[str]) -> None:
    """The same on a terminal: each line a list of words."""
    with st.expander("The same on a terminal", icon=":material/terminal:"):
        st.code("\n".join(join(words) for words in lines), language=None)


def needed_draft(what: str) -> Draft:
    """The current draft; without one the page says what it needs it for, and ends."""
    found = current.draft()
    if found is None:
        empty(
            "No recipe is open",
            f"{what} Open one, or begin with your data.",
            "ui/home.py",
            "Choose a recipe or data",
        )
        st.stop()
        raise AssertionError  # st.stop does not return
    return found

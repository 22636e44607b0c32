"""The page of runs that go on: start one, wait for its turn, watch it, stop it, go on with it."""

from __future__ import annotations

import streamlit as st

from dsl.errors import RecipeError
from runner.app import launch
from runner.app.launch import Launch
from runner.app.monitor import standing, unfinished
from runner.report.words import visible
from runner.runs.queue import tickets
from runner.runs.store import RunFolder, open_run
from ui import current
from ui.parts import badge, command, empty
from ui.run_start import NEXT, card, show, shown_next
from ui.run_watch import watch

RUN, START = "run", "start"  # in the address: what the page shows survives a reload
EVERY_SECONDS = 2
SHOWN = 10


def page() -> None:
    st.title("Run")
    if (address := st.session_state.pop(NEXT, None)) is not None:
        for name in (RUN, START):
            st.query_params.pop(name, None)
        st.query_params.update(address)
    if run_id := st.query_params.get(RUN):
        _one(run_id)
    elif launch_id := st.query_params.get(START):
        _starting(launch_id)
    else:
        _overview()


def _one(run_id: str) -> None:
    _back()
    try:
        run = open_run(current.runs(), run_id)
    except RecipeError:
        empty("There is no such run", f"Nothing is called so in {current.runs()}.",
              "ui/runs.py", "See all runs")  # fmt: skip
        return
    watch(run)


def _starting(launch_id: str) -> None:
    _back()
    try:
        begun = launch.find(current.runs(), launch_id)
    except RecipeError as error:
        empty("There is no such start", error.message, "ui/runs.py", "See all runs")
        return
    if run := launch.run_of(current.runs(), begun):
        del st.query_params[START]
        st.query_params[RUN] = run.id
        watch(run)
        return
    alive = launch.alive(begun)
    st.fragment(_begins, run_every=EVERY_SECONDS / 2 if alive else None)(begun, alive)
    command(begun.words)


def _begins(begun: Launch, was_alive: bool) -> None:
    """From the click until the plan stands: then there is a run, and its page is shown."""
    alive = launch.alive(begun)  # before looking for the run: its last deed may be to make it
    if launch.run_of(current.runs(), begun) or alive != was_alive:
        st.rerun()
    with st.container(border=True):
        if alive:
            badge("starting")
            st.text("It reads and checks all data and makes the plan; then it has a name.")
            st.button("Cancel", key="cancel", on_click=launch.cancel, args=(begun,))
        else:
            badge("failed", "did not start")
            st.text("No run was made, nothing was spent. It said:")
        text = launch.said(current.runs(), begun)
        st.code(visible(text) or "nothing so far", language=None, wrap_lines=True)


def _overview() -> None:
    runs = current.runs()
    first = next((ticket.run for ticket in tickets(runs)), None)
    card(first)
    open_ends = unfinished(runs)[:SHOWN]
    begun = launch.without_run(runs)[:SHOWN]
    going = any(standing(run).going_on for run in open_ends) or any(lives for _, lives in begun)
    st.fragment(_list, run_every=EVERY_SECONDS if going else None)(going)


def _list(was_going: bool) -> None:
    """What goes on, waits, was lost, or never started."""
    runs = current.runs()
    stands = [(run, standing(run)) for run in unfinished(runs)[:SHOWN]]
    begun = launch.without_run(runs)[:SHOWN]
    going = any(now.going_on for _, now in stands) or any(lives for _, lives in begun)
    if going != was_going or shown_next() is not None:
        st.rerun()
    st.header("Runs that have not ended")
    if not stands and not begun:
        st.text("No run goes on, and none waits.")
    for number, (known, lives) in enumerate(begun):
        _row_of_start(number, known, lives)
    for run, now in stands:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            badge(now.state)
            st.text(run.id)
            label = "Watch" if now.going_on else "Look"
            st.button(label, key=f"watch-{run.id}", on_click=_show, args=(run,))
            if now.reason:
                st.text(now.reason)
    st.page_link("ui/runs.py", label="All runs", icon=":material/list:")


def _row_of_start(number: int, known: Launch, lives: bool) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        badge("starting" if lives else "failed", None if lives else "did not start")
        st.text(" ".join(known.words))
        st.button("Look", key=f"look-{number}", on_click=_look, args=(known,))
        if not lives:
            st.button("Dismiss", key=f"dismiss-{number}", on_click=_dismiss, args=(known,))


def _show(run: RunFolder) -> None:
    show(run=run.id)


def _look(known: Launch) -> None:
    show(start=known.id)


def _dismiss(known: Launch) -> None:
    launch.forget(current.runs(), known)


def _back() -> None:
    st.button("Start another, see what goes on", icon=":material/arrow_back:", type="tertiary",
              key="back", on_click=_leave)  # fmt: skip


def _leave() -> None:
    show()


page()

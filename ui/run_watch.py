"""One run as it goes on: how it stands, its steps, its figures and curves, what it says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from dsl.errors import RecipeError
from runner.app.curves import Curve
from runner.app.launch import launch_of, said, tail, with_runs, words_of_resume
from runner.app.monitor import Monitor, Standing, Step, monitor, phases, standing
from runner.report.words import NONE, duration, plural, visible
from runner.runs.state import stop
from runner.runs.store import RunFolder
from ui import current
from ui.parts import badge, command, plain
from ui.run_charts import line, losses
from ui.run_start import begin, shown_next
from ui.text import toast
from ui.words import term

EVERY_SECONDS = 2
SPARK_POINTS = 60
BADGE_PIXELS = 96
SHOWN_MESSAGES = 12
LOADING = ("train", "evaluate")  # steps that begin with it


def watch(run: RunFolder) -> None:
    """The whole page of a run; it is read again every two seconds while the run goes on."""
    alive = standing(run).going_on
    st.fragment(_live, run_every=EVERY_SECONDS if alive else None)(run, alive)
    command(*_commands(run))


def _live(run: RunFolder, alive: bool) -> None:
    now = standing(run)
    if now.going_on != alive or shown_next() is not None:
        st.rerun()  # the clock of a fragment is fixed where it is made
    _head(run, now)
    try:
        seen = _seen(run)
    except RecipeError as error:
        st.text(error.message)
        return
    steps = phases(seen, now.state, (run.path / "report.json").is_file())
    _progress(steps, now)
    _steps(steps)
    _tiles(seen, now)
    _curves(seen)
    _words(run, seen)


def _seen(run: RunFolder) -> Monitor:
    """What this session has read of the run; only what is new is read again."""
    known: Monitor | None = st.session_state.get("monitor")
    size = run.events.stat().st_size if run.events.exists() else 0
    if known is None or known.path != run.events or size < known.offset:
        known = st.session_state["monitor"] = monitor(run)
    known.read()
    return known


def _head(run: RunFolder, now: Standing) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        badge(now.state)
        st.text(run.id)
        if now.going_on and now.state != "stopping":
            label = "Give up its place" if now.state == "queued" else "Stop and save a checkpoint"
            st.button(label, icon=":material/stop:", key="stop", on_click=_stop, args=(run,))
        if now.resumable:
            st.button(
                "Resume",
                type="primary",
                icon=":material/resume:",
                key="resume",
                on_click=_resume,
                args=(run,),
            )
        if (run.path / "report.json").is_file() and not now.going_on:
            st.page_link(
                "ui/report.py",
                label="Report",
                icon=":material/fact_check:",
                query_params={"run": run.id},
            )
    if now.reason or now.hint:
        with st.container(border=True):
            # as plain text: it may quote data
            for text in filter(None, (now.reason, now.hint)):
                st.text(text[:1].upper() + text[1:])


def _progress(steps: Sequence[Step], now: Standing) -> None:
    active = next((step for step in steps if step.state == "running"), None)
    if not now.going_on or active is None:
        return
    if active.progress is None:
        if active.name in LOADING:
            st.caption("The model is being loaded; on a slow computer this takes a minute or two.")
        return
    done, total, what = active.progress
    text = f"{active.title}: {done:,} of {total:,} {what}"
    st.progress(min(1.0, done / max(1, total)), text=plain(visible(text)))


def _steps(steps: Sequence[Step]) -> None:
    """A row each: state, what, how long, what it says."""
    now = datetime.now(UTC)
    with st.container(border=True, gap="xsmall"):
        for step in steps:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                with st.container(width=BADGE_PIXELS):
                    badge(step.state)
                st.text(step.title[:1].upper() + step.title[1:])
                elapsed = step.elapsed(now)
                told = [duration(elapsed) if elapsed and elapsed >= 0.1 else "", step.reason]
                if extra := " · ".join(filter(None, told)):
                    st.caption(plain(visible(extra)))


def _tiles(seen: Monitor, now: Standing) -> None:
    if not seen.train:
        return
    training = now.going_on and seen.train["at"] < seen.train["steps"]
    left = duration(seen.train["seconds_left"]) if training else NONE
    one, two, three = st.columns(3)
    with one:
        _tile("Loss", seen.curves["loss"], "{:.3f}", term("loss"))
    with two:
        _tile("Held-out loss", seen.validation, "{:.3f}", term("held_out"))
    with three:
        after = "Estimated from the steps so far. The comparison of the models follows it."
        st.metric("Training time left", left, border=True, help=after, height="stretch")
    one, two, three = st.columns(3)
    with one:
        _tile("Learning rate", seen.curves["learning_rate"], "{:.2e}", term("learning_rate"))
    with two:
        _tile("Gradient norm", seen.curves["grad_norm"], "{:.2f}", term("gradient_norm"))
    with three:
        _tile("Tokens a second", seen.curves["tokens_per_second"], "{:,.0f}", term("token"))


def _tile(label: str, curve: Curve, form: str, help: str) -> None:
    values = [span.mean for span in curve.spans()]
    every = max(1, len(values) // SPARK_POINTS)
    st.metric(
        label,
        form.format(curve.last[1]) if curve.last else NONE,
        border=True,
        help=help,
        chart_data=values[::every] if len(values) > 1 else None,
        height="stretch",
    )


def _curves(seen: Monitor) -> None:
    if len(seen.curves["loss"].spans()) < 2:
        if seen.train:
            st.caption("The curves are drawn from the second step on.")
        return
    losses(seen.curves["loss"], seen.validation)
    left, right = st.columns(2)
    with left:
        line(seen.curves["learning_rate"], "Learning rate")
    with right:
        line(seen.curves["grad_norm"], "Gradient norm")


def _words(run: RunFolder, seen: Monitor) -> None:
    if seen.messages:
        with st.expander(f"Messages ({len(seen.messages)})", icon=":material/chat:"):
            lines = [
                f"{message.time[11:19]}  {message.step:<10} "
                f"{'! ' if message.level != 'info' else ''}{message.text}"
                for message in seen.messages[-SHOWN_MESSAGES:]
            ]
            st.code(visible("\n".join(lines)), language=None, wrap_lines=True)
    with st.expander("Log", icon=":material/article:"):
        begun = launch_of(current.runs(), run)
        told = [said(current.runs(), begun) if begun else "", tail(run.log)]
        text = "\n\n".join(filter(None, told))
        st.code(visible(text) or "Nothing was said so far.", language=None, height=260)
        st.caption(plain(f"The ends of what the run and its workers say; all of it: {run.log}"))
    if seen.damaged:
        st.caption(f"{plural(seen.damaged, 'line')} of events.jsonl could not be read.")


def _commands(run: RunFolder) -> list[tuple[str, ...]]:
    folder, runs = current.folder(), current.runs()
    begun = launch_of(runs, run)
    started = [begun.words] if begun else []
    others = [("recipe", "stop", run.id), words_of_resume(run.id), ("recipe", "report", run.id)]
    return [*started, *(with_runs(words, folder, runs) for words in others)]


def _stop(run: RunFolder) -> None:
    try:
        stop(run)
    except RecipeError as error:
        toast(error.message)


def _resume(run: RunFolder) -> None:
    try:
        begin(words_of_resume(run.id))
    except RecipeError as error:
        toast(error.message)

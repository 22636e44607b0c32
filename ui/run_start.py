"""The card that starts a run: what will happen, what is against it, the button, the command."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dsl.errors import InvalidRecipe, RecipeError
from dsl.problems import errors
from runner.app import drafts
from runner.app.drafts import Draft
from runner.app.launch import Launch, launch, with_runs, words_of_start
from runner.app.outlook import Outlook, Stamp, outlook, stamp, stops
from runner.report.words import NONE, plural, size
from ui import current
from ui.fetching import unfetched
from ui.parts import badge, command, empty, failure
from ui.text import plain, toast
from ui.words import term

KEPT_SECONDS = 60  # free memory and disk change
NEXT = "run_next"
TILE = 196  # pixels
TRIAL, OFFLINE = "run_trial_steps", "run_offline"


def card(busy: str | None) -> None:
    """`busy`: the run that has the device, for which a new one would wait."""
    draft = current.draft()
    if draft is None:
        empty(
            "No recipe is open",
            "Open a recipe, or begin with your data; then start its run here.",
            "ui/home.py",
            "Choose a recipe or data",
        )
        return
    with st.container(border=True):
        st.header("Start a run")
        state = drafts.state(current.folder(), draft)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.text(draft.name)
            _saved(state)
        # the options stand below what they change
        reason = _against(draft, state, st.session_state.get(TRIAL))
        trial, offline = _options()
        _button(draft, state, reason, busy)
    lines = with_runs(words_of_start(draft.name, trial, offline), current.folder(), current.runs())
    command(lines)


def _saved(state: drafts.State) -> None:
    match state:
        case "saved":
            badge("pass", "saved")
        case "conflict":
            badge("error", "changed by somebody else")
        case _:
            badge("warn", "not saved yet")


def _options() -> tuple[int | None, bool]:
    with st.expander("Options", icon=":material/tune:"):
        trial = st.number_input(
            "Short trial: end the training after so many steps",
            min_value=1,
            max_value=1_000_000,
            value=None,
            step=1,
            placeholder="whole training",
            key=TRIAL,
            help="A few steps show in minutes whether everything works. " + term("step"),
        )
        offline = st.checkbox(
            "Fetch nothing from outside",
            key=OFFLINE,
            help="The base model must be on this machine already.",
        )
    return trial, offline


def _against(draft: Draft, state: drafts.State, trial: int | None) -> str | None:
    """Shows what will happen. Why the run must not be started; None where nothing is against it."""
    place = current.place(draft)
    sets = (f"training.max_steps={trial}",) if trial else ()
    try:
        if unfetched(draft):
            return "Its data are not on this machine."
        marks = stamp(draft.text, place.name, place.parent)
        seen = _outlook(draft.text, place.name, place.parent, sets, marks)
    except InvalidRecipe as invalid:
        wrong = errors(invalid.problems)
        with st.container(border=True):
            badge("error", plural(len(wrong), "error") + " in the recipe")
            for problem in wrong[:3]:
                where = f"line {problem.line}: " if problem.line else ""
                st.text("\n".join(filter(None, (f"{where}{problem.message}", problem.hint))))
            st.page_link("ui/recipe.py", label="Mend it", icon=":material/description:")
        return "The recipe has errors."
    except RecipeError as error:
        failure(error)
        return "The data cannot be read."
    _tiles(seen)
    _warnings(seen)
    if state == "conflict":
        st.page_link("ui/recipe.py", label="Look at the difference", icon=":material/difference:")
        return "The recipe's file was changed by somebody else since it was opened."
    return stops(seen)


def _fresh(text: str, name: str, folder: Path, sets: tuple[str, ...], marks: Stamp) -> Outlook:
    return outlook(text, name, folder, sets)


_outlook = st.cache_data(ttl=KEPT_SECONDS, max_entries=8, show_spinner="Reading the data")(_fresh)


def _tiles(seen: Outlook) -> None:
    held_out = sum(count for part, count in seen.rows.items() if part != "train")
    parts = "; ".join(f"{name} {_range(*span)}" for name, span in seen.seconds.items())
    fits = "fits in" if seen.fits else "DOES NOT FIT in"
    there = f"{fits} {size(seen.device_bytes)}" if seen.bytes else "not known"
    # on a narrow screen several stand below one another
    with st.container(horizontal=True):
        _tile(
            "Time (estimated)",
            _range(*seen.total_seconds) if seen.total_seconds else NONE,
            "train and evaluate",
            f"On {seen.device}. Of it: {parts}." if parts else "Not known before the run.",
        )
        _tile(
            "Memory (estimated)",
            size(seen.bytes),
            there,
            f"Most that is held at once, on {seen.device}.",
        )
        learnt = f"{seen.rows.get('train', 0):,}"
        _tile("Training examples", learnt, f"and {held_out:,} held out", term("held_out"))
        count = f"{seen.steps:,}" if seen.steps else NONE
        _tile("Training steps", count, "of the weights", term("step"))


def _tile(label: str, value: str, below: str, help: str) -> None:
    st.metric(
        label,
        value,
        delta=below,
        delta_color="off",
        delta_arrow="off",
        border=True,
        help=help,
        height="stretch",
        width=TILE,
    )


def _warnings(seen: Outlook) -> None:
    for check, message, hint in seen.failed:
        with st.container(border=True):
            badge("error", f"data check '{check}'")
            st.text("\n".join(filter(None, (message, hint))))
            st.page_link("ui/checklist.py", label="See the checklist", icon=":material/checklist:")
    for problem in (*seen.problems, *([seen.short] if seen.short else [])):
        with st.container(border=True):
            badge("error" if problem.severity == "error" or problem is seen.short else "warn")
            st.text("\n".join(filter(None, (problem.message, problem.hint))))
    if seen.warned:
        label = f"{plural(seen.warned, 'warning')} of the data checks"
        st.page_link("ui/checklist.py", label=label, icon=":material/warning:")
    if seen.fetches:
        st.text(f"The base model {seen.base} is not on this machine: the run fetches it first.")


def _button(draft: Draft, state: drafts.State, reason: str | None, busy: str | None) -> None:
    label = "Start" if state == "saved" else f"Save as {plain(Path(draft.name).name)} and start"
    st.button(
        label if state == "saved" or draft.path is None else "Save and start",
        type="primary",
        icon=":material/play_arrow:",
        key="start",
        disabled=reason is not None,
        on_click=_start,
    )
    if reason:
        st.text(f"It cannot be started yet. {reason}")
    elif busy:
        st.text(f"Run {busy} has the device: this one waits, and starts by itself.")
    else:
        st.caption("It goes on when you close this page, and when the app is stopped.")


def _start() -> None:
    """Starts what stands on the page now: the click may come before what was typed is shown."""
    draft = current.draft()
    if draft is None:
        return
    try:
        if drafts.state(current.folder(), draft) != "saved":
            draft = current.set_draft(drafts.save(current.folder(), draft))
        trial, offline = st.session_state.get(TRIAL), st.session_state.get(OFFLINE, False)
        begin(words_of_start(draft.name, trial, offline))
    except RecipeError as error:
        toast(f"{error.message}. {error.hint or ''}", icon=":material/error:")


def begin(words: tuple[str, ...]) -> Launch:
    """Starts a command; the page then shows how it begins. Raises RunError."""
    begun = launch(words, current.folder(), current.runs())
    show(start=begun.id)
    return begun


def show(**address: str) -> None:
    """The page shows this next. A fragment, once it sees `shown_next`, asks for the whole page."""
    st.session_state[NEXT] = address


def shown_next() -> dict[str, str] | None:
    found: dict[str, str] | None = st.session_state.get(NEXT)
    return found


def _range(low: float, high: float) -> str:
    """Two estimates in one unit, no finer than they deserve."""
    if high < 90:
        return _joined(f"{max(1, low):.0f}", f"{max(1, high):.0f}", "s")
    if high < 5400:
        return _joined(f"{max(1, low / 60):.0f}", f"{high / 60:.0f}", "min")
    return _joined(f"{low / 3600:.1f}", f"{high / 3600:.1f}", "h")


def _joined(low: str, high: str, unit: str) -> str:
    return f"{low} {unit}" if low == high else f"{low}\u2013{high} {unit}"

"""The page of the plan: what a run would do, need and cost, before anything is spent."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dsl.errors import InvalidRecipe, RecipeError
from dsl.problems import dotted
from runner.app.outlook import stamp
from runner.app.planning import Planning, cost, diagram, order, plan_of, since_last
from runner.app.recipes import judged
from runner.compare import written
from runner.report.words import duration, size
from ui import charts, current
from ui.fetching import unfetched
from ui.parts import badge, command, empty, failure, needed_draft, plain
from ui.words import term

GIB = 1024**3
KEPT = 8  # plans of a server
TILE = 176  # pixels
EPOCH = f"{term('epoch')} {term('token')}"
ESTIMATED = "Estimated from the speed of this machine: training and evaluation together."


def _made(text: str, name: str, folder: str, files: object, runs: str) -> Planning:
    return plan_of(judged(text, name, Path(folder)), Path(runs))


# kept for as long as the recipe's text and its files stay as they are
_planning = st.cache_data(max_entries=KEPT, show_spinner=False)(_made)


def page() -> None:
    st.title("Plan")
    draft = needed_draft("A plan is made from a recipe.")
    st.caption(plain(f"{draft.name}: what would happen, before anything is spent."))
    path = current.place(draft)
    try:
        if unfetched(draft):
            return
        with st.spinner("Reading the data"):
            files = stamp(draft.text, path.name, path.parent)
            planning = _planning(
                draft.text, path.name, str(path.parent), files, str(current.runs())
            )
    except InvalidRecipe as error:
        count = len(error.problems)
        empty(
            "This recipe cannot be planned yet",
            "\n".join(
                f"{dotted(problem.path)}: {problem.message}" for problem in error.problems[:8]
            ),
            "ui/recipe.py",
            f"Mend {count} problem{'s' * (count != 1)} on the page of the recipe",
        )
        return
    _figures(planning)
    _memory(planning)
    _notes(planning)
    _steps(planning)
    _since(planning)
    _values(planning)
    with st.container(horizontal=True):
        st.page_link("ui/checklist.py", label="See the checklist", icon=":material/checklist:")
        st.page_link("ui/run.py", label="Start the run", icon=":material/play_circle:")
    command(["recipe", "plan", draft.name], ["recipe", "explain", draft.name])


def _figures(planning: Planning) -> None:
    plan = planning.plan
    estimate, schedule, targets = plan.estimate, plan.schedule, plan.targets
    tiles: list[tuple[str, str, str, str | None]] = []
    if targets:
        below = f"{targets.share:.2%} of all, exact"
        learnt = f"{targets.trainable_parameters:,}"
        tiles.append(("Trained parameters", learnt, below, term("parameters")))
    if plan.tokens:
        below = f"{plan.tokens.trained:,} trained, {plan.tokens.how}"
        tiles.append(("Tokens an epoch", f"{plan.tokens.total:,}", below, EPOCH))
    if schedule:
        rows = plan.parts["train"].rows if "train" in plan.parts else 0
        tiles.append(("Steps", f"{schedule.steps:,}", f"{rows:,} examples", term("step")))
    if estimate:
        low, high = estimate.total_seconds
        tiles.append(("Time at most", duration(high), f"at least {duration(low)}", ESTIMATED))
    # on a narrow screen several stand below one another
    with st.container(horizontal=True):
        for label, value, below, help in tiles:
            st.metric(
                label, value, below, delta_color="off", delta_arrow="off", help=help, width=TILE
            )
        if estimate:
            _price(estimate.total_seconds)


def _price(seconds: tuple[float, float]) -> None:
    with st.container(width=TILE):
        price = st.number_input(
            "Price of an hour", min_value=0.0, value=0.0, step=0.5, key="price",
            persist_state="session", help="What this machine costs an hour, in your currency.",
        )  # fmt: skip
        if price:
            low, high = cost(seconds, price)
            st.caption(f"about {low:,.2f} to {high:,.2f} for the run")


def _memory(planning: Planning) -> None:
    estimate = planning.plan.estimate
    st.header("Memory")
    if estimate is None:
        st.text("Not estimated: the data have no training rows, or the device is not known.")
        return
    fits = "It fits." if estimate.fits else "It does not fit."
    room = f"of {size(estimate.device_bytes)} of {estimate.device}"
    said = f"About {size(estimate.memory.total)} {room} (estimated)."
    _note("pass" if estimate.fits else "error", f"{fits} {said}")
    parts = [(words, held / GIB) for words, held in planning.memory]
    alt = f"{fits} {said} " + "; ".join(f"{words} {held:.2f} GiB" for words, held in parts)
    there = f"{size(estimate.device_bytes)} there"
    charts.whole(parts, alt, "GiB", estimate.device_bytes / GIB, there)
    if not planning.smaller:
        return
    title = "What would make it fit" if not estimate.fits else "What would need less"
    with st.expander(title, expanded=not estimate.fits, icon=":material/compress:"):
        for index, one in enumerate(planning.smaller):
            row = st.container(horizontal=True, vertical_alignment="center")
            with row:
                badge("pass" if one.fits else "error", "fits" if one.fits else "does not fit")
                st.text(f"{one.words}: {size(one.bytes)}. It costs {one.costs}.")
                st.button("Do it", key=f"smaller-{index}", on_click=current.mend, args=(one.patch,))


def _steps(planning: Planning) -> None:
    st.header("Steps")
    picture, listed = st.columns([2, 3], gap="medium")
    with picture:
        st.mermaid_chart(diagram(planning), width="content", alt=order(planning))
    with listed, st.container(gap="xsmall"):
        for step in planning.plan.steps:
            state, _, reason = planning.reasons.get(step.name, "").partition(": ")
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                badge("cached" if state == "cached" else "waiting")
                st.text(step.title[:1].upper() + step.title[1:])
            if reason:
                st.caption(plain(reason))


def _notes(planning: Planning) -> None:
    """Notes, warnings and what the quick checks of the data found."""
    st.header("Worth knowing")
    notable = [found for found in planning.findings if found.state in ("warn", "error")]
    for problem in planning.problems:
        state = {"error": "error", "warning": "warn", "info": "info"}[problem.severity]
        _note(state, "\n".join(filter(None, (problem.message, problem.hint))))
    for found in notable:
        _note(found.state, f"{found.check.replace('_', ' ')}: {found.message}")
    if not notable and not planning.problems:
        st.text("Nothing speaks against this run.")
    if any(found.state == "not_run" for found in planning.findings):
        st.caption("Checks that read all texts were not run here: see the checklist.")


def _note(state: str, text: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        badge(state)
        st.text(text)


def _since(planning: Planning) -> None:
    """What is other than it was in the last run of this recipe."""
    found = since_last(planning, current.runs())
    if found is None:
        return
    last, differing = found
    st.header("Since the last run")
    if not differing:
        st.text(f"Nothing differs from {last}: recipe, data and versions are the same.")
        return
    listed = [
        {"what": row.name, last: written(row.values[0]), "this plan": written(row.values[1])}
        for row in differing
    ]
    st.dataframe(listed, hide_index=True, alt=f"What differs from the run {last}")


def _values(planning: Planning) -> None:
    with st.expander("Every value and where it comes from", icon=":material/manage_search:"):
        st.dataframe(
            planning.values, hide_index=True, alt="Settings with their values and their origins"
        )


try:
    page()
except RecipeError as error:
    failure(error)

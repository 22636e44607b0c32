"""The first page: what to do next, recipes, examples, the last runs, and the advisor."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dsl.errors import RecipeError
from runner.app import drafts
from runner.app.examples import bring
from runner.app.next_steps import Next, Row, headline, next_step
from runner.app.recipes import recipes
from runner.examples import list_examples
from runner.runs.state import GOING_ON
from runner.start import overview
from ui import current
from ui.advisor import advisor
from ui.parts import STATES, badge, command, failure, plain
from ui.text import toast

SHOWN = 5
HEADLINES = 3  # of the last runs: the rest are on their page


def page() -> None:
    st.title("Fine-tune a language model of your own")
    st.text(
        "From a file of examples to a model that is trained, judged and explained. "
        "Everything happens on this machine."
    )
    rows = overview(current.runs())
    _next(next_step(current.folder(), current.runs(), rows, current.draft(), current.seen()))
    left, right = st.columns(2, gap="large")
    with left:
        _recipes()
    with right:
        _runs(rows)
    _examples()
    st.divider()
    advisor()


def _next(step: Next) -> None:
    with st.container(border=True):
        st.caption("What to do next")
        st.header(plain(step.title))
        st.text(step.why)
        for detail in step.details:
            st.text(f"What to change: {detail}")
        with st.container(horizontal=True, vertical_alignment="center"):
            if st.button(step.label, key="next", type="primary", icon=":material/arrow_forward:"):
                shown = {"run": step.run} if step.run else None
                st.switch_page(step.page, query_params=shown)
            if step.also:
                page, label = step.also
                st.page_link(page, label=label, icon=":material/edit:")


# ---------------------------------------------------------------- recipes


def _recipes() -> None:
    st.header("Recipes")
    found, of = recipes(current.folder()), current.draft()
    for path in found[:SHOWN]:
        name = path.relative_to(current.folder()).as_posix()
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                plain(name),
                key=f"open-{name}",
                icon=":material/description:",
                on_click=_open,
                args=(name,),
            )
            if of is not None and of.path == name:
                badge("info", "open")
    if len(found) > SHOWN:
        more = f"{len(found) - SHOWN} more"
        st.page_link("ui/recipe.py", label=more, icon=":material/more_horiz:")
    loose = [one for one in drafts.drafts(current.folder()) if one.path is None]
    for one in loose[:SHOWN]:
        with st.container(horizontal=True, vertical_alignment="center"):
            said = plain(f"draft, not saved, of {one.changed[:16].replace('T', ' ')}")
            st.button(said, key=f"draft-{one.id}", icon=":material/edit_note:",
                      on_click=current.set_draft, args=(one,))  # fmt: skip
            if of is not None and of.id == one.id:
                badge("info", "open")
    if not found and not loose:
        st.text(f"None in {current.folder()} yet.")
    st.page_link("ui/data.py", label="Begin with your own data", icon=":material/upload_file:")


def _open(name: str) -> None:
    try:
        current.open_file(current.folder() / name)
    except (RecipeError, OSError) as error:
        toast(f"{name} cannot be read: {error}")


def _examples() -> None:
    st.header("Examples")
    st.caption("With their data, copied into this folder in one click and yours to change.")
    examples = list_examples()
    for column, (name, description) in zip(st.columns(len(examples)), examples, strict=True):
        with column:
            st.button(
                name,
                key=f"example-{name}",
                icon=":material/science:",
                width="stretch",
                on_click=_bring,
                args=(name,),
            )
            st.caption(plain(description))
    command(["recipe", "new", "--list"], ["recipe", "new", "--example", "legal"])


def _bring(name: str) -> None:
    try:
        brought = bring(name, current.folder())
        current.open_file(brought.path)
    except (RecipeError, OSError) as error:
        toast(f"the example cannot be copied: {error}")
        return
    where = brought.path.relative_to(current.folder()).as_posix()
    toast(f"{where} is open" if brought.fresh else f"{where} was here already: it is open")


# ---------------------------------------------------------------- runs


def _runs(rows: Sequence[Row]) -> None:
    st.header("Last runs")
    if not rows:
        st.text(f"None in {current.runs()} yet.")
        st.caption("A run trains a recipe and compares the result with the model as it was.")
    for place, row in enumerate(rows[:SHOWN]):
        with st.container(horizontal=True, vertical_alignment="center"):
            badge(row["status"] if row["status"] in STATES else "damaged")
            st.page_link(
                "ui/run.py" if row["status"] in (*GOING_ON, "lost") else "ui/report.py",
                label=plain(row["id"]),
                query_params={"run": row["id"]},
            )
        if place < HEADLINES:
            said = headline(current.runs(), row["id"]) or row["reason"]
            if said:
                st.caption(plain(said))
    if len(rows) > SHOWN:
        st.page_link("ui/runs.py", label=f"All {len(rows)} runs", icon=":material/list:")
    command(["recipe", "runs"])


try:
    page()
except RecipeError as error:
    failure(error)

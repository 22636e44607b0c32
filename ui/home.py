"""The first page: what to do next, examples, recipes, runs."""

from __future__ import annotations

import streamlit as st

from dsl.errors import RecipeError
from runner.app import drafts
from runner.app.next_steps import next_step
from runner.app.recipes import recipes
from runner.examples import copy_example, list_examples
from runner.start import overview
from ui import current
from ui.parts import STATES, badge, command, failure, plain

SHOWN = 5


def page() -> None:
    st.title("Fine-tune a language model of your own")
    st.text(
        "From a file of examples to a model that is trained, judged and explained. "
        "Everything happens on this machine."
    )
    step = next_step(current.folder(), current.runs(), current.draft())
    with st.container(border=True):
        st.caption("What to do next")
        st.subheader(plain(step.title))
        st.text(step.why)
        st.page_link(step.page, label=step.label, icon=":material/arrow_forward:")
    left, right = st.columns(2, gap="large")
    with left:
        _recipes()
        _examples()
    with right:
        _runs()
    command(["recipe", "new", "DATA"], ["recipe", "new", "--example", "legal"])


def _recipes() -> None:
    st.subheader("Recipes")
    found = recipes(current.folder())
    for path in found[:SHOWN]:
        name = path.relative_to(current.folder()).as_posix()
        st.button(
            plain(name),
            key=f"open-{name}",
            icon=":material/description:",
            on_click=_open,
            args=(name,),
        )
    if len(found) > SHOWN:
        more = f"{len(found) - SHOWN} more"
        st.page_link("ui/recipe.py", label=more, icon=":material/more_horiz:")
    loose = [one for one in drafts.drafts(current.folder()) if one.path is None]
    for one in loose[:SHOWN]:
        said = f"draft, not saved, of {one.changed[:16].replace('T', ' ')}"
        st.button(said, key=f"draft-{one.id}", on_click=current.set_draft, args=(one,))
    if not found and not loose:
        st.text(f"None in {current.folder()} yet.")
    st.page_link("ui/data.py", label="Begin with your own data", icon=":material/upload_file:")


def _open(name: str) -> None:
    try:
        current.open_file(current.folder() / name)
    except (RecipeError, OSError) as error:
        st.toast(f"{name} cannot be read: {error}")


def _examples() -> None:
    st.subheader("Examples")
    for name, description in list_examples():
        st.button(
            name,
            key=f"example-{name}",
            icon=":material/science:",
            help=description,
            on_click=_copy,
            args=(name,),
        )
        st.caption(plain(description))


def _copy(name: str) -> None:
    """Into the folder; one that is there already is opened as it is."""
    try:
        if not (current.folder() / f"{name}.json").is_file():
            copy_example(name, current.folder())
        current.open_file(current.folder() / f"{name}.json")
        st.toast(f"{name}.json is open")
    except (RecipeError, OSError) as error:
        st.toast(f"the example cannot be copied: {error}")


def _runs() -> None:
    st.subheader("Last runs")
    rows = overview(current.runs())
    if not rows:
        st.text(f"None in {current.runs()} yet.")
    for row in rows[:SHOWN]:
        with st.container(horizontal=True, vertical_alignment="center"):
            badge(row["status"] if row["status"] in STATES else "damaged")
            st.page_link(
                "ui/run.py" if row["status"] in ("running", "lost") else "ui/report.py",
                label=row["id"],
                query_params={"run": row["id"]},
            )
    if len(rows) > SHOWN:
        st.page_link("ui/runs.py", label="All runs", icon=":material/list:")


try:
    page()
except RecipeError as error:
    failure(error)

"""Questions of the Playground kept for the next evaluation, with the answers one expects."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dsl.errors import RecipeError
from runner.app import evalset
from runner.app.evalset import Shape
from runner.chat.subject import Subject
from runner.report.words import plural, visible
from runner.runs.store import read_json
from ui import current
from ui.parts import badge, failure, plain
from ui.playground_talk import Exchange, holds_conversations
from ui.words import term

ENOUGH = 100
SHOWN_ROWS = 200


def add_button(number: int, exchange: Exchange) -> None:
    """Below an exchange; a test question is in the evaluation already."""
    if exchange.reference is not None or not exchange.arms:
        return
    if exchange.added:
        badge("pass", f"in {plain(exchange.added)}")
        return
    of = exchange.arms[-1].of
    key = f"play-expected-{number}"
    try:
        name = evalset.place(current.folder(), of.run, of.recipe).as_posix()
    except RecipeError as error:
        st.caption(plain(error.message))
        return
    with st.expander("Add to eval set", icon=":material/playlist_add:", key=f"play-add-{number}"):
        st.text("What should the answer be? It is what later models are compared with.")
        st.text_area(
            "Expected answer", key=key, height=140, help=term("reference"),
            placeholder="Write it yourself, or begin with an answer and mend it",
        )  # fmt: skip
        with st.container(horizontal=True):
            for arm, answer in zip(exchange.arms, exchange.order.answers, strict=True):
                if answer.done and answer.done.text:
                    whose = f"answer of {arm.title}" if arm.tuned else "base's answer"
                    st.button(
                        f"Begin with the {plain(whose)}", type="tertiary",
                        key=f"play-begin-{number}-{arm.key}", on_click=_begin,
                        args=(key, answer.done.text),
                    )  # fmt: skip
        st.button(
            "Add", type="primary", key=f"play-put-{number}", on_click=_add, args=(exchange, of, key)
        )
        st.caption(plain(f"It is written to {name}, beside the recipe."))


def eval_set(of: Subject) -> None:
    """What has been kept so far, and how it becomes part of the recipe."""
    try:
        path = evalset.place(current.folder(), of.run, of.recipe)
        found = evalset.rows(current.folder(), path)
    except RecipeError as error:
        failure(error)
        return
    if not found:
        return
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("**Eval set**", help=term("eval_set"))
            st.text(f"{path}: {plural(len(found), 'question')}")
        with st.expander("Look at them", icon=":material/table_rows:"):
            shown = [{name: str(value) for name, value in row.items()} for row in found]
            st.dataframe(shown[:SHOWN_ROWS], hide_index=True, alt="The questions of the eval set")
            if len(found) > SHOWN_ROWS:
                st.caption(f"The first {SHOWN_ROWS} of {len(found):,}.")
        _offer(of, path, evalset.shape(of.recipe, holds_conversations(of)), len(found))


def _offer(of: Subject, path: Path, shape: Shape, count: int) -> None:
    """To make it test data of the recipe, through the draft that is open."""
    recipe = _recipe(of, path)
    if recipe is None:
        st.caption("The recipe of this run lies elsewhere: name the file there under data.test.")
        return
    draft = current.draft()
    if draft is None or draft.path != recipe.as_posix():
        st.button(
            f"Open {plain(recipe.as_posix())} to use them as test data",
            key="play-open", icon=":material/description:", on_click=_open, args=(recipe,),
        )  # fmt: skip
        return
    if evalset.listed(draft.text, draft.name, recipe, path):
        badge("pass", f"part of the test data of {plain(recipe.as_posix())}")
        return
    if evalset.has_test_data(draft.text, draft.name):
        st.text("They are judged beside the recipe's other test data from the next run on.")
    else:
        st.text(
            "Test data of its own stands in for the share that the recipe holds back: from then on "
            f"the test is {plural(count, 'question')} and nothing else."
        )
        if count < ENOUGH:
            st.caption(f"Under {ENOUGH} questions hardly show which model is better.")
    st.button(
        "Use them as test data", key="play-use", icon=":material/add:", on_click=_use,
        args=(shape, recipe, path), help="Changes the open recipe: data.test.",
    )  # fmt: skip


def _recipe(of: Subject, path: Path) -> Path | None:
    """The recipe beside the eval set, relative to the folder."""
    written = Path(str(read_json(of.run.run).get("recipe", "")))
    beside = path.parent / f"{path.name.removesuffix(evalset.SUFFIX)}{written.suffix or '.json'}"
    return beside if (current.folder() / beside).is_file() else None


def _begin(key: str, text: str) -> None:
    st.session_state[key] = visible(text)


def _add(exchange: Exchange, of: Subject, key: str) -> None:
    folder = current.folder()
    try:
        path = evalset.place(folder, of.run, of.recipe)
        shape = evalset.shape(of.recipe, holds_conversations(of))
        turns = (*exchange.before, exchange.turn)
        expected = str(st.session_state.get(key) or "")
        new = evalset.row(shape, turns, expected, of.run.id, of.recipe)
        count = evalset.add(folder, path, shape, new)
    except RecipeError as error:
        st.toast(plain(f"{error.message}: {error.hint}" if error.hint else error.message))
        return
    exchange.added = path.as_posix()
    st.toast(plain(f"{path}: {plural(count, 'question')}"))


def _open(recipe: Path) -> None:
    try:
        current.open_file(current.folder() / recipe)
    except (RecipeError, OSError) as error:
        st.toast(plain(str(error)))


def _use(shape: Shape, recipe: Path, path: Path) -> None:
    current.mend(evalset.as_test_data(shape, recipe, path))

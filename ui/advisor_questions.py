"""The questions of the advisor; what is said stays while one looks at other pages."""

from __future__ import annotations

import streamlit as st

from dsl.approach import Answers
from dsl.errors import InvalidRecipe, RecipeError
from dsl.facts import Hardware
from dsl.models import MODELS, Model, names
from dsl.problems import lookup
from runner.advising import NEEDS, device
from runner.app.outlook import outlook
from runner.choices import BASE
from runner.report.words import size
from ui import current
from ui.parts import plain
from ui.text import toast
from ui.words import term

CARDS = (8, 12, 16, 24, 48, 80)  # GB of graphics cards in use
ROWS = "advisor-rows"
HERE = "This machine"


def questions() -> Answers | None:
    """What is said; None until the first two questions are answered."""
    need = st.radio(
        "What is wrong with the answers of a ready model?",
        list(NEEDS),
        index=None,
        format_func=lambda name: NEEDS[name][0].upper() + NEEDS[name][1:],
        key="advisor-need",
        persist_state="session",
    )
    rows = st.number_input(
        "How many good examples do you have?",
        min_value=0,
        max_value=10**9,
        value=None,
        step=50,
        placeholder="such as 500",
        help="An example is a question with the answer that you want.",
        key=ROWS,
        persist_state="session",
    )
    of = current.draft()
    if of is not None:
        st.button(
            plain(f"Count those of {of.name}"), key="advisor-count", on_click=_count,
            icon=":material/tag:", type="tertiary",
        )  # fmt: skip
    changing = _yes("changing", "What is right changes from week to week")
    cite = _yes("cite", "An answer must show where it is from")
    tried = _yes("tried", "A prompt with examples was not enough")
    private = _yes("private", "The data must not leave the house")
    if need is None or rows is None:
        return None
    return Answers(need, rows, changing, cite, tried, private)


def place() -> str | None:
    """The memory of a graphics card, as in 8GB; None for this machine."""
    card = st.selectbox(
        "Where would it be trained?",
        [HERE, *CARDS],
        format_func=lambda one: _of_device(device(None)) if one == HERE else f"a card of {one} GB",
        key="advisor-device",
        persist_state="session",
    )
    return None if card == HERE else f"{card}GB"


def _yes(key: str, label: str) -> bool:
    said: bool = st.checkbox(label, key=f"advisor-{key}", persist_state="session")
    return said


def _of_device(hardware: Hardware) -> str:
    kind = "" if hardware.device == "cpu" else f", {hardware.name}"
    return f"{HERE}, {size(hardware.total_memory_bytes)}{kind}"


def _count() -> None:
    of = current.draft()
    if of is None:
        return
    place = current.place(of)
    try:
        rows = outlook(of.text, place.name, place.parent).rows
        st.session_state[ROWS] = sum(rows.values())
    except RecipeError as error:
        problems = getattr(error, "problems", ())
        toast(f"its rows cannot be counted: {problems[0].message if problems else error}")


def base_model() -> tuple[str, Model]:
    """The base of the open recipe or a known one, and its dimensions."""
    own, model = _own_base()
    known = [*([own] if own and own not in names() else []), *names()]
    base = st.selectbox(
        "Base model",
        known,
        index=known.index(own or BASE),
        format_func=lambda name: _of_base(name, model if name == own else None),
        key=f"advisor-base-{own}",
        persist_state="session",
        help=f"{term('base')} B: billions of weights.",
    )
    if base in MODELS():
        return base, MODELS()[base]
    if model is None:
        st.caption(plain(f"The dimensions of {base} are not known yet: shown are those of {BASE}."))
    return base, model or MODELS()[BASE]


def _own_base() -> tuple[str | None, Model | None]:
    of = current.draft()
    if of is None:
        return None, None
    try:
        found = current.read(of)
    except InvalidRecipe:
        return None, None
    base = lookup(found.source.values, ("model", "base"))
    return (base if isinstance(base, str) and base else None), found.facts.model


def _of_base(name: str, model: Model | None) -> str:
    known = MODELS().get(name, model)
    return f"{name}, {known.parameters / 1e9:.2g}B" if known else name

"""The format of a file with its evidence, and the parts that its columns play."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256

import streamlit as st

from dsl.edit import apply
from dsl.errors import RecipeError
from dsl.problems import Change, lookup
from dsl.rows import FORMATS, ROLES
from dsl.source import parse
from runner.app import sources
from runner.app.drafts import Draft
from runner.app.sources import AUTO, Column, Look, Named
from ui import current
from ui.parts import badge, command, plain
from ui.words import term

LISTED = 40
# in the words of a reader; the recipe's own word in brackets
FORMAT_WORDS = {
    "messages": "conversations (messages)",
    "sharegpt": "conversations (ShareGPT)",
    "preference": "a better and a worse answer (preference)",
    "kto": "answers, wanted or not (KTO)",
    "classification": "texts with a label (classification)",
    "prompt_completion": "question and answer (prompt, completion)",
    "alpaca": "instruction and answer (Alpaca)",
    "text": "plain texts (text)",
}
ROLE_WORDS = {
    "id": "name of the row (id)",
    "system": "instruction to the model (system)",
    "messages": "conversation (messages)",
    "conversations": "conversation (conversations)",
    "tools": "tools that the model may call (tools)",
    "prompt": "question (prompt)",
    "completion": "answer (completion)",
    "instruction": "instruction",
    "input": "text to work on (input)",
    "output": "answer (output)",
    "history": "earlier turns (history)",
    "chosen": "better answer (chosen)",
    "rejected": "worse answer (rejected)",
    "text": "text",
    "label": "label",
}
NOTHING = "not used"
CHANGED = "data-changed"  # the last patch, as --set has it
REFUSED = "data-refused"  # why the last choice was not taken


def format_line(look: Look, given: Mapping[str, str]) -> None:
    """What the rows are and how it was told, or why they make no format."""
    with st.container(border=True):
        found = look.detected
        if found is None:
            badge("error", "no known format")
            st.text(look.found.message)  # type: ignore[union-attr]
            st.text(_next_step(given))
            return
        lacking = sources.not_trained(found.format)
        badge("warn" if lacking else "pass", FORMAT_WORDS[found.format])
        st.text(f"{look.file.name}: {found.evidence}")
        if lacking:
            st.text(lacking)
        if found.format == "text" and len(look.columns) > 1:
            st.text(
                "If a row holds a question and its answer, say so below: give one column the part"
                f" '{ROLE_WORDS['prompt']}' and another the part '{ROLE_WORDS['completion']}'."
            )
        if found.alternatives:
            others = ", ".join(FORMAT_WORDS[other] for other in found.alternatives)
            st.caption(f"The columns would also make: {others}.", help=term("data_format"))


def _next_step(given: Mapping[str, str]) -> str:
    near = sources.still_lacking(given)
    if near is None:
        return "Say below which column holds the question and which the answer."
    format, lacks = near
    words = " and ".join(ROLE_WORDS.get(role, role) for role in lacks)
    return (
        f"For {FORMAT_WORDS[format]}, say below which column is still missing: {words}."
        if lacks
        else "The columns that play these parts do not hold what they should: look at the values."
    )


def columns_of_recipe(of: Draft, source: Named, look: Look) -> None:
    """Drop-downs that rewrite the recipe."""

    def assign(column: str, role: str | None) -> None:
        _change(sources.assign(source, column, role), column)

    def declare() -> None:
        _change(sources.declare(source, st.session_state[format_key]), None)

    format_key = _key(look.file.name, "format")
    st.session_state[format_key] = source.format
    st.selectbox(
        "Format",
        [AUTO, *FORMATS],
        key=format_key,
        format_func=lambda f: FORMAT_WORDS.get(f, "told from the rows"),
        on_change=declare,
        help=term("data_format"),
        width=420,
    )
    columns(look, assign, _grouping(of))
    changed = st.session_state.get(CHANGED)
    if changed and changed[0] == of.id:
        sets = [word for value in changed[1] for word in ("--set", value)]
        command(["recipe", "check", of.name, *sets])


def columns(
    look: Look, assign: Callable[[str, str | None], None], group_by: str | None = None
) -> None:
    """The columns with what they hold and a drop-down each; `assign` hears (column, role)."""
    if said := st.session_state.pop(REFUSED, None):
        st.toast(plain(said), icon=":material/info:")
    shown = sorted(look.columns, key=lambda column: column.role is None)[:LISTED]
    st.caption("Which part does each column play?", help=term("column_role"))
    for column in (c for c in look.columns if c in shown):
        _column(look, column, assign)
        if column.name == group_by:
            st.caption(
                "Rows with the same value stay together, all to learn from or all held out"
                " (data.split.group\\_by).",
                help=term("group"),
            )
    if len(look.columns) > len(shown):
        rest = len(look.columns) - len(shown)
        st.caption(f"and {rest} more columns that play no part; the recipe's text can name them")


def _column(look: Look, column: Column, assign: Callable[[str, str | None], None]) -> None:
    key = _key(look.file.name, column.name)
    rows = len(look.head.rows)

    def chosen() -> None:
        role = st.session_state[key]
        assign(column.name, None if role == NOTHING else role)

    with st.container(border=True):
        name, example, part = st.columns([2, 4, 3], vertical_alignment="center")
    with name.container(gap=None):
        st.text(column.name)
        st.caption(
            "in all of the first rows"
            if column.filled == rows
            else f"in {column.filled:,} of the first {rows:,} rows"
        )
    example.text(column.example or "(empty)")
    # what the recipe and the rows make of it, whatever was chosen last
    st.session_state[key] = column.role or NOTHING
    part.selectbox(
        plain(f"Part of the column {column.name}"),
        [NOTHING, *ROLES],
        key=key,
        format_func=lambda role: ROLE_WORDS.get(role, role),
        on_change=chosen,
        label_visibility="collapsed",
    )


def _grouping(of: Draft) -> str | None:
    values = parse(of.text, current.place(of).name).values
    column = lookup(values, ("data", "split", "group_by"))
    return column if isinstance(column, str) else None


def _change(patch: tuple[Change, ...], column: str | None) -> None:
    """The patch made in the draft."""
    of = current.draft()
    if of is None:
        return
    if not patch:
        if column is not None:
            st.session_state[REFUSED] = (
                "This column is read by its own name: to change that, give its part to another."
            )
        return
    try:
        language = parse(of.text, current.place(of).name).language
        current.set_draft(replace(of, text=apply(of.text, language, patch)))
        st.session_state[CHANGED] = (of.id, sources.settings(patch))
    except RecipeError as error:
        st.session_state[REFUSED] = f"{error.message}: {error.hint or ''}".strip(": ")


def _key(file: str, name: str) -> str:
    return f"part-{sha256(f'{file}|{name}'.encode()).hexdigest()[:16]}"

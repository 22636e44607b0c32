"""The recipe as a form made of the schema. Every change is one patch of the text.

A widget's state is written only where the text says something else than the form last showed, so
that an edit under way is never overwritten.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from dsl.problems import Change, Path, dotted, pointer, remove, set_value
from runner.app.form import OFF, Field, basics, children, fresh, items, read_number
from ui.text import plain as as_text

Edit = Callable[[Sequence[Change]], None]

SHOWN = "form-shown"  # pointer → what its widget showed last
SECTIONS = {
    "model": "Model",
    "data": "Data",
    "template": "Template",
    "objective": "Objective",
    "method": "Method",
    "training": "Training",
    "eval": "Evaluation",
    "export": "Export",
    "compute": "Machine",
}


def form(values: Any, edit: Edit) -> None:
    """Shows the recipe's values; `edit` is called with the patch of each change."""
    names = ["Basics", *(SECTIONS[one.name] for one in children(values) if one.name in SECTIONS)]
    sections = ["", *(one.name for one in children(values) if one.name in SECTIONS)]
    chosen = st.selectbox("Part of the recipe", names, key="form-part", persist_state="session")
    section = sections[names.index(chosen)] if chosen in names else ""
    if not section:
        for one in basics(values):
            _field(values, one, edit, dotted(one.path))
        return
    found = next(one for one in children(values) if one.name == section)
    st.caption(found.description)
    _inside(values, found, edit)


def _inside(values: Any, of: Field, edit: Edit) -> None:
    """What a section, a list or a map holds."""
    if of.kind in ("items", "named"):
        _listed(values, of, edit)
        return
    plain = [one for one in children(values, of.path) if one.kind not in _NESTED]
    nested = [one for one in children(values, of.path) if one.kind in _NESTED]
    for one in plain:
        _field(values, one, edit, one.name)
    for one in nested:
        with st.expander(_title(one), expanded=one.given and one.kind != "check"):
            st.caption(one.description)
            if one.kind == "check":
                _switch_off(one, edit)
            if one.value != OFF:
                _inside(values, one, edit)


_NESTED = ("section", "items", "named", "check")


def _title(of: Field) -> str:
    state = "off" if of.value == OFF else "set" if of.given else "default"
    return f"{of.name} ({state})"


def _listed(values: Any, of: Field, edit: Edit) -> None:
    """Objects of a list or a map, each with its fields, and buttons to add and remove."""
    for path in items(values, of.path):
        with st.container(border=True):
            st.text(dotted(path))
            for one in children(values, path):
                if one.kind in _NESTED:
                    with st.popover(_title(one)):
                        _inside(values, one, edit)
                else:
                    _field(values, one, edit, one.name)
            st.button(
                "Remove",
                key=f"form-remove{pointer(path)}",
                icon=":material/delete:",
                on_click=edit,
                args=([remove(path)],),
            )
    key: str | int = len(items(values, of.path))
    if of.kind == "named":
        given = st.text_input("Name of a new one", key=f"form-name{pointer(of.path)}")
        key = given.strip()
    st.button(
        f"Add to {of.name}",
        key=f"form-add{pointer(of.path)}",
        icon=":material/add:",
        disabled=key == "",
        on_click=edit,
        args=([set_value((*of.path, key), fresh(values, of.path))],),
    )


def _switch_off(of: Field, edit: Edit) -> None:
    def switched() -> None:
        on = st.session_state[key]
        edit([remove(of.path) if on else set_value(of.path, OFF)])

    key = _shown(of.path, of.value != OFF, "on")
    st.toggle("on", key=key, on_change=switched)


def _field(values: Any, of: Field, edit: Edit, label: str) -> None:
    """One value with its unit, its help, and the way back to the default."""
    if of.unit:
        label = f"{label} ({of.unit})"
    left, right = st.columns([12, 1], vertical_alignment="bottom")
    with left:
        _WIDGETS[of.kind](of, label, edit)
    with right:
        if of.given and not of.required:
            st.button(
                "",
                key=f"form-reset{pointer(of.path)}",
                icon=":material/undo:",
                type="tertiary",
                help=f"Back to the default: {_default(of)}",
                on_click=edit,
                args=([remove(of.path)],),
            )


def _text(of: Field, label: str, edit: Edit) -> None:
    def typed() -> None:
        text = st.session_state[key]
        if text == "" and not of.required:
            edit([remove(of.path)])
        elif text != (of.value or ""):
            edit([set_value(of.path, text)])

    key = _shown(of.path, of.value or "")
    show = st.text_area if of.kind == "prose" else st.text_input
    show(label, key=key, help=_help(of), placeholder=_default(of), on_change=typed)


def _number(of: Field, label: str, edit: Edit) -> None:
    """As text: 2e-4 is how people write a learning rate, and an empty field is the default."""

    def typed() -> None:
        text = st.session_state[key]
        st.session_state.pop(wrong, None)
        if not text.strip():
            edit([remove(of.path)])
            return
        try:
            number = read_number(text, of.kind)
        except ValueError as error:
            st.session_state[wrong] = str(error)
            return
        edit([set_value(of.path, number)])

    wrong = f"form-wrong{pointer(of.path)}"
    key = _shown(of.path, "" if of.value is None else _written(of.value))
    st.text_input(label, key=key, help=_help(of), placeholder=_default(of), on_change=typed)
    if said := st.session_state.get(wrong):
        st.caption(f":material/error: {as_text(said)}")


def _choice(of: Field, label: str, edit: Edit) -> None:
    def chosen() -> None:
        value = st.session_state[key]
        edit([remove(of.path) if value is None else set_value(of.path, value)])

    key = _shown(of.path, of.value)
    st.selectbox(
        label,
        [option for option in of.options if option is not None],
        index=None,
        key=key,
        help=_help(of),
        placeholder=_default(of),
        on_change=chosen,
    )


def _choices(of: Field, label: str, edit: Edit) -> None:
    def chosen() -> None:
        value = st.session_state[key]
        edit([set_value(of.path, value)] if value else [remove(of.path)])

    key = _shown(of.path, [v for v in of.value or [] if v in of.options])
    st.multiselect(
        label, of.options, key=key, help=_help(of), placeholder=_default(of), on_change=chosen
    )


def _switch(of: Field, label: str, edit: Edit) -> None:
    def switched() -> None:
        edit([set_value(of.path, st.session_state[key])])

    key = _shown(of.path, bool(of.default if of.value is None else of.value))
    st.toggle(label, key=key, help=_help(of), on_change=switched)


def _in_text(of: Field, label: str, edit: Edit) -> None:
    st.text(f"{label}: {json.dumps(of.value, ensure_ascii=False)}")
    st.caption("This is edited in the text.")


_WIDGETS: dict[str, Callable[[Field, str, Edit], None]] = {
    "text": _text,
    "prose": _text,
    "integer": _number,
    "number": _number,
    "choice": _choice,
    "choices": _choices,
    "switch": _switch,
    "other": _in_text,
}


def _shown(path: Path, value: Any, suffix: str = "") -> str:
    """The key of the widget of a place, its state written where the text has changed."""
    key = f"form{pointer(path)}{suffix}"
    shown = st.session_state.setdefault(SHOWN, {})
    if key not in st.session_state or shown.get(key) != value:
        st.session_state[key] = value
    shown[key] = value
    return key


def _help(of: Field) -> str:
    """The schema's words; they are ours, and shown as Markdown."""
    words = of.description
    place = dotted(of.path).translate({10: " ", 96: "'"})  # its names may be anything
    if of.example is not None:
        words += f"\n\nExample: `{json.dumps(of.example, ensure_ascii=False)}`"
    return f"{words}\n\n`--set {place}=...`"


def _default(of: Field) -> str:
    if of.required:
        return "required"
    if of.derived:
        return "worked out from the rest"
    return f"default: {'none' if of.default in (None, '') else _written(of.default)}"


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

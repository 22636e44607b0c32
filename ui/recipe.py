"""The page of a recipe: its text and its form, always the same recipe; problems and their fixes."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import streamlit as st

from dsl.edit import EditError
from dsl.errors import InvalidRecipe, RecipeError
from dsl.problems import Change, Problem, dotted, errors, from_pointer
from dsl.source import parse
from runner.app import drafts
from runner.app.buffer import Buffer, changed
from runner.app.drafts import Draft
from runner.app.recipes import recipes, text_of
from runner.read import Read
from runner.show import count_line
from ui import current
from ui.editor import edited, editor
from ui.form import form
from ui.parts import badge, command, empty, failure
from ui.text import plain, toast

HEIGHT = 560  # pixels of editor and form
BUFFER = "buffer"  # in the session: id of the draft and its buffer
SEVERITIES = {"error": "error", "warning": "warn", "info": "info"}
SAVED = {
    "new": ("off", "not saved yet"),
    "saved": ("pass", "saved"),
    "edited": ("info", "changes kept as a draft, not saved"),
    "conflict": ("warn", "the file was changed by somebody else"),
}


def page() -> None:
    st.title("Recipe")
    _open()
    draft = current.draft()
    if draft is None:
        empty(
            "No recipe is open",
            "Open one above, or begin with your data: a recipe is then written for you.",
            "ui/data.py",
            "Begin with data",
        )
        return
    language = "json" if draft.name.lower().endswith(".json") else "yaml"
    buffer = edited(_buffer(draft))
    draft = _keep(draft, buffer)
    found, problems = _judge(draft)
    _save_bar(draft, language)
    left, right = st.columns(2, gap="medium")
    with left:
        buffer = editor(buffer, problems, height=HEIGHT, language=language)
        draft = _keep(draft, buffer)
        st.caption("Tab indents the text. Escape and then Tab leaves it.")
    with right, st.container(height=HEIGHT, border=True):
        _form(draft, language, problems)
    _problems(problems, found, language, Path(draft.name).name)
    _difference(draft)
    name = draft.name
    command(["recipe", "validate", name], ["recipe", "check", name], ["recipe", "plan", name])


# ---------------------------------------------------------------- opening and saving


def _open() -> None:
    """Recipes of the folder, and drafts that were never saved."""
    files = {p.relative_to(current.folder()).as_posix(): p for p in recipes(current.folder())}
    loose = {
        f"draft of {draft.changed[:16].replace('T', ' ')}": draft
        for draft in drafts.drafts(current.folder())
        if draft.path is None
    }

    def opened() -> None:
        chosen = st.session_state["file"]
        if chosen is None:
            return
        try:
            if chosen in files:
                current.open_file(files[chosen])
            else:
                current.set_draft(loose[chosen])
        except (RecipeError, OSError) as error:
            toast(f"{chosen} cannot be read: {error}")

    draft = current.draft()
    if draft is not None and st.session_state.get("file") != draft.path:
        st.session_state["file"] = draft.path if draft.path in files else None
    st.selectbox(
        "Open a recipe",
        [*files, *loose],
        index=None,
        key="file",
        placeholder=f"{len(files)} in this folder" if files else "none in this folder yet",
        on_change=opened,
        help=plain(f"Recipes are looked for in {current.folder()} and the folders in it."),
    )


def _save_bar(draft: Draft, language: str) -> None:
    state = drafts.state(current.folder(), draft)
    bar = st.container(horizontal=True, vertical_alignment="bottom")
    with bar:
        badge(*SAVED[state])
        if language == "json":
            st.button(
                "Save",
                key="save",
                icon=":material/save:",
                shortcut="Ctrl+S",
                disabled=state in ("saved", "new"),
                on_click=_save,
                args=(draft,),
            )
            with st.popover("Save as", icon=":material/save_as:"):
                name = st.text_input("Name of the file", draft.name, key="save-name")
                st.button("Save there", key="save-as", on_click=_save, args=(draft, name))
        if state in ("edited", "conflict") and draft.path:
            st.button(
                "Back to the file",
                key="revert",
                icon=":material/history:",
                help="Takes the file's text again. The draft's own is lost.",
                on_click=_revert,
                args=(draft,),
            )
    if state == "conflict" and language == "json":
        st.button("Write over the file", key="over", on_click=_save, args=(draft, None, True))


def _save(draft: Draft, name: str | None = None, over: bool = False) -> None:
    try:
        path = Path(name) if name is not None else None
        current.set_draft(drafts.save(current.folder(), current.draft() or draft, path, over))
        toast("saved", icon=":material/save:")
    except RecipeError as error:
        toast(f"{error.message}: {error.hint}", icon=":material/error:")


def _revert(draft: Draft) -> None:
    try:
        text = text_of(current.folder() / draft.name)
    except (RecipeError, OSError) as error:
        toast(f"{draft.name} cannot be read: {error}")
        return
    drafts.discard(current.folder(), draft)
    current.set_draft(drafts.begin(current.folder(), text, Path(draft.name)))


def _difference(draft: Draft) -> None:
    if draft.path is None or drafts.state(current.folder(), draft) == "saved":
        return
    with st.expander("What differs from the saved file", icon=":material/difference:"):
        try:
            saved = text_of(current.folder() / draft.path)
        except (RecipeError, OSError) as error:
            st.text(f"{draft.path} cannot be read: {error}")
            return
        lines = difflib.unified_diff(
            saved.splitlines(), draft.text.splitlines(), draft.path, "the draft", lineterm="", n=2
        )
        # without Streamlit's colours of a diff, which are too pale to read on white
        st.code("\n".join(lines) or "nothing but blanks at the ends of lines", language=None)


# ---------------------------------------------------------------- text and form


def _buffer(draft: Draft) -> Buffer:
    """The buffer of this draft; another page may have changed its text."""
    known: tuple[str, Buffer] | None = st.session_state.get(BUFFER)
    if known is None or known[0] != draft.id or known[1].text != draft.text:
        # a new text, with a revision that the browser has not seen
        rev = known[1].rev + 1 if known else 0
        known = (draft.id, Buffer(draft.text, rev))
        st.session_state[BUFFER] = known
    return known[1]


def _keep(draft: Draft, buffer: Buffer) -> Draft:
    st.session_state[BUFFER] = (draft.id, buffer)
    return (
        draft if draft.text == buffer.text else current.set_draft(replace(draft, text=buffer.text))
    )


def _edit(patch: Sequence[Change]) -> None:
    """A change of the form or a fix: made in what the browser holds by now."""
    draft = current.draft()
    if draft is None:
        return
    buffer = edited(_buffer(draft))
    try:
        buffer = changed(buffer, patch)
    except (EditError, InvalidRecipe) as error:
        toast(f"This waits: {error}", icon=":material/error:")
    _keep(draft, buffer)


def _form(draft: Draft, language: str, problems: Sequence[Problem]) -> None:
    if language != "json":
        st.text("This recipe is YAML, which is read but never written.")
        st.button("Go on with a copy in JSON", key="convert", on_click=_convert, args=(draft,))
        return
    try:
        values = parse(draft.text, draft.name).values
    except InvalidRecipe as error:
        line = error.problems[0].line
        where = f" in line {line}" if line else ""
        st.text(f"The form waits until the text can be read: {error.problems[0].message}{where}.")
        return
    form(values, _edit)


def _convert(draft: Draft) -> None:
    try:
        values = parse(draft.text, draft.name).values
    except InvalidRecipe as error:
        toast(str(error))
        return
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    current.set_draft(drafts.begin(current.folder(), text))


# ---------------------------------------------------------------- problems


def _judge(draft: Draft) -> tuple[Read | None, Sequence[Problem]]:
    try:
        found = current.read(draft)
    except InvalidRecipe as error:
        return None, error.problems
    return found, found.problems


def _problems(problems: Sequence[Problem], found: Read | None, language: str, name: str) -> None:
    st.header(plain(count_line(problems, name)))
    if not errors(problems):
        st.page_link("ui/plan.py", label="What will it cost? See the plan", icon=":material/map:")
    for index, problem in enumerate(problems):
        with st.container(border=True):
            badge(SEVERITIES[problem.severity])
            where = f"line {problem.line}  {dotted(problem.path)}" if problem.line else ""
            fixes = [_change(change) for change in problem.patch]
            # as plain text: a message quotes what stands in the recipe
            st.text("\n".join(filter(None, (where, problem.message, problem.hint, *fixes))))
            if fixes and found and language == "json":
                st.button("Fix", key=f"fix-{index}", on_click=_edit, args=(problem.patch,))


def _change(change: Change) -> str:
    value = f" to {json.dumps(change.value, ensure_ascii=False)}" if change.op == "set" else ""
    return f"fix: {change.op} {dotted(from_pointer(change.path))}{value}"


try:
    page()
except RecipeError as error:
    failure(error)

"""What all pages share: the folder, the runs, and the draft that is being worked on.

The address names the draft (?draft=ID), so that a reload opens it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import streamlit as st

from dsl.edit import apply
from dsl.errors import InvalidRecipe, RecipeError
from dsl.problems import Change
from runner.app import drafts
from runner.app.drafts import Draft
from runner.app.recipes import judged, text_of
from runner.app.server import runs_folder
from runner.read import Read
from ui.text import toast

DRAFT = "draft"  # in the address and in the session
SEEN = "seen"  # page → the draft's text when it was last looked at


def folder() -> Path:
    """Where the app stands: what it reads and writes lies in it."""
    return Path.cwd()


def runs() -> Path:
    return runs_folder()


def restore() -> None:
    """Called before every page: the draft of the address, or the session's put into it."""
    asked, known = st.query_params.get(DRAFT), st.session_state.get(DRAFT)
    if asked and (known is None or known.id != asked):
        try:
            st.session_state[DRAFT] = drafts.load(folder(), asked)
        except RecipeError as error:
            del st.query_params[DRAFT]
            toast(f"{error.message}: {error.hint}")
    elif known is not None and not asked:
        st.query_params[DRAFT] = known.id


def draft() -> Draft | None:
    found: Draft | None = st.session_state.get(DRAFT)
    return found


def set_draft(new: Draft) -> Draft:
    """Keeps the draft in its file, the session and the address."""
    known = draft()
    if known is not None and known.id == new.id:
        new = drafts.own(folder(), new, known.text)
    kept = drafts.keep(folder(), new)
    st.session_state[DRAFT] = kept
    st.query_params[DRAFT] = kept.id
    return kept


def open_file(path: Path) -> Draft:
    """A draft of a recipe's file: one that is being edited already, else a new one.

    Raises InvalidRecipe for bytes that are no text, RecipeError outside of the folder.
    """
    relative = drafts.inside(folder(), path).as_posix()
    for known in drafts.drafts(folder()):
        if known.path == relative and drafts.state(folder(), known) in ("saved", "edited"):
            return set_draft(known)
    return set_draft(drafts.begin(folder(), text_of(folder() / relative), path))


def look_at(page: str) -> None:
    """Called before every page, as in 'ui/plan.py': remembers what was looked at."""
    if of := draft():
        st.session_state.setdefault(SEEN, {})[page] = of.text


def seen() -> set[str]:
    """Pages that were looked at since the draft was changed, in this session."""
    of, pages = draft(), st.session_state.get(SEEN, {})
    return {page for page, text in pages.items() if of and text == of.text}


def mend(patch: Sequence[Change]) -> None:
    """Makes a change of the recipe in the draft that is open, and says so."""
    of = draft()
    if of is None:
        return
    try:
        set_draft(replace(of, text=apply(of.text, "json", patch)))
        toast("changed in the recipe: save it on its page")
    except RecipeError as error:
        toast(f"{error.message}: {error.hint}" if error.hint else error.message)


def place(of: Draft) -> Path:
    """Where the draft's file lies, or would lie: its paths count from there."""
    return folder() / of.name


def read(of: Draft) -> Read:
    """The draft judged by schema and rules. Raises InvalidRecipe where it cannot be parsed."""
    path = place(of)
    return judged(of.text, path.name, path.parent)


def valid() -> Read | None:
    """The current draft, if it has no errors."""
    of = draft()
    try:
        return read(of).valid() if of else None
    except InvalidRecipe:
        return None

"""Data of the user's: an upload or a file of the folder, and the recipe that is written for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from dsl.errors import DataError, RecipeError
from dsl.rows import ROLES
from runner.app import sources, uploads
from runner.app.drafts import Draft
from runner.app.recipes import recipes, text_of
from runner.app.server import UPLOAD_MB
from runner.app.sources import Named
from runner.data.kinds import COMPRESSED, HEAD_BYTES, database_of
from runner.data.look import Asked
from runner.data.paths import SUFFIXES, held
from runner.new import Begun, begin
from ui import current, data_columns
from ui.data_rows import first_rows
from ui.data_state import look_of
from ui.parts import command, failure, plain

CHOSEN = "data-chosen"  # the file that a recipe is to be written for
GIVEN = "data-given"  # role → column, as said for it
TAKEN = "data-taken"  # uploads that were kept already: Streamlit shows them at every rerun
BEGUN = "data-begun"  # the recipe that was written last
TYPES = [suffix.removeprefix(".") for suffix in (*SUFFIXES, *COMPRESSED, *uploads.DATABASES)]


def chosen() -> str | None:
    name: str | None = st.session_state.get(CHOSEN)
    return name


def choose() -> None:
    """An upload, or a file that lies there."""
    left, right = st.columns(2)
    with left:
        st.file_uploader(
            "Upload a file",
            type=TYPES,
            max_upload_size=UPLOAD_MB,
            key="data-upload",
            on_change=_uploaded,
            help="JSONL, JSON, CSV, Parquet, Arrow or a database. It is kept in the folder 'data' "
            "on this machine; nothing is sent elsewhere.",
        )
        folder = plain(str(current.folder()))
        st.caption(f"Up to {UPLOAD_MB} MB. A larger file: copy it into {folder} yourself.")
    with right:
        there = [
            path.as_posix()
            for path in uploads.data_files(current.folder(), current.runs().absolute())
        ]
        st.selectbox(
            "Or choose a file that is here already",
            there,
            index=None,
            key="data-there",
            placeholder="Choose a file" if there else "no data file in this folder yet",
            disabled=not there,
            on_change=_picked,
        )
        st.caption(plain(f"Looked for in {current.folder()} and the folders in it."))
    if said := st.session_state.pop("data-failed", None):
        failure(RecipeError(*said))


def begin_from_chosen() -> None:
    """The chosen file before it has a recipe: its format, its columns, the way on."""
    name = chosen()
    assert name is not None
    st.button("Choose another file", icon=":material/arrow_back:", on_click=_forget)
    st.header(plain(name))
    try:
        query = _query(name)
        source = sources.alone(name, query, st.session_state.get(GIVEN))
        file = sources.opened(source, current.folder())[0]
        look = look_of(source, file)
    except RecipeError as error:
        failure(error)
        return
    _known(name)
    data_columns.format_line(look, source.given)
    asked = Asked(query, source.given)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Write a recipe for it",
            type="primary",
            icon=":material/edit_note:",
            disabled=look.detected is None,
            help="Reads all rows once and chooses model, split and settings; you can change all."
            if look.detected
            else "First say which column plays which part.",
            on_click=_begin,
            args=(name, asked),
            key="write-recipe",
        )
    if said := st.session_state.pop("data-failed", None):
        failure(RecipeError(*said))
    command(_words(name, asked))
    data_columns.columns(look, lambda column, role: _say(source, column, role))
    st.caption("The first rows")
    first_rows(look)


def told_of_new(of: Draft) -> None:
    """Why the recipe that was just written says what it says."""
    kept = st.session_state.get(BEGUN)
    if kept is None or kept[0] != of.id:
        return
    begun: Begun = kept[1]
    title = plain(f"{begun.path} is written: why its settings are as they are")
    with st.expander(title, icon=":material/check_circle:", expanded=True):
        st.text("Chosen from the data; every setting can be changed on the page Recipe.")
        reasons = [{"setting": path, "why": why} for path, why in begun.proposal.reasons]
        st.dataframe(reasons, hide_index=True, alt="The settings of the new recipe, with reasons")
        if begun.proposal.missing:
            st.text(begun.proposal.missing)
    command(kept[2])


def _uploaded() -> None:
    upload: Any = st.session_state["data-upload"]
    if upload is None or st.session_state.get(TAKEN) == upload.file_id:
        return
    try:
        path = uploads.keep(current.folder(), upload.name, upload)
    except RecipeError as error:
        st.session_state["data-failed"] = (error.message, error.hint)
        return
    st.session_state[TAKEN] = upload.file_id
    _choose(path.as_posix())


def _picked() -> None:
    if name := st.session_state["data-there"]:
        _choose(name)


def _choose(name: str) -> None:
    st.session_state[CHOSEN] = name
    st.session_state[GIVEN] = {}


def _forget() -> None:
    st.session_state[CHOSEN] = None


def _say(source: Named, column: str, role: str | None) -> None:
    given = sources.reassigned(source, column, role)
    if given == source.given:
        st.session_state[data_columns.REFUSED] = (
            "This column is read by its own name: to change that, give its part to another."
        )
    st.session_state[GIVEN] = given


def _query(name: str) -> str | None:
    """Of a database: the rows of one of its tables. Raises DataError."""
    from runner.data.databases import tables

    path = held(current.folder() / name, name, current.folder())
    try:
        with path.open("rb") as file:
            if database_of(file.read(HEAD_BYTES)) is None:
                return None
    except OSError as error:
        raise DataError(f"{name}: {error.strerror}", "choose another file") from error
    listed = tables(path, name)
    if not listed:
        raise DataError(f"{name}: a database without tables", "choose another file")
    table = listed[0]
    if len(listed) > 1:
        table = st.selectbox("Table of the database", listed, key="data-table")
    return 'select * from "{}"'.format(table.replace('"', '""'))


def _known(name: str) -> None:
    """Recipes that train on this file already can be opened instead."""
    using = [path for path in recipes(current.folder()) if _uses(path, name)]
    if using:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("Used already by", width="content")
            for path in using:
                label = path.relative_to(current.folder()).as_posix()
                st.button(
                    plain(f"Open {label}"), key=f"open-{label}", on_click=_opened, args=(path,)
                )


def _uses(path: Path, name: str) -> bool:
    folder = path.relative_to(current.folder()).parent
    try:
        listed = sources.named(text_of(path), path.name)
    except (RecipeError, OSError):
        return False
    return any((folder / str(source.values.get("path"))).as_posix() == name for source in listed)


def _opened(path: Path) -> Draft:
    draft = current.open_file(path)
    _forget()
    return draft


def _begin(name: str, asked: Asked) -> None:
    try:
        with st.spinner("Reading all rows once"):
            begun = begin(Path(name), None, asked)
        draft = _opened(begun.path)
    except RecipeError as error:
        problems = getattr(error, "problems", ())
        message = "; ".join(problem.message for problem in problems) or error.message
        st.session_state["data-failed"] = (message, error.hint)
        return
    st.session_state[BEGUN] = (draft.id, begun, _words(name, asked))


def _words(name: str, asked: Asked) -> list[str]:
    """The command line that does the same."""
    said = asked.given()
    columns = [w for r in ROLES if r in said for w in ("--column", f"{r}={said[r]}")]
    query = ["--query", asked.query] if asked.query else []
    return ["recipe", "new", name, *columns, *query]

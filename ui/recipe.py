"""The page of a recipe: its text, its problems with their fixes, and the plan."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

import streamlit as st

from dsl.edit import apply
from dsl.errors import InvalidRecipe, RecipeError
from dsl.problems import Change, Problem, dotted, errors, from_pointer
from dsl.source import Source
from runner.app import draft, plan_text, recipes, runs_folder, text_of
from runner.read import Read
from runner.show import count_line

FOLDER = Path.cwd()
PASTED = "pasted.json"
MARKS = {"error": ("red", "error"), "warning": ("orange", "warning"), "info": ("blue", "note")}


def page() -> None:
    st.title("Recipe")
    known = {str(path.relative_to(FOLDER)): path for path in recipes(FOLDER)}
    st.selectbox(
        "Recipe file",
        list(known),
        index=None,
        key="file",
        placeholder="Choose a file, or paste a recipe below",
        on_change=_open,
        args=(known,),
    )
    st.text_area("Text", key="text", height=380, help="Paths in it count from the file's folder.")
    text, name = st.session_state["text"], st.session_state["file"]
    if not text.strip():
        st.caption(f"Recipes are looked for in {FOLDER} and the folders in it.")
        return
    path = known.get(name, FOLDER / PASTED)
    found = _judged(text, path)
    if found is not None:
        _problems(found.problems, found.source)
        if not errors(found.problems):
            _plan(found)
    _command(text, known.get(name))


def _open(known: dict[str, Path]) -> None:
    path = known.get(st.session_state["file"])
    try:
        st.session_state["text"] = text_of(path) if path else ""
    except (InvalidRecipe, OSError) as error:
        st.session_state["text"] = ""
        st.toast(f"{path} cannot be read: {error}")


def _judged(text: str, path: Path) -> Read | None:
    try:
        return draft(text, path.name, path.parent)
    except InvalidRecipe as error:
        _problems(error.problems, None)
        return None


def _problems(problems: Sequence[Problem], source: Source | None) -> None:
    st.subheader(count_line(problems, source.name if source else "the text"))
    for index, problem in enumerate(problems):
        with st.container(border=True):
            color, word = MARKS[problem.severity]
            where = f"line {problem.line}  {dotted(problem.path)}" if problem.line else ""
            st.badge(word, color=color)
            # as plain text: a message quotes what stands in the recipe
            fixes = [_change(change) for change in problem.patch]
            # as plain text: a message quotes what stands in the recipe
            st.text("\n".join(filter(None, (where, problem.message, problem.hint, *fixes))))
            if fixes and source and source.language == "json":
                st.button("Fix", key=f"fix-{index}", on_click=_fix, args=(source, problem))


def _change(change: Change) -> str:
    value = f" to {json.dumps(change.value, ensure_ascii=False)}" if change.op == "set" else ""
    return f"fix: {change.op} {dotted(from_pointer(change.path))}{value}"


def _fix(source: Source, problem: Problem) -> None:
    st.session_state["text"] = apply(source.text, source.language, problem.patch)


def _plan(found: Read) -> None:
    st.subheader("Plan")
    try:
        with st.spinner("Reading the data"):
            st.code(plan_text(found, runs_folder()), language=None, wrap_lines=True)
    except InvalidRecipe as error:
        _problems(error.problems, found.source)
    except RecipeError as error:
        st.error(error.message)


def _command(text: str, path: Path | None) -> None:
    """The same on a terminal; what was edited has to be saved first."""
    st.subheader("On a terminal")
    saved = path is not None and text == text_of(path)
    name = str(path.relative_to(FOLDER)) if path and saved else "my-recipe.json"
    if not saved:
        st.caption(f"The text above is not in a file: save it as {name} beside its data.")
        st.download_button("Download the recipe", text, name, "application/json", on_click="ignore")
    st.code(f"recipe plan {quote(name)}\nrecipe run {quote(name)}", language=None)


page()

"""What the data page keeps between reruns, by content: opened tables, looks, tokenizers."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from dsl.errors import InvalidRecipe
from dsl.problems import lookup
from dsl.rules import RULES
from dsl.source import parse
from runner.app import profiles, rendered, sources, tables
from runner.app.drafts import Draft
from runner.app.looks import Look as Going
from runner.app.looks import Looks
from runner.app.profiles import Profile
from runner.app.rendered import Model
from runner.app.sources import Look, Named
from runner.app.tables import Table
from runner.data.checks import Depth
from runner.data.files import File
from runner.probe import Surroundings
from runner.read import Read, judge
from ui import current

# what the profile of the data depends on
SECTIONS = ("model", "data", "template", "objective")
AT_ONCE_SECONDS = 0.8  # small data are through by then: no status flickers


def look_of(source: Named, file: File) -> Look:
    """Raises DataError."""
    said = json.dumps(source.values, sort_keys=True, ensure_ascii=False)
    known: Look = _kept_look((sources.state(file), said), source, file)
    return known


def table_of(file: File) -> Table:
    """Raises DataError."""
    known: Table = _kept_table((sources.state(file), file.name, file.query), file)
    return known


def model_at(folder: Any) -> Model:
    """Raises ModelError."""
    known: Model = _kept_model(str(folder), folder)
    return known


def looks() -> Looks[Profile]:
    """The looks of this server."""
    known: Looks[Profile] = _kept_looks()
    return known


def judged(of: Draft) -> Read:
    """The draft as 'recipe check' judges it. Raises InvalidRecipe with its errors."""
    path = current.place(of)
    return judge(parse(of.text, path.name), Surroundings(path.parent), RULES).valid()


def key_of(of: Draft) -> Any:
    """Equal while the recipe's data, what is made of them, and their files stay as they are.

    Raises InvalidRecipe, RecipeError.
    """
    path = current.place(of)
    values = parse(of.text, path.name).values
    told = {name: values.get(name) for name in SECTIONS}
    told["max_length"] = lookup(values, ("training", "max_length"))
    states = [
        sources.state(file)
        for source in sources.named(of.text, path.name)
        for file in sources.opened(source, path.parent)
    ]
    return json.dumps([str(path.parent), told, states], sort_keys=True, ensure_ascii=False)


def going(of: Draft, depth: Depth, start: bool = False) -> Going[Profile] | None:
    """The last look at the draft's data; `start`: begun if there is none that goes on or has an
    answer. Raises InvalidRecipe, RecipeError."""
    key = key_of(of)
    found = looks().find(key, depth)
    if start:
        found = profiles.start(looks(), key, depth, judged(of))
        found.ended.wait(AT_ONCE_SECONDS)
    return found


def problems_of(of: Draft) -> str:
    """The first error that keeps the data from being looked at."""
    try:
        judged(of)
    except InvalidRecipe as error:
        return error.problems[0].message
    return ""


def _look(key: Any, _source: Named, _file: File) -> Look:
    return sources.look(_source, _file)


def _table(key: Any, _file: File) -> Table:
    return tables.open_table(_file)


def _model(key: str, _folder: Any) -> Model:
    return rendered.model_of(_folder)


def _looks() -> Looks[Profile]:
    return Looks[Profile]()


_kept_look = st.cache_resource(_look, max_entries=64, show_spinner=False)
_kept_table = st.cache_resource(_table, max_entries=4, show_spinner="Finding the lines of the file")
_kept_model = st.cache_resource(_model, max_entries=2, show_spinner="Loading the tokenizer")
_kept_looks = st.cache_resource(_looks, show_spinner=False)

"""The page of the data: choose, see the format, say which column plays which part, look at rows."""

from __future__ import annotations

import streamlit as st

from dsl.errors import InvalidRecipe, RecipeError
from runner.app import sources
from runner.app.drafts import Draft
from runner.app.sources import Named, NotFetched
from runner.data.files import File
from runner.show import problem_lines
from ui import current, data_columns, data_example, data_new, data_profile, data_rows
from ui.data_state import look_of, table_of
from ui.fetching import offer
from ui.parts import empty, failure

COLUMNS, ROWS, EXAMPLE, PROFILE = "Columns", "Rows", "As the model sees it", "Profile"


def page() -> None:
    st.title("Data")
    of = current.draft()
    if data_new.chosen():
        data_new.begin_from_chosen()
    elif of is None:
        st.text("Begin with the rows that your model is to learn from.")
        data_new.choose()
    else:
        st.text(f"The data of {of.name}")
        with st.expander("Begin a new recipe with other data", icon=":material/add:"):
            data_new.choose()
        data_new.told_of_new(of)
        _data_of(of)


def _data_of(of: Draft) -> None:
    try:
        listed = sources.named(of.text, current.place(of).name)
    except InvalidRecipe as error:
        st.text("\n".join(problem_lines(error.problems, of.name)))
        empty(
            "The recipe cannot be read",
            "Its text has an error, so the data that it names are not known.",
            "ui/recipe.py",
            "Mend the recipe",
        )
        return
    if not listed:
        empty("This recipe names no data yet", "Upload or choose a file above.")
        return
    source, file = _chosen(of, listed)
    if source is not None and file is not None:
        _file(of, source, file)


def _chosen(of: Draft, listed: list[Named]) -> tuple[Named | None, File | None]:
    """The source and the file of it that is looked at."""
    place = 0
    if len(listed) > 1:
        place = st.selectbox(
            "Source", range(len(listed)), format_func=lambda at: listed[at].title, key="data-source"
        )
    source = listed[min(place, len(listed) - 1)]
    try:
        files = sources.opened(source, current.place(of).parent)
    except NotFetched:
        offer([source])
        return None, None
    except RecipeError as error:
        failure(error)
        return None, None
    at = 0
    if len(files) > 1:
        at = st.selectbox(
            "File", range(len(files)), format_func=lambda n: files[n].name, key="data-file"
        )
    return source, files[min(at, len(files) - 1)]


def _file(of: Draft, source: Named, file: File) -> None:
    view = st.session_state.get("view") or st.query_params.get("view")
    try:
        look = look_of(source, file)
        if view == ROWS:
            # before all rows are counted, which keeps the machine busy
            table_of(file)
    except RecipeError as error:
        failure(error)
        return
    data_columns.format_line(look, source.given)
    data_profile.counts(of)
    view = st.segmented_control(
        "View",
        [COLUMNS, ROWS, EXAMPLE, PROFILE],
        default=COLUMNS,
        required=True,
        key="view",
        label_visibility="collapsed",
        bind="query-params",
    )
    if view == ROWS:
        data_rows.rows(file, look, data_profile.refused_of(of, file.name))
    elif view == EXAMPLE:
        data_example.example(of, source, file, look)
    elif view == PROFILE:
        data_profile.profile(of)
    else:
        data_columns.columns_of_recipe(of, source, look)


page()

"""One example as the model sees it: what is trained and what is only read."""

from __future__ import annotations

from html import escape

import streamlit as st

from dsl.errors import InvalidRecipe, RecipeError
from runner.app.drafts import Draft
from runner.app.rendered import Model, Piece, Rendered, rendered
from runner.app.sources import Look, Named
from runner.data.files import File
from ui import current
from ui.data_rows import LINE
from ui.data_state import model_at, table_of
from ui.parts import command, empty, failure
from ui.words import term

SHOWN_PIECES = 3000
# kind → style, word. Told by colour, by line and by word; the text keeps the theme's colour
STYLES = {
    "trained": (
        "background:rgba(56,142,60,.25);border-bottom:2px solid #43a047",
        "trained: the model learns to write this",
    ),
    "masked": ("background:rgba(128,128,128,.14)", "masked: the model only reads this"),
    "cut": (
        "background:rgba(198,40,40,.18);text-decoration:line-through;"
        "border-bottom:2px dotted #e05252",
        "cut off: behind the longest length, the model never sees it",
    ),
}
BOX = (
    "font-family:monospace;font-size:.9rem;line-height:1.9;white-space:pre-wrap;"
    "overflow-wrap:anywhere"
)


def example(of: Draft, source: Named, file: File, look: Look) -> None:
    try:
        recipe = current.read(of).recipe
    except InvalidRecipe:
        recipe = None
    if recipe is None or look.detected is None:
        empty(
            "Not yet",
            "The recipe has errors, or its columns play no parts yet: the template is not known."
            if recipe is None
            else "First say which column plays which part, under 'Columns'.",
            "ui/recipe.py" if recipe is None else None,
            "Mend the recipe",
        )
        return
    try:
        table = table_of(file)
        line = st.number_input(
            "Line of the file",
            1,
            max(1, table.count),
            value=min(st.session_state.get(LINE) or 1, max(1, table.count)),
            key=f"data-example-{of.id}",
            width=220,
        )
        found = table.example(int(line), look.detected, source.path[1:2] == ("mix",))
        if found is None:
            row = table.rows([int(line)], look.detected)[0]
            st.text(f"Line {line:,} cannot be used: {row.refused or 'it is blank'}. Try the next.")
            return
        model, why = _model(of, recipe.model.base, recipe.model.revision)
        shown = rendered(found, recipe, model)
    except RecipeError as error:
        failure(error)
        return
    _counts(shown, recipe.training.max_length, why)
    _legend(shown)
    st.html(f'<div style="{BOX}">{_text(shown.pieces)}</div>')
    if len(shown.pieces) > SHOWN_PIECES:
        st.caption(f"The first {SHOWN_PIECES:,} of {len(shown.pieces):,} pieces.")
    command(["recipe", "plan", of.name, "--show-example", "5"])


def _model(of: Draft, base: str, revision: str | None) -> tuple[Model | None, str | None]:
    from runner.bases import locate

    located = locate(base, revision, current.place(of).parent)
    if located.folder is None:
        return None, base
    return model_at(located.folder), None


def _counts(shown: Rendered, most: int, lacking: str | None) -> None:
    if shown.tokens is None or shown.trained is None:
        st.text(
            f"{lacking} is not on this machine yet: 'recipe run' fetches it. Until then the text "
            "is shown in segments, with turns marked as ChatML does, not as this model does."
        )
        return
    left, middle, right = st.columns(3)
    left.metric("Tokens", f"{shown.tokens:,}", help=term("token"), border=True)
    share = shown.trained / shown.tokens if shown.tokens else 0
    middle.metric(
        "Trained", f"{shown.trained:,} ({share:.0%})", help=term("trained_tokens"), border=True
    )
    right.metric(
        f"Cut off at {most:,}", f"{shown.lost or 0:,}", help=term("max_length"), border=True
    )


def _legend(shown: Rendered) -> None:
    kinds = [kind for kind in STYLES if kind != "cut" or shown.lost]
    parts = "&ensp; ".join(
        f'<span style="{STYLES[kind][0]};padding:1px 4px">{escape(STYLES[kind][1])}</span>'
        for kind in kinds
    )
    extra = "" if shown.tokens is None else "&ensp; a thin line ends each token"
    st.html(f'<div style="font-size:.85rem;line-height:2" role="note">{parts}{extra}</div>')


def _text(pieces: tuple[Piece, ...]) -> str:
    """The pieces as HTML: every text of the data is escaped."""
    return "".join(_piece(piece) for piece in pieces[:SHOWN_PIECES])


def _piece(piece: Piece) -> str:
    kind = "cut" if piece.cut else "trained" if piece.trained else "masked"
    edge = ";border-right:1px solid rgba(128,128,128,.55)" if piece.ids else ""
    ids = f' title="token {", ".join(map(str, piece.ids))}"' if piece.ids else ""
    # a line break is a token of its own: it has to be seen
    text = escape(piece.text).replace("\n", "↵\n")
    tag = "mark" if kind == "trained" else "span"
    return f'<{tag} style="color:inherit;{STYLES[kind][0]}{edge}"{ids}>{text}</{tag}>'

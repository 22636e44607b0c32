"""What the data are like, in numbers and charts: a quick look at once, the full one if asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from dsl.errors import InvalidRecipe, RecipeError
from runner.app.drafts import Draft
from runner.app.looks import Look
from runner.app.profiles import Profile, Refused
from ui import charts
from ui.data_state import going, problems_of
from ui.parts import command, empty, failure, plain
from ui.words import term

EVERY_SECONDS = 1.0
LISTED = 12
TILE = 151  # pixels
HOW = {"exact": "all rows", "sampled": "a sample", "estimated": "an estimate"}


def counts(of: Draft) -> None:
    """The figures of all rows above every view; a look goes on beside the page until they stand."""
    try:
        look = going(of, "quick") or going(of, "quick", start=True)
        full = going(of, "full")
    except InvalidRecipe as error:
        said = plain(error.problems[0].message)
        st.caption(f"All rows are counted once the recipe has no errors: {said}")
        return
    except RecipeError:
        return  # the source that cannot be read says so where it is chosen
    for one in (look, full):
        if one is not None and not one.ended.is_set():
            st.fragment(_going, run_every=EVERY_SECONDS)(one)
    best = _best(look, full)
    if best is not None:
        _tiles(best)
    elif look is not None and look.ended.is_set():
        _none(of, look)


def _none(of: Draft, look: Look[Profile]) -> None:
    """A look without an answer, and the way to another."""
    if look.error is not None:
        failure(look.error)
    said = "stopped" if look.stopping else "not looked at"
    st.badge(f"All rows: {said}", icon=":material/pending:", color="gray")
    if st.button("Look at all rows again", key=f"again-{look.depth}"):
        going(of, "full" if look.depth == "full" else "quick", start=True)
        st.rerun()


def refused_of(of: Draft, file: str) -> tuple[Sequence[Refused], int] | None:
    """The lines of a file that cannot be used, and how many there are; None while not known."""
    best = _known(of)
    if best is None:
        return None
    mine = [one for one in best.refused if one.source == file]
    total = sum(s["refused"] for s in best.values["sources"] if s["name"] == file)
    return mine, total


def profile(of: Draft) -> None:
    try:
        best, full = _known(of), going(of, "full")
    except RecipeError as error:
        failure(error)
        return
    _full(of, full)
    if best is None:
        if said := problems_of(of):
            empty("No profile yet", f"The recipe has errors: {said}", "ui/recipe.py", "Mend them")
        return
    values = best.values
    _lengths(values)
    left, right = st.columns(2)
    with left:
        _parts(values["parts"])
        _duplicates(values["duplicates"], best.depth == "full")
    with right:
        _shares("Labels", values["labels"], "Rows of each label")
        if groups := values["groups"]:
            title = f"Groups of '{groups['column']}': {groups['count']:,}, the largest of them"
            _shares(title, groups["largest"], "Rows of the largest groups", "group")
        _languages(values["languages"], best.depth == "full")
    _columns(values)


def _known(of: Draft) -> Profile | None:
    try:
        return _best(going(of, "quick"), going(of, "full"))
    except RecipeError:
        return None


def _best(quick: Look[Profile] | None, full: Look[Profile] | None) -> Profile | None:
    for look in (full, quick):
        if look is not None and look.answer is not None:
            return look.answer
    return None


def _going(look: Look[Profile]) -> None:
    """What is being done, until it is done."""
    if look.ended.is_set():
        st.rerun()
    what = "A quick look at all rows" if look.depth == "quick" else "A full look at all texts"
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.badge("running", icon=":material/play_circle:", color="blue")
        st.text(f"{what}: {look.said} ({look.seconds:.0f} s)")
        if st.button("Stop", key=f"stop-{look.depth}", disabled=look.stopping):
            look.stopping = True
            st.rerun()
    st.caption("You can go on: the rows are there already, and other pages too.")


def _full(of: Draft, full: Look[Profile] | None) -> None:
    """The button of the full look, or what became of it."""
    if full is not None and full.answer is not None:
        st.caption("From a full look: all texts were read.")
    elif full is not None and full.ended.is_set():
        _none(of, full)
    elif full is None:
        with st.container(horizontal=True, vertical_alignment="center"):
            pressed = st.button(
                "Look at everything", key="look-full", icon=":material/troubleshoot:"
            )
            st.caption("Languages and near duplicates need all texts to be read.")
        if pressed:
            try:
                going(of, "full", start=True)
            except RecipeError as error:
                failure(error)
                return
            st.rerun()
    command(["recipe", "check", of.name])


def _tiles(found: Profile) -> None:
    sources, doubles = found.values["sources"], found.values["duplicates"]
    rows = sum(source["rows"] for source in sources)
    parts = found.values["parts"]
    tiles: list[tuple[str, str, str | None]] = [
        ("Usable rows", f"{rows:,}", None),
        ("Unusable lines", f"{found.refused_total:,}", term("refused")),
        ("Repeated rows", _number(doubles["normalised"]), "Rows that stand there more than once."),
        ("To learn from", f"{parts['train']['rows']:,}", None),
        ("Held out", f"{parts['validation']['rows'] + parts['test']['rows']:,}", term("held_out")),
    ]
    with st.container(horizontal=True):  # on a narrow screen several stand below one another
        for label, value, help in tiles:
            st.metric(label, value, help=help, border=True, width=TILE)


def _lengths(values: Mapping[str, Any]) -> None:
    tokens = values["tokens"]
    st.header("How long the examples are")
    named = {"total": "Whole example", "prompt": "Question", "completion": "Answer"}
    which = st.segmented_control(
        "Part", list(named), format_func=named.__getitem__, default="total", required=True,
        key="lengths", label_visibility="collapsed",
    )  # fmt: skip
    told = (tokens or values["lengths"])[which]
    if told is None:
        st.text("There is nothing of the kind in these rows.")
        return
    cut = tokens["max_length"] if tokens and which == "total" else None
    quantiles = told["quantiles"]
    said = (
        f"Half have at most {quantiles['p50']:,.0f} {told['unit']}, 95% at most"
        f" {quantiles['p95']:,.0f}; the longest has {told['max']:,}."
    )
    if cut is not None:
        over, sample = tokens["over_max_length"], tokens["sample"]
        whole = "all" if tokens["how"] == "exact" else f"a sample of {sample:,}"
        lose = f"{over:,} of {whole} rows" if over else f"None of {whole} rows"
        said += f" {lose} {'are' if over > 1 else 'is'} longer than {cut:,} tokens"
        said += " and lose their end." if over > 1 else " and loses its end." if over else "."
    charts.histogram(
        told["histogram"], f"Histogram of lengths in {told['unit']}. {said}", told["unit"],
        cut, f"cut at {cut:,}" if cut is not None else "",
    )  # fmt: skip
    st.caption(said, help=term("max_length"))
    if values["tokens_missing"]:
        st.caption(plain(f"In characters, since {values['tokens_missing']}."))


def _parts(parts: Mapping[str, Any]) -> None:
    st.subheader("What is learnt from, and what is held out", help=term("held_out"))
    names = {"train": "training", "validation": "validation", "test": "test"}
    shares = [(word, parts[name]["rows"]) for name, word in names.items()]
    said = ", ".join(f"{word} {rows:,}" for word, rows in shares)
    charts.bars(shares, f"Rows of each part: {said}")
    if general := parts["train"]["general"]:
        st.caption(f"Of the training rows {general:,} are general data, mixed in.")


def _duplicates(doubles: Mapping[str, Any], full: bool) -> None:
    st.subheader("Repeated rows", help=term("near_duplicate"))
    kinds = {"exact": "letter by letter", "normalised": "but for case and blanks", "near": "nearly"}
    known = [(word, doubles[kind]) for kind, word in kinds.items() if doubles[kind] is not None]
    said = ", ".join(f"{word} {rows:,}" for word, rows in known)
    charts.bars(known, f"Rows beyond the first of their kind: {said or 'not counted'}")
    if doubles["near"] is None:
        st.caption(
            "Near duplicates: " + ("switched off in the recipe." if full else "not run yet.")
        )


def _shares(
    title: str, shares: Sequence[Mapping[str, Any]], alt: str, explained: str | None = None
) -> None:
    if not shares:
        return
    st.subheader(plain(title), help=term(explained) if explained else None)
    told = [(str(share["name"]), share["rows"]) for share in shares[:LISTED]]
    said = ", ".join(f"{name} {rows:,}" for name, rows in told)
    charts.bars(told, f"{alt}: {said}")
    if len(shares) > LISTED:
        st.caption(f"The first {LISTED}.")


def _languages(languages: Mapping[str, Any] | None, full: bool) -> None:
    if languages:
        _shares(
            f"Languages, told from {HOW[languages['how']]} ({languages['sample']:,} rows)",
            languages["shares"],
            "Rows of each language",
        )
        return
    st.subheader("Languages")
    st.caption("Switched off in the recipe." if full else "Not run yet: part of the full look.")


def _columns(values: Mapping[str, Any]) -> None:
    with st.expander("All columns and files, counted"):
        columns = [
            {
                "file": column["source"],
                "column": column["name"],
                "part": column["role"] or "not used",
                "rows": column["rows"],
                "kinds": ", ".join(f"{kind} {n:,}" for kind, n in column["types"].items()),
                "empty": column["empty"],
            }
            for column in values["columns"]
        ]
        st.dataframe(columns, hide_index=True, alt="Every column with its rows and kinds of values")
        files = [
            {name: source[name] for name in ("name", "part", "kind", "rows", "refused", "blank")}
            for source in values["sources"]
        ]
        st.dataframe(files, hide_index=True, alt="Every file with its rows")


def _number(count: int | None) -> str:
    return "not counted" if count is None else f"{count:,}"

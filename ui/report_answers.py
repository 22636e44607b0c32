"""The answers one by one: prompt, reference, base and tuned, the worst regressions first."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import get_args

import streamlit as st

from dsl.errors import RecipeError
from dsl.metrics import METRICS
from runner.app.results import Answer, Answers, Order, Outcome, Question, turns
from runner.app.word_changes import Run, word_changes
from runner.report.words import NONE, label, plural, visible
from ui.parts import STATES, badge, failure
from ui.text import plain
from ui.words import term

PAGE = 8
OUTCOMES: tuple[Outcome, ...] = ("loss", "tie", "win", "unknown")
SIDES = {"base": "base and tuned", "reference": "each answer and the reference", "none": "nothing"}
SHOWN_CHARACTERS = 8000
BOX = "white-space:pre-wrap;overflow-wrap:anywhere;font-size:.92rem;line-height:1.6"
# told by a line as well as by a colour; the text keeps the theme's colour
OWN = "color:inherit;background:rgba({});text-decoration:{};text-decoration-thickness:2px;"
ADDED = OWN.format("46,125,50,.22", "underline")
LEFT_OUT = OWN.format("198,40,40,.16", "underline dotted")
OTHER = OWN.format("217,119,6,.2", "underline dotted")

LEGENDS = {
    "base": ((LEFT_OUT, "only the base says this"), (ADDED, "only the tuned model says this")),
    "reference": ((OTHER, "the reference does not say this"),),
}


def _answers(found: Answers) -> None:
    try:
        _shown(found)
    except RecipeError as error:  # the file may go while its page is open
        failure(error)


def _shown(found: Answers) -> None:
    if not found.suites:
        st.text("No answers were kept.")
        return
    asked = _filters(found)
    counts = found.counts(asked)
    shown = st.segmented_control(
        "Show",
        [outcome for outcome in OUTCOMES if counts.get(outcome)],
        selection_mode="multi",
        format_func=lambda how: f"{STATES[how][1]} {STATES[how][2]} {counts[how]:,}",
        key=f"answers-outcomes-{asked.suite}-{asked.metric}",
        label_visibility="collapsed",
        help="Of the tuned model, against the base",
    )
    outcomes: tuple[Outcome, ...] = tuple(shown)
    total = sum(count for how, count in counts.items() if not outcomes or how in outcomes)
    if not total:
        st.text("No answer holds that. Search for less.")
        return
    asked = Question(asked.suite, asked.metric, asked.text, outcomes, asked.order)
    pages = -(-total // PAGE)
    # another question is another list: its pages are counted anew
    key = f"answers-page-{asked}"
    at = min(st.session_state.get(key, 1), pages)
    side = st.session_state.get("answers-side", "base")
    if side in LEGENDS:
        parts = (f'<mark style="{style}">{text}</mark>' for style, text in LEGENDS[side])
        st.html(f'<div role="note" style="font-size:.85rem">{"&emsp;".join(parts)}</div>')
    for number, answer in enumerate(found.page(asked, (at - 1) * PAGE, PAGE)):
        _card(answer, asked.metric, side, number)
    with st.container(horizontal=True, vertical_alignment="center"):
        if pages > 1:
            st.pagination(pages, key=key)
        st.caption(f"{plural(total, 'answer')}, {PAGE} a page.")


def _filters(found: Answers) -> Question:
    one, two, three, four = st.columns([3, 2, 2, 3], vertical_alignment="bottom")
    suite = next(iter(found.suites))
    text = one.text_input(
        "Search in prompts and answers", key="answers-text", icon=":material/search:"
    )
    if len(found.suites) > 1:
        suite = st.segmented_control(
            "Suite",
            list(found.suites),
            default=suite,
            required=True,
            key="answers-suite",
            format_func=plain,
        )
    metrics = found.suites[suite]
    metric = two.selectbox(
        "Judged by",
        metrics,
        format_func=label,
        key=f"answers-metric-{suite}",
        help="What says whether one answer is better than the other. "
        f"ROUGE: {term('rouge')} Loss: {term('loss')}",
        disabled=not metrics,
    )
    order = three.selectbox("Order", get_args(Order), key="answers-order")
    four.selectbox(
        "Mark what differs between",
        list(SIDES),
        format_func=SIDES.__getitem__,
        key="answers-side",
    )
    return Question(suite, metric, text, (), order)


def _card(answer: Answer, metric: str | None, side: str, number: int) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            badge(answer.outcome)
            if metric is not None:
                scores = f"{_score(answer.base_score)} → {_score(answer.tuned_score)}"
                st.text(f"{label(metric)} {scores} ({METRICS[metric].better} is better)")
            where = f"{answer.id}, {answer.group}" if answer.group else answer.id
            st.text(visible(where))  # as a caption an address in it would be a link
        told = turns(answer.prompt)
        for role, text in told[-1:]:
            _box(f"Prompt{f' ({role})' if role else ''}", [Run(visible(text), False)], "")
        base, tuned, reference = map(visible, (answer.base, answer.tuned, answer.reference))
        marks = _marked(base, tuned, reference, side)
        left, middle, right = st.columns(3)
        with left:
            _box("Reference: the answer hoped for", [Run(reference, False)], "")
        with middle:
            _box("Base model", marks[0], LEFT_OUT if side == "base" else OTHER)
        with right:
            _box("Tuned model", marks[1], ADDED if side == "base" else OTHER)
        with st.expander("The whole prompt as the model read it"):
            st.code(visible(answer.prompt), language=None, wrap_lines=True)


def _marked(base: str, tuned: str, reference: str, side: str) -> tuple[list[Run], list[Run]]:
    if side == "base":
        return word_changes(base, tuned)
    if side == "reference":
        return word_changes(base, reference)[0], word_changes(tuned, reference)[0]
    return [Run(base, False)], [Run(tuned, False)]


def _box(title: str, runs: Sequence[Run], style: str) -> None:
    """A text as HTML of our own making: every word of it is escaped."""
    st.caption(title)
    body, room = [], SHOWN_CHARACTERS
    for run in runs:
        text = escape(run.text[:room])
        body.append(f'<mark style="{style}">{text}</mark>' if run.own and style else text)
        room = max(0, room - len(run.text))
    more = "<br><i>… cut here; the whole is in predictions.parquet</i>" if not room else ""
    shown = "".join(body) or f"<i>{NONE} nothing</i>"
    st.html(f'<div dir="auto" style="{BOX}">{shown}{more}</div>')


def _score(score: float | None) -> str:
    return NONE if score is None else f"{score:,.3f}"


answers = st.fragment(_answers)  # a page is turned without the rest of the page

"""The Playground: one question to the base and to tuned models, side by side."""

from __future__ import annotations

import json
from pathlib import Path

import streamlit as st

from dsl.errors import RecipeError
from runner.app.launch import with_runs
from runner.chat.prompt import PLAIN, adds, columns, optional, shown
from runner.chat.protocol import Turn
from runner.chat.sample import sample
from runner.chat.subject import Subject, subject, trained
from runner.runs.queue import tickets
from runner.runs.store import RunFolder
from ui import current
from ui.parts import command, empty, failure, plain
from ui.playground_answers import exchanges
from ui.playground_eval import eval_set
from ui.playground_style import Asking, options_of, style_of
from ui.playground_talk import Arm, Talk, ask, clear, desk, talk
from ui.words import term

RUN, BESIDE = "run", "play_beside"
BASE = "base"
MOST_BESIDE = 3
MOST_OFFERED = 50
KEPT_SECONDS = 60
QUESTION = "play_question"


def page() -> None:
    st.title("Playground")
    runs = trained(current.runs())
    if not runs:
        empty(
            "There is no model to talk with yet",
            "Here the base and the tuned model answer the same question side by side. For that, a "
            "run must have finished its training.",
            "ui/run.py",
            "Start a run",
        )
        return
    st.text("One question, the same for each model: see what the training changed.")
    ids = [run.id for run in runs]
    left, right = st.columns(2)
    with left:
        chosen = st.selectbox("Tuned model", ids, key=RUN, bind="query-params", help=term("run"))
    try:
        of = _read(next(run for run in runs if run.id == chosen))
    except RecipeError as error:
        failure(error)
        return
    with right:
        arms = (*_beside(of, [run for run in runs if run.id != of.run.id]), Arm(of, True))
    said = talk(of)
    asking = style_of(of)
    if tickets(current.runs()):
        st.caption("A run is going on on this computer: answers come slower meanwhile.")
    exchanges(said, _stop)
    # at the foot of the window it would scroll the page down at every change
    with st.container():
        _question(of, said, arms, asking)
    _actions(of, said, arms, asking)
    eval_set(of)
    command(*_commands(of, said))


def _beside(of: Subject, others: list[RunFolder]) -> tuple[Arm, ...]:
    """The models in the other columns: the base, and runs that stand on the same one."""
    known = {run.id: found for run in others[:MOST_OFFERED] if (found := _readable(run))}
    same = [run_id for run_id, found in known.items() if found.key == of.key]
    picked = st.multiselect(
        "Beside it",
        [BASE, *same],
        default=[BASE],
        format_func=lambda one: f"the base: {of.recipe.model.base}" if one == BASE else one,
        max_selections=MOST_BESIDE,
        key=f"{BESIDE}-{of.run.id}",
        placeholder="no other",
        help="The base, and tuned models that stand on the same base: they share one load of it. "
        + term("base"),
    )
    return tuple(Arm(of, False) if one == BASE else Arm(known[one], True) for one in picked)


def _readable(run: RunFolder) -> Subject | None:
    try:
        return _read(run)
    except RecipeError:
        return None


def _read(run: RunFolder) -> Subject:
    found: Subject = _subject(str(run.path), run.plan.stat().st_mtime_ns)
    return found


def _fresh(path: str, changed: int) -> Subject:
    return subject(RunFolder(Path(path)))


# a base that goes away meanwhile is told by the engine
_subject = st.cache_data(_fresh, ttl=KEPT_SECONDS, max_entries=2 * MOST_OFFERED, show_spinner=False)


def _actions(of: Subject, said: Talk, arms: tuple[Arm, ...], asking: Asking) -> None:
    with st.container(horizontal=True):
        if of.run.part("test").is_file():
            st.button(
                "Ask a test question",
                icon=":material/quiz:",
                key="play-test",
                disabled=said.going,
                on_click=_test,
                args=(of, said, arms, asking),
                help="The next of the examples that were held out, with its expected answer. At "
                "temperature 0 and as in the recipe, the answers are those of the report. "
                + term("held_out"),
            )
        if said.exchanges:
            st.button(
                "Clear",
                icon=":material/delete_sweep:",
                key="play-clear",
                disabled=said.going,
                on_click=clear,
                help="Ends this conversation. What was added to the eval set stays.",
            )


def _question(of: Subject, said: Talk, arms: tuple[Arm, ...], asking: Asking) -> None:
    names = columns(of.recipe) if asking.through else {PLAIN: ""}
    (sent, given) = _one(names, said) if len(names) == 1 else _several(of, names, said)
    if not sent:
        return
    turn = Turn("user", fields=given) if asking.through else Turn("user", given[PLAIN])
    _ask(of, said, arms, asking, turn)
    st.rerun()


def _ask(of: Subject, said: Talk, arms: tuple[Arm, ...], asking: Asking, turn: Turn) -> None:
    ask(said, arms, turn, shown(turn, of.recipe.template), asking.style)


def _one(names: dict[str, str], said: Talk) -> tuple[bool, dict[str, str]]:
    ((name, column),) = names.items()
    label = "Your question" if name == PLAIN else f"Your text: {column}"
    text = st.chat_input(
        "Wait for the answer, or stop it" if said.going else label,
        key="play-ask",
        disabled=said.going,
    )
    return bool(text and text.strip()), {name: str(text or "")}


def _several(of: Subject, names: dict[str, str], said: Talk) -> tuple[bool, dict[str, str]]:
    with st.form("play-form", border=True):
        st.caption("The fields of the recipe's template")
        given = {
            name: st.text_area(plain(column), key=f"play-field-{name}", height=80)
            for name, column in names.items()
        }
        sent = st.form_submit_button("Ask", type="primary", disabled=said.going)
    blank = [
        names[name]
        for name, text in given.items()
        if not text.strip() and name not in optional(of.recipe.template)
    ]
    if sent and blank:
        st.warning(plain(f"Fill in: {', '.join(blank)}"))
    return sent and not blank, given


def _test(of: Subject, said: Talk, arms: tuple[Arm, ...], asking: Asking) -> None:
    try:
        found = sample(of, said.tested)
    except RecipeError as error:
        st.toast(plain(f"No test question can be read: {error.message}"))
        return
    said.tested += 1
    style = asking.style if found.system is None else asking.with_system(found.system)
    words = shown(found.turns[-1], of.recipe.template)
    ask(said, arms, found.turns[-1], words, style, found.reference, found.turns[:-1])


def _stop(said: Talk) -> None:
    for exchange in said.exchanges:
        if exchange.order.going:
            desk().stop(exchange.order)


def _commands(of: Subject, said: Talk) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = [("recipe", "chat", of.run.id)]
    if said.exchanges and not said.exchanges[-1].before:
        last = said.exchanges[-1]
        asked = last.turn.text
        if (given := last.turn.fields) is not None:
            asked = next(iter(given.values())) if len(given) == 1 else json.dumps(given)
        plainly = ("--plain",) if given is None and adds(of.recipe.template) else ()
        words = ("--prompt", asked, *plainly, *options_of(last.style, of))
        lines.append(("recipe", "chat", of.run.id, *words))
        lines.append(("recipe", "chat", of.run.id, "--base", *words))
    return [with_runs(words, current.folder(), current.runs()) for words in lines]


try:
    page()
except RecipeError as error:
    failure(error)

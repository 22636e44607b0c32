"""What the Playground's session holds: who is asked, what was asked, and the desk that answers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import streamlit as st

from runner.chat.desk import Answer, Desk, Order
from runner.chat.engine import Engine
from runner.chat.protocol import Ask, Turn
from runner.chat.subject import Subject, conversational

TALK = "playground"


@dataclass(frozen=True, slots=True)
class Arm:
    """A model in a column: the base of a run, or what the run trained."""

    of: Subject
    tuned: bool

    @property
    def key(self) -> tuple[str, bool]:
        return self.of.run.id if self.tuned else self.of.key, self.tuned

    @property
    def title(self) -> str:
        return self.of.run.id if self.tuned else self.of.recipe.model.base


@dataclass(frozen=True, slots=True)
class Style:
    """How questions are asked: all but the question."""

    system: str | None
    seed: int
    temperature: float
    top_p: float
    max_new_tokens: int
    keeps: bool


@dataclass(slots=True)
class Exchange:
    """A question and its answers, one an arm. `reference`: the known answer of a test question.
    `added`: the file that it was added to."""

    turn: Turn
    shown: str
    before: tuple[Turn, ...]
    style: Style
    arms: tuple[Arm, ...]
    order: Order
    reference: str | None = None
    added: str | None = None

    def answer(self, arm: Arm) -> Answer | None:
        pairs = zip(self.arms, self.order.answers, strict=True)
        return next((answer for known, answer in pairs if known.key == arm.key), None)


@dataclass(slots=True)
class Talk:
    """A conversation, oldest first. `about`: the template it was had through."""

    about: str
    exchanges: list[Exchange] = field(default_factory=list)
    tested: int = 0  # test questions that were asked

    @property
    def going(self) -> bool:
        return any(exchange.order.going for exchange in self.exchanges)


def talk(of: Subject) -> Talk:
    """The session's conversation; a new one where another template is talked through."""
    about = repr(of.recipe.template)
    known: Talk | None = st.session_state.get(TALK)
    if known is None or known.about != about:
        known = st.session_state[TALK] = Talk(about)
    return known


def clear() -> None:
    st.session_state.pop(TALK, None)


def ask(
    said: Talk,
    arms: tuple[Arm, ...],
    turn: Turn,
    shown: str,
    style: Style,
    reference: str | None = None,
    given: tuple[Turn, ...] | None = None,
) -> None:
    """Asks every arm, each with its own earlier answers where the conversation is kept.

    `given` are the turns that a test question brings along: then nothing else stands before it.
    """
    asks = [
        Ask(
            run=str(arm.of.run.path.absolute()),
            tuned=arm.tuned,
            turns=(*(_before(said, arm, style) if given is None else given), turn),
            system=style.system,
            max_new_tokens=min(style.max_new_tokens, arm.of.context - 1),
            seed=style.seed,
            temperature=style.temperature,
            top_p=style.top_p,
        )
        for arm in arms
    ]
    before = asks[-1].turns[:-1]
    order = desk().order(asks)
    said.exchanges.append(Exchange(turn, shown, before, style, arms, order, reference))


def again(said: Talk, exchange: Exchange) -> None:
    """Asks the same once more, as after the engine had ended."""
    order = desk().order([answer.ask for answer in exchange.order.answers])
    said.exchanges.remove(exchange)
    said.exchanges.append(
        Exchange(
            exchange.turn, exchange.shown, exchange.before, exchange.style, exchange.arms, order,
            exchange.reference,
        )
    )  # fmt: skip


def desk() -> Desk:
    """One a server: the sessions take turns."""
    found: Desk = _desk()
    return found


def holds_conversations(of: Subject) -> bool:
    return cast(bool, _conversational(str(of.run.path), of))


def _before(said: Talk, arm: Arm, style: Style) -> tuple[Turn, ...]:
    if not style.keeps:
        return ()
    turns: list[Turn] = []
    for exchange in said.exchanges:
        answer = exchange.answer(arm)
        if answer is not None and answer.done is not None:
            turns += [replace(exchange.turn), Turn("assistant", answer.done.text)]
    return tuple(turns)


def _new_desk() -> Desk:
    return Desk(Engine())


_desk = st.cache_resource(_new_desk, show_spinner=False, on_release=lambda old: old.engine.close())


def _is_conversational(path: str, _of: Subject) -> bool:
    return conversational(_of.run)


_conversational = st.cache_data(_is_conversational, show_spinner=False)

"""The conversation of the Playground: questions, and answers as they grow. All of it as text."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from runner.chat.desk import Answer
from runner.chat.protocol import Done
from runner.report.words import visible
from ui.parts import badge, plain
from ui.playground_eval import add_button
from ui.playground_talk import Arm, Exchange, Talk, again, desk
from ui.words import term

EVERY_SECONDS = 0.4
Stop = Callable[[Talk], None]


def exchanges(said: Talk, stop: Stop) -> None:
    """All of the conversation; while an answer is being written, its end is read again."""
    if not said.exchanges:
        with st.container(border=True):
            st.text("Type a question below, or take one of the test questions.")
            st.caption(
                "The first answer takes longer: the model is loaded then, and stays for ten "
                "minutes after the last question."
            )
        return
    *before, last = said.exchanges
    for number, exchange in enumerate(before):
        _exchange(number, exchange, said)
    if last.order.going:
        st.fragment(_live, run_every=EVERY_SECONDS)(len(before), last, said, stop)
    else:
        _exchange(len(before), last, said)


def _live(number: int, exchange: Exchange, said: Talk, stop: Stop) -> None:
    if not exchange.order.going:
        st.rerun()  # the rest of the page waits for the end
    _exchange(number, exchange, said)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Stop", icon=":material/stop:", key="play-stop", on_click=stop, args=(said,),
            shortcut="Escape",
        )  # fmt: skip
        if ahead := desk().ahead(exchange.order):
            badge("queued", "waiting")
            others = "another window" if ahead == 1 else f"{ahead} other questions"
            st.text(f"One engine answers all windows of this app: {others} first.")


def _exchange(number: int, exchange: Exchange, said: Talk) -> None:
    with st.chat_message("user", avatar=":material/person:"):
        st.text(visible(exchange.shown))
    titles = len(exchange.arms) + (exchange.reference is not None)
    columns = st.columns(max(1, titles))
    for place, (arm, answer) in enumerate(zip(exchange.arms, exchange.order.answers, strict=True)):
        with columns[place], st.container(border=True, height="stretch"):
            _head(arm)
            _answer(f"{number}-{place}", answer, exchange, said)
    if exchange.reference is not None:
        with columns[-1], st.container(border=True, height="stretch"):
            st.badge("expected", icon=":material/task_alt:", color="gray", help=term("reference"))
            st.text(visible(exchange.reference))
    if not exchange.order.going and any(a.done for a in exchange.order.answers):
        add_button(number, exchange)


def _head(arm: Arm) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if arm.tuned:
            st.badge("tuned", icon=":material/model_training:", color="violet", help=term("tuned"))
        else:
            st.badge("base", icon=":material/deployed_code:", color="blue", help=term("base"))
        st.caption(plain(arm.title))


def _answer(key: str, answer: Answer, exchange: Exchange, said: Talk) -> None:
    match answer.state:
        case "waiting":
            badge("queued", "waits for its turn")
        case "loading":
            badge("starting", "loading" if answer.what else "reading the question")
            if answer.what:
                st.text(f"Loading {answer.what}: on a slow computer this takes a minute.")
        case "writing":
            st.text(visible(answer.text))
            st.caption("writing …")
        case "done" if answer.done is not None:
            _done(key, answer.done)
        case "dropped":
            badge("stopped", "not asked")
        case "failed" if answer.failed is not None:
            badge("error", "no answer")
            for text in filter(None, (answer.failed.message, answer.failed.hint)):
                st.text(visible(text[:1].upper() + text[1:]))
            if answer.died:
                st.button(
                    "Start the engine and ask again",
                    key=f"play-again-{key}",
                    icon=":material/restart_alt:",
                    on_click=again,
                    args=(said, exchange),
                )
            if told := desk().engine.said():
                with st.expander("What the engine said", icon=":material/article:"):
                    st.code(visible(told), language=None, wrap_lines=True, height=200)


def _done(key: str, done: Done) -> None:
    if done.text:
        st.text(visible(done.text))
    else:
        st.caption("Nothing: the model ended its answer at once.")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(_counts(done))
        if done.stopped or not done.finished:
            badge("warn", "stopped" if done.stopped else "cut off at its longest")
        if done.text:
            with st.popover("Copy", icon=":material/content_copy:", key=f"play-copy-{key}"):
                st.code(done.text, language=None, wrap_lines=True)
    if done.left_out:
        st.caption(
            f"{done.left_out:,} tokens at the beginning of the conversation were left out: the "
            "model has no room for them."
        )


def _counts(done: Done) -> str:
    return f"{done.tokens:,} tokens, {done.tokens_per_second:,.1f} a second"

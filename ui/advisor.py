"""The advisor: a few questions, what fits them, and the settings with the arithmetic of LoRA."""

from __future__ import annotations

import streamlit as st

from dsl.advise import Advice, advise, choose_rank, not_built, patch
from dsl.approach import Answers, Ranked, advisable, can_join, rank_approaches
from dsl.arithmetic import Arithmetic
from dsl.errors import InvalidRecipe
from dsl.source import parse
from runner.advising import (
    APPROACHES,
    JOIN,
    NEXT,
    NOTHING,
    about,
    arithmetic_of,
    begun,
    device,
    words_of,
)
from runner.app import drafts
from runner.report.words import plural, size
from ui import current
from ui.advisor_questions import base_model, place, questions
from ui.lora_chart import low_rank
from ui.parts import badge, command, plain
from ui.text import toast
from ui.words import term

RANKS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def advisor() -> None:
    """A part of a page that is run alone when something in it is touched."""
    st.fragment(_advisor)()


def _advisor() -> None:
    st.header("Is fine-tuning what you need?")
    left, right = st.columns([2, 3], gap="large")
    with left:
        answers = questions()
    with right:
        if answers is None:
            with st.container(border=True):
                st.text(
                    "Say what the answers lack and how many examples you have: here you then read "
                    "whether a better prompt, retrieval or fine-tuning fits, and why."
                )
            command(["recipe", "advise"])
            return
        _approaches(rank_approaches(answers))
    with st.container(border=True):
        st.subheader("If you fine-tune")
        tops = st.columns(3)
        with tops[0]:
            base, model = base_model()
        with tops[1]:
            memory = place()
        with tops[2]:
            rank = _rank(answers)
        advice = advise(answers, base, model, device(memory), rank)
        _methods(advice)
        if sums := arithmetic_of(advice, model):
            _arithmetic(sums)
        _settings(advice)
        _use(advice)
    command(words_of(advice, memory))


# ---------------------------------------------------------------- the approach


def _approaches(approaches: tuple[Ranked, ...]) -> None:
    first, *others = approaches
    with st.container(border=True):
        if advisable(approaches):
            badge("pass", "fits best")
        else:
            badge("warn", NOTHING)
        st.subheader(APPROACHES[first.approach])
        _reasons(first)
        if first.approach == "tune" and current.draft() is None:
            st.page_link("ui/data.py", label="Begin with your data", icon=":material/upload_file:")
    for number, ranked in enumerate(others, 2):
        supporting = sum(one.points > 0 for one in ranked.reasons)
        counted = f"{supporting} for it, {len(ranked.reasons) - supporting} against"
        with st.expander(f"{number}\\. {APPROACHES[ranked.approach]}: {counted}"):
            _reasons(ranked)
    if can_join(approaches):
        st.text(JOIN)


def _reasons(ranked: Ranked) -> None:
    for reason in ranked.reasons:
        sign = ":green[:material/add_circle:]" if reason.points > 0 else (
            ":red[:material/do_not_disturb_on:]"
        )  # fmt: skip
        side = "For" if reason.points > 0 else "Against"
        st.markdown(f"{sign} {side}: {plain(reason.why)}")
    st.caption(plain(NEXT[ranked.approach]))


# ---------------------------------------------------------------- the settings


def _rank(answers: Answers) -> int | None:
    """The advised rank until another is chosen; a slider, so that its cost is seen."""
    usual = choose_rank(answers.need, answers.rows).value
    rank: int | None = st.select_slider(
        f"Rank (advised: {usual})",
        RANKS,
        value=usual,
        key=f"advisor-rank-{usual}",
        persist_state="session",
        help=term("rank"),
    )
    return rank


def _methods(advice: Advice) -> None:
    for number, option in enumerate(advice.options):
        low, high = option.estimate.total_seconds
        memory = option.estimate.memory.total
        with st.container(horizontal=True, vertical_alignment="center"):
            badge("pass" if option.fits else "error", "fits" if option.fits else "does not fit")
            said = f"**{option.method}** {plain(size(memory))} of memory at least"
            if option.fits:
                said += plain(f", {about(low, high)}")
            said += " (estimated)" + (", advised" if number == 0 and option.fits else "")
            st.markdown(said, help=term(option.method))
        st.caption(plain(option.why))
    if advice.fitting_base:
        st.text(f"The largest known base that this device can train is {advice.fitting_base}.")
    elif not advice.options[0].fits:
        st.text("No known base can be trained on this device.")


def _arithmetic(sums: Arithmetic) -> None:
    left, right = st.columns([2, 3], gap="large")
    with left:
        name = st.selectbox(
            "Layer",
            [layer.name for layer in sums.layers],
            key="advisor-layer-" + "-".join(layer.name for layer in sums.layers),
            help="Every kind of layer that gets an adapter. B times A has the shape of W.",
        )
        low_rank(next(layer for layer in sums.layers if layer.name == name))
    with right:
        tiles = st.columns(2)
        _tile(tiles[0], "Trained weights", f"{sums.trainable:,}",
              f"{sums.share:.2%} of {sums.parameters:,}, exact", "adapter")  # fmt: skip
        _tile(tiles[1], "Adapter file", f"{sums.adapter_bytes / 1e6:,.1f} MB",
              "4 bytes a weight", "adapter")  # fmt: skip
        _tile(tiles[0], "Optimizer states", f"{sums.states_bytes / 1e6:,.0f} MB",
              "8 bytes a trained weight", "optimizer")  # fmt: skip
        full = sums.training_bytes / sums.trainable * sums.parameters
        _tile(tiles[1], "All of its training", f"{sums.training_bytes / 1e6:,.0f} MB",
              f"{full / 1e9:,.1f} GB if all were trained", "optimizer")  # fmt: skip
        with st.expander("Every layer"):
            st.dataframe(
                [
                    {
                        "layer": layer.name,
                        "times": layer.count,
                        "W (d x k)": f"{layer.d:,} x {layer.k:,}",
                        "r (d + k)": layer.trained,
                        "in all": layer.count * layer.trained,
                    }
                    for layer in sums.layers
                ],
                hide_index=True,
                alt="Kinds of layers with their shapes and trained weights",
            )


def _tile(column: object, label: str, value: str, below: str, word: str) -> None:
    column.metric(  # type: ignore[attr-defined]
        label, value, below, delta_color="off", delta_arrow="off", help=term(word)
    )


def _settings(advice: Advice) -> None:
    st.table(
        [
            {
                "setting": plain(one.path),
                "value": f"{one.value:g}"
                if isinstance(one.value, float)
                else plain(str(one.value)),
                "why": plain(one.why),
            }
            for one in advice.choices
        ],
        hide_index=True,
        border="horizontal",
        alt="The advised settings with their reasons",
    )
    st.caption(plain(f"Not built yet: {'; '.join(not_built())}."))


def _use(advice: Advice) -> None:
    of = current.draft()
    label = f"Use this in {of.name}" if of else "Begin a recipe with this"
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(
            plain(label), key="advisor-use", type="primary", icon=":material/check:",
            help=f"Writes {plural(len(advice.choices), 'setting')} and the base into the draft.",
        ):  # fmt: skip
            _write(advice)
            st.rerun()
        st.page_link("ui/recipe.py", label="See the recipe", icon=":material/description:")


def _write(advice: Advice) -> None:
    of = current.draft()
    if of is None:
        current.set_draft(drafts.begin(current.folder(), begun(advice)))
        toast("a recipe is begun: say on its page where your data lie")
        return
    try:
        values = parse(of.text, of.name).values
    except InvalidRecipe as error:
        toast(f"the recipe has to be mended first: {error.problems[0].message}")
        return
    current.mend(patch(values, advice))

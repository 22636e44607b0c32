"""How the Playground asks: system message, template, conversation, chance, length."""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st

from runner.chat.prompt import adds, holds_conversation, system_of, takes_system
from runner.chat.subject import Subject
from ui.playground_talk import Style, holds_conversations
from ui.words import term

SYSTEM_PIXELS = 100


@dataclass(frozen=True, slots=True)
class Asking:
    """`through`: what is typed is put into the recipe's template."""

    style: Style
    through: bool

    def with_system(self, system: str | None) -> Style:
        return replace(self.style, system=system)


def style_of(of: Subject) -> Asking:
    recipe, run = of.recipe, of.run.id
    with st.expander("How they are asked", icon=":material/tune:"):
        through = _through(of)
        keeps = _keeps(of)
        system = _system(of)
        chance, nucleus, longest, number = st.columns(4)
        temperature = chance.number_input(
            "Temperature", 0.0, 2.0, 0.0, 0.1, key=f"play-temperature-{run}",
            help=term("temperature"),
        )  # fmt: skip
        top_p = nucleus.number_input(
            "Top-p", 0.05, 1.0, 1.0, 0.05, key=f"play-top-p-{run}", disabled=not temperature,
            help=term("top_p"),
        )  # fmt: skip
        most = longest.number_input(
            "Longest answer", 1, of.context - 1,
            min(recipe.eval.generation.max_new_tokens, of.context - 1), key=f"play-most-{run}",
            help="In tokens; at first as in the recipe's evaluation. " + term("token"),
        )  # fmt: skip
        seed = number.number_input(
            "Seed", 0, 2**32 - 1, recipe.training.seed, key=f"play-seed-{run}",
            disabled=not temperature, help=term("seed"),
        )  # fmt: skip
    style = Style(system or None, int(seed), float(temperature), float(top_p), int(most), keeps)
    return Asking(style, through)


def options_of(style: Style, of: Subject) -> tuple[str, ...]:
    """What 'recipe chat' has to be told to ask in this way."""
    recipe = of.recipe
    said: list[str] = []
    if style.system != system_of(recipe.template):
        said += ["--system", style.system or ""]
    if style.max_new_tokens != recipe.eval.generation.max_new_tokens:
        said += ["--max-new-tokens", str(style.max_new_tokens)]
    if style.temperature:
        said += ["--temperature", f"{style.temperature:g}", "--seed", str(style.seed)]
        said += ["--top-p", f"{style.top_p:g}"] if style.top_p < 1 else []
    return tuple(said)


def _through(of: Subject) -> bool:
    """Where the template adds something to a question, it can be left out."""
    template = of.recipe.template
    if not adds(template):
        return False
    through = st.toggle(
        "Put the question into the recipe's template",
        value=True,
        key=f"play-through-{of.run.id}",
        help="As in training and evaluation. Without it the model is asked in a way it was not "
        "taught. " + term("template"),
    )
    if through and (own := getattr(template, "prompt", None)):
        st.code(own, language=None, wrap_lines=True)
    return bool(through)


def _keeps(of: Subject) -> bool:
    if not holds_conversation(of.recipe.template):
        st.text("Each question stands alone: this recipe's template holds one.")
        return False
    keeps = st.toggle(
        "Keep the conversation",
        value=holds_conversations(of),
        key=f"play-keeps-{of.run.id}",
        help="Each model also reads what was said before, with its own answers. A model that was "
        "trained on single questions does best without.",
    )
    return bool(keeps)


def _system(of: Subject) -> str | None:
    template = of.recipe.template
    if not takes_system(template):
        return None
    key = f"play-system-{of.run.id}"
    own = system_of(template) or ""
    system = st.text_area(
        "System message", own, key=key, height=SYSTEM_PIXELS, help=term("system_message")
    )
    if system != own:
        st.button(
            "As in the recipe",
            icon=":material/undo:",
            key=f"play-own-system-{of.run.id}",
            on_click=_put_back,
            args=(key, own),
        )
    return str(system or "")


def _put_back(key: str, own: str) -> None:
    st.session_state[key] = own

"""What is typed is rendered as a row of the recipe's own data is in an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from dsl.chat import CHATML, render_chat
from dsl.recipe import Recipe, read
from dsl.rows import Example, Message
from dsl.templates import TemplateError, prompt_of
from runner.chat.prompt import (
    adds,
    columns,
    fields,
    holds_conversation,
    prompt_text,
    shown,
    system_of,
)
from runner.chat.protocol import Turn

MakeRecipe = Callable[..., Recipe]
SYSTEM = "Be brief."
# template → the fields of a question
TEMPLATES: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"type": "chat"}, ("prompt",)),
    ({"type": "chat", "system": SYSTEM}, ("prompt",)),
    ({"type": "chat", "prompt": "Rewrite:\n\n{{ input }}"}, ("input",)),
    ({"type": "chatml", "system": SYSTEM, "prompt": "{{ kind }}: {{ clause }}"},
     ("kind", "clause")),
    ({"type": "alpaca", "system": SYSTEM}, ("instruction", "input")),
    ({"type": "alpaca", "prompt": "Say {{ prompt }}"}, ("prompt",)),
    ({"type": "jinja", "prompt": "Q: {{ clause }}\nA:", "completion": " {{ plain }}"}, ("clause",)),
    ({"type": "jinja", "prompt": "{{ prompt }} ", "completion": "{{ completion }}"}, ("prompt",)),
]  # fmt: skip
VALUES = {"prompt": "Why?", "input": "The Lessee", "instruction": "Why?", "kind": "lease",
          "clause": "Lessor {{ shall }}", "plain": "ANSWER"}  # fmt: skip


@pytest.fixture
def made() -> MakeRecipe:
    def make(template: Mapping[str, Any], **source: Any) -> Recipe:
        values = {
            "name": "chat",
            "model": {"base": "smollm2-135m-instruct"},
            "data": {"train": [{"path": "rows.jsonl", **source}]},
            "template": template,
            "method": {"type": "lora"},
        }
        return read(values)[0]

    return make


def row(names: tuple[str, ...]) -> Example:
    """A row of the data, as the data engine hands it to an evaluation."""
    alpaca = names == ("instruction", "input")
    asked = f"{VALUES['instruction']}\n\n{VALUES['input']}" if alpaca else VALUES["prompt"]
    known = {**VALUES} if alpaca else {k: v for k, v in VALUES.items() if k != "instruction"}
    return Example("1", "rows.jsonl", prompt=asked, completion="ANSWER", columns=known)


@pytest.mark.parametrize("template, names", TEMPLATES)
def test_a_question_is_the_prompt_of_a_row(
    template: dict[str, Any], names: tuple[str, ...], made: MakeRecipe
) -> None:
    recipe = made(template)
    assert fields(recipe.template) == names
    asked = {name: VALUES[name] for name in names}
    turn = Turn("user", fields=asked) if adds(recipe.template) else Turn("user", asked["prompt"])
    found = prompt_text([turn], system_of(recipe.template), recipe.template, CHATML)
    assert found == prompt_of(row(names), recipe.template, CHATML)
    assert VALUES[names[-1]] in found


@pytest.mark.parametrize("template, names", TEMPLATES)
def test_a_plain_question_is_taken_as_it_is(
    template: dict[str, Any], names: tuple[str, ...], made: MakeRecipe
) -> None:
    recipe = made(template)
    found = prompt_text([Turn("user", "Say {{ it }}")], None, recipe.template, CHATML)
    assert "Say {{ it }}" in found
    assert not any(word in found for word in ("Rewrite", "Q:", SYSTEM))


def test_a_conversation_is_rendered_as_the_model_knows_it(made: MakeRecipe) -> None:
    recipe = made({"type": "chat", "system": SYSTEM, "prompt": "Rewrite: {{ input }}"})
    turns = [Turn("user", fields={"input": "one"}), Turn("assistant", "two"), Turn("user", "why?")]
    said = [("system", SYSTEM), ("user", "Rewrite: one"), ("assistant", "two"), ("user", "why?")]
    expected = render_chat([Message(*turn) for turn in said], CHATML, generation_prompt=True)
    assert prompt_text(turns, SYSTEM, recipe.template, CHATML) == expected
    without = prompt_text(turns, None, recipe.template, CHATML)
    assert SYSTEM not in without and without in expected
    assert shown(turns[0], recipe.template) == "Rewrite: one"


def test_templates_of_one_question_leave_earlier_turns_out(made: MakeRecipe) -> None:
    for template, _ in TEMPLATES[4:]:
        recipe = made(template)
        assert not holds_conversation(recipe.template)
        turns = [Turn("user", "one"), Turn("assistant", "two"), Turn("user", "three")]
        found = prompt_text(turns, None, recipe.template, CHATML)
        assert "three" in found and "one" not in found and "two" not in found


def test_nothing_is_asked_without_a_question(made: MakeRecipe) -> None:
    recipe = made({"type": "chat"})
    for turns in ([], [Turn("user", "one"), Turn("assistant", "two")]):
        with pytest.raises(TemplateError, match="no question"):
            prompt_text(turns, None, recipe.template, CHATML)
    with pytest.raises(TemplateError, match="no chat template"):
        prompt_text([Turn("user", "one")], None, recipe.template, replace(CHATML, template=None))


def test_fields_are_called_as_in_the_users_data(made: MakeRecipe) -> None:
    template = {"type": "chat", "prompt": "{{ kind }}: {{ input }}"}
    recipe = made(template, columns={"input": "clause", "output": "plain"})
    assert columns(recipe) == {"kind": "kind", "input": "clause"}

"""What was typed → the text a model is given, through the template of the run's own recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dsl.recipe import AlpacaTemplate, ChatTemplate, JinjaTemplate, Recipe, Template
from dsl.rows import Example, Message
from dsl.templates import ChatFormat, TemplateError, prompt_of, question, undeclared
from runner.chat.protocol import Turn

PLAIN = "prompt"  # the one field of a template that adds nothing to what is typed
ALPACA = ("instruction", "input")
ANSWER = "?"  # stands where the model's answer will: a prompt is the text before an answer
WHOLE = frozenset({"messages", "tools", "completion"})  # parts of a row that nobody types


def fields(template: Template) -> tuple[str, ...]:
    """Names that a question is made of: those that the template's prompt reads, in its order."""
    if not adds(template):
        return (PLAIN,)
    own: str | None = template.prompt
    return tuple(sorted(undeclared(own), key=own.find)) or (PLAIN,) if own else ALPACA


def adds(template: Template) -> bool:
    """Whether the template makes something of a question, rather than take it as it is typed."""
    if template.prompt:
        return not WHOLE & set(undeclared(template.prompt))
    return isinstance(template, AlpacaTemplate)


def optional(template: Template) -> frozenset[str]:
    """Fields that may stay empty."""
    alone = isinstance(template, AlpacaTemplate) and not template.prompt
    return frozenset({"input"}) if alone else frozenset()


def holds_conversation(template: Template) -> bool:
    """Whether earlier turns can stand before a question."""
    return not isinstance(template, JinjaTemplate | AlpacaTemplate)


def system_of(template: Template) -> str | None:
    return template.system if isinstance(template, ChatTemplate) else None


def takes_system(template: Template) -> bool:
    return isinstance(template, ChatTemplate)


def prompt_text(
    turns: Sequence[Turn], system: str | None, template: Template, chat: ChatFormat
) -> str:
    """The text before the answer to the last turn: for a row's fields that of an evaluation.

    `system` stands in for the template's; None leaves it out. Templates that hold one question
    leave earlier turns out. Raises TemplateError.
    """
    if not turns or turns[-1].role != "user":
        raise TemplateError("there is no question to answer", "type one")
    if isinstance(template, ChatTemplate):
        template = replace(template, system=system)
    if isinstance(template, JinjaTemplate | AlpacaTemplate):
        return prompt_of(_one_question(turns[-1], template), template, chat)
    said = [Message(turn.role, shown(turn, template)) for turn in turns]
    if system:
        said.insert(0, Message("system", system))
    whole = _example(messages=(*said, Message("assistant", ANSWER)))
    return prompt_of(whole, replace(template, system=None), chat)


def shown(turn: Turn, template: Template) -> str:
    """A turn as the model reads it: the fields inside the template's prompt."""
    if turn.fields is None:
        return turn.text
    return question(_filled(turn.fields), template)


def columns(recipe: Recipe) -> dict[str, str]:
    """Field → what the user's own data call it."""
    given = recipe.data.train[0].columns.given() if recipe.data.train else {}
    return {name: given.get(name, name) for name in fields(recipe.template)}


def _one_question(turn: Turn, template: Template) -> Example:
    if turn.fields is None:
        # as rows of data.mix: without what the template adds
        system = template.system if isinstance(template, ChatTemplate) else None
        return _example(prompt=turn.text, completion=ANSWER, general=True, system=system)
    wanted = undeclared(template.completion) if isinstance(template, JinjaTemplate) else []
    answers = {name: ANSWER for name in wanted if name not in turn.fields}
    filled = _filled(turn.fields)
    return replace(filled, completion=ANSWER, columns={**answers, **turn.fields})


def _filled(given: Mapping[str, str]) -> Example:
    asked = given.get(PLAIN) or "\n\n".join(filter(None, map(given.get, ALPACA)))
    return _example(prompt=asked, columns=dict(given))


def _example(**values: object) -> Example:
    return Example(id="chat", source="chat", **values)  # type: ignore[arg-type]

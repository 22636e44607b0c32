"""render(Example, template) → Segments: the text of an example, and which of it is trained.

Training, evaluation, chat and export all call it, so that a model is asked as it was taught.
Templates render in Jinja's ImmutableSandboxedEnvironment; data is never a template.
"""

from __future__ import annotations

from typing import Any

from dsl.chat import CHATML, ChatFormat, Segment, find_answers, joined, render_chat
from dsl.recipe import AlpacaTemplate, ChatmlTemplate, JinjaTemplate, Template
from dsl.rows import Example, Message
from dsl.sandbox import TemplateError, render_text, syntax_error, undeclared


def render(
    example: Example, template: Template, chat: ChatFormat, loss_on: str = "assistant"
) -> tuple[Segment, ...]:
    """The whole text of an example in segments, in order.

    `loss_on`: assistant trains every answer with its end-of-turn token, last only the last one,
    all the whole text. Raises TemplateError where an answer cannot be told from the prompt.
    """
    if isinstance(template, JinjaTemplate):
        segments = _free_text(example, template, chat)
    elif isinstance(template, AlpacaTemplate):
        segments = _alpaca(example, template, chat)
    else:
        turns = messages_of(example, template)
        own = CHATML if isinstance(template, ChatmlTemplate) else chat
        segments = find_answers(turns, own, example.tools)
    if not any(segment.trained for segment in segments):
        raise TemplateError("an example without an answer cannot be trained on")
    if loss_on == "all":
        return tuple(Segment(s.text, s.role, True) for s in segments)
    if loss_on == "last":
        last = max(index for index, s in enumerate(segments) if s.trained)
        return tuple(Segment(s.text, s.role, i == last) for i, s in enumerate(segments))
    return segments


def prompt_of(example: Example, template: Template, chat: ChatFormat) -> str:
    """The text up to the last answer: what a model is given to answer."""
    segments = render(example, template, chat, "last")
    first = next(index for index, segment in enumerate(segments) if segment.trained)
    return "".join(segment.text for segment in segments[:first])


def messages_of(example: Example, template: Template) -> list[Message]:
    """The turns of an example, with the template's system and prompt where they apply."""
    own_system = bool(example.messages) and example.messages[0].role == "system"
    system = example.system
    if system is None and not own_system and not example.general:
        system = getattr(template, "system", None)
    if example.messages:
        turns = list(example.messages)
    else:
        prompt = question(example, template)
        turns = [Message("user", prompt), Message("assistant", example.completion)]
    return [Message("system", system), *turns] if system else turns


def question(example: Example, template: Template) -> str:
    """The user's turn of a row without messages."""
    if example.general or not getattr(template, "prompt", None):
        return example.prompt
    return render_text(str(template.prompt), _names(example))


def _alpaca(example: Example, template: AlpacaTemplate, chat: ChatFormat) -> tuple[Segment, ...]:
    if example.messages:
        raise _one_question("alpaca")
    system, own_prompt = example.system, None
    if not example.general:
        system = example.system or template.system
        own_prompt = template.prompt
    columns = example.columns or {}
    if own_prompt or not columns.get("instruction"):
        asked, given = question(example, template), ""
    else:
        asked, given = str(columns["instruction"]), str(columns.get("input") or "")
    text = f"{system}\n\n" if system else ""
    text += f"### Instruction:\n{asked}\n\n"
    text += f"### Input:\n{given}\n\n" if given else ""
    return joined(
        [
            Segment(f"{chat.bos}{text}### Response:\n", "user", False),
            Segment(example.completion + chat.eos, "assistant", True),
        ]
    )


def _free_text(example: Example, template: JinjaTemplate, chat: ChatFormat) -> tuple[Segment, ...]:
    if example.general:
        if example.messages:
            raise _one_question("jinja")
        prompt, answer = example.prompt, example.completion
    else:
        names = _names(example)
        prompt = render_text(template.prompt, names)
        answer = render_text(template.completion, names)
    return joined(
        [
            Segment(chat.bos + prompt, "user", False),
            Segment(answer + chat.eos, "assistant", True),
        ]
    )


def _one_question(kind: str) -> TemplateError:
    return TemplateError(
        f"the {kind} template holds one question, not a conversation",
        "set template.type to chat",
    )


def _names(example: Example) -> dict[str, Any]:
    """What a template may read: the raw columns and the parts of the format."""
    return {
        **(example.columns or {}),
        "prompt": example.prompt,
        "completion": example.completion or example.reference,
        "messages": [message.to_json() for message in example.messages],
        **({"tools": [dict(tool) for tool in example.tools]} if example.tools else {}),
    }


__all__ = [
    "CHATML",
    "ChatFormat",
    "Segment",
    "TemplateError",
    "messages_of",
    "prompt_of",
    "question",
    "render",
    "render_chat",
    "syntax_error",
    "undeclared",
]

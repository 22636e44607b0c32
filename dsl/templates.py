"""render(Example, template) → Segments: the text of an example, and which of it is trained.

Training, evaluation, chat and export all call it, so that a model is asked as it was taught.
Templates render in Jinja's ImmutableSandboxedEnvironment; data is never a template.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dsl.recipe import AlpacaTemplate, ChatmlTemplate, JinjaTemplate, Template
from dsl.rows import Example, Message
from dsl.sandbox import TemplateError, render_text, syntax_error, undeclared

# a code point that no text uses (Unicode, 23.7): it stands behind an answer to find its end
_MARK = "\ufdd0"


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """What a model's tokenizer brings along. `template` is None for a base without chat turns.

    `date` is the day that templates see (ISO), fixed in the lock: with today's, tokens would
    change daily.
    """

    template: str | None
    bos: str
    eos: str
    special: tuple[str, ...] = ()
    date: str = "2026-01-01"


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of text. `role` is system, user, assistant or '' for the template's own text."""

    text: str
    role: str
    trained: bool


CHATML = ChatFormat(
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    bos="",
    eos="<|im_end|>",
    special=("<|im_start|>", "<|im_end|>"),
)


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
        segments = _turns(turns, CHATML if isinstance(template, ChatmlTemplate) else chat)
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


def render_chat(turns: Sequence[Message], chat: ChatFormat, generation_prompt: bool = False) -> str:
    """Turns through a chat template, as transformers' apply_chat_template renders them."""
    if chat.template is None:
        raise TemplateError(
            "this model has no chat template", "set template.type to chatml, alpaca or jinja"
        )
    return render_text(
        chat.template,
        {
            "messages": [turn.to_json() for turn in turns],
            # templates ask whether these are none, and take an undefined name for some
            "tools": None,
            "documents": None,
            "bos_token": chat.bos,
            "eos_token": chat.eos,
            "add_generation_prompt": generation_prompt,
            "strftime_now": _clock(chat.date),
        },
    )


def _turns(turns: Sequence[Message], chat: ChatFormat) -> tuple[Segment, ...]:
    """Finds each answer in the full text.

    An answer begins where the template's own rendering of the turns before it, with a generation
    prompt, ends: what the model will be given in use. So whatever a template puts before the
    answer from there on (Qwen3's empty <think></think>) is the model's to write, and trained.
    It ends where a mark behind it comes out, and at the end-of-turn token that follows. Later
    turns may change how earlier ones look (Qwen3 drops their reasoning): the mark is set in the
    whole conversation, so the end is never taken from a rendering that stops at this answer.
    """
    full = render_chat(turns, chat)
    ends = _ends_of_answers(turns, chat, full)
    segments: list[Segment] = []
    done = 0
    for index, end in ends.items():
        before = render_chat(turns[:index], chat, generation_prompt=True)
        start = _common(before, full)
        if not done <= start <= end or before[start:].strip():
            raise _out_of_order()
        end += _end_of_turn(full[end:], chat)
        segments += [Segment(full[done:start], "user", False)]
        segments += [Segment(full[start:end], "assistant", True)]
        done = end
    return _joined([*segments, Segment(full[done:], "", False)])


def _ends_of_answers(turns: Sequence[Message], chat: ChatFormat, full: str) -> dict[int, int]:
    """Index of each assistant turn → where its content ends in the full text."""
    answers = [index for index, turn in enumerate(turns) if turn.role == "assistant"]
    marked = [
        Message(turn.role, turn.content.rstrip() + _MARK + _trailing_space(turn.content))
        if turn.role == "assistant"
        else turn
        for turn in turns
    ]
    pieces = render_chat(marked, chat).split(_MARK) if answers else [full]
    if "".join(pieces) != full or len(pieces) != len(answers) + 1:
        raise _out_of_order()
    ends, at = {}, 0
    for index, piece in zip(answers, pieces, strict=False):
        at += len(piece)
        ends[index] = at
    return ends


def _trailing_space(text: str) -> str:
    return text[len(text.rstrip()) :]


def _out_of_order() -> TemplateError:
    return TemplateError(
        "the chat template does not keep turns in order: answers cannot be told apart",
        "set template.type to chatml",
    )


def _end_of_turn(rest: str, chat: ChatFormat) -> int:
    """Length of the end-of-turn token right behind an answer, with blanks before it; 0 if none."""
    tokens = sorted({chat.eos, *chat.special} - {""}, key=len, reverse=True)
    if not tokens:
        return 0
    match = re.match(rf"\s*(?:{'|'.join(map(re.escape, tokens))})", rest)
    return match.end() if match else 0


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
    return _joined(
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
    return _joined(
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
    }


def _joined(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    return tuple(segment for segment in segments if segment.text)


def _common(left: str, right: str) -> int:
    """Length of the common beginning."""
    if right.startswith(left):
        return len(left)
    return next(i for i, (a, b) in enumerate(zip(left, right + "\0", strict=False)) if a != b)


def _clock(date: str) -> Any:
    from datetime import datetime

    day = datetime.fromisoformat(date)
    return lambda form: day.strftime(form)


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

"""render(Example, template) → Segments: the text of an example, and which of it is trained.

Training, evaluation, chat and export all call it, so that a model is asked as it was taught.
Templates render in Jinja's ImmutableSandboxedEnvironment; data is never a template.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from dsl.errors import RecipeError
from dsl.recipe import AlpacaTemplate, ChatmlTemplate, JinjaTemplate, Template
from dsl.rows import Example, Message

MAX_LOOP = 100_000


class TemplateError(RecipeError):
    """A template cannot be read or rendered, or its answers cannot be found in its text."""

    exit_status = 2


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
    own_system = example.messages[:1] and example.messages[0].role == "system"
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
    return _render_text(str(template.prompt), _names(example))


def undeclared(text: str) -> list[str]:
    """Names that a template reads and does not set itself, in alphabetical order."""
    from jinja2 import meta

    environment = _environment()
    return sorted(meta.find_undeclared_variables(environment.parse(text)) - set(environment.globals))


def syntax_error(text: str) -> str | None:
    from jinja2 import TemplateSyntaxError

    try:
        _environment().parse(text)
    except TemplateSyntaxError as error:
        return f"{error.message} (line {error.lineno} of the template)"
    return None


def render_chat(turns: Sequence[Message], chat: ChatFormat, generation_prompt: bool = False) -> str:
    """Turns through a chat template, as transformers' apply_chat_template renders them."""
    if chat.template is None:
        raise TemplateError(
            "this model has no chat template", "set template.type to chatml, alpaca or jinja"
        )
    return _render_text(
        chat.template,
        {
            "messages": [turn.to_json() for turn in turns],
            "bos_token": chat.bos,
            "eos_token": chat.eos,
            "add_generation_prompt": generation_prompt,
            "strftime_now": _clock(chat.date),
        },
    )


def _turns(turns: Sequence[Message], chat: ChatFormat) -> tuple[Segment, ...]:
    """Finds each answer in the full text.

    The text up to an answer is the template's own rendering of the turns before it with a
    generation prompt: what the model will be given in use. The end is the answer's own, with the
    end-of-turn token behind it. Later turns may change how earlier ones look (Qwen3 drops their
    reasoning), so the end is never taken from a rendering that stops at this answer.
    """
    full = render_chat(turns, chat)
    segments: list[Segment] = []
    done = 0
    for index, turn in enumerate(turns):
        if turn.role != "assistant":
            continue
        before = render_chat(turns[:index], chat, generation_prompt=True)
        start = _common(before, full)
        content = turn.content if turn.content in full[start:] else turn.content.strip()
        found = full.find(content, start)
        if start < done or found < 0 or (start < len(before) and before[start:].strip()):
            raise TemplateError(
                "the chat template does not keep turns in order: answers cannot be told apart",
                "set template.type to chatml",
            )
        end = found + len(content) + _end_of_turn(full[found + len(content) :], chat)
        segments += [Segment(full[done:start], "user", False)]
        segments += [Segment(full[start:end], "assistant", True)]
        done = end
    if done == 0:
        raise TemplateError("an example without an answer cannot be trained on")
    return _joined([*segments, Segment(full[done:], "", False)])


def _end_of_turn(rest: str, chat: ChatFormat) -> int:
    """Length of the end-of-turn token right behind an answer, with blanks before it; 0 if none."""
    tokens = sorted({chat.eos, *chat.special} - {""}, key=len, reverse=True)
    if not tokens:
        return 0
    match = re.match(rf"\s*(?:{'|'.join(map(re.escape, tokens))})", rest)
    return match.end() if match else 0


def _alpaca(example: Example, template: Template, chat: ChatFormat) -> tuple[Segment, ...]:
    if example.messages:
        raise TemplateError(
            "the alpaca template holds one question, not a conversation",
            "set template.type to chat",
        )
    columns = example.columns or {}
    asked, given = question(example, template), ""
    if not (getattr(template, "prompt", None) and not example.general) and columns.get("instruction"):
        asked, given = str(columns["instruction"]), str(columns.get("input") or "")
    system = example.system or (None if example.general else getattr(template, "system", None))
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
    names = _names(example)
    prompt = example.prompt if example.general else _render_text(template.prompt, names)
    answer = example.completion if example.general else _render_text(template.completion, names)
    return _joined(
        [
            Segment(chat.bos + prompt, "user", False),
            Segment(answer + chat.eos, "assistant", True),
        ]
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


def _render_text(text: str, names: Mapping[str, Any]) -> str:
    from jinja2 import TemplateError as JinjaError

    try:
        return _compiled(text).render(**names)
    except TemplateError:
        raise
    except (JinjaError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise TemplateError(
            f"the template cannot be rendered: {error}", "{{ name }} inserts the column 'name'"
        ) from None


@cache
def _compiled(text: str) -> Any:
    # {% generation %} marks answers for other tools; here it only has to be harmless
    plain = re.sub(r"(\{%-?\s*)generation(\s*-?%\})", r"\1if true\2", text)
    plain = re.sub(r"(\{%-?\s*)endgeneration(\s*-?%\})", r"\1endif\2", plain)
    return _environment().from_string(plain)


@cache
def _environment() -> Any:
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Environment(ImmutableSandboxedEnvironment):
        """As transformers sets it up, so that hub templates render alike."""

        def call(self, context: Any, called: Any, *args: Any, **kwargs: Any) -> Any:
            # a template must not stall the machine: {% for i in range(10**9) %}
            if called is range and max(map(abs, args), default=0) > MAX_LOOP:
                raise TemplateError("the template counts too far")
            return super().call(context, called, *args, **kwargs)

    environment = Environment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    return environment


def _to_json(value: Any, indent: int | None = None, **options: Any) -> str:
    options.setdefault("ensure_ascii", False)
    return json.dumps(value, indent=indent, **options)


def _raise(message: str) -> None:
    raise TemplateError(f"the chat template refuses this conversation: {message}")


def _clock(date: str) -> Any:
    from datetime import datetime

    day = datetime.fromisoformat(date)
    return lambda form: day.strftime(form)

"""A conversation through a model's chat template: its text, and where in it the answers stand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dsl.rows import Message
from dsl.sandbox import TemplateError, render_text

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


def render_chat(
    turns: Sequence[Message],
    chat: ChatFormat,
    generation_prompt: bool = False,
    tools: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Turns through a chat template, as transformers' apply_chat_template renders them.

    Arguments of calls that are JSON in a text are given to the template as the object they are,
    which most templates expect; one that fails on objects gets the text.
    """
    if chat.template is None:
        raise TemplateError(
            "this model has no chat template", "set template.type to chatml, alpaca or jinja"
        )
    names = {
        # templates ask whether these are none, and take an undefined name for some
        "tools": [dict(tool) for tool in tools] or None,
        "documents": None,
        "bos_token": chat.bos,
        "eos_token": chat.eos,
        "add_generation_prompt": generation_prompt,
        "strftime_now": _clock(chat.date),
    }
    try:
        read = {"messages": [_plain(turn, _as_object) for turn in turns]}
        return render_text(chat.template, names | read)
    except TemplateError:
        if not any(turn.tool_calls for turn in turns):
            raise
    return render_text(chat.template, names | {"messages": [_plain(t, _as_text) for t in turns]})


def _plain(turn: Message, form: Callable[[Any], Any]) -> dict[str, Any]:
    """A turn as templates read it, with the arguments of its calls in one form."""
    plain = turn.to_json()
    if turn.tool_calls:
        plain["tool_calls"] = [
            call | {"function": call["function"] | {"arguments": form(_arguments(call))}}
            for call in map(dict, turn.tool_calls)
        ]
    return plain


def _arguments(call: Mapping[str, Any]) -> Any:
    return call["function"].get("arguments", {})


def _as_object(arguments: Any) -> Any:
    try:
        return json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        return arguments


def _as_text(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def find_answers(
    turns: Sequence[Message], chat: ChatFormat, tools: Sequence[Mapping[str, Any]] = ()
) -> tuple[Segment, ...]:
    """The text of a conversation in segments; what the assistant wrote is trained, calls too.

    An answer begins where the template's own rendering of the turns before it, with a generation
    prompt, ends: what the model will be given in use. So whatever a template puts before the
    answer from there on (Qwen3's empty <think></think>) is the model's to write, and trained.
    It ends where a mark behind it comes out, and at the end-of-turn token that follows. Later
    turns may change how earlier ones look (Qwen3 drops their reasoning): the mark is set in the
    whole conversation, so the end is never taken from a rendering that stops at this answer.

    Raises TemplateError where the template leaves out tools or calls, or mixes up the answers.
    """
    conversation = _Conversation(tuple(turns), chat, tuple(tools))
    full = conversation.text(turns)
    if tools and full == render_chat(turns, chat):
        raise _knows_no_tools("the functions that may be called")
    segments: list[Segment] = []
    done = 0
    for index, end in _ends_of_answers(conversation, full).items():
        start = _start_of_answer(conversation, index, full)
        if not done <= start <= end:
            raise _out_of_order()
        segments += [Segment(full[done:start], "user", False)]
        segments += [Segment(full[start:end], "assistant", True)]
        done = end
    return joined([*segments, Segment(full[done:], "", False)])


@dataclass(frozen=True, slots=True)
class _Conversation:
    turns: tuple[Message, ...]
    chat: ChatFormat
    tools: tuple[Mapping[str, Any], ...]

    @property
    def uses_tools(self) -> bool:
        return bool(self.tools) or any(turn.tool_calls for turn in self.turns)

    def text(self, turns: Sequence[Message], generation_prompt: bool = False) -> str:
        return render_chat(turns, self.chat, generation_prompt, self.tools)

    def marked(self, *indices: int) -> tuple[Message, ...]:
        """The turns, some of them with the mark."""
        turns = enumerate(self.turns)
        return tuple(_marked(turn) if index in indices else turn for index, turn in turns)


def _start_of_answer(conversation: _Conversation, index: int, full: str) -> int:
    before = conversation.text(conversation.turns[:index], generation_prompt=True)
    start = _common(before, full)
    if not before[start:].strip():
        return start
    if not index or not conversation.uses_tools:
        raise _out_of_order()
    # tools go before the last question, thoughts before it are dropped with their calls: where
    # the beginning looks otherwise when turns follow, the end of the turn before is looked for
    marked = conversation.marked(index - 1)
    at = _place_of_mark(conversation.text(marked), full)
    prompt = _behind_mark(conversation.text(marked[:index], generation_prompt=True))
    length = _common(prompt, full[at:])
    if prompt[length:].strip():
        raise _out_of_order()
    return at + length


def _ends_of_answers(conversation: _Conversation, full: str) -> dict[int, int]:
    """Index of each assistant turn → where it ends in the full text, with its end-of-turn token."""
    turns = conversation.turns
    answers = [index for index, turn in enumerate(turns) if turn.role == "assistant"]
    spoken = [index for index in answers if not turns[index].tool_calls]
    pieces = conversation.text(conversation.marked(*spoken)).split(_MARK) if spoken else [full]
    if "".join(pieces) != full or len(pieces) != len(spoken) + 1:
        raise _out_of_order()
    ends, at = {}, 0
    for index, piece in zip(spoken, pieces, strict=False):
        at += len(piece)
        ends[index] = at + _end_of_turn(full[at:], conversation.chat)
    return {
        index: ends[index] if index in ends else _end_of_calls(conversation, index, full)
        for index in answers
    }


def _end_of_calls(conversation: _Conversation, index: int, full: str) -> int:
    """Behind the calls comes what closes them, which no mark can stand behind: it is taken from
    the conversation up to there, and must follow in the whole one too."""
    marked = conversation.marked(index)
    text = conversation.text(marked)
    if _MARK not in text:
        raise _knows_no_tools("the calls of functions")
    at = _place_of_mark(text, full)
    alone = _behind_mark(conversation.text(marked[: index + 1])).rstrip()
    length = _common(alone, full[at:])
    missing = alone[length:]
    # an end-of-turn token may stand there only while no other turn follows
    if missing[_end_of_turn(missing, conversation.chat) :].strip():
        raise _out_of_order()
    return at + length


def _place_of_mark(text: str, full: str) -> int:
    """Of the first: a template may repeat what is marked, such as the name of a called function."""
    if _MARK not in text or text.replace(_MARK, "") != full:
        raise _out_of_order()
    return text.index(_MARK)


def _behind_mark(text: str) -> str:
    """What follows the first mark, without other marks."""
    _, found, rest = text.partition(_MARK)
    if not found:
        raise _out_of_order()
    return rest.replace(_MARK, "")


def _marked(turn: Message) -> Message:
    """A turn with the mark behind its content, or inside the last of its calls."""
    if not turn.tool_calls:
        # before the blanks at the end, which templates cut off
        kept = turn.content.rstrip()
        return replace(turn, content=kept + _MARK + turn.content[len(kept) :])
    *earlier, last = turn.tool_calls
    function, arguments = dict(last["function"]), _arguments(last)
    # the last quote in JSON ends a text or a key
    head, quote, tail = _as_text(arguments).rpartition('"')
    if quote:
        text = head + _MARK + quote + tail
        function["arguments"] = text if isinstance(arguments, str) else json.loads(text)
    else:
        function["name"] += _MARK
    return replace(turn, tool_calls=(*earlier, {**last, "function": function}))


def _knows_no_tools(what: str) -> TemplateError:
    return TemplateError(
        f"the chat template knows no tools: {what} would be left out",
        "take a base model whose own chat template has tools, or rows without them",
    )


def _out_of_order() -> TemplateError:
    return TemplateError(
        "the chat template does not keep turns in order: answers cannot be told apart",
        "set template.type to chatml, which knows no tools",
    )


def _end_of_turn(rest: str, chat: ChatFormat) -> int:
    """Length of the end-of-turn token right behind an answer, with blanks before it; 0 if none."""
    tokens = sorted({chat.eos, *chat.special} - {""}, key=len, reverse=True)
    if not tokens:
        return 0
    match = re.match(rf"\s*(?:{'|'.join(map(re.escape, tokens))})", rest)
    return match.end() if match else 0


def joined(segments: Sequence[Segment]) -> tuple[Segment, ...]:
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

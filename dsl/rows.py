"""Example: one row of data in the shape that training understands, and the formats it comes in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Format = Literal[
    "messages",
    "sharegpt",
    "preference",
    "kto",
    "classification",
    "prompt_completion",
    "alpaca",
    "text",
]

# the roles that columns play: those a format cannot do without ...
FORMATS: dict[Format, tuple[str, ...]] = {
    "messages": ("messages",),
    "sharegpt": ("conversations",),
    "preference": ("chosen", "rejected"),
    "kto": ("label",),
    "classification": ("text", "label"),
    "prompt_completion": ("prompt", "completion"),
    "alpaca": ("output",),
    "text": ("text",),
}
# ... those of which it needs at least one ...
ALPACA_PROMPT = ("instruction", "input")
EITHER: dict[Format, tuple[str, ...]] = {
    "alpaca": ALPACA_PROMPT,
    "kto": ("completion", "messages", "conversations"),
}
# ... and those it may have beside them; every format may have an id
OPTIONAL: dict[Format, tuple[str, ...]] = {
    "messages": ("id", "system", "tools"),
    "sharegpt": ("id", "system", "tools"),
    "preference": ("id", "system", "prompt", "messages", "conversations", "tools"),
    "kto": ("id", "system", "prompt", "completion", "messages", "conversations", "tools"),
    "classification": ("id",),
    "prompt_completion": ("id", "system"),
    "alpaca": ("id", "instruction", "input", "system", "history"),
    "text": ("id",),
}
# every role, in the order in which a recipe names them
ROLES = (
    "id",
    "system",
    "messages",
    "conversations",
    "tools",
    "prompt",
    "completion",
    "instruction",
    "input",
    "output",
    "history",
    "chosen",
    "rejected",
    "text",
    "label",
)

# who speaks in a turn, as data sets spell it → as everything here says it. A function_call is the
# assistant's turn whose text is the call itself
TURN_ROLES = ("system", "user", "assistant", "tool")
SPEAKERS: dict[str, str] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "function_response": "tool",
    "tool_response": "tool",
}


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `role` is system, user, assistant or tool.

    `tool_calls` are an assistant's, in OpenAI's shape: {id, type, function: {name, arguments}},
    arguments a JSON text or an object. `tool_call_id` and `name` tell a tool's result whose call
    it answers. `content` is '' where a turn holds calls alone.
    """

    role: str
    content: str
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    tool_call_id: str | None = None
    name: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As chat templates read it; what a turn does not have is left out."""
        plain: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.tool_calls:
            plain["tool_calls"] = [dict(call) for call in self.tool_calls]
        for key, value in (("tool_call_id", self.tool_call_id), ("name", self.name)):
            if value is not None:
                plain[key] = value
        return plain


@dataclass(frozen=True, slots=True)
class Example:
    """One example: `messages` (and `tools`), or `prompt` and `completion`; always exactly one.

    `completion` is the chosen answer of a preference, the text of raw text (whose `prompt` is '')
    and the label of a classification. With messages it is empty but for preferences and KTO, whose
    answer it repeats. `rejected` belongs to preference, `desirable` to KTO, `label` to
    classification; they are None elsewhere.
    `id` is 'source:line' or the row's own, unique in a run. `group` is the value of group_by.
    `general` marks rows of data.mix, to which the template's system and prompt do not apply.
    `columns` holds the raw columns as text, for templates. `tools` are JSON Schemas of functions
    in OpenAI's shape: {type, function: {name, description, parameters}}.
    """

    id: str
    source: str
    group: str | None = None
    general: bool = False
    messages: tuple[Message, ...] = ()
    prompt: str = ""
    completion: str = ""
    system: str | None = None
    columns: Mapping[str, Any] | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    rejected: str | None = None
    desirable: bool | None = None
    label: str | None = None

    @property
    def reference(self) -> str:
        """The answer that is judged against: the completion, or the last assistant turn."""
        for message in reversed(self.messages):
            if message.role == "assistant":
                return message.content
        return self.completion

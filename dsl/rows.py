"""Example: one row of data in the shape that training understands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Format = Literal["alpaca", "prompt_completion", "messages"]

# the columns that make each format, canonical names; the first that fits the columns is taken
FORMATS: dict[Format, tuple[str, ...]] = {
    "messages": ("messages",),
    "prompt_completion": ("prompt", "completion"),
    "alpaca": ("output",),  # and at least one of instruction and input
}
ALPACA_PROMPT = ("instruction", "input")
OPTIONAL: dict[Format, tuple[str, ...]] = {
    "messages": ("id",),
    "prompt_completion": ("id", "system"),
    "alpaca": ("id", "instruction", "input", "system"),
}


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `role` is system, user or assistant."""

    role: str
    content: str

    def to_json(self) -> dict[str, str]:
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, slots=True)
class Example:
    """One example: `messages`, or `prompt` and `completion`; always exactly one of the two.

    `id` is 'source:line' or the row's own, unique in a run. `group` is the value of group_by.
    `general` marks rows of data.mix, to which the template's system and prompt do not apply.
    `columns` holds the raw columns as text, for templates.
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

    @property
    def reference(self) -> str:
        """The answer that is judged against: the completion, or the last assistant turn."""
        for message in reversed(self.messages):
            if message.role == "assistant":
                return message.content
        return self.completion

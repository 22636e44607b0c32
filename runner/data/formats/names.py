"""How data sets call the columns of each format, and what those hold."""

from __future__ import annotations

from dsl.rows import Format

_TURNS = ("conversation", "dialog", "dialogue", "chat", "turns")
_MESSAGES = ("messages", *_TURNS, "conversations")
_CONVERSATIONS = ("conversations", *_TURNS, "messages")
_SYSTEM = ("system", "system_prompt")
_TOOLS = ("tools", "functions")
_ASKED = ("prompt", "question", "query", "instruction", "input")

# format → role → names, best first. Of formats that fit, the first here is taken: a preference
# has prompts too, and alpaca's rows often a 'text' beside
NAMES: dict[Format, dict[str, tuple[str, ...]]] = {
    "preference": {
        "chosen": ("chosen",),
        "rejected": ("rejected",),
        "prompt": _ASKED,
        "messages": _MESSAGES,
        "conversations": _CONVERSATIONS,
        "system": _SYSTEM,
        "tools": _TOOLS,
    },
    "kto": {
        "label": ("label", "kto_tag"),
        "completion": ("completion", "response", "answer", "output"),
        "prompt": _ASKED,
        "messages": _MESSAGES,
        "conversations": _CONVERSATIONS,
        "system": _SYSTEM,
        "tools": _TOOLS,
    },
    "messages": {"messages": _MESSAGES, "system": _SYSTEM, "tools": _TOOLS},
    "sharegpt": {"conversations": _CONVERSATIONS, "system": _SYSTEM, "tools": _TOOLS},
    "classification": {
        "text": ("text", "sentence", "content", "document", "review", "utterance"),
        "label": ("label", "labels", "category", "class", "intent", "sentiment"),
    },
    "alpaca": {
        "instruction": ("instruction",),
        "input": ("input", "context"),
        "output": ("output", "response", "completion", "answer"),
        "system": _SYSTEM,
        "history": ("history",),
    },
    "prompt_completion": {
        "prompt": ("prompt", "question", "query", "problem", "source", "user", "human"),
        "completion": (
            "completion", "response", "answer", "output", "solution", "target", "assistant", "gpt",
        ),
        "system": _SYSTEM,
    },
    "text": {"text": ("text", "content", "document", "body")},
}  # fmt: skip

_TEXTS = frozenset({"text", "number", "bit", "flag"})
_ANSWERS = frozenset({"text", "role_turn", "from_turn", "role_turns", "from_turns"})
_ANYTHING = _TEXTS | _ANSWERS | {"pairs", "list", "object", "empty"}
_OPEN = ("preference", "kto")
# what columns of a role hold, in formats named or in all
_HELD: dict[str, frozenset[str]] = {
    "messages": frozenset({"role_turns"}),
    "conversations": frozenset({"from_turns"}),
    "chosen": _ANSWERS,
    "rejected": _ANSWERS,
    "history": frozenset({"pairs"}),
    "tools": _ANYTHING,
}


def holding(format: Format, role: str) -> frozenset[str]:
    """The kinds of content (see contents.WORDS) that make a column fit to play a role."""
    if format == "kto" and role == "label":
        return frozenset({"flag", "bit"})
    if format in _OPEN and role in ("prompt", "completion"):
        return _ANSWERS
    return _HELD.get(role, _TEXTS)

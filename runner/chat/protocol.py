"""What a client and the worker say to each other: one JSON object a line.

Requests: {op: "answer", id, ...Ask}, {op: "load", id, run, tuned} and {op: "stop", id}. Replies
carry the id of their request; the last one to it is done or failed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class Turn:
    """What was said. `fields`, where given, are put into the prompt of the recipe's template;
    `text` is taken as it is."""

    role: Role
    text: str = ""
    fields: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to one model. `run`: directory of the run; `tuned` False asks its base.

    `turns` end with the user's. Temperature 0 is greedy: then `seed` and `top_p` change nothing.
    """

    run: str
    tuned: bool
    turns: tuple[Turn, ...]
    system: str | None
    max_new_tokens: int
    seed: int = 42
    temperature: float = 0.0
    top_p: float = 1.0


@dataclass(frozen=True, slots=True)
class Loading:
    """What is being loaded, in words."""

    what: str


@dataclass(frozen=True, slots=True)
class Piece:
    """The next characters of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """The whole answer. `finished`: the model ended it; `stopped`: the user did; neither: it was
    as long as it may be. `left_out`: tokens at the beginning that the model has no room for."""

    text: str
    prompt_tokens: int
    left_out: int
    tokens: int
    seconds: float
    finished: bool
    stopped: bool

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / max(self.seconds, 1e-9)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The answer to a request to load."""


@dataclass(frozen=True, slots=True)
class Failed:
    message: str
    hint: str | None = None


Reply = Loading | Piece | Done | Loaded | Failed
LAST = (Done, Loaded, Failed)
TYPES: dict[str, type[Reply]] = {
    "loading": Loading,
    "piece": Piece,
    "done": Done,
    "loaded": Loaded,
    "failed": Failed,
}
_NAMES = {kind: name for name, kind in TYPES.items()}


def line(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=True).encode() + b"\n"


def request_of(ask: Ask, number: int) -> dict[str, Any]:
    return {"op": "answer", "id": number, **asdict(ask)}


def ask_of(request: Mapping[str, Any]) -> Ask:
    """Raises KeyError, TypeError for a request that is none."""
    values = {field.name: request[field.name] for field in fields(Ask)}
    return Ask(**values | {"turns": tuple(Turn(**turn) for turn in values["turns"])})


def reply_line(reply: Reply, number: int) -> bytes:
    return line({"type": _NAMES[type(reply)], "id": number, **asdict(reply)})


def reply_of(values: Mapping[str, Any]) -> tuple[int, Reply]:
    """(id of the request, the reply)."""
    rest = {name: value for name, value in values.items() if name not in ("type", "id")}
    return int(values["id"]), TYPES[values["type"]](**rest)

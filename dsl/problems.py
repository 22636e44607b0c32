"""Problem: what is wrong in a recipe, where, why, and the smallest fix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

Path = tuple[str | int, ...]
Severity = Literal["error", "warning", "info"]

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_DOTTED = re.compile(r"[^.\[\]]+(\[[0-9]+\])*(\.[^.\[\]]+(\[[0-9]+\])*)*")


@dataclass(frozen=True, slots=True)
class Change:
    """One operation of a patch. `path` is a JSON Pointer into the recipe."""

    op: Literal["set", "remove"]
    path: str
    value: Any = None

    def to_json(self) -> dict[str, Any]:
        change: dict[str, Any] = {"op": self.op, "path": self.path}
        return change | {"value": self.value} if self.op == "set" else change


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding about a recipe. `line` and `column` count from 1; None where no text was read."""

    path: Path
    message: str
    hint: str | None = None
    patch: tuple[Change, ...] = ()
    severity: Severity = "error"
    line: int | None = None
    column: int | None = None

    def at(self, line: int | None, column: int | None) -> Problem:
        return replace(self, line=line, column=column)

    def to_json(self) -> dict[str, Any]:
        return {
            "path": pointer(self.path),
            "line": self.line,
            "column": self.column,
            "severity": self.severity,
            "message": self.message,
            "hint": self.hint,
            "patch": [change.to_json() for change in self.patch],
        }


def set_value(path: Path, value: Any) -> Change:
    return Change("set", pointer(path), value)


def remove(path: Path) -> Change:
    return Change("remove", pointer(path))


def pointer(path: Path) -> str:
    """('data', 'train', 0) → '/data/train/0' (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def from_pointer(text: str) -> Path:
    """The inverse of pointer; what looks like an array index comes back as an integer."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]
    return tuple(int(part) if _INDEX.fullmatch(part) else part for part in parts)


def dotted(path: Path) -> str:
    """('data', 'train', 0, 'share') → 'data.train[0].share', for people."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def from_dotted(text: str) -> Path:
    """The inverse of dotted. Raises ValueError where the text is no path."""
    if not _DOTTED.fullmatch(text):
        raise ValueError(f"'{text}' is not a path such as method.rank or data.train[0].path")
    return tuple(
        int(part[1:-1]) if part.startswith("[") else part
        for part in re.findall(r"\[[0-9]+\]|[^.\[\]]+", text)
    )


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant, or None where nothing is close."""
    from difflib import get_close_matches

    known, word = list(known), word[:100].lower()
    # 'lora_rank' shares too little spelling with 'rank' for difflib, but contains it
    inside = (name for name in known if len(name) > 2 and name in word)
    return next(iter(get_close_matches(word, known, n=1, cutoff=0.6)), None) or next(inside, None)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """'did you mean rank?' or None where nothing is close."""
    close = closest(word, known)
    return f"did you mean {close}?" if close else None


def errors(problems: Iterable[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.severity == "error"]


def one_of(words: Sequence[str]) -> str:
    """'a, b or c'."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def lookup(values: Any, path: Path) -> Any:
    """The value at `path`, or None where there is none."""
    for part in path:
        in_object = isinstance(values, Mapping) and part in values
        in_list = isinstance(values, list) and isinstance(part, int) and part < len(values)
        if not (in_object or in_list):
            return None
        values = values[part]
    return values

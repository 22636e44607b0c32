"""What two texts have in common, word by word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

MOST_WORDS = 1500  # longer texts are compared by their beginnings; the rest counts as common
_WORDS = re.compile(r"\s*(?:\w+|[^\w\s])|\s+")  # with the space before it


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of a text; `own`: the other text does not have it there."""

    text: str
    own: bool


def word_changes(first: str, second: str) -> tuple[list[Run], list[Run]]:
    """Both texts in stretches. Put together they are the texts again, to the letter."""
    one, other = _WORDS.findall(first), _WORDS.findall(second)
    rest = ["".join(words[MOST_WORDS:]) for words in (one, other)]
    one, other = one[:MOST_WORDS], other[:MOST_WORDS]
    matcher = SequenceMatcher(None, _keys(one), _keys(other), autojunk=False)
    left: list[Run] = []
    right: list[Run] = []
    for kind, start, end, low, high in matcher.get_opcodes():
        _add(left, one[start:end], kind != "equal")
        _add(right, other[low:high], kind != "equal")
    for runs, more in zip((left, right), rest, strict=True):
        _add(runs, [more] if more else [], False)
    return left, right


def _keys(words: Sequence[str]) -> list[str]:
    return [word.strip().casefold() for word in words]


def _add(runs: list[Run], words: Sequence[str], own: bool) -> None:
    """Space at the edge of a stretch belongs to both texts: it is not marked."""
    text = "".join(words)
    inner = text.strip()
    if not own or not inner:
        runs += [Run(text, False)] if text else []
        return
    start = text.index(inner)
    parts = Run(text[:start], False), Run(inner, True), Run(text[start + len(inner) :], False)
    runs += [part for part in parts if part.text]

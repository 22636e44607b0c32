"""A pattern, a hit, and how patterns are looked for in a text."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache

NOT_AFTER_WORD = r"(?<![A-Za-z0-9_])"
NOT_BEFORE_WORD = r"(?![A-Za-z0-9_])"
MASKED_FROM = 12
COUNTED = 8


@dataclass(frozen=True, slots=True)
class Hit:
    """What was found, and where: text[start:end]."""

    kind: str
    start: int
    end: int


def accept(match: re.Match[str]) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Pattern:
    """`core` in the syntax that Python's re and RE2 share; a group of it, if any, is the value.

    The exact expression is before + core + after; look-arounds stand only in those two, so RE2 can
    search for the core alone, loosened, or for `gate`, which must match wherever the core does.
    `needs` are literals of which the text must hold one: a cheap first question. `verify` has the
    last word.
    """

    core: str
    needs: tuple[str, ...] = ()
    verify: Callable[[re.Match[str]], bool] = accept
    gate: str | None = None
    before: str = NOT_AFTER_WORD
    after: str = NOT_BEFORE_WORD


@cache
def compiled(pattern: Pattern) -> re.Pattern[str]:
    return re.compile(f"{pattern.before}(?:{pattern.core}){pattern.after}", re.ASCII)


def find(patterns: Mapping[str, Pattern], text: str) -> list[Hit]:
    """Every verified hit, in the order of the registry; kind is the pattern's name."""
    hits = []
    for name, pattern in patterns.items():
        if pattern.needs and not any(literal in text for literal in pattern.needs):
            continue
        for match in compiled(pattern).finditer(text):
            if pattern.verify(match):
                start, end = match.span(match.lastindex or 0)
                hits.append(Hit(name, start, end))
    return hits


def loosened(core: str) -> str:
    """The same with x{n,m} as x{8,} where n or m is larger: it matches all that the core matches.

    RE2 keeps a state for every count; hundreds of them push it out of its fast automaton.
    """

    def loose(match: re.Match[str]) -> str:
        least, most = int(match[1]), int(match[3] or match[1])
        return f"{{{min(least, COUNTED)},}}" if max(least, most) > COUNTED else match[0]

    return re.sub(r"\{([0-9]+)(,([0-9]*))?\}", loose, core)


def prefilter(patterns: Iterable[Pattern]) -> str:
    """One RE2 expression that matches every text in which a pattern could match."""
    gates = (pattern.gate or loosened(pattern.core) for pattern in patterns)
    return "|".join(dict.fromkeys(f"(?:{gate})" for gate in gates))


def value(match: re.Match[str]) -> str:
    """The part that must stay secret: the group that took part, or the whole match."""
    found: str = match[match.lastindex or 0]
    return found


def entropy(text: str) -> float:
    """Shannon entropy of the characters' frequencies in bits a character; 0 for the empty text."""
    counts = Counter(text).values()
    return sum(count / len(text) * math.log2(len(text) / count) for count in counts)


def mask(text: str) -> str:
    """A form that may be shown: the first 4 and last 2 characters, fewer of a short text."""
    if len(text) >= MASKED_FROM:
        return f"{text[:4]}…{text[-2:]}"
    return f"{text[: len(text) // 4]}…"

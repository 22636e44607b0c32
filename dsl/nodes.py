"""Node: one value of a recipe's text and where it stands; the limits that both languages keep."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

from dsl.errors import InvalidRecipe
from dsl.problems import Problem

MAX_BYTES = 1_000_000
MAX_DEPTH = 40
MAX_NODES = 50_000


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the text: its span in code points, and that of its key."""

    value: Any  # plain for scalars; dict or list of plain values for containers
    start: int
    end: int
    key_start: int | None = None
    children: dict[str | int, Node] = field(default_factory=dict)


def line_column(text: str, offset: int) -> tuple[int, int]:
    starts = [0, *(match.end() for match in re.finditer(r"\n", text))]
    line = bisect_right(starts, offset)
    return line, offset - starts[line - 1] + 1


def refuse(
    message: str, hint: str | None, line: int | None = None, column: int | None = None
) -> InvalidRecipe:
    return InvalidRecipe([Problem((), message, hint, line=line, column=column)])


def forbidden(text: str) -> str | None:
    """What no file, no terminal and no model could take."""
    if "\0" in text:
        return "a NUL character in a text"
    if any("\ud800" <= char <= "\udfff" for char in text):
        return "half of a surrogate pair in a text"
    return None


def integer(literal: str) -> int | None:
    return int(literal) if len(literal) < 300 else None

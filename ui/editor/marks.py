"""Problems as the editor marks them: spans of the text in the browser's units."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dsl.problems import Problem

_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"?|[^\s,{}\[\]:"]+|.?')
_LONE = re.compile(r"\r(?!\n)|(?<!\r)\n")


def marks(text: str, problems: Sequence[Problem]) -> list[dict[str, str | int]]:
    """{from, to, severity, message} for each problem; one without a place marks the first sign.

    The offsets count as the browser does: UTF-16 units, a line break of two signs as one.
    """
    ends = [match.start() for match in re.finditer(r"\n|\Z", text)]
    starts = [0, *(end + 1 for end in ends[:-1])]
    found: list[dict[str, str | int]] = []
    for problem in problems:
        line = min(problem.line or 1, len(starts)) - 1
        begin = min(starts[line] + (problem.column or 1) - 1, ends[line])
        match = _TOKEN.match(text, begin)
        end = match.end() if match else begin
        found.append(
            {
                "from": _units(text, begin),
                "to": _units(text, end),
                "severity": problem.severity,
                "message": "\n".join(filter(None, (problem.message, problem.hint))),
            }
        )
    return found


def newline(text: str) -> str:
    """What ends a line in the editor. Where both kinds stand, the odd ones are signs of a line."""
    return "\n" if _LONE.search(text) or "\n" not in text else "\r\n"


def _units(text: str, offset: int) -> int:
    before = text[:offset]
    wide = sum(char > "\uffff" for char in before)
    return len(before) + wide - (before.count("\r\n") if newline(text) == "\r\n" else 0)

"""Text that somebody meant to replace: template variables left as they are, and stand-ins."""

from __future__ import annotations

import re

from runner.data.patterns.pattern import Hit

TEMPLATE = "literal template"
PLACEHOLDER = "placeholder"

FIELDS = (
    r"(?:first|last|full|user|company|customer|product|brand|city|country|author|assistant|bot)?"
    r"[ _-]?(?:name|email|e-mail|address|company|date|city|country|author|title|position|"
    r"phone number|signature|product|organi[sz]ation)"
)
ASKED = (
    r"(?:your|insert|recipient|"
    r"(?:enter|add|fill in|replace with)[ _-](?:your|the|an?|here|name|date))"
    r"(?:\x27s)?\b[^<>\[\]{}\n]{0,40}"
)

# A brace after a letter, a backslash or a script sign is LaTeX: \frac{{a}}{{b}}, x^{{2}}.
DOUBLE_BRACE = r"\{\{[#/^]?[ \t]{0,2}[A-Za-z_][A-Za-z0-9_.|() -]{0,60}\}\}"
DOLLAR_BRACE = r"\$\{[a-z][A-Za-z0-9_]{0,60}\}"
SINGLE_BRACE = rf"\{{(?i:{FIELDS})\}}"
SQUARE = rf"\[(?i:{ASKED}|{FIELDS})\]"
ANGLE = rf"<(?i:{ASKED}|{FIELDS})>"
LOREM = r"(?i:lorem ipsum)"
TODO = r"\b(?:TODO|FIXME|TBD)\b(?:[ \t]*:|[ \t]*\r?\n|[ \t]*\z)"
# what exports and annotators write for 'nothing'; only where it is the whole text
NOTHING = (
    r"(?i:\A[ \t\r\n`\"\x27<\[({]{0,8}"
    r"(?:no ?input|no ?output|n/a|none|null|nan|nil|undefined|tbd|todo|fixme|placeholder|xxx+|"
    r"your (?:text|answer) here|\.{3}|…|-{1,3})"
    r"[ \t\r\n`\"\x27>\])}.]{0,8}\z)"
)

KINDS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(expression.replace(r"\z", r"\Z")))
    for kind, expression in (
        (TEMPLATE, rf"(?<![\\^_${{}}]){DOUBLE_BRACE}"),
        (TEMPLATE, rf"(?<!\\){DOLLAR_BRACE}"),
        (TEMPLATE, rf"(?<![\w\\^_${{}}]){SINGLE_BRACE}"),
        (PLACEHOLDER, rf"{SQUARE}(?![(\[:])"),
        (PLACEHOLDER, ANGLE),
        (PLACEHOLDER, LOREM),
        (PLACEHOLDER, TODO),
        (PLACEHOLDER, NOTHING),
    )
)
PLACEHOLDER_PREFILTER = "|".join(
    (DOUBLE_BRACE, DOLLAR_BRACE, SINGLE_BRACE, SQUARE, ANGLE, LOREM, TODO, NOTHING)
)
# In code these forms are code: fences, back-quoted words, template literals, f-strings.
CODE = re.compile(r"```[\s\S]*?(?:```|\Z)|`[^`]*`|\b[fF][\"\x27][^\"\x27\n]*[\"\x27]")
CODE_LINE = re.compile(r"[;){\]\"]\s*$|=>|^\s*(?:echo|export|print)\b")


def placeholders(text: str) -> list[Hit]:
    """Hits of kind 'literal template' and 'placeholder', sorted by place; none inside code."""
    code = [match.span() for match in CODE.finditer(text)]
    hits = []
    for kind, expression in KINDS:
        for match in expression.finditer(text):
            start, end = match.span()
            whole = end - start == len(text)
            if whole or not (is_inside(start, code) or is_syntax(match)):
                hits.append(Hit(kind, start, end))
    return sorted(hits, key=lambda hit: hit.start)


def is_inside(place: int, spans: list[tuple[int, int]]) -> bool:
    return any(start <= place < end for start, end in spans)


def is_syntax(match: re.Match[str]) -> bool:
    """<name> with its </name> is XML, {{a}} after a command LaTeX, ${a} in a line of code code."""
    found, text = match[0], match.string
    if found.startswith("<"):
        return f"</{found[1:]}" in text
    if found.startswith("{{"):
        return bool(re.search(r"\\[A-Za-z]+$", text[: match.start()][-24:]))
    if found.startswith(("{", "${")):
        begin = text.rfind("\n", 0, match.start()) + 1
        return bool(CODE_LINE.search(text[begin:].partition("\n")[0]))
    return False

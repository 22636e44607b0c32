"""JSON → Nodes. Parsed here, not by the standard library, because every value must know where it
stands (for messages, and for edits that keep the layout), and duplicate keys are refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]

from dsl.errors import InvalidRecipe
from dsl.nodes import MAX_DEPTH, MAX_NODES, Node, forbidden, integer, line_column, refuse

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORD = re.compile(r"[A-Za-z_$][\w$]*")
_TOKEN = re.compile(r"[^\s,:{}\[\]]{1,30}")
_LITERALS = {"true": True, "false": False, "null": None}
_OTHER_WORDS = {
    "True": "true",
    "False": "false",
    "None": "null",
    "NaN": "null",
    "undefined": "null",
}


def parse(text: str) -> Node:
    """The root of a JSON text. Raises InvalidRecipe with the place of the fault."""
    return _Parser(text).document()


class _Parser:
    """Recursive descent over RFC 8259, with messages for what people write by mistake."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.nodes = 0

    def document(self) -> Node:
        node = self.value(0)
        self.skip()
        if self.at < len(self.text):
            raise self.error("text after the end of the recipe", "remove it, or a } came too early")
        return node

    def error(self, message: str, hint: str | None = None, at: int | None = None) -> InvalidRecipe:
        line, column = line_column(self.text, self.at if at is None else at)
        return refuse(message, hint, line, column)

    def skip(self) -> None:
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at
        if self.text.startswith(("//", "/*", "#"), self.at):
            raise self.error(
                "JSON has no comments", "put the words into 'description', or write YAML (.yaml)"
            )

    def peek(self) -> str:
        self.skip()
        return self.text[self.at : self.at + 1]

    def value(self, depth: int) -> Node:
        char = self.peek()
        self.nodes += 1
        if depth > MAX_DEPTH:
            raise self.error(f"nested more than {MAX_DEPTH} deep", "a recipe needs five levels")
        if self.nodes > MAX_NODES:
            raise self.error(f"more than {MAX_NODES} values", "is this the data file?")
        start = self.at
        if char == "{":
            return self.mapping(depth)
        if char == "[":
            return self.sequence(depth)
        if char == '"':
            text = self.string()
            return Node(text, start, self.at)
        return self.scalar(char, start)

    def scalar(self, char: str, start: int) -> Node:
        if match := _NUMBER.match(self.text, self.at):
            self.at = match.end()
            after = self.text[self.at : self.at + 1]
            if after and (after.isalnum() or after in "._"):
                raise self.error(f"'{_token(self.text, start)}' is not a number", None, start)
            literal = match.group()
            number = float(literal) if match[2] or match[3] else integer(literal)
            if number is None or number in (float("inf"), float("-inf")):
                raise self.error("a number too large", None, start)
            return Node(number, start, self.at)
        if match := _WORD.match(self.text, self.at):
            word = match.group()
            if word in _LITERALS:
                self.at = match.end()
                return Node(_LITERALS[word], start, self.at)
            right = _OTHER_WORDS.get(word) or f'"{word[:40]}" in quotes'
            raise self.error(f"'{word[:40]}' is not JSON", f"write {right}")
        if not char:
            raise self.error("the recipe ends too early", "a } or ] is missing at the end")
        if char == "'":
            raise self.error("a text in single quotes", 'JSON uses double quotes: "text"')
        if char in "}],:":
            raise self.error(f"a value is missing before '{char}'", "give one, or remove the comma")
        hint = "a number begins with a digit or a minus and a digit" if char in "+-." else None
        raise self.error(f"'{char}' cannot begin a value", hint)

    def string(self) -> str:
        start = self.at
        try:
            text, self.at = scanstring(self.text, self.at + 1, True)
        except json.JSONDecodeError as error:
            message, hint, at = _string_fault(error, start)
            raise self.error(message, hint, at) from None
        if fault := forbidden(text):
            raise self.error(fault, "remove the \\u escape", start)
        return str(text)

    def mapping(self, depth: int) -> Node:
        start = self.at
        self.at += 1
        children: dict[str | int, Node] = {}
        for key_start in self.items("}", start):
            if self.peek() != '"':
                found = _token(self.text, self.at)
                raise self.error(
                    f"a key must stand in double quotes, found {found}",
                    f'write "{found}"' if found.isidentifier() else None,
                )
            key = self.string()
            if key in children:
                first = line_column(self.text, children[key].key_start or 0)[0]
                raise self.error(
                    f"'{key}' stands twice in one object, first in line {first}",
                    "keep one of them",
                    key_start,
                )
            if self.peek() != ":":
                raise self.error(f'a colon is missing after "{key}"')
            self.at += 1
            node = self.value(depth + 1)
            children[key] = Node(node.value, node.start, node.end, key_start, node.children)
        return Node({k: n.value for k, n in children.items()}, start, self.at, None, children)

    def sequence(self, depth: int) -> Node:
        start = self.at
        self.at += 1
        children: dict[str | int, Node] = {}
        for _ in self.items("]", start):
            children[len(children)] = self.value(depth + 1)
        return Node([n.value for n in children.values()], start, self.at, None, children)

    def items(self, close: str, start: int) -> Iterator[int]:
        """Yields where each item begins; the caller reads it. Ends behind `close`."""
        if self.peek() == close:
            self.at += 1
            return
        while True:
            self.skip()
            yield self.at
            char = self.peek()
            if char == close:
                self.at += 1
                return
            if not char:
                raise self.error(f"no '{close}' closes what begins here", None, start)
            if char != ",":
                raise self.error("a comma is missing before this", None)
            comma = self.at
            self.at += 1
            if self.peek() in ("}", "]"):
                raise self.error("a comma after the last item", "remove it", comma)


def _string_fault(error: json.JSONDecodeError, start: int) -> tuple[str, str | None, int]:
    """(message, hint, offset) for what the standard library's scanner refuses."""
    if "control character" in error.msg:
        hint = 'the closing " is missing, or write a new line as \\n'
        return "a line break or control character in a text", hint, start
    if "Unterminated" in error.msg:
        return 'the closing " is missing', None, start
    return "a wrong escape in a text", "write \\\\ for a backslash", error.pos


def _token(text: str, at: int) -> str:
    match = _TOKEN.match(text, at)
    return match.group() if match else text[at : at + 1] or "the end"

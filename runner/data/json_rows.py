"""Rows of a JSON file that is one value: an array, or an object that holds the rows.

The text is read through a window: memory is a few rows, however large the file.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from json import JSONDecodeError, JSONDecoder
from typing import IO, Any

from dsl.errors import DataError
from runner.data.kinds import File, opened
from runner.data.lines import MAX_LINE_BYTES

WINDOW_BYTES = 1 << 20
BLOCK_CHARACTERS = 1 << 18
BLANKS = " \t\n\r"
# so near to the end of the window an error may come from the cut: '-Infinity', '1.5e+30'
CUT_CHARACTERS = 16
# an object with so many objects in it is rows by their ids
ENOUGH = 1000

Element = tuple[Any, str]  # value and text


def json_blocks(file: File) -> Iterator[bytes]:
    """Blocks of marked lines, one an element. Raises DataError with the place of a fault."""
    lines: list[str] = []
    size = 0
    for value, text in _elements(file):
        if isinstance(value, dict):
            # line breaks of JSON stand only between tokens
            line = text.replace("\n", " ").replace("\r", " ")
        else:
            line = f"!{in_words(value)}, not an object"
        lines.append(line)
        size += len(line)
        if size > BLOCK_CHARACTERS:
            yield _encoded(lines)
            lines, size = [], 0
    if lines:
        yield _encoded(lines)


def in_words(value: Any) -> str:
    """What kind of JSON value this is."""
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    kinds: dict[type, str] = {dict: "an object", str: "a text"}
    return kinds.get(type(value), "a number")


def _encoded(lines: list[str]) -> bytes:
    # bytes that were not UTF-8 come out as they were: the line is then refused for them
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def _elements(file: File) -> Iterator[Element]:
    """The rows with their texts."""
    with opened(file) as stream:
        text = _Text(stream, file.name)
        shape = text.peek()
        if shape == "{":
            key = _key_of_rows(text)
        elif shape == "[":
            yield from text.items()
            text.end()
            return
        else:
            raise _no_rows(file.name, text.value()[0], [])
    with opened(file) as stream:
        text = _Text(stream, file.name)
        found = False
        for member in text.members():
            if key is None:
                yield text.value()
            elif member == key and not found:
                found = True
                yield from text.items()
            elif isinstance(text.skip(), dict):
                raise DataError(
                    f"{file.name}: two lists of rows, '{key}' and '{member}'",
                    "one file for each lets them be told apart",
                )
        text.end()


def _key_of_rows(text: _Text) -> str | None:
    """The key of the list of rows; None where every value is a row. Reads no further than needed.

    Raises DataError where the object holds no rows.
    """
    objects = 0
    others: list[str] = []
    lists: list[str] = []
    value: Any = {}
    for key in text.members():
        if text.peek() == "[":
            items = text.items()
            if isinstance(next(items, (None, ""))[0], dict):
                return key
            lists.append(key)
            for _ in items:
                pass
            continue
        value = text.value()[0]
        if isinstance(value, dict):
            objects += 1
        else:
            others.append(key)
        if objects == ENOUGH and not others and not lists:
            return None
    text.end()
    if objects and not others and not lists:
        return None
    raise _no_rows(text.name, {"": value}, lists)


def _no_rows(name: str, value: Any, lists: list[str]) -> DataError:
    return DataError(
        f"{name}: {in_words(value)}, not a list of rows",
        f"the list under '{lists[0]}' holds no objects" if lists else "write [{...}, {...}]",
    )


class _Text:
    """A JSON text seen through a window that moves with the place of reading."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self.name = name
        self._stream = stream
        # invalid bytes stay what they are, for their row alone to be refused
        self._decode = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape").decode
        self._decoder = JSONDecoder()
        self._window = ""
        self._at = 0
        self._line = 1  # of the window's first character
        self._column = 1

    def _more(self) -> bool:
        """Moves the window on; false, and nothing moved, at the end of the text."""
        rest = len(self._window) - self._at
        if rest > MAX_LINE_BYTES:
            raise DataError(f"{self.name}: a value longer than a gibibyte", "split the file")
        data = self._stream.read(max(WINDOW_BYTES, rest))
        more = self._decode(data, final=not data)
        if not data and not more:
            return False
        self._line, self._column = self._place(self._at)
        self._window = self._window[self._at :] + more
        self._at = 0
        return True

    def _place(self, at: int) -> tuple[int, int]:
        breaks = self._window.count("\n", 0, at)
        if not breaks:
            return self._line, self._column + at
        return self._line + breaks, at - self._window.rfind("\n", 0, at)

    def fault(self, what: str, at: int | None = None) -> DataError:
        line, column = self._place(self._at if at is None else at)
        return DataError(
            f"{self.name}: not JSON: {what} (line {line}, column {column})",
            "one object a line in a .jsonl file lets single bad lines be found and counted",
        )

    def peek(self) -> str:
        """The next character that is no blank; '' at the end."""
        while True:
            window = self._window
            while self._at < len(window):
                if window[self._at] not in BLANKS:
                    return window[self._at]
                self._at += 1
            if not self._more():
                return ""

    def _take(self, character: str) -> None:
        if self.peek() != character:
            raise self.fault(f"expected '{character}'")
        self._at += 1

    def value(self) -> Element:
        """The next value and its text."""
        if not self.peek():
            raise self.fault("unexpected end of data")
        while True:
            try:
                value, end = self._decoder.raw_decode(self._window, self._at)
            except JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or (
                    error.pos >= len(self._window) - CUT_CHARACTERS
                )
                if not (cut and self._more()):
                    raise self.fault(error.msg, error.pos) from error
                continue
            except RecursionError as error:
                raise self.fault("nested too deeply") from error
            # a number near the end of the window may go on behind it
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if number and end > len(self._window) - CUT_CHARACTERS and self._more():
                continue
            text = self._window[self._at : end]
            self._at = end
            return value, text

    def items(self) -> Iterator[Element]:
        """The elements of the list that comes next."""
        self._take("[")
        if self.peek() == "]":
            self._at += 1
            return
        while True:
            yield self.value()
            if self.peek() == "]":
                self._at += 1
                return
            self._take(",")

    def members(self) -> Iterator[str]:
        """The keys of the object that comes next; whoever asks takes the value after each."""
        self._take("{")
        if self.peek() == "}":
            self._at += 1
            return
        while True:
            if self.peek() != '"':
                raise self.fault("expected a key in quotes")
            key = self.value()[0]
            self._take(":")
            yield key
            if self.peek() == "}":
                self._at += 1
                return
            self._take(",")

    def skip(self) -> Any:
        """Passes over the next value; its first element, where it is a list."""
        if self.peek() != "[":
            self.value()
            return None
        first: Any = None
        for index, (value, _) in enumerate(self.items()):
            first = value if index == 0 else first
        return first

    def end(self) -> None:
        if self.peek():
            raise self.fault("more text behind the end")

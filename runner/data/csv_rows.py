"""Rows of CSV and TSV: every value is text, and no type is guessed."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import TextIOWrapper
from typing import IO

from orjson import dumps

from dsl.errors import DataError
from runner.data.kinds import File, opened
from runner.data.lines import MARK

BLOCK_BYTES = 1 << 18
HEADER_CHARACTERS = 1 << 20
# of a field and of a line, which are held in memory several times
MOST_CHARACTERS = 1 << 27


def csv_blocks(file: File) -> Iterator[bytes]:
    """Blocks of marked lines, one a record behind the header. Raises DataError."""
    with opened(file) as stream, _text(stream) as text:
        reader = _reader(text, file.name)
        header = _header(reader, file.name)
        lines: list[bytes] = []
        size = 0
        for line in _lines(reader, header):
            lines += (line, b"\n")
            size += len(line)
            if size > BLOCK_BYTES:
                yield b"".join(lines)
                lines, size = [], 0
        yield b"".join(lines)


def csv_columns(file: File) -> tuple[str, ...]:
    """The header. Raises DataError."""
    with opened(file) as stream, _text(stream) as text:
        return tuple(_header(_reader(text, file.name), file.name))


def _lines(reader: Iterator[list[str]], header: list[str]) -> Iterator[bytes]:
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            yield MARK + f"not CSV: {error}".encode()
            continue
        if fields is None:
            return
        if not fields:
            yield b""
        elif len(fields) != len(header):
            yield MARK + f"{len(fields)} fields where the header has {len(header)}".encode()
        elif any(_not_utf8(field) for field in fields):
            yield MARK + b"not UTF-8"
        else:
            yield dumps(dict(zip(header, fields, strict=True)))


def _text(stream: IO[bytes]) -> TextIOWrapper:
    return TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="")


def _reader(text: TextIOWrapper, name: str) -> Iterator[list[str]]:
    """Delimiter: comma, tab or semicolon, whichever the first line has most of."""
    # the module's limit of 128 KiB a field is global and would refuse long texts
    csv.field_size_limit(MOST_CHARACTERS)
    first = text.readline(HEADER_CHARACTERS)
    delimiter = max(",", "\t", ";", key=first.count)
    return csv.reader(_again(first, text, name), delimiter=delimiter, strict=True)


def _again(first: str, text: TextIOWrapper, name: str) -> Iterator[str]:
    """The lines from the start: an archive cannot be read twice."""
    if not first.endswith(("\n", "\r")):
        first += text.readline(MOST_CHARACTERS)
    line = first
    while line:
        if len(line) >= MOST_CHARACTERS:
            raise DataError(
                f"{name}: a line of more than {MOST_CHARACTERS:,} characters", "split the file"
            )
        yield line
        line = text.readline(MOST_CHARACTERS)


def _header(reader: Iterator[list[str]], name: str) -> list[str]:
    try:
        header = next((fields for fields in reader if fields), [])
    except csv.Error as error:
        hint = "the first line names the columns"
        raise DataError(f"{name}: the header is not CSV: {error}", hint) from error
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise DataError(f"{name}: column '{twice[0]}' stands twice in the header", "rename one")
    if any(_not_utf8(column) for column in header):
        raise DataError(f"{name}: the header is not UTF-8", "save the file as UTF-8")
    return header


def _not_utf8(text: str) -> bool:
    return not text.isascii() and any("\udc80" <= character <= "\udcff" for character in text)

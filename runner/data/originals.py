"""What stands in a file where a record cannot be read as a row."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from io import TextIOWrapper
from itertools import chain
from typing import Any

from runner.data.csv_rows import MOST_CHARACTERS
from runner.data.kinds import File, opened


def originals(file: File, numbers: frozenset[int]) -> dict[int, Any]:
    """Number of a record → its text; its value, where it is JSON but no object.

    Tables and databases have neither: their records stay in the file alone.
    """
    records = RECORDS.get(file.kind)
    if records is None or not numbers:
        return {}
    return {number: text for number, text in enumerate(records(file), 1) if number in numbers}


def _lines(file: File) -> Iterator[str]:
    with opened(file) as stream:
        for line in stream:
            # a byte that is not UTF-8 is shown as \xff
            yield line.decode("utf-8", "backslashreplace").rstrip("\r\n")


def _values(file: File) -> Iterator[Any]:
    """The rows of a JSON file, which is held in memory for as long as this takes."""
    with opened(file) as stream:
        value = json.loads(stream.read().decode("utf-8-sig", "backslashreplace"))
    if isinstance(value, dict):
        lists = (rows for rows in value.values() if isinstance(rows, list))
        value = next((rows for rows in lists if rows and isinstance(rows[0], dict)), value.values())
    yield from value


def _records(file: File) -> Iterator[str]:
    """The text of every record behind the header, as the reader of runner.data.csv_rows counts."""
    csv.field_size_limit(MOST_CHARACTERS)
    taken: list[str] = []
    with opened(file) as stream:
        text = TextIOWrapper(stream, "utf-8-sig", "backslashreplace", newline="")
        first = text.readline()
        delimiter = max(",", "\t", ";", key=first.count)
        reader = csv.reader(_noted(chain([first], text), taken), delimiter=delimiter, strict=True)
        header = False
        while True:
            taken.clear()
            try:
                fields = next(reader, None)
            except csv.Error:
                fields = ["?"]
            if fields is None:
                return
            if header:
                yield "".join(taken).rstrip("\r\n")
            header = header or bool(fields)


def _noted(lines: Iterable[str], taken: list[str]) -> Iterator[str]:
    for line in lines:
        taken.append(line)
        yield line


RECORDS: dict[str, Callable[[File], Iterator[Any]]] = {
    "jsonl": _lines,
    "json": _values,
    "csv": _records,
}

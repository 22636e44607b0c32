"""events.jsonl: whole lines appended, read from an offset, a torn last line never taken."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class EventLog:
    """Appends events of one step and attempt. The schema is schemas/event.schema.json."""

    path: Path
    step: str
    attempt: int

    def __call__(self, type: str, **values: Any) -> None:
        event = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "step": self.step,
            "attempt": self.attempt,
            "type": type,
            **values,
        }
        line = json.dumps(event, ensure_ascii=False, allow_nan=False, default=str) + "\n"
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            # a killed writer may have left half a line: end it, so that this one stays whole
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = "\n" + line
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)


@dataclass(slots=True)
class EventReader:
    """Reads what was appended since the last call."""

    path: Path
    offset: int = 0
    _rest: bytes = field(default=b"", repr=False)

    def new(self) -> Iterator[dict[str, Any]]:
        import orjson

        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                chunk = file.read()
        except FileNotFoundError:
            return
        self.offset += len(chunk)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            try:
                event = orjson.loads(line)
            except ValueError:
                continue  # blank, or torn by a kill
            if isinstance(event, dict):
                yield event


def read_events(path: Path) -> list[dict[str, Any]]:
    return list(EventReader(path).new())

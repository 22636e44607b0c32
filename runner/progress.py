"""What a user sees while a run goes on: a bar on a terminal, plain lines in a pipe."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

from runner.report.words import duration

BAR = 24
PLAIN_EVERY_SECONDS = 20.0


@dataclass(slots=True)
class Display:
    """Shows events of a run. A new line of progress replaces the last one on a terminal."""

    out: TextIO = field(default_factory=lambda: sys.stdout)
    _open: bool = False
    _said: float = 0.0

    @property
    def live(self) -> bool:
        return self.out.isatty()

    def line(self, text: str) -> None:
        self._write(("\r\x1b[2K" if self._open else "") + text + "\n")
        self._open = False

    def step(self, name: str, text: str) -> None:
        self.line(f"{name:<10} {text}")
        self._said = time.monotonic()

    def event(self, event: Mapping[str, Any]) -> None:
        match event["type"]:
            case "train":
                self._progress("train", event["at"], event["steps"], _training(event))
            case "progress":
                self._progress(event["step"], event["done"], event["total"], event["what"])
            case "validation":
                self.line(f"{'':<10} step {event['at']}: validation loss {event['loss']:.3f}")
            case "stopped_early":
                self.line(f"{'':<10} stopped early at step {event['at']}: no longer improving")
            case "resumed":
                self.line(f"{'':<10} going on from {event['path']}")
            case "message":
                mark = "! " if event.get("level") == "warning" else ""
                self.line(f"{'':<10} {mark}{event['text']}")

    def _progress(self, step: str, done: int, total: int, text: str) -> None:
        if not self.live:
            now = time.monotonic()
            if now - self._said >= PLAIN_EVERY_SECONDS or done == total:
                self.line(f"{'':<10} {done}/{total}  {text}")
                self._said = now
            return
        filled = round(BAR * done / max(1, total))
        bar = "█" * filled + "░" * (BAR - filled)
        line = f"{step:<10} {bar} {done}/{total}  {text}"
        width = shutil.get_terminal_size().columns - 1
        self._write("\r\x1b[2K" + line[:width])
        self._open = True

    def _write(self, text: str) -> None:
        try:
            self.out.write(text)
            self.out.flush()
        except BrokenPipeError:
            # who read along has gone away; hours of training do not end for that
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.out.fileno())


def _training(event: Mapping[str, Any]) -> str:
    speed = event.get("tokens_per_second") or 0
    left = duration(event.get("seconds_left"))
    return f"loss {event['loss']:.3f}  {speed:.0f} tokens/s  {left} left"

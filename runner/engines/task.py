"""Task: what a child knows of its step. It reads only the run directory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsl.recipe import Recipe
from runner.runs.events import EventLog
from runner.runs.store import RunFolder, read_json


@dataclass(frozen=True, slots=True)
class Task:
    """One step of one run, as the child that works it sees it."""

    run: RunFolder
    plan: dict[str, Any]
    recipe: Recipe
    attempt: int
    events: EventLog
    stop: Callable[[], bool]

    @property
    def facts(self) -> dict[str, Any]:
        """What the supervisor recorded for its children."""
        return read_json(self.run.attempt(self.attempt) / "job.json")

    @property
    def base(self) -> Path:
        return Path(self.facts["base"])

    def fingerprint(self, step: str) -> str:
        return next(str(s["fingerprint"]) for s in self.plan["steps"] if s["name"] == step)

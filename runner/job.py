"""A run as its supervisor sees it, handed from step to step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsl.errors import RunError
from dsl.recipe import Recipe
from runner.bases import Located
from runner.progress import Display
from runner.runs.events import EventLog, read_events
from runner.runs.store import RunFolder, write_json

if TYPE_CHECKING:
    from runner.data.prepare import Prepared


@dataclass(slots=True)
class Job:
    """One attempt at a run.

    `folder` is the recipe's own. `prepared` is None where the data step is done already, `lock`
    None without --locked. `located` is set anew once the base model has been fetched.
    """

    run: RunFolder
    recipe: Recipe
    steps: Sequence[dict[str, Any]]
    attempt: int
    folder: Path
    located: Located
    offline: bool
    display: Display
    prepared: Prepared | None = None
    lock: dict[str, Any] | None = None

    @property
    def base(self) -> Path:
        """The folder of the base model's weights. Raises RunError where it is gone."""
        if self.located.folder is None:
            raise RunError(f"{self.recipe.model.base} is not on this machine", "run it again")
        return self.located.folder

    @property
    def evaluation(self) -> Path:
        return self.run.evaluation(self.fingerprint("evaluate"))

    def step(self, name: str) -> dict[str, Any]:
        return next(step for step in self.steps if step["name"] == name)

    def fingerprint(self, name: str) -> str:
        return str(self.step(name)["fingerprint"])

    def events(self, step: str) -> EventLog:
        return EventLog(self.run.events, step, self.attempt)

    def progress(self, step: str, what: str, done: int, total: int) -> None:
        """How far a step of this process is."""
        told: dict[str, Any] = {"what": what, "done": done, "total": total}
        self.events(step)("progress", **told)
        self.display.event({"type": "progress", "step": step, **told})

    def tell(self, text: str) -> None:
        """A line below the name of the step."""
        self.display.line(f"{'':<10} {text}")

    def write_facts(self) -> None:
        """What a child has to know beside the plan."""
        base = self.located.folder
        write_json(
            self.run.attempt(self.attempt) / "job.json",
            {
                "recipe_folder": str(self.folder.absolute()),
                "base": str(base.absolute()) if base else None,
                "offline": self.offline,
            },
        )


def finished(run: RunFolder) -> set[str]:
    """Names of the steps that ended in any attempt."""
    return {event["step"] for event in read_events(run.events) if event.get("type") == "ended"}

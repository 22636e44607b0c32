"""What a run did so far, read from events.jsonl as it grows; and what to do where it went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from dsl.errors import RecipeError
from runner.app.curves import Curve
from runner.report.words import finite, plural, size
from runner.runs.events import EventReader
from runner.runs.queue import tickets
from runner.runs.state import GOING_ON, STALE_SECONDS, State, lives, state
from runner.runs.store import RUN_ID, RunFolder, read_json

CURVES = ("loss", "learning_rate", "grad_norm", "tokens_per_second")
KEPT_MESSAGES = 200
ENDS_OF_A_RECIPE = (2, 3)  # exit statuses of an invalid recipe and of a failed data check

StepState = Literal["waiting", "running", "done", "cached", "stopped", "failed", "lost"]


@dataclass(slots=True)
class Step:
    """One step of the plan. `seconds` are measured, of a step that ended."""

    name: str
    title: str
    state: StepState = "waiting"
    began: str | None = None
    seconds: float | None = None
    reason: str = ""
    progress: tuple[int, int, str] | None = None  # done, of, what

    def elapsed(self, now: datetime) -> float | None:
        if self.seconds is not None or self.state != "running" or self.began is None:
            return self.seconds
        try:
            return max(0.0, (now - datetime.fromisoformat(self.began)).total_seconds())
        except (ValueError, TypeError):
            return None


@dataclass(frozen=True, slots=True)
class Message:
    time: str
    step: str
    level: str
    text: str


@dataclass(slots=True)
class Monitor:
    """The events of a run, taken in as they come. `read` costs as much as there is new."""

    path: Path
    steps: dict[str, Step]
    curves: dict[str, Curve] = field(default_factory=lambda: {name: Curve() for name in CURVES})
    validation: Curve = field(default_factory=Curve)
    train: Mapping[str, Any] = field(default_factory=dict)  # the last event of training
    checkpoint: int | None = None  # step of the last one
    messages: list[Message] = field(default_factory=list)
    attempt: int = 1
    damaged: int = 0  # events that no reader understands
    _reader: EventReader | None = None

    @property
    def offset(self) -> int:
        """Bytes read so far."""
        return self._reader.offset if self._reader else 0

    def read(self) -> bool:
        """Takes in what is new; whether there was any."""
        if self._reader is None:
            self._reader = EventReader(self.path)
        before = self._reader.offset
        for event in self._reader.new():
            try:
                self._take(event)
            except (KeyError, TypeError, ValueError):
                self.damaged += 1
        return self._reader.offset > before

    def _take(self, event: Mapping[str, Any]) -> None:
        kind, name = event["type"], event["step"]
        if event["attempt"] > self.attempt:
            self.attempt = event["attempt"]
            self._new_attempt()
        step = self.steps.setdefault(name, Step(name, name))
        match kind:
            case "train":
                self._trained(event)
                step.progress = (event["at"], event["steps"], "steps")
            case "validation":
                if (loss := finite(event["loss"])) is not None:
                    self.validation.add(event["at"], loss)
            case "started":
                step.state, step.began, step.progress = "running", event["time"], None
                step.seconds, step.reason = None, ""
            case "ended":
                step.state = "cached" if event["cached"] else "done"
                step.seconds, step.reason = finite(event["seconds"]), event["reason"]
            case "failed":
                step.state = "failed"
                self._say(event, "error", event["message"])
            case "progress":
                step.progress = (event["done"], event["total"], event["what"])
            case "message":
                self._say(event, event["level"], event["text"])
            case "checkpoint":
                self.checkpoint = event["at"]
                best = ", the best so far" if event["best"] else ""
                self._say(event, "info", f"checkpoint at step {event['at']}{best}")
            case "resumed":
                self._say(event, "info", f"going on from {event['path']}")
            case "stopped_early":
                text = f"stopped early at step {event['at']}: validation no longer improves"
                self._say(event, "info", text)
            case "trial":
                held = f"{event['tokens']:,} tokens, {size(event['peak_bytes'])} held"
                self._say(event, "info", f"the longest batch fits: {held}")

    def _trained(self, event: Mapping[str, Any]) -> None:
        at = event["at"]
        for name, curve in self.curves.items():
            if (value := finite(event.get(name))) is not None:
                curve.add(at, value)
        self.train = event

    def _say(self, event: Mapping[str, Any], level: str, text: str) -> None:
        self.messages.append(Message(event["time"], event["step"], level, text))
        del self.messages[:-KEPT_MESSAGES]

    def _new_attempt(self) -> None:
        for step in self.steps.values():
            if step.state in ("running", "failed"):
                step.state, step.progress = "waiting", None


def monitor(run: RunFolder) -> Monitor:
    """Raises RunError where the run's plan is damaged; a run that died early has none."""
    steps = read_json(run.plan).get("steps", []) if run.plan.exists() else []
    named = {step["name"]: Step(step["name"], step["title"]) for step in steps}
    return Monitor(run.events, named)


def phases(seen: Monitor, now: State | Literal["damaged"], reported: bool) -> list[Step]:
    """The steps as they stand, given how the run stands: what was under way has stopped with it.

    The report is no step that tells events; `reported` says whether it is there.
    """
    worked = all(s.state in ("done", "cached") for s in seen.steps.values() if s.name != "report")
    return [
        replace(step, state=_phase(step, now, reported and worked)) for step in seen.steps.values()
    ]


def _phase(step: Step, now: State | Literal["damaged"], reported: bool) -> StepState:
    if step.name == "report" and reported and now not in GOING_ON:
        return "done"
    if step.state != "running" or now in ("running", "stopping", "stalled"):
        return step.state
    if now in ("queued", "starting"):
        return "waiting"
    return now if now in ("failed", "lost") else "stopped"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run stands in words. `resumable`: `recipe run --resume` would go on with it."""

    state: State | Literal["damaged"]
    reason: str | None = None
    hint: str | None = None
    resumable: bool = False

    @property
    def going_on(self) -> bool:
        return self.state in GOING_ON


def standing(run: RunFolder) -> Standing:
    try:
        now = state(run)
        if now in GOING_ON:
            return Standing(now, *_meanwhile(run, now))
        if now == "lost":
            return _lost(run)
        result = read_json(run.result)
    except RecipeError as error:
        return Standing("damaged", error.message, "Its files cannot be read; start a new run.")
    open_end = now in ("failed", "interrupted") and result.get("exit") not in ENDS_OF_A_RECIPE
    return Standing(now, result.get("reason"), result.get("hint"), open_end and run.plan.exists())


def _meanwhile(run: RunFolder, now: State) -> tuple[str | None, str | None]:
    match now:
        case "queued":
            return _queued(run), "It starts by itself. You may close this page."
        case "stopping" if not lives(run.supervisor()):
            return (
                "The process that led it is gone; what trains saves a checkpoint and ends.",
                "Wait a moment, then resume it.",
            )
        case "stopping":
            return "It finishes its step, saves a checkpoint and ends: up to three minutes.", None
        case "stalled":
            return (
                f"Its process lives, but has given no sign for more than {STALE_SECONDS:.0f} s.",
                "The computer may have slept, or may be short of memory. Wait a minute; if "
                "nothing moves, stop the run and resume it: it goes on from the last checkpoint.",
            )
    return None, None


def _queued(run: RunFolder) -> str:
    """Whom it waits for: the first on its device, and how many stand between."""
    all_tickets = tickets(run.path.parent)
    mine = next((ticket for ticket in all_tickets if ticket.run == run.id), None)
    if mine is None:
        return "It waits for its turn."
    before = [t for t in all_tickets if t.device == mine.device and t.number < mine.number]
    if not before:
        return "Its turn comes now."
    more = f", and {plural(len(before) - 1, 'more run')} before it" if len(before) > 1 else ""
    return f"It waits for {before[0].run}, which has the device{more}."


def _lost(run: RunFolder) -> Standing:
    reason = "Its process ended without a word: the computer was switched off, or the system " \
             "ended it, most often for want of memory."  # fmt: skip
    if not run.plan.exists():
        return Standing("lost", reason, "It had not begun to work: start it again.")
    return Standing(
        "lost",
        reason,
        "Resume it: it goes on from the last checkpoint. If it is lost again at the same place, "
        "halve training.micro_batch_size.",
        resumable=True,
    )


def unfinished(runs: Path) -> list[RunFolder]:
    """Runs without an end: they go on, wait, or were lost. The newest first."""
    found = (RunFolder(path.parent) for path in runs.glob("*/run.json"))
    open_ends = [run for run in found if RUN_ID.match(run.id) and not run.result.exists()]
    return sorted(open_ends, key=_changed, reverse=True)


def _changed(run: RunFolder) -> float:
    try:
        return run.run.stat().st_mtime
    except FileNotFoundError:  # it was removed meanwhile
        return 0.0

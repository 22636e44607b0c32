"""What a run would do, told before it is started: from the plan, with what speaks against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dsl.problems import Problem, errors
from dsl.rules.machine import disk_is_free
from dsl.source import parse
from runner.data.checks import failed
from runner.probe import Surroundings
from runner.read import Planned, judge, planned, with_sets

Stamp = tuple[tuple[str, int, int], ...]  # name, size, time of change of every data file


@dataclass(frozen=True, slots=True)
class Outlook:
    """`seconds` by phase and `bytes` are estimated, `rows` exact.

    `failed` are the data checks that would end the run: name, what was found, what helps.
    """

    base: str
    fetches: bool
    rows: Mapping[str, int]
    steps: int | None
    seconds: Mapping[str, tuple[float, float]]
    bytes: int | None
    device: str
    device_bytes: int | None
    fits: bool
    failed: tuple[tuple[str, str, str | None], ...]
    warned: int
    problems: tuple[Problem, ...]
    short: Problem | None  # of disk space: a run is refused

    @property
    def total_seconds(self) -> tuple[float, float] | None:
        if not self.seconds:
            return None
        lows, highs = zip(*self.seconds.values(), strict=True)
        return sum(lows), sum(highs)


def outlook(text: str, name: str, folder: Path, sets: tuple[str, ...] = ()) -> Outlook:
    """Of a recipe's text as if it lay in `folder` under `name`. Reads the data; fetches nothing.

    Raises InvalidRecipe, DataError.
    """
    source = with_sets(parse(text, name), sets)
    with planned(judge(source, Surroundings(folder)).valid()) as found:
        return _of(found)


def stamp(text: str, name: str, folder: Path) -> Stamp:
    """What an outlook depends on beside the text. Raises InvalidRecipe."""
    seen = judge(parse(text, name), Surroundings(folder)).facts.sources
    return tuple(_stamp(folder, source.name) for source in seen)


def _stamp(folder: Path, name: str) -> tuple[str, int, int]:
    try:
        about = (folder / name).stat()
    except OSError:
        return name, 0, 0
    return name, about.st_size, about.st_mtime_ns


def _of(found: Planned) -> Outlook:
    plan, estimate = found.plan, found.plan.estimate
    findings = found.prepared.findings
    short = next(iter(disk_is_free(found.recipe, found.facts)), None)
    return Outlook(
        base=str(plan.model["name"] or found.recipe.model.base),
        fetches=found.located.folder is None,
        rows={part: facts.rows for part, facts in plan.parts.items()},
        steps=plan.schedule.steps if plan.schedule else None,
        seconds=dict(estimate.seconds) if estimate else {},
        bytes=estimate.memory.total if estimate else None,
        device=estimate.device if estimate else "",
        device_bytes=estimate.device_bytes if estimate else None,
        fits=estimate is None or estimate.fits,
        failed=tuple((f.check, f.message, f.hint) for f in failed(findings)),
        warned=sum(finding.state == "warn" for finding in findings),
        problems=tuple(
            problem
            for problem in found.problems
            if problem.severity != "info" and not (short and problem.message == short.message)
        ),
        short=short,
    )


def stops(seen: Outlook) -> str | None:
    """Why it must not be started; None where nothing is against it."""
    if wrong := [*errors(seen.problems), *([seen.short] if seen.short else [])]:
        return wrong[0].message
    if seen.failed:
        names = ", ".join(check for check, _, _ in seen.failed)
        return f"The data checks find errors ({names}): the run would end there."
    return None

"""Values side by side, and what differs between them; two or more runs compared so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsl.errors import RunError
from dsl.problems import dotted
from runner.report.words import NONE, duration, notation
from runner.runs.store import RunFolder, read_json
from runner.show import leaves

MOST = 4  # runs beside one another on a page


@dataclass(frozen=True, slots=True)
class Row:
    """A value of each; None where there is none."""

    name: str
    values: tuple[Any, ...]

    @property
    def differs(self) -> bool:
        return any(value != self.values[0] for value in self.values[1:])


def rows(values: Sequence[Any]) -> list[Row]:
    """Nested values by their dotted names, in the order of the first, then of the others."""
    flat = [{path: value for path, value in leaves(each) if path} for each in values]
    paths = dict.fromkeys(path for each in flat for path in each)
    return [Row(dotted(path), tuple(each.get(path) for each in flat)) for path in paths]


def compared(runs: Sequence[RunFolder]) -> dict[str, list[Row]]:
    """results, recipe, data, lock → rows. What is missing or damaged in a run counts as none."""
    locks = [_read(run.lock) for run in runs]
    data = [{"files": lock.get("data", {}), "rows": lock.get("rows", {})} for lock in locks]
    others = [{k: v for k, v in lock.items() if k not in ("data", "rows")} for lock in locks]
    return {
        "results": rows([dict(_results(run)) for run in runs]),
        "recipe": rows([_recipe(run) for run in runs]),
        "data": rows(data),
        "lock": rows(others),
    }


def written(value: Any) -> str:
    """A value as the table shows it."""
    if value is None:
        return NONE
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def lines(names: Sequence[str], found: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    """The rows of each section for a terminal: a name, and under it the value of each run."""
    width = max(map(len, names))
    for section, rows in found.items():
        yield f"{section}: {len(rows)} shown" if rows else f"{section}: no difference"
        for row in rows:
            yield f"  {row.name}"
            for name, value in zip(names, row.values, strict=True):
                yield f"    {name:<{width}}  {written(value)}"


def _recipe(run: RunFolder) -> dict[str, Any]:
    """With its defaults, as planned; of a run that died before its plan, as it was written."""
    planned: dict[str, Any] = _read(run.plan).get("recipe") or _read(run.recipe)
    return planned


def _results(run: RunFolder) -> Iterator[tuple[str, str]]:
    result, report = _read(run.result), _read(run.report)
    if result:
        yield "status", str(result.get("status"))
        yield "time", duration(result.get("total_seconds"))
    with suppress(KeyError, TypeError, AttributeError):  # a report of others
        for gate in report.get("gates", ()):
            yield f"gate {gate['metric']}: {gate['condition']}", gate["verdict"]
        for suite in report.get("suites", ()):
            for metric in suite["metrics"]:
                yield from _metric(f"{suite['name']}.{metric['name']}", metric)


def _metric(name: str, metric: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Alike for all runs: as many digits as suit one would make equal values look different."""
    percent = notation(metric).percent

    def write(value: float | None) -> str:
        return NONE if value is None else f"{100 * value:.4g}%" if percent else f"{value:.4g}"

    for arm in ("base", "tuned"):
        value, low, high = (metric[arm][end] for end in ("value", "low", "high"))
        span = f" ({write(low)} to {write(high)})" if low is not None else ""
        yield f"{name}, {arm}", f"{write(value)}{span}"


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except RunError:
        return {}

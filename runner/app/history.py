"""The runs of a folder, read from their files by DuckDB: nothing is copied, nothing is kept.

A damaged file costs what it would have told, and hides no other run.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from dsl.errors import RecipeError
from runner.app.curves import Curve
from runner.app.database import reading
from runner.report.words import Direction, direction, finite
from runner.runs.state import GOING_ON, State, state
from runner.runs.store import RUN_ID, RunFolder

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Json = dict[str, Any]
Told = dict[str, Json | None]  # run → what a file of it tells; None: it is damaged
Order = Literal["newest", "oldest", "most improved", "longest"]
OPEN = (*GOING_ON, "lost")
ENDS = tuple(known for known in get_args(State) if known not in OPEN)
SIGNS = {"higher": 1, "lower": -1}
EXTRACT = """
select filename, case when json_valid(text) then json_extract(text, $1) end
from (select filename, try(decode(content)) as text from read_blob($2))
"""
POINTS = """
select "at", loss from read_json($1, format = 'newline_delimited', ignore_errors = true,
    columns = {type: 'VARCHAR', "at": 'BIGINT', loss: 'DOUBLE'})
where type = $2 and "at" is not null and isfinite(loss)
"""
# file → what is read of it: name → path inside it
FILES: dict[str, dict[str, str]] = {
    "run.json": {"name": "$.name", "created": "$.created"},
    "result.json": {"status": "$.status", "reason": "$.reason", "seconds": "$.total_seconds"},
    "plan.json": {"base": "$.recipe.model.base", "method": "$.recipe.method"},
    "report.json": {
        "outcome": "$.verdict.outcome",
        "headline": "$.verdict.headline",
        "metric": "$.verdict.metric",
        "gates": "$.gates",
        "suites": "$.suites",
    },
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A run as the history shows it. `before` and `after`: base and tuned, by `metric`."""

    id: str
    status: str
    name: str = ""
    created: str | None = None
    reason: str | None = None
    seconds: float | None = None
    base: str | None = None
    method: str | None = None
    outcome: str | None = None
    headline: str | None = None
    metric: str | None = None
    before: float | None = None
    after: float | None = None
    direction: Direction = "unknown"
    gain: float | None = None  # relative, above 0 where the tuned model is better
    gates: tuple[int, int] | None = None  # passed, of

    @property
    def going_on(self) -> bool:
        return self.status in GOING_ON

    @property
    def moment(self) -> datetime | None:
        """When it began, in this computer's time."""
        try:
            return datetime.fromisoformat(self.created or "").astimezone()
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs, in which order. What is empty asks for nothing."""

    names: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    since: str = ""  # a day, as in 2026-11-22
    until: str = ""
    text: str = ""
    order: Order = "newest"


def stamp(runs: Path) -> tuple[tuple[str, float], ...]:
    """What changes whenever a run comes, goes, or tells something new of itself."""
    return tuple(
        (str(path), path.stat().st_mtime)
        for folder in _folders(runs)
        for name in FILES
        if (path := folder / name).is_file()
    )


def history(runs: Path) -> list[Entry]:
    """All runs of the folder, the newest first."""
    folders = _folders(runs)
    with reading(runs) as connection:
        told = {name: _told(connection, folders, name, FILES[name]) for name in FILES}
    entries = [_entry(folder, told) for folder in folders]
    return sorted(entries, key=lambda entry: (entry.created or "", entry.id), reverse=True)


def now(runs: Path, entries: Sequence[Entry]) -> list[Entry]:
    """The entries with how the runs without an end stand by now: no file tells of a death."""
    return [
        replace(entry, status=_living(runs / entry.id)) if entry.status in OPEN else entry
        for entry in entries
    ]


def chosen(entries: Sequence[Entry], wanted: Wanted) -> list[Entry]:
    """The entries that are wanted, in the order that is wanted."""
    found = [entry for entry in entries if _matches(entry, wanted)]
    if wanted.order == "oldest":
        found.reverse()
    elif wanted.order == "most improved":
        found.sort(key=lambda e: e.gain if e.gain is not None else float("-inf"), reverse=True)
    elif wanted.order == "longest":
        found.sort(key=lambda entry: entry.seconds or 0.0, reverse=True)
    return found


def curves(
    runs: Path, ids: Sequence[str], kind: Literal["train", "validation"]
) -> dict[str, Curve]:
    """Run → its loss by steps. A line that was torn by a kill is left out."""
    found = {run: Curve() for run in ids}
    with reading(runs) as connection:
        for run, curve in found.items():
            path = runs / run / "events.jsonl"
            if RUN_ID.match(run) and path.is_file():
                for at, loss in _points(connection, path, kind):
                    curve.add(at, loss)
    return {run: curve for run, curve in found.items() if curve.last}


def _folders(runs: Path) -> list[Path]:
    if not runs.is_dir():
        return []
    return sorted(path.parent for path in runs.glob("*/run.json") if RUN_ID.match(path.parent.name))


def _told(
    connection: DuckDBPyConnection, folders: Sequence[Path], name: str, fields: Mapping[str, str]
) -> Told:
    """The fields of each run's file of this name."""
    paths = [path for folder in folders if (path := folder / name).is_file()]
    found: Told = {}
    for file, values in _extracted(connection, paths, list(fields.values())):
        pairs = zip(fields, values, strict=True) if values else ()
        whole = {field: json.loads(value) for field, value in pairs if value is not None}
        found[Path(file).parent.name] = whole or None
    return found


def _extracted(
    connection: DuckDBPyConnection, paths: Sequence[Path], wanted: Sequence[str]
) -> list[tuple[str, list[str | None] | None]]:
    """(file, values as JSON) of all files at once; where one cannot be read, of the halves."""
    import duckdb

    if not paths:
        return []
    try:
        # the reader takes patterns: a bracket in a folder's name is no pattern
        names = [glob.escape(str(path)) for path in paths]
        found: list[Any] = connection.execute(EXTRACT, [list(wanted), names]).fetchall()
        return found
    except duckdb.IOException:
        if len(paths) == 1:
            return [(str(paths[0]), None)]
        half = len(paths) // 2
        return [
            found
            for part in (paths[:half], paths[half:])
            for found in _extracted(connection, part, wanted)
        ]


def _points(connection: DuckDBPyConnection, path: Path, kind: str) -> list[tuple[int, float]]:
    import duckdb

    try:
        found: list[Any] = connection.execute(POINTS, [glob.escape(str(path)), kind]).fetchall()
        return found
    except duckdb.IOException:
        return []


def _entry(folder: Path, told: Mapping[str, Told]) -> Entry:
    about, result, plan, report = (told[name].get(folder.name) or {} for name in FILES)
    status, reason = _status(folder, told), result.get("reason")
    metric = _measured(report)
    return Entry(
        id=folder.name,
        status=status,
        name=_text(about.get("name")),
        created=_text(about.get("created")) or None,
        reason=_text(reason) or None,
        seconds=finite(result.get("seconds")),
        base=_text(plan.get("base")) or None,
        method=_method(plan.get("method")),
        outcome=_text(report.get("outcome")) or None,
        headline=_text(report.get("headline")) or None,
        gates=_gates(report.get("gates")),
        **metric,
    )


def _status(folder: Path, told: Mapping[str, Told]) -> str:
    if told["run.json"].get(folder.name) is None:
        return "damaged"
    if folder.name in told["result.json"]:
        ended = (told["result.json"][folder.name] or {}).get("status")
        return str(ended) if ended in ENDS else "damaged"
    return _living(folder)


def _living(folder: Path) -> str:
    try:
        return state(RunFolder(folder))
    except RecipeError:
        return "damaged"


def _measured(report: Json) -> Json:
    """The metric that the verdict speaks of; nothing where the report is not as ours are."""
    try:
        suite, _, name = report["metric"].rpartition(".")
        (metric,) = (
            metric
            for found in report["suites"]
            if found["name"] == suite
            for metric in found["metrics"]
            if metric["name"] == name
        )
        before, after = (finite(metric[arm]["value"]) for arm in ("base", "tuned"))
        gain = None
        if before and after is not None and metric["better"] in SIGNS:
            gain = SIGNS[metric["better"]] * (after - before) / abs(before)
        return {
            "metric": f"{suite}.{name}",
            "before": before,
            "after": after,
            "direction": direction(metric),
            "gain": gain,
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def _method(method: Any) -> str | None:
    if not isinstance(method, dict) or not isinstance(method.get("type"), str):
        return None
    kind: str = method["type"]
    return f"{kind}, rank {method['rank']}" if method.get("rank") else kind


def _gates(gates: Any) -> tuple[int, int] | None:
    """Those that must be met: passed, of."""
    if not isinstance(gates, list) or not all(isinstance(gate, dict) for gate in gates):
        return None
    required = [gate for gate in gates if gate.get("required", True)]
    passed = sum(gate.get("verdict") == "pass" for gate in required)
    return (passed, len(required)) if required else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _matches(entry: Entry, wanted: Wanted) -> bool:
    day = entry.moment.date().isoformat() if entry.moment else ""
    told = (entry.id, entry.name, entry.reason, entry.base, entry.method, entry.headline)
    text = " ".join(filter(None, told)).casefold()
    return (
        (not wanted.names or entry.name in wanted.names)
        and (not wanted.statuses or entry.status in wanted.statuses)
        and (not wanted.since or day >= wanted.since)
        and (not wanted.until or day <= wanted.until)
        and all(word in text for word in wanted.text.casefold().split())
    )

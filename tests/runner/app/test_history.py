"""The history of runs: what is read of each, damage, filters, order, curves."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from runner.app.database import reading
from runner.app.history import Entry, Wanted, chosen, curves, history, now, stamp
from runner.runs.process import create_time
from runner.runs.store import RunFolder, write_json

NONE = {"value": None, "low": None, "high": None}
METRIC = {
    "name": "loss", "better": "lower", "base": {**NONE, "value": 4.0},
    "tuned": {**NONE, "value": 3.0}, "difference": {"value": -1.0, "low": -1.2, "high": -0.8},
}  # fmt: skip
REPORT = {
    "verdict": {"outcome": "pass", "headline": "It is better.", "metric": "domain.loss"},
    "gates": [{"verdict": "pass", "required": True}, {"verdict": "fail", "required": False}],
    "suites": [{"name": "domain", "metrics": [METRIC]}],
}


def make(runs: Path, name: str, day: int = 1, status: str | None = "done") -> RunFolder:
    run = RunFolder(runs / name)
    created = f"2026-01-{day:02d}T12:00:00+00:00"
    write_json(run.run, {"id": name, "name": name.partition("-")[0], "created": created})
    method = {"type": "lora", "rank": 8}
    write_json(run.plan, {"recipe": {"model": {"base": "tiny"}, "method": method}})
    if status:
        write_json(run.result, {"status": status, "reason": None, "total_seconds": 10.0 * day})
        write_json(run.report, REPORT)
    return run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """With signs in its name that a pattern would be made of."""
    folder = tmp_path / "runs [a*b]"
    folder.mkdir()
    return folder


def test_a_run_as_its_files_tell_it(runs: Path) -> None:
    make(runs, "legal-1")
    (entry,) = history(runs)
    assert entry == Entry(
        id="legal-1", status="done", name="legal", created="2026-01-01T12:00:00+00:00",
        seconds=10.0, base="tiny", method="lora, rank 8", outcome="pass",
        headline="It is better.", metric="domain.loss", before=4.0, after=3.0,
        direction="better", gain=0.25, gates=(1, 1),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("better", "base", "tuned", "gain"),
    [
        ("lower", 4.0, 5.0, -0.25),
        ("higher", 0.4, 0.5, 0.25),
        ("higher", 0.0, 0.5, None),
        ("lower", None, 0.5, None),
        ("neither", 1.0, 2.0, None),
    ],
)
def test_a_gain_is_above_zero_where_it_is_better(
    runs: Path, better: str, base: float | None, tuned: float, gain: float | None
) -> None:
    arms = {"base": {**NONE, "value": base}, "tuned": {**NONE, "value": tuned}}
    suite = {"name": "domain", "metrics": [{**METRIC, **arms, "better": better}]}
    write_json(make(runs, "legal-1").report, {**REPORT, "suites": [suite]})
    (entry,) = history(runs)
    assert entry.gain == (None if gain is None else pytest.approx(gain))


def test_no_runs(tmp_path: Path) -> None:
    assert history(tmp_path / "nothing") == [] and stamp(tmp_path / "nothing") == ()
    (tmp_path / "no-run").mkdir()
    assert history(tmp_path) == []


DAMAGE: list[bytes] = [b"", b"{", b'{"id": "\xff\xfe"}', b"[1]", b"null", b'{"name": 3, "a": NaN}']


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", ["run.json", "result.json", "plan.json", "report.json"])
def test_damage_hides_no_other_run(runs: Path, file: str, damage: bytes) -> None:
    make(runs, "legal-1", 1), make(runs, "legal-2", 2), make(runs, "legal-3", 3)
    (runs / "legal-2" / file).write_bytes(damage)
    found = {entry.id: entry for entry in history(runs)}
    assert set(found) == {"legal-1", "legal-2", "legal-3"}
    assert found["legal-1"].after == found["legal-3"].after == 3.0
    if file == "result.json":
        assert found["legal-2"].status == "damaged"
    if file == "report.json":
        assert found["legal-2"].status == "done" and found["legal-2"].after is None


@pytest.mark.parametrize(
    "values",
    [
        {"verdict": 3, "gates": 4, "suites": 5},
        {"verdict": {"metric": "domain.loss"}, "gates": [1], "suites": [{"name": "domain"}]},
        {"verdict": {"metric": 7}, "suites": None},
    ],
)
def test_reports_of_others_are_told_as_far_as_they_go(runs: Path, values: dict[str, Any]) -> None:
    write_json(make(runs, "legal-1").report, values)
    (entry,) = history(runs)
    assert entry.status == "done" and entry.metric is None and entry.gates is None


def test_a_folder_where_a_file_should_be_is_no_file(runs: Path) -> None:
    run = make(runs, "legal-1")
    run.report.unlink()
    run.report.mkdir()
    (entry,) = history(runs)
    assert entry.status == "done" and entry.outcome is None


def test_runs_without_an_end_are_asked_again(runs: Path) -> None:
    run = make(runs, "legal-1", status=None)
    (entry,) = history(runs)
    assert entry.status == "lost"
    supervisor = {"pid": os.getpid(), "create_time": create_time(os.getpid()), "state": "running"}
    write_json(run.supervisor(1), supervisor)
    assert [e.status for e in now(runs, [entry])] == ["running"]
    ended = replace(entry, status="done")
    assert now(runs, [ended]) == [ended]


def test_a_stamp_changes_with_what_runs_tell(runs: Path) -> None:
    run = make(runs, "legal-1", status=None)
    before = stamp(runs)
    assert stamp(runs) == before
    write_json(run.result, {"status": "done"})
    assert stamp(runs) != before


def entry(run: str, **values: Any) -> Entry:
    day = values.pop("day", 1)
    return Entry(run, created=f"2026-01-{day:02d}T12:00:00+00:00", **{"status": "done", **values})


ENTRIES = [
    entry("c", name="legal", day=3, gain=None, seconds=5.0, reason="the disk is full",
          status="failed"),
    entry("b", name="support", day=2, gain=-0.2, seconds=50.0),
    entry("a", name="legal", day=1, gain=0.3, seconds=None, base="SmolLM"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (Wanted(), "cba"),
        (Wanted(order="oldest"), "abc"),
        (Wanted(order="most improved"), "abc"),
        (Wanted(order="longest"), "bca"),
        (Wanted(names=("legal",)), "ca"),
        (Wanted(statuses=("failed",)), "c"),
        (Wanted(names=("legal",), statuses=("done",)), "a"),
        (Wanted(since="2026-01-02"), "cb"),
        (Wanted(until="2026-01-02"), "ba"),
        (Wanted(since="2026-01-02", until="2026-01-02"), "b"),
        (Wanted(text="DISK full"), "c"),
        (Wanted(text="smollm"), "a"),
        (Wanted(text="'; drop table runs"), ""),
    ],
)
def test_runs_are_found_and_sorted(wanted: Wanted, ids: str) -> None:
    assert "".join(found.id for found in chosen(ENTRIES, wanted)) == ids


def event(at: int, loss: Any, kind: str = "train") -> str:
    return json.dumps({"time": "t", "step": "train", "attempt": 1, "type": kind, "at": at,
                       "loss": loss, "other": {"x": [1]}}) + "\n"  # fmt: skip


@pytest.fixture
def points(runs: Path) -> Callable[[str], dict[str, list[tuple[float, float]]]]:
    def read(kind: str) -> dict[str, list[tuple[float, float]]]:
        found = curves(runs, ["legal-1", "legal-2", "../secret"], kind)  # type: ignore[arg-type]
        return {run: [(s.step, s.mean) for s in curve.spans()] for run, curve in found.items()}

    return read


def test_curves(runs: Path, points: Callable[[str], Any]) -> None:
    events = event(1, 3.0) + event(2, 2.0) + event(2, 2.5, "validation") + event(3, None)
    (make(runs, "legal-1").path / "events.jsonl").write_text(events)
    make(runs, "legal-2")  # it has not trained
    assert points("train") == {"legal-1": [(1, 3.0), (2, 2.0)]}
    assert points("validation") == {"legal-1": [(2, 2.5)]}


def test_torn_lines_cost_only_themselves(runs: Path, points: Callable[[str], Any]) -> None:
    torn = b'{"type": "train", "at": 9, "lo\n\xff\xfe\n\n[1]\n'
    text = event(1, 3.0).encode() + torn + event(2, 2.0).encode() + b'{"type": "tra'
    (make(runs, "legal-1").path / "events.jsonl").write_bytes(text)
    assert points("train") == {"legal-1": [(1, 3.0), (2, 2.0)]}


def test_a_resumed_run_goes_on_from_its_checkpoint(
    runs: Path, points: Callable[[str], Any]
) -> None:
    text = "".join(event(at, 1.0) for at in (1, 2, 3)) + event(2, 5.0) + event(3, 6.0)
    (make(runs, "legal-1").path / "events.jsonl").write_text(text)
    assert points("train") == {"legal-1": [(1, 1.0), (2, 5.0), (3, 6.0)]}


def test_the_database_reads_nothing_else(runs: Path, tmp_path: Path) -> None:
    make(runs, "legal-1")
    secret = tmp_path / "secret.json"
    secret.write_text('{"a": 1}')
    query = "select count(*) from read_text($1)"
    with reading(runs) as connection:
        inside = str(runs / "legal-1/run.json").replace("[", "[[]").replace("*", "[*]")
        assert connection.execute(query, [inside]).fetchall() == [(1,)]
        for outside in (str(secret), f"{runs}/../secret.json", "/etc/hostname"):
            with pytest.raises(duckdb.Error):
                connection.execute(query, [outside]).fetchall()
        with pytest.raises(duckdb.Error):
            connection.execute("set enable_external_access = true")

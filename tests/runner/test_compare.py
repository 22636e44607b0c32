"""Runs side by side: which values there are, which differ, and the verb that tells it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runner.cli import main
from runner.compare import Row, compared, rows, written
from runner.runs.store import RunFolder, write_json


def run_of(folder: Path, name: str, **recipe: Any) -> RunFolder:
    run = RunFolder(folder / name)
    write_json(run.run, {"id": name, "name": "legal", "created": "2026-01-01T10:00:00+00:00"})
    write_json(run.plan, {"recipe": {"name": "legal", "training": {"epochs": 1, **recipe}}})
    write_json(run.lock, {"data": {"a.b.jsonl": {"rows": 3}}, "rows": {"train": 3}, "code": name})
    write_json(run.result, {"status": "done", "total_seconds": 61})
    return run


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([{"a": 1}, {"a": 1}], [Row("a", (1, 1))]),
        ([{"a": {"b": 1}}, {"c": 2}], [Row("a.b", (1, None)), Row("c", (None, 2))]),
        ([{"a": [1, 2]}, {"a": [2]}], [Row("a", ([1, 2], [2]))]),
        ([{"a": [{"b": 1}]}, {"a": []}], [Row("a[0].b", (1, None)), Row("a", (None, []))]),
        ([{}, {}, {"x": None}], [Row("x", (None, None, None))]),
        # a dot within a name does not make two values one
        ([{"a.b": 1}, {"a": {"b": 2}}], [Row("a.b", (1, None)), Row("a.b", (None, 2))]),
    ],
)
def test_values_stand_beside_one_another(values: list[Any], expected: list[Row]) -> None:
    assert rows(values) == expected


@pytest.mark.parametrize(
    ("values", "differs"),
    [((1, 1), False), ((1, 2), True), ((1, 1, 2), True), ((None, None), False), ((0, None), True)],
)
def test_what_differs(values: tuple[Any, ...], differs: bool) -> None:
    assert Row("x", values).differs is differs


def test_runs_differ_in_what_was_asked_for(tmp_path: Path) -> None:
    runs = [run_of(tmp_path, "legal-1"), run_of(tmp_path, "legal-2", seed=7)]
    found = {
        section: {row.name: row.values for row in rows if row.differs}
        for section, rows in compared(runs).items()
    }
    assert found["recipe"] == {"training.seed": (None, 7)}
    assert found["lock"] == {"code": ("legal-1", "legal-2")}
    assert found["data"] == {} and found["results"] == {}


def metric_of(**values: Any) -> dict[str, Any]:
    none = {"value": None, "low": None, "high": None}
    return {
        "name": "loss", "better": "lower", "unit": "nats per token", "difference": none,
        "base": {"value": 3.0, "low": 2.5, "high": 3.54321}, "tuned": {**none, "value": 2.0},
    } | values  # fmt: skip


def test_results_are_written(tmp_path: Path) -> None:
    run = run_of(tmp_path, "legal-1")
    gate = {"metric": "domain.loss", "condition": "better", "verdict": "pass"}
    rate = metric_of(name="loop_rate", unit="share of answers", tuned={"value": 0.0123456,
                     "low": 0.0, "high": 0.5})  # fmt: skip
    suite = {"name": "domain", "metrics": [metric_of(), rate]}
    write_json(run.report, {"gates": [gate], "suites": [suite]})
    told = {row.name: row.values[0] for row in compared([run])["results"]}
    assert told["domain.loss, base"] == "3 (2.5 to 3.543)"
    assert told["domain.loss, tuned"] == "2"
    assert told["domain.loop_rate, tuned"] == "1.235% (0% to 50%)"
    assert told["gate domain.loss: better"] == "pass"
    assert told["time"] == "1 min 01 s"


def test_equal_results_do_not_differ_by_their_digits(tmp_path: Path) -> None:
    """Reports write as many digits as the difference to the other model asks for."""
    base = {"value": 0.0956623, "low": 0.05, "high": 0.1}
    runs = []
    for name, tuned in (("legal-1", 0.2), ("legal-2", 0.0957)):
        change = {"value": tuned - base["value"], "low": None, "high": None}
        arms = {"base": base, "tuned": {**change, "value": tuned}, "difference": change}
        runs.append(run_of(tmp_path, name))
        suite = {"name": "domain", "metrics": [metric_of(**arms)]}
        write_json(runs[-1].report, {"gates": [], "suites": [suite]})
    differing = [row.name for row in compared(runs)["results"] if row.differs]
    assert differing == ["domain.loss, tuned"]


@pytest.mark.parametrize("damage", ["{", "[]", '{"suites": 3, "gates": 4}', '{"suites": [{}]}'])
def test_a_damaged_run_is_compared_by_what_is_left(tmp_path: Path, damage: str) -> None:
    whole, broken = run_of(tmp_path, "legal-1"), run_of(tmp_path, "legal-2")
    for path in (broken.lock, broken.report, broken.plan):
        path.write_text(damage, "utf-8")
    found = compared([whole, broken])
    assert Row("name", ("legal", None)) in found["recipe"]
    assert Row("rows.train", (3, None)) in found["data"]
    assert Row("status", ("done", "done")) in found["results"]


@pytest.mark.parametrize(
    ("value", "text"), [(None, "\u2013"), ("x", "x"), (1e-4, "0.0001"), (True, "true"), ([], "[]")]
)
def test_values_as_text(value: Any, text: str) -> None:
    assert written(value) == text


def test_the_verb(tmp_path: Path) -> None:
    run_of(tmp_path, "legal-1"), run_of(tmp_path, "legal-2", seed=7)
    call = CliRunner().invoke

    told = call(main, ["runs", "diff", "legal-1", "legal-2", "--runs", str(tmp_path)])
    assert told.exit_code == 0
    assert "training.seed" in told.output and "training.epochs" not in told.output
    whole = call(main, ["runs", "diff", "legal-1", "legal-2", "--all", "--runs", str(tmp_path)])
    assert "training.epochs" in whole.output

    # what stands before the verb counts too
    out = call(main, ["runs", "--runs", str(tmp_path), "--json", "diff", "legal-1", "legal-2"])
    values = json.loads(out.output)
    assert values["recipe"] == {"training.seed": {"legal-1": None, "legal-2": 7}}

    assert call(main, ["runs", "diff", "legal-1", "--runs", str(tmp_path)]).exit_code == 2
    none = call(main, ["runs", "diff", "x", "y", "--runs", str(tmp_path), "--json"])
    assert none.exit_code == 1 and "no run is called" in json.loads(none.output)["error"]
    assert "legal-1" in call(main, ["runs", "--runs", str(tmp_path)]).output

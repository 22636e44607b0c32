"""A plan against the last run of the same recipe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runner.app.planning import Planning, order, plan_of, since_last
from runner.app.recipes import judged
from runner.runs.store import RunFolder, new_run, write_json


def planning(folder: Path, **changes: Any) -> Planning:
    recipe = json.loads((folder / "tiny.json").read_text("utf-8"))
    recipe["method"] |= changes
    return plan_of(judged(json.dumps(recipe), "tiny.json", folder), folder / "runs")


def run_of(folder: Path, name: str, planned: Planning | None) -> RunFolder:
    run = new_run(folder / "runs", name)
    write_json(run.run, {"id": run.id, "name": name, "created": f"2026-01-01 {run.id}"})
    if planned is not None:
        write_json(run.plan, planned.plan.to_json())
    return run


def test_what_differs_from_the_last_run_of_this_recipe(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    write_recipe(tmp_path)
    runs, now = tmp_path / "runs", planning(tmp_path)
    assert since_last(now, runs) is None
    run_of(tmp_path, "other", planning(tmp_path, rank=2))
    run_of(tmp_path, "tiny", None)  # it ended before its plan
    assert since_last(now, runs) is None

    last = run_of(tmp_path, "tiny", now)
    assert since_last(now, runs) == (last.id, [])
    found = since_last(planning(tmp_path, rank=4), runs)
    assert found is not None
    assert [(row.name, row.values) for row in found[1]] == [
        ("recipe.method.rank", (8, 4)),
        ("recipe.method.alpha", (16, 8)),
    ]


def test_other_data_and_versions_are_told(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    write_recipe(tmp_path)
    now = planning(tmp_path)
    last = run_of(tmp_path, "tiny", now)
    data = {source.name: {"sha256": "0", "rows": source.rows} for source in now.facts.sources}
    versions = {**now.facts.versions, "torch": "1.0"}
    write_json(last.lock, {"data": data, "versions": versions})
    found = since_last(now, tmp_path / "runs")
    assert found is not None
    (source,) = now.facts.sources
    assert [(row.name, row.values) for row in found[1]] == [
        ("data.rows.jsonl.sha256", ("0", source.sha256)),
        ("versions.torch", ("1.0", now.facts.versions["torch"])),
    ]


def test_the_flow_of_steps_is_told_in_words(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    write_recipe(tmp_path)
    told = order(planning(tmp_path))
    assert told.startswith("The steps in their order: read, split and check the data; ")
    assert "after read, split and check the data" in told

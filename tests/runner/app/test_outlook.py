"""What would happen, and what is against it, before a run is started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import dsl
from dsl.errors import InvalidRecipe
from runner.app.outlook import outlook, stamp, stops

RECIPES = Path(dsl.__file__).parents[1] / "recipes"
LEGAL = (RECIPES / "legal.json").read_text("utf-8")


def test_the_legal_example_can_be_started() -> None:
    seen = outlook(LEGAL, "legal.json", RECIPES)
    assert stops(seen) is None
    assert seen.fetches and seen.base == "smollm2-135m-instruct"
    assert seen.rows["train"] > 400 and set(seen.rows) == {"train", "validation", "test"}
    assert set(seen.seconds) == {"train", "evaluate"}
    low, high = seen.total_seconds or (0, 0)
    assert 0 < low < high
    assert seen.bytes and seen.fits


def test_a_trial_is_shorter() -> None:
    whole = outlook(LEGAL, "legal.json", RECIPES)
    trial = outlook(LEGAL, "legal.json", RECIPES, ("training.max_steps=3",))
    assert trial.steps == 3
    assert trial.seconds["train"][1] < whole.seconds["train"][0]
    assert trial.seconds["evaluate"] == whole.seconds["evaluate"]


def test_errors_of_data_checks_are_against_it() -> None:
    values = json.loads(LEGAL)
    values["data"]["checks"] = {"size": {"error_below": 100_000}}
    seen = outlook(json.dumps(values), "legal.json", RECIPES)
    assert [check for check, _, _ in seen.failed] == ["size"]
    assert "size" in (stops(seen) or "")


def test_errors_of_the_recipe_are_raised() -> None:
    for text in ("{", '{"name": "x"}', LEGAL.replace("legal/clauses", "legal/clause")):
        with pytest.raises(InvalidRecipe):
            outlook(text, "legal.json", RECIPES)


def test_a_stamp_changes_with_the_data(tmp_path: Path) -> None:
    values = json.loads(LEGAL)
    values["data"] = {"train": [{"path": "rows.jsonl"}]}
    text = json.dumps(values)
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "a", "completion": "b"}\n')
    before = stamp(text, "legal.json", tmp_path)
    assert stamp(text, "legal.json", tmp_path) == before
    rows.write_text('{"prompt": "a", "completion": "bc"}\n')
    assert stamp(text, "legal.json", tmp_path) != before

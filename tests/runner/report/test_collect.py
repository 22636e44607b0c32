from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.schema import load
from runner.report.collect import collect
from runner.report.html import render
from runner.report.terminal import summary
from runner.report.training import POINTS, course, smoothed, thin

ARTIFACTS = (
    "run.json",
    "recipe.json",
    "plan.json",
    "recipe.lock.json",
    "result.json",
    "events.jsonl",
    "data/checks.json",
    "evals/*/metrics.json",
    "evals/*/predictions.parquet",
)


Gates = list[dict[str, Any]]
Predict = Callable[..., None]


def found(run: Path, pattern: str) -> Path:
    """The one file of the run that fits."""
    (path,) = run.glob(pattern)
    return path


def assert_shown(report: dict[str, Any]) -> None:
    """It fits the schema, is plain JSON, and every view of it can be made."""
    import jsonschema

    jsonschema.Draft202012Validator(load("report")).validate(report)
    assert json.loads(json.dumps(report, allow_nan=False)) == json.loads(json.dumps(report))
    assert report["verdict"]["headline"] in summary(report, 10_000, True, False)
    assert render(report).startswith("<!doctype html>")


def test_a_finished_run_is_collected_whole(run: Path, gates: Gates) -> None:
    report = collect(run, gates, "pass")
    assert_shown(report)
    assert report["problems"] == []
    assert report["verdict"]["headline"] == (
        "The tuned model is better on the held-out test examples: loss 3.41 → 2.29, "
        "lower is better."
    )
    assert "2 of 2 required gates passed." in report["verdict"]["details"]
    assert (
        "Judged on 90 examples from 14 documents, held out of the training."
        in (report["verdict"]["details"])
    )
    assert [metric["name"] for metric in report["suites"][0]["metrics"]][:2] == [
        "loss",
        "perplexity",
    ]
    assert report["checks"] == json.loads((run / "data/checks.json").read_text())["findings"]
    assert report["training"]["best"] == 48
    assert [step["state"] for step in report["steps"]] == [
        "done", "cached", "done", "done", "done", "done", "done",
    ]  # fmt: skip
    assert report["plan"]["measured"]["seconds"]["train"] == 412.6
    assert {"path": "method.rank", "value": 16, "origin": "given", "why": ""} in report["settings"]


@pytest.mark.parametrize("name", ARTIFACTS)
def test_any_artifact_may_be_missing(run: Path, name: str) -> None:
    found(run, name).unlink()
    report = collect(run, [], None)
    assert_shown(report)
    assert report["problems"] == []


@pytest.mark.parametrize("name", sorted(set(ARTIFACTS) - {"recipe.json", "events.jsonl"}))
def test_a_damaged_artifact_is_named_and_the_rest_is_shown(
    run: Path, gates: Gates, name: str
) -> None:
    found(run, name).write_bytes(b'{"torn": [1, 2')
    report = collect(run, gates, "pass")
    assert_shown(report)
    assert [Path(name).name in problem for problem in report["problems"]] == [True]
    assert report["problems"][0] in render(report).replace("&#39;", "'").replace("&#34;", '"')


def test_an_empty_directory_has_a_report(tmp_path: Path) -> None:
    report = collect(tmp_path, [], None)
    assert_shown(report)
    assert report["verdict"]["outcome"] == "unfinished"
    assert report["verdict"]["headline"] == "The run has not ended."


def _cut(run: Path, last_step: str, result: dict[str, Any] | None) -> None:
    """What lies there when a run ends during `last_step`."""
    kept = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    begun = next(i for i, e in enumerate(kept) if (e["step"], e["type"]) == (last_step, "started"))
    kept = kept[: begun + (40 if last_step == "train" else 1)]
    (run / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in kept))
    shutil.rmtree(run / "evals")
    (run / "result.json").unlink()
    if result:
        (run / "result.json").write_text(json.dumps(result))


@pytest.mark.parametrize(
    ("step", "result", "outcome", "headline"),
    [
        (
            "data",
            {"status": "failed", "exit": 3, "reason": "legal/clauses.jsonl is missing",
             "hint": "give its path from the recipe's folder"},
            "failed",
            "The run failed during the step 'read, split and check the data': "
            "legal/clauses.jsonl is missing.",
        ),
        (
            "train",
            {"status": "failed", "exit": 1, "reason": "out of memory", "hint": None},
            "failed",
            "The run failed during the step 'train (lora, rank 16)': out of memory.",
        ),
        (
            "train",
            {"status": "interrupted", "exit": 130, "reason": None, "hint": "resume it"},
            "interrupted",
            "The run was interrupted during the step 'train (lora, rank 16)'.",
        ),
        (
            "train",
            None,
            "unfinished",
            "The run has not ended, it was last seen during the step 'train (lora, rank 16)'.",
        ),
    ],
)  # fmt: skip
def test_a_run_that_failed_says_how_far_it_came_and_why(
    run: Path, step: str, result: dict[str, Any] | None, outcome: str, headline: str
) -> None:
    _cut(run, step, result)
    report = collect(run, [], None)
    assert_shown(report)
    assert report["verdict"]["outcome"] == outcome
    assert report["verdict"]["headline"] == headline
    states = {known["name"]: known["state"] for known in report["steps"]}
    assert states[step] == ("running" if outcome == "unfinished" else outcome)
    assert states["evaluate"] == "waiting"
    if result and result["hint"]:
        assert f"What helps: {result['hint']}." in report["verdict"]["details"]
    if step == "train":
        assert "Training reached step 35 of 60." in report["verdict"]["details"]


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        ((0.4, 0.2, 0.6), "The tuned model is worse on"),
        ((-0.01, -0.2, 0.2), "No clear difference between the tuned and the base model on"),
        ((0.0, 0.0, 0.0), "The tuned and the base model score the same on"),
        ((-0.4, None, None), "No clear difference"),
        ((None, None, None), "The tuned model could not be compared on"),
        ((float("nan"), float("inf"), None), "The tuned model could not be compared on"),
    ],
)
def test_the_headline_claims_no_more_than_the_interval(
    run: Path, gates: Gates, difference: tuple[float | None, ...], words: str
) -> None:
    path = found(run, "evals/*/metrics.json")
    values = json.loads(path.read_text())
    metric = values["suites"]["domain"]["metrics"]["loss"]
    metric["difference"] = dict(zip(("value", "low", "high"), difference, strict=True))
    path.write_text(json.dumps(values))
    report = collect(run, gates, "fail")
    assert_shown(report)
    assert report["verdict"]["headline"].startswith(words)
    assert report["verdict"]["outcome"] == "fail"


@pytest.mark.parametrize(
    ("status", "verdict", "outcome"),
    [
        ("done", "pass", "pass"),
        ("done", None, "measured"),
        ("gate_failed", "fail", "fail"),
        ("gate_failed", None, "fail"),
        ("inconclusive", None, "inconclusive"),
        ("failed", "pass", "failed"),
        (None, "inconclusive", "inconclusive"),
        (None, None, "measured"),
    ],
)
def test_outcome(
    run: Path, gates: Gates, status: str | None, verdict: str | None, outcome: str
) -> None:
    (run / "result.json").unlink()
    if status:
        (run / "result.json").write_text(json.dumps({"status": status}))
    assert collect(run, gates, verdict)["verdict"]["outcome"] == outcome


def test_the_evaluation_that_the_plan_names_is_shown(run: Path) -> None:
    other = run / "evals" / "0000"
    other.mkdir()
    (other / "metrics.json").write_text('{"suites": {}}')
    assert collect(run, [], None)["suites"]
    (run / "plan.json").unlink()
    assert not collect(run, [], None)["suites"], "without a plan the newest one"


def test_two_reports_of_one_run_are_equal(run: Path, gates: Gates) -> None:
    first = collect(run, gates, "pass")
    assert first == collect(run, gates, "pass")
    assert render(first) == render(first)


# Training --------------------------------------------------------------------------------------


def _train(*steps: int, loss: float = 1.0) -> list[dict[str, Any]]:
    return [{"type": "train", "at": at, "steps": 100, "loss": loss} for at in steps]


def test_a_resumed_run_replaces_the_steps_that_it_did_again() -> None:
    first = [*_train(1, 2, 3, 4, loss=9.0), {"type": "validation", "at": 4, "loss": 9.0}]
    again = [*_train(3, 4, 5, loss=1.0), {"type": "checkpoint", "at": 5, "best": True}]
    curve = course([*first, *again])
    assert curve is not None
    assert curve["loss"] == [[1, 9], [2, 9], [3, 1], [4, 1], [5, 1]]
    assert curve["validation"] == []
    assert curve["best"] == 5


def test_a_torn_last_event_is_left_out(run: Path) -> None:
    whole = collect(run, [], None)["training"]
    with (run / "events.jsonl").open("a") as file:
        file.write('{"step": "train", "type": "train", "at": 61, "lo')
    assert collect(run, [], None)["training"] == whole


@pytest.mark.parametrize("loss", [None, float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_told_and_not_drawn(loss: float | None) -> None:
    event = {"type": "train", "at": 3, "steps": 9, "loss": loss}
    curve = course([*_train(1, 2), event])
    assert curve is not None
    assert curve["not_a_number_at"] == 3
    assert curve["loss"] == [[1, 1], [2, 1]]


def test_no_events_of_training_are_no_curve() -> None:
    assert course([{"type": "started", "step": "train"}]) is None


@given(st.lists(st.floats(-1e6, 1e6), max_size=1500))
def test_a_thinned_curve_keeps_its_mean_and_its_ends(losses: list[float]) -> None:
    points = [(float(at), loss) for at, loss in enumerate(losses)]
    kept, width = thin(points)
    assert len(kept) <= POINTS
    assert [at for at, _ in kept] == sorted(at for at, _ in kept)
    if width == 1:
        assert kept == points
    assert len(kept) == -(-len(points) // width)


@given(st.floats(-10, 10), st.floats(-1, 1), st.integers(1, 200))
def test_smoothing_does_not_bend_a_straight_line(start: float, slope: float, n: int) -> None:
    line = [(float(at), start + slope * at) for at in range(n)]
    for (_, expected), (_, smooth) in zip(line, smoothed(line), strict=True):
        assert smooth == pytest.approx(expected, abs=1e-6)


# Examples --------------------------------------------------------------------------------------


def _rows(gains: list[float]) -> list[Any]:
    return [
        (f"r{n:03}", "g", "prompt", "reference", "base", "tuned", 0.5, 0.5 + gain)
        for n, gain in enumerate(gains)
    ]


def test_the_worst_regressions_come_first_then_the_best_gains(run: Path) -> None:
    shown = collect(run, [], None)["examples"]
    assert [item["id"].rpartition(":")[2] for item in shown["items"]] == [
        "118", "342", "87", "9", "411", "205",
    ]  # fmt: skip
    assert [item["kind"] for item in shown["items"]] == ["regression"] * 2 + ["gain"] * 4
    assert (shown["total"], shown["worse"], shown["better"]) == (6, 2, 4)


@pytest.mark.parametrize(
    ("worse", "better", "kinds"),
    [
        (100, 100, (30, 30)),
        (100, 10, (50, 10)),
        (10, 100, (10, 50)),
        (5, 5, (5, 5)),
        (0, 0, (0, 0)),
    ],
)
def test_at_most_sixty_examples(
    run: Path, predict: Predict, worse: int, better: int, kinds: tuple[int, int]
) -> None:
    gains = [-n / 1000 for n in range(1, worse + 1)] + [n / 1000 for n in range(1, better + 1)]
    predict(_rows([*gains, 0.0]))
    shown = collect(run, [], None)["examples"]["items"]
    sides = [item["kind"] for item in shown]
    assert (sides.count("regression"), sides.count("gain")) == kinds
    assert shown == sorted(shown, key=lambda item: item["kind"] == "gain")
    if worse:
        assert shown[0]["tuned_score"] == pytest.approx(0.5 - worse / 1000)


def test_a_loss_ranks_the_other_way_round_and_may_be_infinite(run: Path) -> None:
    import duckdb

    path = found(run, "evals/*/predictions.parquet")
    with duckdb.connect() as connection:
        losses = {"a": "'2.0'", "b": "'inf'", "c": "'0.5'", "d": "'nan'", "e": "NULL"}
        rows = ", ".join(f"('{name}', 1.0, {loss})" for name, loss in losses.items())
        connection.query(
            "SELECT 'domain' AS suite, id, NULL::VARCHAR AS \"group\", '' AS prompt, "
            "'' AS reference, '' AS base_text, '' AS tuned_text, l AS base_loss, "
            f"t::DOUBLE AS tuned_loss FROM (VALUES {rows}) AS v(id, l, t)"
        ).write_parquet(str(path))
    report = collect(run, [], None)
    assert_shown(report)
    shown = report["examples"]
    assert shown["metric"] == "loss"
    assert [item["id"] for item in shown["items"]] == ["b", "a", "c"]
    assert (shown["total"], shown["worse"], shown["better"]) == (5, 2, 1)


def test_without_scores_the_first_examples_are_shown(
    run: Path, predict: Predict, rows: list[Any]
) -> None:
    predict(rows, scored=False)
    run = run.rename(run.with_name("with [brackets]"))
    report = collect(run, [], None)
    assert_shown(report)
    assert report["examples"]["metric"] is None
    assert len(report["examples"]["items"]) == len(rows)


def test_a_very_long_text_is_cut_and_says_so(run: Path, predict: Predict) -> None:
    predict([("long", "g", "p" * 9000, "r", "b", "t", 0.1, 0.2)])
    (item,) = collect(run, [], None)["examples"]["items"]
    assert item["prompt"].endswith("p\n… 3,000 more characters in predictions.parquet")

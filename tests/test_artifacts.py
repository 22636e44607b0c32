"""Every artifact of a real run keeps its schema, and the schemas refuse what is wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import dsl

SCHEMAS = Path(dsl.__file__).parents[1] / "schemas"
# artifact → its schema
ARTIFACTS = {
    "run.json": "run",
    "plan.json": "plan",
    "recipe.lock.json": "lock",
    "result.json": "result",
    "report.json": "report",
    "data/checks.json": "checks",
}
NAMES = sorted(path.name.removesuffix(".schema.json") for path in SCHEMAS.glob("*.schema.json"))


def schema(name: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text("utf-8"))
    return values


def faults(name: str, values: Any) -> list[str]:
    found = Draft202012Validator(schema(name)).iter_errors(values)
    return [f"{error.json_path}: {error.message}" for error in found]


def objects(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in a schema."""
    if isinstance(node, dict):
        if "type" in node or "properties" in node:
            yield path, node
        for key, value in node.items():
            yield from objects(value, f"{path}/{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from objects(value, f"{path}/{index}")


@pytest.mark.parametrize("name", NAMES)
def test_schemas_are_schemas_and_describe_themselves(name: str) -> None:
    whole = schema(name)
    Draft202012Validator.check_schema(whole)
    assert whole["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert whole["$id"] == f"urn:finetune-recipes:{name}:1"
    assert whole["title"]
    assert whole["description"]
    for path, node in objects(whole):
        for key, declared in node.get("properties", {}).items():
            if path.endswith(("/if", "/then/if")) or not isinstance(declared, dict):
                continue
            if set(declared) <= {"const", "enum", "type"} and "/if" in path + "/":
                continue
            if "/allOf/" in path and set(declared) <= {"const", "enum", "type"}:
                continue
            assert "$ref" in declared or declared.get("description"), f"{name}{path}/{key}"


@pytest.mark.parametrize("name", ["plan", "run", "result", "lock", "event"])
def test_examples_in_a_schema_keep_it(name: str) -> None:
    whole = schema(name)
    for path, node in objects(whole):
        for example in node.get("examples", []):
            if isinstance(example, dict | list) and not example:
                continue  # 'an object': its parts have examples of their own
            own = {**node, "$defs": whole.get("$defs", {})}
            assert not list(Draft202012Validator(own).iter_errors(example)), f"{path}: {example}"


@pytest.mark.parametrize(("artifact", "name"), ARTIFACTS.items(), ids=ARTIFACTS)
def test_a_run_keeps_its_schemas(artifact: str, name: str, first_run: Any) -> None:
    values = json.loads((first_run[0] / artifact).read_text("utf-8"))
    assert values["schema_version"] == 1
    assert faults(name, values) == []


def test_every_json_artifact_bears_its_version(first_run: Any) -> None:
    foreign = ("adapter", "exports", "checkpoint-")
    found = [
        path
        for path in first_run[0].rglob("*.json")
        if not any(part.startswith(foreign) for part in path.relative_to(first_run[0]).parts)
        and path.name != "recipe.json"
    ]
    assert len(found) >= 10
    for path in found:
        assert json.loads(path.read_text("utf-8"))["schema_version"] == 1, path


def test_every_event_keeps_its_schema(first_run: Any) -> None:
    lines = (first_run[0] / "events.jsonl").read_text("utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    check = Draft202012Validator(schema("event"))
    assert [fault.message for event in events for fault in check.iter_errors(event)] == []
    seen = {event["type"] for event in events}
    assert {"started", "ended", "trial", "train", "validation", "checkpoint", "progress"} <= seen


def test_the_plan_that_is_printed_keeps_its_schema(
    recipe: Any, write_recipe: Any, tmp_path: Path
) -> None:
    write_recipe(tmp_path)
    for verb, name in (("plan", "plan"), ("check", "checks")):
        assert faults(name, recipe(verb, "tiny.json", "--json", cwd=tmp_path).json) == []


@pytest.mark.parametrize(("artifact", "name"), ARTIFACTS.items(), ids=ARTIFACTS)
def test_what_is_missing_or_more_is_refused(artifact: str, name: str, first_run: Any) -> None:
    values = json.loads((first_run[0] / artifact).read_text("utf-8"))
    assert faults(name, {**values, "extra": 1})
    for key in schema(name)["required"]:
        less = copy.deepcopy(values)
        del less[key]
        assert faults(name, less), key
        assert faults(name, {**values, key: object}), key


EVENT = {"time": "2026-11-22T03:34:09.738+00:00", "step": "train", "attempt": 1}


@pytest.mark.parametrize(
    ("event", "good"),
    [
        ({"type": "stopped_early", "at": 3}, True),
        ({"type": "resumed", "path": "attempts/001/checkpoints/checkpoint-3"}, True),
        ({"type": "failed", "message": "out of memory", "hint": None}, True),
        ({"type": "message", "level": "warning", "text": "a"}, True),
        ({"type": "stopped_early"}, False),
        ({"type": "stopped_early", "at": -1}, False),
        ({"type": "stopped_early", "at": 3, "loss": 1}, False),
        ({"type": "message", "level": "loud", "text": "a"}, False),
        ({"type": "nothing"}, False),
        ({"type": "stopped_early", "at": 3, "time": "yesterday"}, False),
        ({"type": "stopped_early", "at": 3, "attempt": 0}, False),
        ({"at": 3}, False),
    ],
)
def test_events_are_closed(event: dict[str, Any], good: bool) -> None:
    assert (faults("event", EVENT | event) == []) is good


@pytest.mark.parametrize(
    ("status", "code", "reason", "good"),
    [
        ("done", 0, None, True),
        ("gate_failed", 4, None, True),
        ("inconclusive", 5, None, True),
        ("interrupted", 130, "stopped during train", True),
        ("failed", 3, "1 data check failed: size", True),
        ("done", 1, None, False),
        ("failed", 0, "x", False),
        ("failed", 1, None, False),
        ("interrupted", 1, "x", False),
    ],
)
def test_status_and_exit_of_a_result_agree(
    status: str, code: int, reason: str | None, good: bool, first_run: Any
) -> None:
    values = json.loads((first_run[0] / "result.json").read_text("utf-8"))
    assert (
        faults("result", values | {"status": status, "exit": code, "reason": reason}) == []
    ) is good

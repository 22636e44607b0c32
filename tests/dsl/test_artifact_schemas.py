"""The schemas of what is known of data: examples keep them, and what is wrong is refused."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dsl.problems import from_pointer
from dsl.rows import FORMATS
from dsl.schema import load

LENGTHS = {
    "unit": "characters",
    "count": 3,
    "min": 2,
    "max": 9,
    "mean": 5.5,
    "quantiles": {"p01": 2, "p05": 2, "p25": 3, "p50": 5.5, "p75": 8, "p95": 9, "p99": 9},
    "histogram": [{"from": 2, "to": 6, "count": 2}, {"from": 6, "to": 10, "count": 1}],
}
TOKENS = LENGTHS | {"unit": "tokens"}
SHARES = [{"name": "true", "rows": 2, "share": 0.66}, {"name": "false", "rows": 1, "share": 0.33}]
PROFILE: dict[str, Any] = {
    "schema_version": 1,
    "sources": [
        {
            "part": "train",
            "name": "chats.jsonl",
            "kind": "jsonl",
            "compression": "zstd",
            "format": "kto",
            "evidence": "column 'messages' holds lists of {role, content} in 3 of 3 rows",
            "bytes": 900,
            "rows": 3,
            "refused": 1,
            "blank": 1,
            "columns": 3,
        }
    ],
    "columns": [
        {
            "source": "chats.jsonl",
            "name": "messages",
            "role": "messages",
            "rows": 3,
            "share": 1,
            "types": {"array": 2, "null": 1},
            "first_line": None,
            "empty": 1,
        },
        {
            "source": "chats.jsonl",
            "name": "",
            "role": None,
            "rows": 1,
            "share": 0.33,
            "types": {},
            "first_line": 3,
            "empty": None,
        },
    ],
    "lengths": {
        "prompt": LENGTHS,
        "completion": LENGTHS,
        "turns": LENGTHS | {"unit": "turns"},
        "total": None,
    },
    "tokens": {
        "how": "sampled",
        "sample": 2,
        "max_length": 512,
        "over_max_length": 0,
        "trained_share": 0.4,
        "prompt": TOKENS,
        "completion": TOKENS,
        "total": TOKENS,
    },
    "tokens_missing": None,
    "groups": {"column": "topic", "count": 2, "largest": SHARES},
    "labels": SHARES,
    "languages": {"how": "sampled", "sample": 3, "shares": [SHARES[0] | {"name": "en"}]},
    "duplicates": {"exact": 0, "normalised": 1, "near": None},
    "parts": {
        part: {"rows": 1, "general": 0, "groups": 1, "characters": 300}
        for part in ("train", "validation", "test")
    },
}
CHECKS: dict[str, Any] = {
    "schema_version": 1,
    "findings": [
        {
            "check": "duplicates",
            "state": "warn",
            "definition": "rows beyond the first with the same prompt and answer",
            "threshold": "warn above 0%, error above 5%",
            "count": 1,
            "total": 3,
            "share": 0.33,
            "rows": [
                {"id": "chats.jsonl:3", "line": 3, "source": "chats.jsonl", "note": None},
            ],
            "how": "exact",
            "message": "1 of 3 rows (33.3%)",
            "hint": "keep one of each",
        }
    ],
}
ARTIFACTS = {"profile": PROFILE, "checks": CHECKS}


def faults(name: str, values: Any) -> list[str]:
    found = Draft202012Validator(load(name)).iter_errors(values)
    return [f"{error.json_path}: {error.message}" for error in found]


def objects(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where objects stand in a value."""
    if isinstance(node, dict):
        yield path
    for key, inner in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(inner, dict | list):
            yield from objects(inner, (*path, key))


def at(node: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        node = node[key]
    return node


PLACES = [
    pytest.param(name, path, id=f"{name}:{'/'.join(map(str, path))}")
    for name, values in ARTIFACTS.items()
    for path in objects(values)
    if path[-1:] != ("types",)  # a declared map
]


@pytest.mark.parametrize("name", ARTIFACTS)
def test_a_whole_artifact_keeps_its_schema(name: str) -> None:
    assert faults(name, ARTIFACTS[name]) == []


@pytest.mark.parametrize(("name", "path"), PLACES)
def test_every_object_is_closed_and_complete(name: str, path: tuple[str | int, ...]) -> None:
    more = copy.deepcopy(ARTIFACTS[name])
    at(more, path)["extra"] = 1
    assert faults(name, more)
    for key in at(more, path).keys() - {"extra"}:
        less = copy.deepcopy(ARTIFACTS[name])
        del at(less, path)[key]
        assert faults(name, less), key


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/schema_version", 2),
        ("/sources/0/part", "eval"),
        ("/sources/0/kind", "xlsx"),
        ("/sources/0/format", "auto"),
        ("/sources/0/compression", "zip"),
        ("/sources/0/rows", -1),
        ("/columns/0/share", 1.01),
        ("/columns/0/types", {"text": 3}),
        ("/columns/0/types", {"string": 0}),
        ("/columns/0/first_line", 0),
        ("/lengths/prompt/unit", "bytes"),
        ("/lengths/prompt/count", 0),
        ("/lengths/prompt/quantiles/p50", None),
        ("/tokens/how", "measured"),
        ("/tokens/trained_share", 40),
        ("/languages/sample", 2.5),
        ("/duplicates/exact", "none"),
        ("/parts/test/rows", None),
    ],
)
def test_a_wrong_value_is_refused(pointer: str, value: Any) -> None:
    path = from_pointer(pointer)
    wrong = copy.deepcopy(PROFILE)
    at(wrong, path[:-1])[path[-1]] = value
    assert faults("profile", wrong)


@pytest.mark.parametrize("key", ["tokens", "groups", "languages"])
def test_what_was_not_looked_for_is_null(key: str) -> None:
    assert faults("profile", PROFILE | {key: None}) == []


@pytest.mark.parametrize("name", ARTIFACTS)
def test_examples_keep_their_schema(name: str) -> None:
    whole, seen = load(name), 0
    for path in objects(whole):
        for example in at(whole, path).get("examples", ()):
            own = Draft202012Validator({**at(whole, path), "$defs": whole["$defs"]})
            assert not list(own.iter_errors(example)), (path, example)
            seen += 1
    assert seen > 10


def test_formats_are_those_of_rows() -> None:
    declared = load("profile")["$defs"]["source"]["properties"]["format"]["enum"]
    assert set(declared) == set(FORMATS)

"""Checks against brute force; planted faults are found, clean data stays clean."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.recipe import Recipe, ShareCheck
from dsl.schema import load
from runner.data.checks import CHECKS, Finding, describe, failed, to_json, truncation
from runner.data.prepare import Prepared, prepare

Make = Callable[..., Recipe]
Write = Callable[..., None]


def by_name(prepared: Prepared) -> dict[str, Finding]:
    return {finding.check: finding for finding in prepared.findings}


def clean(count: int, word: str = "q") -> list[dict[str, Any]]:
    return [{"prompt": f"{word} {n}", "completion": f"answer {n}"} for n in range(count)]


texts = st.sampled_from(
    ["", " ", "\u00a0", "Yes", "yes ", "no", "caf\u00e9", "Cafe\u0301", "y\n\tes"]
)
drawn_rows = st.lists(st.tuples(texts, texts), min_size=1, max_size=14)


def fold(text: str) -> str:
    import unicodedata

    return " ".join(unicodedata.normalize("NFC", text).lower().split())


@settings(max_examples=15, deadline=None)
@given(train=drawn_rows, validation=drawn_rows, test=drawn_rows)
def test_counts_equal_brute_force(
    train: list[tuple[str, str]],
    validation: list[tuple[str, str]],
    test: list[tuple[str, str]],
    recipe_with: Make,
    write_rows: Write,
) -> None:
    parts = {"train": train, "validation": validation, "test": test}
    with tempfile.TemporaryDirectory() as folder:
        for part, rows in parts.items():
            write_rows(
                Path(folder) / f"{part}.jsonl",
                [{"prompt": prompt, "completion": answer} for prompt, answer in rows],
            )
        recipe = recipe_with(**{part: [{"path": f"{part}.jsonl"}] for part in parts})
        prepared = prepare(recipe, Path(folder))
    found = by_name(prepared)
    prepared.close()

    every = [(f"{part}.jsonl:{n}", *row) for part in parts for n, row in enumerate(parts[part], 1)]
    seen: list[tuple[str, str]] = []
    duplicates = []
    for id, *row in every:
        pair = (fold(row[0]), fold(row[1]))
        if pair in seen:
            duplicates.append(id)
        seen.append(pair)
    missing = [id for id, *row in every if not fold(row[0]) or not fold(row[1])]
    asked = {part: {fold(prompt) for prompt, _ in rows} for part, rows in parts.items()}
    leaked = [
        f"{part}.jsonl:{n}"
        for part, others in (("validation", ["train"]), ("test", ["train", "validation"]))
        for n, (prompt, _) in enumerate(parts[part], 1)
        if fold(prompt) and any(fold(prompt) in asked[other] for other in others)
    ]
    for name, expected in (("missing", missing), ("duplicates", duplicates), ("leakage", leaked)):
        assert found[name].count == len(expected), name
        assert [row.id for row in found[name].rows] == expected[:20], name
    assert found["size"].count == len(train)


def test_clean_data_passes(kind: str, tmp_path: Path, recipe_with: Make, write_rows: Write) -> None:
    write_rows(tmp_path / f"a.{kind}", clean(700))
    prepared = prepare(recipe_with(train=[{"path": f"a.{kind}"}]), tmp_path)
    assert {f.check: f.state for f in prepared.findings} == {
        "malformed": "pass",
        "missing": "pass",
        "duplicates": "pass",
        "leakage": "pass",
        "truncation": "not_run",
        "size": "pass",
    }
    assert not failed(prepared.findings)


def test_same_findings_from_every_kind_of_file(
    tmp_path: Path, recipe_with: Make, write_rows: Write
) -> None:
    rows = [
        *clean(60),
        {"prompt": "Q  3", "completion": "ANSWER 3"},
        {"prompt": "x", "completion": ""},
    ]
    held = [{"prompt": "q 5", "completion": "other"}, *clean(3, "test")]
    answers = []
    for kind in ("jsonl", "json", "csv", "parquet"):
        write_rows(tmp_path / f"a.{kind}", rows)
        write_rows(tmp_path / f"t.{kind}", held)
        recipe = recipe_with(train=[{"path": f"a.{kind}"}], test=[{"path": f"t.{kind}"}])
        plain = json.dumps(to_json(prepare(recipe, tmp_path).findings))
        answers.append(plain.replace(f".{kind}", ""))
    assert len(set(answers)) == 1
    found = {f["check"]: f for f in json.loads(answers[0])["findings"]}
    assert [(r["id"], r["note"]) for r in found["duplicates"]["rows"]] == [("a:61", "same as a:4")]
    assert [(r["id"], r["note"]) for r in found["missing"]["rows"]] == [("a:62", "no answer")]
    assert [r["id"] for r in found["leakage"]["rows"]] == ["t:1"]


def test_planted_leaks_are_found_where_they_are(
    tmp_path: Path, recipe_with: Make, write_rows: Write
) -> None:
    write_rows(tmp_path / "train.jsonl", clean(50))
    write_rows(tmp_path / "mix.jsonl", clean(50, "general"))
    write_rows(tmp_path / "validation.jsonl", clean(10, "v"))
    test = clean(10, "t")
    paths = {part: [{"path": f"{part}.jsonl"}] for part in ("train", "validation", "test")}
    recipe = recipe_with(**paths, mix=[{"path": "mix.jsonl", "share": 0.5}])
    write_rows(tmp_path / "test.jsonl", test)
    assert by_name(prepare(recipe, tmp_path))["leakage"].state == "pass"
    test[1]["prompt"], test[4]["prompt"], test[7]["prompt"] = "Q 7", "GENERAL 3", "v  2"
    write_rows(tmp_path / "test.jsonl", test)
    found = by_name(prepare(recipe, tmp_path))["leakage"]
    assert (found.state, found.count, found.total, found.share) == ("error", 3, 20, 0.15)
    assert [(row.line, row.note) for row in found.rows] == [
        (2, "same prompt as train.jsonl:8 in train"),
        (5, "same prompt as mix.jsonl:4 in mix"),
        (8, "same prompt as validation.jsonl:3 in validation"),
    ]


def test_own_split_never_leaks_whatever_the_duplicates(
    tmp_path: Path, recipe_with: Make, write_rows: Write
) -> None:
    rows = [{"prompt": f"q {n % 37}", "completion": f"a {n}"} for n in range(300)]
    write_rows(tmp_path / "a.jsonl", rows)
    found = by_name(prepare(recipe_with(train=[{"path": "a.jsonl"}]), tmp_path))["leakage"]
    assert (found.state, found.count) == ("pass", 0)
    assert found.total is not None and found.total > 30


def test_malformed_rows_have_line_and_reason(
    tmp_path: Path, recipe_with: Make, write_rows: Write
) -> None:
    write_rows(tmp_path / "a.jsonl", clean(3))
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write('\n{"prompt": "cut\n[1]\n{"prompt": ["q"], "completion": "a"}\n')
    found = by_name(prepare(recipe_with(train=[{"path": "a.jsonl"}]), tmp_path))["malformed"]
    assert (found.state, found.count, found.total) == ("error", 3, 6)
    assert [(row.line, str(row.note).split(":")[0]) for row in found.rows] == [
        (5, "not JSON"),
        (6, "a list, not an object"),
        (7, "'prompt' is a list, not a text"),
    ]


def test_at_most_twenty_rows_are_shown(
    tmp_path: Path, recipe_with: Make, write_rows: Write
) -> None:
    write_rows(tmp_path / "a.jsonl", [{"prompt": "q", "completion": "a"}] * 50)
    found = by_name(prepare(recipe_with(train=[{"path": "a.jsonl"}]), tmp_path))["duplicates"]
    assert (found.count, len(found.rows)) == (49, 20)


STATES: list[tuple[float | None, float | None, int, str]] = [
    (0, 0.1, 0, "pass"),
    (0, 0.1, 1, "warn"),
    (0, 0.1, 10, "warn"),  # at the bound is not above it
    (0, 0.1, 11, "error"),
    (None, None, 100, "pass"),
    (None, 0, 1, "error"),
    (0.5, None, 100, "warn"),
    (0.5, 0, 1, "error"),
]


@pytest.mark.parametrize(("warn", "error", "count", "state"), STATES)
def test_states(warn: float | None, error: float | None, count: int, state: str) -> None:
    rows = [f"a:{n}" for n in range(count)]
    found = truncation(rows, 100, ShareCheck(warn, error))
    assert (found.state, found.count, len(found.rows)) == (state, count, min(count, 20))
    assert truncation(rows, 100, None).state == "off"


def test_off_is_neither_pass_nor_not_run(
    tmp_path: Path, recipe_with: Make, write_rows: Write
) -> None:
    write_rows(tmp_path / "a.jsonl", [{"prompt": "q", "completion": ""}] * 5)
    recipe = recipe_with(train=[{"path": "a.jsonl"}], checks=dict.fromkeys(CHECKS, "off"))
    findings = prepare(recipe, tmp_path).findings
    assert [(f.check, f.state, f.count) for f in findings[:6]] == [(c, "off", None) for c in CHECKS]
    assert not failed(findings)


NOTICES: dict[str, tuple[int, dict[str, Any], set[str]]] = {
    "plenty": (700, {}, set()),
    "little": (100, {}, {"small_test_part"}),
    "no test asked": (100, {"test": 0}, {"no_test_part"}),
    "two rows": (2, {}, {"small_test_part", "no_validation_part"}),
    "one row": (1, {}, {"no_test_part", "no_validation_part"}),
    "none asked": (10, {"test": 0, "validation": 0}, {"no_test_part"}),
}


@pytest.mark.parametrize("case", NOTICES)
def test_notices(case: str, tmp_path: Path, recipe_with: Make, write_rows: Write) -> None:
    count, split, expected = NOTICES[case]
    write_rows(tmp_path / "a.jsonl", clean(count))
    prepared = prepare(recipe_with(train=[{"path": "a.jsonl"}], split=split), tmp_path)
    extra = [f for f in prepared.findings if f.check not in CHECKS]
    assert {f.check for f in extra} == expected
    assert all(f.state == "warn" and f.message and f.hint for f in extra)


def test_notices_about_groups(tmp_path: Path, recipe_with: Make, write_rows: Write) -> None:
    rows = [{**row, "doc": f"d{n % 3}" if n % 10 else None} for n, row in enumerate(clean(300))]
    rows[2]["prompt"] = rows[1]["prompt"]
    write_rows(tmp_path / "a.jsonl", rows)
    recipe = recipe_with(train=[{"path": "a.jsonl"}], split={"group_by": "doc"})
    prepared = prepare(recipe, tmp_path)
    found = by_name(prepared)
    assert found["groups_united"].count == 2
    assert (found["rows_without_group"].count, found["rows_without_group"].total) == (30, 300)
    # the groups are too large to be held out: what has no group is shared between the parts
    parts = prepared.parts
    assert parts["test"].rows + parts["validation"].rows == 30


def test_part_far_from_its_share(tmp_path: Path, recipe_with: Make, write_rows: Write) -> None:
    rows = [{**row, "doc": n % 3} for n, row in enumerate(clean(30))]
    write_rows(tmp_path / "a.jsonl", rows)
    split = {"group_by": "doc", "test": 0.05, "validation": 0}
    found = by_name(prepare(recipe_with(train=[{"path": "a.jsonl"}], split=split), tmp_path))
    assert found["test_part_far_from_share"].count == 10
    assert "33.3%" in found["test_part_far_from_share"].message


def test_json_keeps_to_the_schema(tmp_path: Path, recipe_with: Make, write_rows: Write) -> None:
    write_rows(tmp_path / "a.jsonl", [*clean(20), *clean(2), {"prompt": "", "completion": ""}])
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write("nonsense\n")
    recipe = recipe_with(train=[{"path": "a.jsonl"}], checks={"leakage": "off"})
    plain = json.loads(json.dumps(to_json(prepare(recipe, tmp_path).findings)))
    schema = load("checks")
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert not list(validator.iter_errors(plain))
    assert {f["state"] for f in plain["findings"]} == {"error", "off", "not_run", "warn"}
    plain["findings"][0]["state"] = "skipped"
    plain["findings"][1]["more"] = 1
    assert len(list(validator.iter_errors(plain))) == 2


def test_lines_for_the_terminal(tmp_path: Path, recipe_with: Make, write_rows: Write) -> None:
    write_rows(tmp_path / "a.jsonl", [*clean(100), *clean(5)])
    checks = {"leakage": "off", "size": {"warn_below": 10, "error_below": 5}}
    recipe = recipe_with(train=[{"path": "a.jsonl"}], split={"test": 0}, checks=checks)
    assert describe(prepare(recipe, tmp_path).findings) == [
        "ok malformed: 0 of 105 records",
        "ok missing: 0 of 105 rows",
        " ! duplicates (warning): 5 of 105 rows (4.76%)",
        "     a.jsonl:101 (same as a.jsonl:1), a.jsonl:102 (same as a.jsonl:2),"
        " a.jsonl:103 (same as a.jsonl:3) and 2 more",
        "     keep one of each",
        " - leakage (off): switched off in the recipe",
        " - truncation (not run): needs the tokenizer: it is checked when the template is rendered",
        "ok size: 100 training rows",
        " ! no_test_part (warning): nothing is held out for the test, so nothing can be said about"
        " the result",
        "     set data.split.test",
    ]

"""All checks together: states, artifacts, lines; the same findings whatever the kind of file."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import jsonschema
import pytest

from dsl.schema import load
from dsl.thresholds import ShareCheck
from runner.data import files, lines
from runner.data.checks import CHECKS, describe, failed, to_json, truncation

See = Callable[..., Any]
Row = dict[str, Any]


def clean(count: int, word: str = "q") -> list[Row]:
    return [{"prompt": f"{word} {n}", "completion": f"answer {n}"} for n in range(count)]


# ---------------------------------------------------------------- which checks run


def test_quick_looks_at_tables_and_full_at_texts_too(see: See) -> None:
    quick = see({"train": clean(1_000)}).prepared.findings
    assert [f.check for f in quick[: len(CHECKS) + 1]] == [*CHECKS, "names"]
    states = {f.check: f.state for f in quick}
    assert {check for check, state in states.items() if state == "not_run"} == {
        "names", *(name for name, check in CHECKS.items() if check.deep),
    }  # fmt: skip
    full = see({"train": clean(1_000)}, "full").prepared.findings
    assert {f.check: f.state for f in full if f.state == "not_run"} == {
        "names": "not_run", "truncation": "not_run",
    }  # fmt: skip
    assert [f for f in full if not CHECKS.get(f.check) or not CHECKS[f.check].deep] == [
        f for f in quick if not CHECKS.get(f.check) or not CHECKS[f.check].deep
    ]


WIDE = ("amber", "basil", "cedar", "daisy", "elder", "fern", "ginger", "hazel", "iris", "jade")


def test_clean_data_passes(see: See) -> None:
    drawn = random.Random(4)

    def sentence(words: int) -> str:
        return " ".join(f"{drawn.choice(WIDE)}{drawn.randrange(900)}" for _ in range(words))

    rows = [{"prompt": sentence(8), "completion": sentence(12)} for _ in range(1_000)]
    # words of no language
    seen = see({"train": rows}, "full", checks={"language": "off"})
    assert {f.check: f.state for f in seen.prepared.findings if f.state != "pass"} == {
        "language": "off", "truncation": "not_run", "names": "not_run",
    }  # fmt: skip
    assert not failed(seen.prepared.findings)
    assert all(f.count in (0, None) or f.check in CHECKED_NUMBERS for f in seen.prepared.findings)


# checks whose count is no count of faults
CHECKED_NUMBERS = ("size", "test_part", "balance", "diversity", "drift", "language", "dominance")


def test_off_is_neither_pass_nor_not_run(see: See) -> None:
    rows = [{"prompt": "q", "completion": ""}] * 5
    for depth in ("quick", "full"):
        seen = see({"train": rows}, depth, checks=dict.fromkeys(CHECKS, "off"))
        findings = seen.prepared.findings
        assert [(f.check, f.state, f.count) for f in findings[: len(CHECKS)]] == [
            (check, "off", None) for check in CHECKS
        ]
        assert not failed(findings) and not seen.found


# ---------------------------------------------------------------- the same whatever the way


def faulty() -> dict[str, list[Row]]:
    """Rows with faults of most checks, in the kinds of values that every kind of file holds."""
    drawn = random.Random(11)
    rows = [
        {"id": f"r{n}", "prompt": f"Question {n} about {drawn.choice(WIDE)}",
         "completion": f"{drawn.choice(WIDE)} and {drawn.choice(WIDE)} {n}", "doc": f"d{n // 5}"}
        for n in range(300)
    ]  # fmt: skip
    plants: list[dict[str, Any]] = [
        {**rows[7], "prompt": rows[7]["prompt"].upper().replace(" ", "  ")},
        {**rows[9], "completion": "entirely unlike the other one, by far"},
        {"prompt": "x", "completion": ""},
        {"prompt": "", "completion": " \n"},
        {"prompt": "Dear {{name}}", "completion": "caf\u00e9 \u200b \U0001f600"},
        {"prompt": 'a, "quoted"\nline;\ttab', "completion": "I'm sorry, but I can't help."},
        {"prompt": "long", "completion": "no " * 400},
        {"prompt": "mail", "completion": "anna@uni-graz.at <|im_end|>"},
    ]
    rows += [{"doc": "d1", **plant, "id": f"p{n}"} for n, plant in enumerate(plants)]
    rows = [{key: row[key] for key in ("id", "prompt", "completion", "doc")} for row in rows]
    test = [{**rows[5], "id": "t1", "prompt": rows[5]["prompt"].lower(), "doc": "t"}]
    test += [{"id": f"t{n}", **row, "doc": "t"} for n, row in enumerate(clean(3, "test"), 2)]
    return {"train": rows, "test": test}


def told(seen: Any) -> dict[str, Any]:
    """All that a look tells but the names of files."""
    findings = {f["check"]: f for f in to_json(seen.prepared.findings)["findings"]}
    plain = json.dumps({**findings, "found": seen.found, "parts": seen.parts})
    for part in ("train", "test"):
        for kind in ("jsonl.gz", "jsonl.zst", "jsonl", "json", "csv", "parquet", "arrow"):
            plain = plain.replace(f"{part}.{kind}", part)
    known: dict[str, Any] = json.loads(plain)
    return known


IDS: Mapping[str, Any] = {part: {"columns": {"id": "id"}} for part in ("train", "test")}


@pytest.fixture(scope="module")
def expected(see: See) -> dict[str, Any]:
    """From JSONL, read as a small file, without a limit."""
    return told(see(faulty(), "full", more=IDS, split={"group_by": "doc"}))


def test_the_faults_are_found(expected: dict[str, Any]) -> None:
    found = {check: [id for id, _ in rows] for check, rows in expected["found"].items()}
    for check, ids in {
        "duplicates": ["p0", "t1"], "contradictions": ["p1"], "missing": ["p2", "p3"],
        "placeholders": ["p4"], "encoding": ["p4"], "refusals": ["p5"], "repetition": ["p6"],
        "pii": ["p7"], "special_tokens": ["p7"], "leakage": ["t1"],
    }.items():  # fmt: skip
        assert found[check] == ids


def test_same_findings_and_split_from_every_kind_of_file(
    kind: str, see: See, expected: dict[str, Any]
) -> None:
    seen = see(faulty(), "full", kind=kind, more=IDS, split={"group_by": "doc"})
    assert told(seen) == expected


LIMITS = {"small memory": "150MB", "large memory": "8GB"}


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_same_findings_at_any_limit_of_memory(
    limit: str, see: See, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECIPE_MEMORY_LIMIT", limit)
    # what was judged before would be remembered
    monkeypatch.setenv("RECIPE_CACHE", f"/proc/none/{limit}")
    assert told(see(faulty(), "full", more=IDS, split={"group_by": "doc"})) == expected


@pytest.mark.parametrize(
    ("kind", "chunk"), [("jsonl", 100), ("jsonl", 1 << 22), ("json", 100), ("jsonl.gz", 100)]
)
def test_same_findings_from_a_stream(
    kind: str, chunk: int, see: See, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SMALL_BYTES", 0)
    monkeypatch.setattr(lines, "CHUNK_BYTES", chunk)
    monkeypatch.setenv("RECIPE_CACHE", f"/proc/none/{kind}")
    seen = see(faulty(), "full", kind=kind, more=IDS, split={"group_by": "doc"})
    assert told(seen) == expected


def test_malformed_lines_from_a_stream(see: See, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b'{"prompt": "a", "completion": "b"}\n\n{"prompt": \n\xff\n[1]\n' * 50
    small = see({"train": content})
    monkeypatch.setattr(files, "SMALL_BYTES", 0)
    stream = see({"train": content})
    assert stream.found == small.found and len(stream.ids("malformed")) == 150
    one, other = (
        (r.rows, r.refused, r.blank, r.columns, r.types, r.first_lines)
        for (r,) in (small.prepared.reports, stream.prepared.reports)
    )
    assert one == other and one[:3] == (50, 150, 50)


def test_of_twins_that_are_equally_near_the_first_is_named(see: See) -> None:
    words = " ".join(f"{word} {n}" for n, word in enumerate(WIDE * 3))
    train = [{"prompt": f"{words} {letter}", "completion": words} for letter in "abcdefgh"]
    parts = {"train": clean(50) + train, "test": [{**train[0], "prompt": f"{words} x"}]}
    seen = see(parts, "full", split={"validation": 0}, only=("near_leakage",))
    (note,) = [note for _, note in seen.found["near_leakage"]]
    assert "like train.jsonl:51 in train" in note


# ---------------------------------------------------------------- states


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


def test_at_most_twenty_rows_are_shown(see: See) -> None:
    seen = see({"train": [{"prompt": "q", "completion": "a"}] * 50})
    assert (seen.findings["duplicates"].count, len(seen.findings["duplicates"].rows)) == (49, 20)
    assert len(seen.ids("duplicates")) == 49


# ---------------------------------------------------------------- notices

NOTICES: dict[str, tuple[int, dict[str, Any], set[str]]] = {
    "plenty": (700, {}, set()),
    "no test asked": (100, {"test": 0}, set()),
    "two rows": (2, {}, {"no_validation_part"}),
    "one row": (1, {}, {"no_validation_part"}),
    "none asked": (10, {"test": 0, "validation": 0}, set()),
}


@pytest.mark.parametrize("case", NOTICES)
def test_notices(case: str, see: See) -> None:
    count, split, expected = NOTICES[case]
    seen = see({"train": clean(count)}, split=split)
    extra = seen.prepared.findings[len(CHECKS) + 1 :]
    assert {f.check for f in extra} == expected
    assert all(f.state == "warn" and f.message and f.hint for f in extra)


def test_notices_about_groups(see: See) -> None:
    rows = [{**row, "doc": f"d{n % 3}" if n % 10 else None} for n, row in enumerate(clean(300))]
    rows[2]["prompt"] = rows[1]["prompt"]
    seen = see({"train": rows}, split={"group_by": "doc"})
    assert seen.findings["groups_united"].count == 2
    without = seen.findings["rows_without_group"]
    assert (without.count, without.total) == (30, 300)
    # the groups are too large to be held out: what has no group is shared between the parts
    parts = seen.prepared.parts
    assert parts["test"].rows + parts["validation"].rows == 30


def test_part_far_from_its_share(see: See) -> None:
    rows = [{**row, "doc": n % 3} for n, row in enumerate(clean(30))]
    split = {"group_by": "doc", "test": 0.05, "validation": 0}
    finding = see({"train": rows}, split=split).findings["test_part_far_from_share"]
    assert finding.count == 10
    assert "33.3%" in finding.message


def test_mix_that_is_too_small_for_its_share(see: See) -> None:
    seen = see({"train": clean(90), "mix": clean(6, "g")}, split={"test": 0, "validation": 0},
               more={"mix": {"share": 0.1}})  # fmt: skip
    finding = seen.findings["mix_too_small"]
    assert (finding.count, finding.total) == (6, 10)


# ---------------------------------------------------------------- artifacts and lines


def test_json_keeps_to_the_schema(see: See) -> None:
    rows = [*clean(20), *clean(2), {"prompt": "", "completion": ""}]
    content = "".join(json.dumps(row) + "\n" for row in rows) + "nonsense\n"
    seen = see({"train": content.encode()}, "full", checks={"leakage": "off"})
    plain = json.loads(json.dumps(to_json(seen.prepared.findings)))
    schema = load("checks")
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert not list(validator.iter_errors(plain))
    assert {f["state"] for f in plain["findings"]} == {"error", "off", "not_run", "warn", "pass"}
    plain["findings"][0]["state"] = "skipped"
    plain["findings"][1]["more"] = 1
    assert len(list(validator.iter_errors(plain))) == 2


def test_lines_for_the_terminal(see: See) -> None:
    checks = {
        **dict.fromkeys(CHECKS, "off"), "malformed": {}, "duplicates": {}, "contradictions": {},
        "size": {"warn_below": 10, "error_below": 5, "info_below": None}, "test_part": {},
    }  # fmt: skip
    seen = see({"train": [*clean(100), *clean(5)]}, split={"test": 0}, checks=checks)
    told = [f for f in seen.prepared.findings if f.state != "off"]
    assert list(describe(told)) == [
        "ok       malformed       0 of 105 records",
        "ok       size            100 training rows",
        "ERROR    test_part       nothing is held out for the test, so nothing can be said about"
        " the result",
        "                         -> set data.split.test",
        "warning  duplicates      5 of 105 rows (4.76%); 5 of them byte for byte",
        "                         train.jsonl:101 (same as train.jsonl:1)",
        "                         train.jsonl:102 (same as train.jsonl:2)",
        "                         train.jsonl:103 (same as train.jsonl:3)",
        "                         and 2 more",
        "                         -> keep one of each",
        "not run  contradictions  reads all texts: 'recipe check' and 'recipe run' do",
        "not run  names           telling them needs a model: they are not looked for",
    ]
    off = [f for f in seen.prepared.findings if f.state == "off"]
    assert next(describe(off)) == "off      columns" and len(off) == 26
    assert list(describe([])) == []

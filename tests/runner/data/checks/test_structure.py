"""Checks of what was read: planted faults by a plain reading of the lines, thresholds by cases."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import sqrt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.data.checks.structure import smallest_difference

See = Callable[..., Any]
Row = dict[str, Any]
NO_SPLIT = {"test": 0, "validation": 0}
JUDGED = (
    "malformed", "columns", "missing", "roles", "tool_calls", "size", "test_part", "mix_share",
)  # fmt: skip


@pytest.fixture(scope="module")
def see(see: See) -> See:
    return partial(see, only=JUDGED)


def clean(count: int, word: str = "q") -> list[Row]:
    return [{"prompt": f"{word} {n}", "completion": f"answer {n}"} for n in range(count)]


def lines_of(ids: Sequence[str]) -> list[int]:
    return [int(id.rpartition(":")[2]) for id in ids]


def as_bytes(rows: Sequence[Row | str]) -> bytes:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    return "\n".join(lines).encode()


# ---------------------------------------------------------------- malformed, missing


def test_malformed_rows_have_line_and_reason(see: See) -> None:
    rows: list[Row | str] = [
        *clean(3),
        "",
        '{"prompt": "cut',
        "[1]",
        '{"prompt": ["q"], "completion": "a"}',
    ]
    seen = see({"train": as_bytes(rows)})
    finding = seen.findings["malformed"]
    assert (finding.state, finding.count, finding.total) == ("error", 3, 6)
    assert [(row.line, str(row.note).split(":")[0]) for row in finding.rows] == [
        (5, "not JSON"),
        (6, "a list, not an object"),
        (7, "'prompt' is a list, not a text"),
    ]
    assert finding.rows[0].note == "not JSON: unexpected end of data (column 16)"
    assert {row.source for row in finding.rows} == {"train.jsonl"}


def test_malformed_rows_of_every_source_are_told(see: See) -> None:
    parts = {
        part: as_bytes([*clean(9, part), "?"]) for part in ("train", "validation", "test", "mix")
    }
    seen = see(parts)
    assert seen.ids("malformed") == [f"{part}.jsonl:10" for part in parts]
    assert (seen.findings["malformed"].count, seen.findings["malformed"].total) == (4, 40)


def test_missing_texts(see: See) -> None:
    rows = clean(6)
    rows[1]["prompt"], rows[2]["completion"] = "\u2003", "\n"
    rows[4] = {"prompt": None, "completion": None}
    seen = see({"train": rows}, split=NO_SPLIT)
    assert seen.found["missing"] == [
        ("train.jsonl:2", "no prompt"), ("train.jsonl:3", "no answer"),
        ("train.jsonl:5", "no prompt and no answer"),
    ]  # fmt: skip


def test_raw_text_has_no_prompt_and_none_is_missed(see: See) -> None:
    seen = see({"train": [{"text": "a"}, {"text": " "}]}, split=NO_SPLIT)
    assert seen.found["missing"] == [("train.jsonl:2", "no answer")]


def test_missing_rejected_answer(see: See) -> None:
    rows = [{"prompt": f"q {n}", "chosen": "yes", "rejected": "no" * (n != 1)} for n in range(3)]
    seen = see({"train": rows}, split=NO_SPLIT)
    assert seen.found["missing"] == [("train.jsonl:2", "no rejected answer")]


# ---------------------------------------------------------------- columns

TYPES: dict[type, str] = {
    str: "a text", int: "a number", float: "a number", bool: "true or false", list: "a list",
    dict: "an object",
}  # fmt: skip


def odd_rows(lines: Sequence[str], mapped: Sequence[str]) -> dict[int, list[str]]:
    """Line → what sets its keys and types apart, by a plain reading. Blank lines have no keys."""
    read = [
        (n, json.loads(line, object_pairs_hook=list)) for n, line in enumerate(lines, 1) if line
    ]
    first: dict[str, int] = {}
    kinds: dict[str, Counter[str]] = {column: Counter() for column in mapped}
    for n, pairs in read:
        for key, _ in pairs:
            first.setdefault(key, n)
        for key, value in pairs:
            if key in mapped and value is not None:
                kinds[key][TYPES[type(value)]] += 1
    told: dict[int, list[str]] = {}
    for n, pairs in read:
        times = Counter(key for key, _ in pairs)
        words = [f"key '{key}' {count} times" for key, count in times.items() if count > 1]
        words += [
            f"key '{key}' first comes at line {first[key]}" for key in times if first[key] > 1000
        ]
        for key, value in pairs:
            if key in mapped and value is not None:
                usual = kinds[key].most_common(1)[0][0]
                if TYPES[type(value)] != usual:
                    words.append(f"'{key}' is {TYPES[type(value)]}, mostly {usual}")
        if words:
            told[n] = words
    return told


@pytest.mark.parametrize("seed", range(3))
def test_columns_against_a_plain_reading(see: See, seed: int) -> None:
    drawn = random.Random(seed)
    lines = [json.dumps({"prompt": f"p {n}", "completion": f"c {n}", "n": n}) for n in range(5_000)]
    for n in drawn.sample(range(5_000), 60):
        kind = drawn.randrange(6)
        late = {"prompt": f"p {n}", "completion": "c", f"late {n % 3}": 1, "n": 1}
        lines[n] = (
            json.dumps(late),
            f'{{"prompt": "p {n}", "n": 1, "completion": "c", "n": 2}}',
            json.dumps({"prompt": n, "completion": "c", "n": n}),
            json.dumps({"prompt": "p", "completion": drawn.choice([True, 2.5, 10**30]), "n": 1}),
            json.dumps({"prompt": "p", "completion": None}),
            "",
        )[kind]
    seen = see({"train": "\n".join(lines).encode()}, checks={"missing": "off"})
    expected = odd_rows(lines, ("prompt", "completion"))
    found = {int(id.rpartition(":")[2]): str(note) for id, note in seen.found["columns"]}
    assert len(expected) > 20
    assert found == {n: "; ".join(words) for n, words in expected.items()}
    report = seen.prepared.reports[0]
    read = [json.loads(line, object_pairs_hook=list) for line in lines if line]
    assert report.columns == Counter(key for pairs in read for key in dict(pairs))
    assert report.blank == lines.count("")
    finding = seen.findings["columns"]
    assert (finding.state, finding.count, finding.total) == ("warn", len(found), report.rows)


def test_a_key_in_the_first_thousand_lines_is_not_late(see: See) -> None:
    rows = [
        {**row, **({"more": 1} if n in (999, 1100) else {})} for n, row in enumerate(clean(1200))
    ]
    assert see({"train": rows}).findings["columns"].state == "pass"
    rows[999].pop("more")
    seen = see({"train": rows})
    assert seen.found["columns"] == [("train.jsonl:1101", "key 'more' first comes at line 1101")]


# ---------------------------------------------------------------- roles

LETTERS = {
    "s": "system",
    "u": "user",
    "a": "assistant",
    "c": "assistant",
    "t": "tool",
    "x": "judge",
}


def turn(letter: str, place: int) -> Row:
    made: Row = {"role": LETTERS[letter], "content": f"{letter} {place}"}
    if letter == "c":
        call = {
            "id": f"call{place}",
            "type": "function",
            "function": {"name": "f", "arguments": "{}"},
        }
        made |= {"tool_calls": [call]}
    return made


def in_order(letters: str) -> bool:
    """Whether the turns follow one another as they should, told by a walk over them."""
    rest = letters.removeprefix("s")
    before = ""
    for letter in rest:
        follows = {
            "": "u", "u": "ac", "a": "u", "c": "tu", "t": "acut",
        }.get(before, "")  # fmt: skip
        if letter not in follows:
            return False
        before = letter
    return before in ("a", "c")


TALKS = st.text(alphabet="ssuuuaaacctx", min_size=1, max_size=7)


@settings(max_examples=12, deadline=None)
@given(st.lists(TALKS, min_size=5, max_size=40))
def test_roles_against_a_walk_over_the_turns(see: See, talks: list[str]) -> None:
    talks = ["ua", "suaua", *talks]
    rows = [{"messages": [turn(letter, n) for n, letter in enumerate(talk)]} for talk in talks]
    seen = see({"train": rows}, split=NO_SPLIT)
    wrong = [n for n, talk in enumerate(talks, 1) if not in_order(talk)]
    assert lines_of(seen.ids("roles")) == wrong
    finding = seen.findings["roles"]
    assert (finding.count, finding.total) == (len(wrong), len(talks))
    refused = [n for n, talk in enumerate(talks, 1) if talk[-1] not in "ac" or "x" in talk]
    assert lines_of(seen.ids("malformed")) == refused


def test_what_is_wrong_with_the_turns_is_said(see: See) -> None:
    talks = {"ua": None, "usua": "turn 2 is the system's, not first", "u": "no assistant turn"}
    rows = [{"messages": [turn(letter, n) for n, letter in enumerate(talk)]} for talk in talks]
    seen = see({"train": rows}, split=NO_SPLIT)
    assert [note for _, note in seen.found["roles"]] == [note for note in talks.values() if note]


def test_data_without_conversations_has_no_roles(see: See) -> None:
    findings = see({"train": clean(9)}).findings
    for check in ("roles", "tool_calls"):
        assert (findings[check].state, findings[check].count) == ("pass", None)
        assert findings[check].message == "no conversations in the data"


# ---------------------------------------------------------------- tool calls

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def with_call(name: str, arguments: Any, result_of: str = "1", tools: Any = (WEATHER,)) -> Row:
    call = {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return {
        "messages": [
            {"role": "user", "content": "Is it wet?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": result_of, "content": "rain"},
            {"role": "assistant", "content": "Yes."},
        ],
        "tools": list(tools) if tools is not None else None,
    }


CALLS: dict[str, tuple[Row, str | None]] = {
    "sound": (with_call("weather", '{"at": "Oslo"}'), None),
    "arguments as an object": (with_call("weather", {"at": "Oslo"}), None),
    "no tools declared": (with_call("anything", "{}", tools=None), None),
    "arguments not JSON": (
        with_call("weather", '{"at": Oslo'),
        "the arguments of a call in turn 2",
    ),
    "undefined": (with_call("wether", "{}"), "turn 2 calls 'wether', which tools does not define"),
    "result of another call": (with_call("weather", "{}", "2"), "a call in turn 2 has no result"),
}


def test_tool_calls(see: See) -> None:
    drawn = random.Random(5)
    names = [drawn.choice(list(CALLS)) for _ in range(300)]
    seen = see({"train": [CALLS[name][0] for name in names]})
    expected = [(n, CALLS[name][1]) for n, name in enumerate(names, 1) if CALLS[name][1]]
    assert lines_of(seen.ids("tool_calls")) == [n for n, _ in expected]
    for (_, note), (_, words) in zip(seen.found["tool_calls"], expected, strict=True):
        assert words is not None and str(note).startswith(words)
    finding = seen.findings["tool_calls"]
    assert (finding.state, finding.total) == ("error", 300)
    assert seen.findings["roles"].state == "pass"


# ---------------------------------------------------------------- sizes

SIZES: list[tuple[int, str, str]] = [
    (49, "error", "49 training rows"),
    (50, "warn", "50 training rows"),
    (499, "warn", "499 training rows"),
    (500, "pass", "500 training rows; from 1,000 on, results are steadier"),
    (1000, "pass", "1,000 training rows"),
    (1, "error", "1 training row"),
]


@pytest.mark.parametrize(("rows", "state", "message"), SIZES)
def test_size(see: See, rows: int, state: str, message: str) -> None:
    finding = see({"train": clean(rows), "mix": clean(2000, "g")}, split=NO_SPLIT).findings["size"]
    assert (finding.state, finding.message, finding.count) == (state, message, rows)
    assert bool(finding.hint) == (state != "pass")


TESTS: list[tuple[int, dict[str, float], str, str]] = [
    # rows, the split, state, words of the message
    (2_000, {}, "pass", "300 rows (15%); a rate must differ by about 5.66% to show"),
    (600, {}, "warn", "90 rows (15%)"),
    (600, {"test": 0}, "error", "nothing is held out for the test"),
    (600, {"test": 0.3}, "warn", "180 rows (30%)"),
    (1, {}, "error", "nothing is held out"),
]


@pytest.mark.parametrize(("rows", "split", "state", "message"), TESTS)
def test_test_part(
    see: See, rows: int, split: Mapping[str, float], state: str, message: str
) -> None:
    finding = see({"train": clean(rows)}, split=split).findings["test_part"]
    assert finding.state == state
    assert finding.message.startswith(message)
    assert bool(finding.hint) == (state != "pass")


def test_groups_are_what_a_test_is_counted_in(see: See) -> None:
    rows = [{**row, "doc": f"d{n % 40}"} for n, row in enumerate(clean(2_000))]
    finding = see({"train": rows}, split={"group_by": "doc"}).findings["test_part"]
    assert finding.message.startswith("300 rows in 6 groups (15%); a rate must differ by about 40%")


def test_smallest_difference_is_half_the_interval_of_a_binomial() -> None:
    drawn = random.Random(3)
    for units in (50, 400):
        rates = sorted(
            sum(drawn.random() < 0.5 for _ in range(units)) / units for _ in range(2_000)
        )
        half = (rates[int(0.975 * 2_000)] - rates[int(0.025 * 2_000)]) / 2
        assert abs(smallest_difference(units) - half) < 1.5 / units + 0.1 / sqrt(units)
    assert smallest_difference(0 + 1) == 0.98


MIXED: list[tuple[float, str]] = [(0.02, "warn"), (0.05, "pass"), (0.1, "pass"), (0.2, "warn")]


@pytest.mark.parametrize(("share", "state"), MIXED)
def test_mix_share(see: See, share: float, state: str) -> None:
    parts = {"train": clean(1_000), "mix": clean(400, "g")}
    more = {"mix": {"share": share}}
    # 950 rows of the task make it exact
    findings = see(parts, more=more, split={"test": 0.05, "validation": 0}).findings
    finding = findings["mix_share"]
    assert (finding.state, finding.share) == (state, pytest.approx(share, abs=0.001))
    assert "are from mix.jsonl" in finding.message


def test_no_mix_is_no_fault(see: See) -> None:
    finding = see({"train": clean(9)}).findings["mix_share"]
    assert (finding.state, finding.message) == ("pass", "no general data is mixed in")

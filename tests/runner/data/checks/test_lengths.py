"""Checks of lengths against brute force in exact arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from math import ceil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.thresholds import DisparityCheck, OutlierCheck, ShareCheck
from runner.data.checks import Read
from runner.data.checks.lengths import (
    LONGEST,
    fences,
    length_bias,
    length_disparity,
    length_outliers,
)

Row = Mapping[str, Any]
Table = Callable[[Sequence[Row]], Read]
Found = Callable[[Read, str], dict[int, str | None]]


def asked(prompt: int, answer: int, **more: Any) -> dict[str, Any]:
    blank = {"blank_prompt": prompt == 0, "blank_completion": answer == 0}
    return {"prompt_length": prompt, "completion_length": answer, **blank, **more}


# ---------------------------------------------------------------- outliers


def outside(lengths: Sequence[int], fence: int) -> set[int]:
    """Lengths beyond the fences, by fractions: no logarithm, no rounding."""
    order = sorted(lengths)
    first, third = (order[max(0, ceil(len(order) * share) - 1)] for share in (0.25, 0.75))
    reach = max(Fraction(third, first), Fraction(3, 2)) ** fence
    return {each for each in order if each * reach < first or each > third * reach}


characters = st.one_of(st.just(0), st.integers(1, 9), st.sampled_from([24, 64, 81, 512, 40_000]))
drawn_rows = st.lists(
    st.tuples(characters, characters, st.sampled_from(["plain", "plain", "label", "general"])),
    min_size=1,
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(drawn=drawn_rows, fence=st.integers(1, 3))
def test_outliers_equal_brute_force(
    table: Table, found: Found, drawn: list[tuple[int, int, str]], fence: int
) -> None:
    read = table(
        [
            asked(prompt, answer, general=kind == "general", label="x" if kind == "label" else None)
            for prompt, answer, kind in drawn
        ]
    )
    finding = length_outliers(read, OutlierCheck(0.0, None, fence))
    prompts = [prompt for prompt, _, kind in drawn if prompt and kind != "general"]
    answers = [answer for _, answer, kind in drawn if answer and kind == "plain"]
    far_prompts = outside(prompts, fence) if prompts else set()
    far_answers = outside(answers, fence) if answers else set()
    expected = {
        line
        for line, (prompt, answer, kind) in enumerate(drawn, 1)
        if (kind != "general" and prompt in far_prompts)
        or (kind == "plain" and answer in far_answers)
    }
    assert set(found(read, "length_outliers")) == expected
    assert (finding.count, finding.state) == (len(expected), "warn" if expected else "pass")
    assert finding.total == sum(kind != "general" for *_, kind in drawn)


def test_the_furthest_come_first_with_their_length(table: Table) -> None:
    rows = [asked(100 + n % 40, 200 + n % 90) for n in range(400)]
    rows[7] = asked(1, 200)
    rows[9] = asked(100, 90_000)
    rows[11] = asked(100, 5000)
    finding = length_outliers(table(rows), OutlierCheck(0.01, None, 3))
    assert [(row.line, row.note) for row in finding.rows] == [
        (10, "answer of 90,000 characters"),
        (8, "prompt of 1 character"),
        (12, "answer of 5,000 characters"),
    ]
    assert finding.state == "pass"
    assert length_outliers(table(rows), OutlierCheck(0.001, None, 3)).state == "warn"
    assert "outside prompts from 33 to 435 characters and answers from" in finding.message


def test_one_character_more_than_all_others_is_no_outlier(table: Table) -> None:
    rows = [*[asked(20, 30)] * 99, asked(21, 31), asked(60, 90)]
    assert length_outliers(table(rows), OutlierCheck(0, None, 3)).count == 0
    rows += [asked(68, 9)]
    assert length_outliers(table(rows), OutlierCheck(0, None, 3)).count == 1


@given(
    first=st.integers(1, LONGEST),
    ratio=st.floats(1, 1e6),
    fence=st.floats(1e-3, 1e9, exclude_min=True),
)
def test_fences_hold_the_quartiles_and_widen(first: int, ratio: float, fence: float) -> None:
    third = min(LONGEST, int(first * ratio))
    low, high = fences(first, third, fence)
    wider = fences(first, third, 2 * fence)
    assert 1 <= wider[0] <= low <= first <= third <= high <= wider[1] <= LONGEST


# ---------------------------------------------------------------- prompt against answer


@settings(max_examples=25, deadline=None)
@given(
    drawn=st.lists(
        st.tuples(*[st.sampled_from([0, 1, 49, 50, 51, 149, 150, 151, 5000])] * 2, st.booleans()),
        max_size=20,
    ),
    ratio=st.sampled_from([1, 2.98, 3, 100]),
)
def test_disparity_equals_brute_force(
    table: Table, found: Found, drawn: list[tuple[int, int, bool]], ratio: float
) -> None:
    read = table([asked(prompt, answer, general=general) for prompt, answer, general in drawn])
    finding = length_disparity(read, DisparityCheck(0.0, None, ratio))
    expected = {
        line
        for line, (prompt, answer, general) in enumerate(drawn, 1)
        if not general
        and min(prompt, answer) >= 50
        and (prompt >= ratio * answer or answer >= ratio * prompt)
    }
    assert set(found(read, "length_disparity")) == expected
    assert (finding.count, finding.state) == (len(expected), "warn" if expected else "pass")


def test_disparity_says_which_side_is_long(table: Table) -> None:
    rows = [asked(60, 7000), asked(9000, 50), asked(9000, 3), asked(80, 90)]
    rows += [asked(9000, 50, label="x")]
    finding = length_disparity(table(rows), DisparityCheck(0.5, 0.9, 100))
    assert [(row.line, row.note) for row in finding.rows] == [
        (2, "prompt of 9,000 characters, answer of 50"),
        (1, "answer of 7,000 characters, prompt of 60"),
    ]
    assert (finding.total, finding.state) == (5, "pass")
    assert finding.message.endswith("one side is at least 100 times as long")


# ---------------------------------------------------------------- chosen against rejected


@pytest.mark.parametrize(
    ("longer", "shorter", "even", "state", "count"),
    [
        (131, 160, 9, "pass", 160),
        (70, 30, 0, "pass", 70),
        (71, 29, 0, "warn", 71),
        (29, 71, 0, "warn", 71),
        (95, 5, 0, "error", 95),
        (20, 0, 80, "pass", 20),
        (0, 0, 5, "pass", 0),
    ],
)
def test_length_bias(
    table: Table, longer: int, shorter: int, even: int, state: str, count: int
) -> None:
    rows = [asked(9, 20, rejected_length=10)] * longer
    rows += [asked(9, 10, rejected_length=20)] * shorter
    rows += [asked(9, 10, rejected_length=10)] * even
    rows += [asked(9, 90, rejected_length=10, general=True)] * 500
    rows += [asked(9, 90)] * 500
    total = longer + shorter + even
    finding = length_bias(table(rows), ShareCheck(0.7, 0.9))
    assert (finding.count, finding.total, finding.state) == (count, total, state)
    assert finding.message.startswith(f"chosen is longer in {longer} of {total} pairs")
    assert finding.message.endswith(f"shorter in {shorter}")


def test_without_pairs_there_is_no_bias(table: Table) -> None:
    finding = length_bias(table([asked(5, 5)] * 4), ShareCheck(0.0, 0.0))
    assert (finding.state, finding.message, finding.count) == ("pass", "no preference pairs", None)

"""Curves of any length in 600 spans, and nothing of them lost that one would look for."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.app.curves import SPANS, Curve


def curve(values: list[float]) -> Curve:
    made = Curve()
    for step, value in enumerate(values, 1):
        made.add(step, value)
    return made


@given(st.lists(st.floats(-100, 100), max_size=5000))
def test_few_spans_hold_all_there_was(values: list[float]) -> None:
    made = curve(values)
    spans = made.spans()
    assert len(spans) <= SPANS
    assert sum(span.count for span in spans) == len(values)
    if not values:
        return
    assert min(span.low for span in spans) == min(values)
    assert max(span.high for span in spans) == max(values)
    whole = math.fsum(span.mean * span.count for span in spans)
    assert whole == pytest.approx(math.fsum(values), abs=1e-6)
    assert [span.step for span in spans] == sorted({span.step for span in spans})
    assert made.last == (len(values), values[-1])
    assert spans[-1].step == len(values)


def test_short_curves_are_shown_as_they_are() -> None:
    made = curve([3.0, 1.0, 2.0])
    assert made.every == 1
    assert [(span.step, span.low, span.mean, span.high) for span in made.spans()] == [
        (1, 3.0, 3.0, 3.0), (2, 1.0, 1.0, 1.0), (3, 2.0, 2.0, 2.0),
    ]  # fmt: skip


def test_one_peak_among_many_steps_shows() -> None:
    values = [1.0] * 50_000
    values[31_234] = 99.0
    (peak,) = [span for span in curve(values).spans() if span.high == 99.0]
    assert peak.low == 1.0
    assert peak.step - peak.count < 31_235 <= peak.step


def test_training_that_goes_back_to_a_checkpoint_replaces_what_came_after_it() -> None:
    made = curve([4.0, 3.0, 2.0, 1.0])
    made.add(3, 2.5)
    assert [(span.step, span.mean) for span in made.spans()] == [(1, 4.0), (2, 3.0), (3, 2.5)]
    assert made.last == (3, 2.5)

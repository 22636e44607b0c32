from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.report.words import (
    MINUS,
    condition,
    count,
    direction,
    duration,
    notation,
    share,
    size,
    visible,
)


def _metric(
    better: str, low: float | None, high: float | None, unit: str = "F1, 0 to 1", **values: float
) -> dict[str, Any]:
    base, tuned = values.get("base", 1.0), values.get("tuned", 1.0)
    interval = {"low": None, "high": None}
    change = {"value": tuned - base, "low": low, "high": high}
    return {
        "better": better,
        "unit": unit,
        "base": {"value": base, **interval},
        "tuned": {"value": tuned, **interval},
        "difference": change,
    }


@pytest.mark.parametrize(
    ("better", "low", "high", "expected"),
    [
        ("lower", -0.3, -0.1, "better"),
        ("lower", 0.1, 0.3, "worse"),
        ("higher", 0.1, 0.3, "better"),
        ("higher", -0.3, -0.1, "worse"),
        ("higher", -0.1, 0.3, "unclear"),
        ("higher", 0.0, 0.3, "unclear"),
        ("lower", 0.0, 0.0, "equal"),
        ("lower", None, None, "unclear"),
        ("neither", -0.3, -0.1, "described"),
    ],
)
def test_direction(better: str, low: float | None, high: float | None, expected: str) -> None:
    assert direction(_metric(better, low, high)) == expected


@pytest.mark.parametrize(
    ("unit", "base", "tuned", "shown"),
    [
        ("nats per token", 3.412, 2.287, ("3.41", "2.29", "-1.12")),
        ("nats per token", 3.412, 3.4097, ("3.4120", "3.4097", "-0.0023")),
        ("choices per token", 30.33, 9.845, ("30.3", "9.8", "-20.5")),
        ("choices per token", 12345.0, 2345.0, ("12,345", "2,345", "-10,000")),
        ("share of answers", 0.0667, 0.0, ("6.7%", "0.0%", "-6.7")),
        ("F1, 0 to 1", 0.0, 0.0, ("0", "0", "0")),
        ("F1, 0 to 1", 0.287, 0.412, ("0.287", "0.412", "+0.125")),
    ],
)
def test_numbers_of_one_metric_share_their_decimals(
    unit: str, base: float, tuned: float, shown: tuple[str, str, str]
) -> None:
    write = notation(_metric("lower", None, None, unit, base=base, tuned=tuned))
    found = write.value(base), write.value(tuned), write.change(tuned - base)
    assert tuple(text.replace(MINUS, "-") for text in found) == shown


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        ({"metric": "d.loss", "against": "base", "improve_by": 0}, "better than the base model"),
        (
            {"metric": "d.loss", "against": "base", "improve_by": 0.1},
            "better than the base model by more than 0.1",
        ),
        (
            {"metric": "d.rouge_l", "against": "start", "drop_at_most": 0.02},
            "at most 0.02 worse than the starting model",
        ),
        (
            {"metric": "d.exact_match", "against": "run:abc", "drop_at_most": 0.02},
            "at most 2 points worse than run abc",
        ),
        ({"metric": "d.loop_rate", "max": 0.02}, "at most 2%"),
        ({"metric": "d.rouge_l", "min": 0.3, "max": 0.9}, "at least 0.3, at most 0.9"),
        (
            {"metric": "d.loss", "against": "base", "drop_at_most": 0},
            "not worse than the base model",
        ),
        ({"metric": "d.loss"}, "no condition"),
    ],
)
def test_condition(gate: dict[str, Any], expected: str) -> None:
    assert condition(gate) == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (duration(0.42), "0.4 s"),
        (duration(59.7), "1 min 00 s"),
        (duration(412.6), "6 min 53 s"),
        (duration(3661), "1 h 01 min"),
        (size(538_060_032), "513 MiB"),
        (size(2_240_000_000), "2.1 GiB"),
        (size(12), "12 bytes"),
        (count(4_884_480), "4.88 million"),
        (count(512), "512"),
        (share(0.03631), "3.6%"),
        (share(0.978), "97.8%"),
    ],
)
def test_quantities(found: str, expected: str) -> None:
    assert found == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain\n\ttext", "plain\n\ttext"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("\x1b[31m\x07\x00", "␛[31m␇␀"),
        ("\u202egnirts\u202c", "[U+202E]gnirts[U+202C]"),
        ("\ud800", "[U+D800]"),
        ("عقد إيجار 계약 👩‍⚖️", "عقد إيجار 계약 👩‍⚖️"),
    ],
)
def test_hidden_characters_are_shown(text: str, expected: str) -> None:
    assert visible(text) == expected


@given(st.text())
def test_nothing_hidden_is_left(text: str) -> None:
    shown = visible(text)
    assert not {c for c in shown if unicodedata.category(c) in ("Cc", "Cs")} - set("\n\t")
    assert not {c for c in shown if unicodedata.bidirectional(c) in ("RLO", "LRO", "RLI", "LRI")}
    assert visible(shown) == shown

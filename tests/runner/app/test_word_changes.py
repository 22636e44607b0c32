"""Words that one of two texts has alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.app.word_changes import MOST_WORDS, word_changes

TEXTS = st.text(st.sampled_from("ab .,\n§é"), max_size=60)


@pytest.mark.parametrize(
    ("first", "second", "left", "right"),
    [
        ("the same", "the same", [], []),
        ("You must pay rent.", "You pay the rent.", ["must"], ["the"]),
        ("The Lessee", "the lessee", [], []),
        ("", "new", [], ["new"]),
        ("old text", "", ["old text"], []),
        ("a  b", "a\nb", [], []),
        ("30 days", "60 days", ["30"], ["60"]),
    ],
)
def test_words_of_one_text_alone(
    first: str, second: str, left: list[str], right: list[str]
) -> None:
    found = word_changes(first, second)
    assert [[run.text for run in side if run.own] for side in found] == [left, right]


@given(TEXTS, TEXTS)
def test_nothing_is_lost(first: str, second: str) -> None:
    left, right = word_changes(first, second)
    assert "".join(run.text for run in left) == first
    assert "".join(run.text for run in right) == second
    assert all(run.text.strip() for run in (*left, *right) if run.own)


@given(TEXTS)
def test_a_text_does_not_differ_from_itself(text: str) -> None:
    assert not any(run.own for side in word_changes(text, text) for run in side)


def test_long_texts_are_compared_by_their_beginnings() -> None:
    long = "word " * (2 * MOST_WORDS)
    left, right = word_changes(long, "other " + long)
    assert "".join(run.text for run in left) == long
    assert next(run.text for run in right if run.own) == "other"

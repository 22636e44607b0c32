"""What changed since the last run, in words."""

from __future__ import annotations

import pytest

from runner.reasons import _changes


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({"code": "1a"}, {"code": "2b"}, ["the program was changed"]),
        (
            {"files": {"a.jsonl": {"sha256": "1a"}}},
            {"files": {"a.jsonl": {"sha256": "2b"}}},
            ["files.a.jsonl was changed"],
        ),
        ({"rank": 8}, {"rank": 16}, ["rank 8 -> 16"]),
        ({"rank": 8}, {"rank": 8}, []),
    ],
)
def test_changes_in_words(old: object, new: object, said: list[str]) -> None:
    assert list(_changes(old, new)) == said

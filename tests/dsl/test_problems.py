from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.problems import (
    Problem,
    closest,
    did_you_mean,
    dotted,
    errors,
    from_dotted,
    from_pointer,
    lookup,
    one_of,
    pointer,
    remove,
    set_value,
)

NAMES = st.text(min_size=1).filter(lambda name: not name.isdigit())
PATHS = st.lists(NAMES | st.integers(0, 999), max_size=6).map(tuple)
PLAIN = st.from_regex(r"[a-z][a-z_]{0,9}", fullmatch=True)
RECIPE_PATHS = st.builds(
    lambda first, rest: (first, *rest), PLAIN, st.lists(PLAIN | st.integers(0, 99), max_size=5)
)


@given(PATHS)
def test_a_pointer_leads_back(path: tuple[str | int, ...]) -> None:
    assert from_pointer(pointer(path)) == path


@given(RECIPE_PATHS)
def test_a_dotted_path_leads_back(path: tuple[str | int, ...]) -> None:
    assert from_dotted(dotted(path)) == path


def test_pointers_are_those_of_rfc_6901() -> None:
    assert pointer(("a/b", "m~n", 0, "")) == "/a~1b/m~0n/0/"
    assert from_pointer("/~01") == ("~1",)
    assert from_pointer("/²/01/-") == ("²", "01", "-")
    assert from_pointer("") == ()


@pytest.mark.parametrize(
    "text", ["", ".a", "a.", "a..b", "[0]", "a[x]", "a[0", "a]", "a[-1]", "a[²]"]
)
def test_what_is_no_dotted_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a path"):
        from_dotted(text)


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("rnak", ["rank", "alpha"], "rank"),
        ("lora_rank", ["type", "rank", "alpha"], "rank"),
        ("Rank", ["rank"], "rank"),
        ("x" * 1_000_000, ["rank"], None),
        ("", ["rank"], None),
        ("zzz", ["rank", "alpha"], None),
    ],
)
def test_closest(word: str, known: list[str], meant: str | None) -> None:
    assert closest(word, known) == meant
    assert did_you_mean(word, known) == (f"did you mean {meant}?" if meant else None)


def test_one_of_reads_as_a_list() -> None:
    assert [one_of(["a"]), one_of(["a", "b"]), one_of(["a", "b", "c"])] == [
        "a",
        "a or b",
        "a, b or c",
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((), {"a": [1, {"b": None}]}),
        (("a", 0), 1),
        (("a", 1, "b"), None),
        (("a", 2), None),
        (("a", "0"), None),
        (("x", "y"), None),
    ],
)
def test_lookup(path: tuple[str | int, ...], value: Any) -> None:
    assert lookup({"a": [1, {"b": None}]}, path) == value


def test_a_problem_as_json() -> None:
    path = ("method", "rank")
    problem = Problem(path, "too large", "set it to 8", (set_value(path, 8), remove(path)))
    assert problem.at(3, 5).to_json() == {
        "path": "/method/rank",
        "line": 3,
        "column": 5,
        "severity": "error",
        "message": "too large",
        "hint": "set it to 8",
        "patch": [
            {"op": "set", "path": "/method/rank", "value": 8},
            {"op": "remove", "path": "/method/rank"},
        ],
    }


def test_errors_leave_warnings_out() -> None:
    warning = Problem((), "may", severity="warning")
    assert errors([warning, Problem((), "must")]) == [Problem((), "must")]

"""Prompting, retrieval or fine-tuning: cases of the practice, and what must always hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.approach import (
    ARGUMENTS,
    ORDER,
    Answers,
    Ranked,
    advisable,
    can_join,
    rank_approaches,
)

# need, rows, what else holds → the approaches, the most fitting first
CASES: list[tuple[str, int, set[str], str]] = [
    ("facts", 30, {"changing", "cite"}, "retrieve prompt tune"),
    ("facts", 30, set(), "retrieve prompt tune"),
    ("facts", 5_000, set(), "retrieve prompt tune"),
    ("facts", 5_000, {"tried"}, "retrieve tune prompt"),
    ("facts", 5_000, {"tried", "private", "changing"}, "retrieve tune prompt"),
    ("style", 800, set(), "tune prompt retrieve"),
    ("style", 800, {"tried"}, "tune retrieve prompt"),
    ("style", 150, set(), "prompt tune retrieve"),  # a prompt is tried first
    ("style", 150, {"tried"}, "tune prompt retrieve"),
    ("style", 60, {"tried"}, "tune prompt retrieve"),  # one pattern
    ("style", 20, {"tried"}, "prompt retrieve tune"),
    ("style", 800, {"cite", "tried"}, "retrieve tune prompt"),
    ("classes", 60, {"tried"}, "prompt retrieve tune"),
    ("classes", 2_000, set(), "tune prompt retrieve"),
    ("skill", 2_000, set(), "tune prompt retrieve"),
    ("skill", 2_000, {"cite"}, "retrieve tune prompt"),
    ("skill", 20, set(), "prompt retrieve tune"),
    ("skill", 0, {"private"}, "prompt tune retrieve"),
]
said = st.builds(
    Answers,
    st.sampled_from(["facts", "style", "classes", "skill"]),
    st.integers(0, 10**7),
    *[st.booleans()] * 4,
)


def answers(need: str, rows: int, holds: set[str]) -> Answers:
    return Answers(need, rows, **dict.fromkeys(holds, True))  # type: ignore[arg-type]


@pytest.mark.parametrize(("need", "rows", "holds", "order"), CASES)
def test_cases_of_the_practice(need: str, rows: int, holds: set[str], order: str) -> None:
    ranked = rank_approaches(answers(need, rows, holds))
    assert " ".join(one.approach for one in ranked) == order


def points(of: Answers) -> dict[str, int]:
    return {one.approach: one.points for one in rank_approaches(of)}


@given(said)
def test_all_three_are_ranked_with_reasons_that_name_a_figure(of: Answers) -> None:
    ranked = rank_approaches(of)
    assert sorted(one.approach for one in ranked) == sorted(ORDER)
    assert [one.points for one in ranked] == sorted((one.points for one in ranked), reverse=True)
    for one in ranked:
        assert one.reasons
        for reason in one.reasons:
            assert any(sign.isdigit() for sign in reason.why), reason
            assert "{" not in reason.why and reason.points


@given(said, st.integers(0, 10**7))
def test_more_rows_never_speak_against_training(of: Answers, more: int) -> None:
    few, many = points(of), points(replace(of, rows=of.rows + more))
    assert many["tune"] >= few["tune"]
    assert many["prompt"] <= few["prompt"] and many["retrieve"] <= few["retrieve"]


@given(said)
def test_each_answer_moves_what_it_should(of: Answers) -> None:
    for name, up, down in (
        ("changing", "retrieve", "tune"),
        ("cite", "retrieve", "tune"),
        ("tried", "tune", "prompt"),
        ("private", "tune", "prompt"),
    ):
        no, yes = points(replace(of, **{name: False})), points(replace(of, **{name: True}))
        assert yes[up] >= no[up] and yes[down] <= no[down], name
    assert points(replace(of, cite=True))["retrieve"] == max(
        points(replace(of, cite=True)).values()
    )


def test_too_few_examples_after_a_prompt_that_failed_advise_nothing() -> None:
    assert not advisable(rank_approaches(Answers("skill", 20, tried=True)))
    assert advisable(rank_approaches(Answers("skill", 20)))


def test_retrieval_and_training_go_together_where_both_have_a_point() -> None:
    assert can_join(rank_approaches(Answers("style", 800, cite=True)))
    assert not can_join(rank_approaches(Answers("style", 800)))
    assert not can_join(rank_approaches(Answers("facts", 30)))


def test_no_argument_is_dead_and_a_wrong_ranking_would_show() -> None:
    flags = [dict(zip(["changing", "cite", "tried", "private"], bits, strict=True))
             for bits in ((False,) * 4, (True,) * 4)]  # fmt: skip
    every = [
        Answers(need, rows, **flag)  # type: ignore[arg-type]
        for need in ("facts", "style", "classes", "skill")
        for rows in (0, 60, 200, 900)
        for flag in flags
    ]
    for argument in ARGUMENTS:
        held = [argument.holds(one) for one in every]
        assert any(held) and not all(held), argument.words
    assert Ranked("tune", ()).points == 0

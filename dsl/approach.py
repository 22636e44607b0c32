"""Prompting, retrieval or fine-tuning: the three ways to better answers, ranked with reasons.

The figures are the practice of the field: from about 100 examples training begins to work, 500 to
1,000 clean ones are good; what changes or must be cited is looked up, not learnt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Need = Literal["facts", "style", "classes", "skill"]
Approach = Literal["prompt", "retrieve", "tune"]

FEWEST, ENOUGH = 100, 500  # examples: training begins to work, training works well
ONE_PATTERN = 50  # examples that do where all follow one pattern
ORDER: tuple[Approach, ...] = ("prompt", "retrieve", "tune")  # the cheapest first


@dataclass(frozen=True, slots=True)
class Answers:
    """What a user says of the task.

    `need`: what the answers of a ready model lack. `rows`: good examples at hand. `changing`: what
    is right changes from week to week. `cite`: answers must show where they are from. `tried`: a
    careful prompt with examples in it did not do. `private`: the data must stay in the house.
    """

    need: Need
    rows: int
    changing: bool = False
    cite: bool = False
    tried: bool = False
    private: bool = False


@dataclass(frozen=True, slots=True)
class Reason:
    """For an approach where `points` is above 0, else against it."""

    points: int
    why: str


@dataclass(frozen=True, slots=True)
class Ranked:
    """An approach with all that speaks for it and against it, the weightiest first."""

    approach: Approach
    reasons: tuple[Reason, ...]

    @property
    def points(self) -> int:
        return sum(reason.points for reason in self.reasons)


@dataclass(frozen=True, slots=True)
class Argument:
    """`words` may name {rows}."""

    approach: Approach
    points: int
    holds: Callable[[Answers], bool]
    words: str


def rank_approaches(answers: Answers) -> tuple[Ranked, ...]:
    """All three, the most fitting first; of two that fit alike the cheaper one."""
    rows = f"{answers.rows:,} example{'s' * (answers.rows != 1)}"
    found = [
        Ranked(
            approach,
            tuple(
                sorted(
                    (
                        Reason(one.points, one.words.format(rows=rows))
                        for one in ARGUMENTS
                        if one.approach == approach and one.holds(answers)
                    ),
                    key=lambda reason: -abs(reason.points),
                )
            ),
        )
        for approach in ORDER
    ]
    return tuple(sorted(found, key=lambda ranked: -ranked.points))


def advisable(ranked: tuple[Ranked, ...]) -> bool:
    """Whether anything speaks for the first more than against it."""
    return ranked[0].points > 0


def can_join(ranked: tuple[Ranked, ...]) -> bool:
    """Whether retrieval and fine-tuning both have something for them: they do not exclude."""
    return all(one.points > 0 for one in ranked if one.approach != "prompt")


def _repeats(answers: Answers) -> bool:
    return answers.need in ("style", "classes")


def _trainable(answers: Answers) -> bool:
    return answers.rows >= (ONE_PATTERN if answers.need == "style" else FEWEST)


ARGUMENTS: tuple[Argument, ...] = (
    Argument(
        "prompt",
        3,
        lambda a: not a.tried,
        "not tried yet, and done in 1 afternoon: say what you want, and show 3 to 5 good examples",
    ),
    Argument(
        "prompt",
        -3,
        lambda a: a.tried,
        "tried already: with 3 to 5 examples in the prompt the answers were not good enough",
    ),
    Argument(
        "prompt",
        1,
        lambda a: a.rows < FEWEST,
        "{rows}: below about 100, the best 3 to 5 do more in the prompt than all in a training",
    ),
    Argument(
        "prompt",
        -1,
        lambda a: a.rows >= ENOUGH,
        "of your {rows} only 3 to 5 have room in a prompt",
    ),
    Argument(
        "prompt",
        1,
        lambda a: a.changing,
        "a prompt is changed within 1 minute when the right answer changes",
    ),
    Argument(
        "prompt",
        -1,
        lambda a: a.private,
        "prompts work best on the largest models, which are rented; at home run some 1 to 8 "
        "billion weights",
    ),
    Argument(
        "retrieve",
        4,
        lambda a: a.need == "facts",
        "facts are looked up in your documents at every answer, in 1 of them or in 100,000",
    ),
    Argument(
        "retrieve",
        3,
        lambda a: a.changing,
        "what changes weekly is replaced in the documents; a model would be trained 52 times a "
        "year",
    ),
    Argument(
        "retrieve",
        6,
        lambda a: a.cite,
        "the answer comes with the passage it was made from: a model alone can show 0 sources",
    ),
    Argument(
        "retrieve",
        1,
        lambda a: a.need == "facts" and a.rows < FEWEST,
        "it needs documents, not examples: your {rows} serve to test it",
    ),
    Argument(
        "retrieve",
        -3,
        lambda a: a.need != "facts" and not (a.changing or a.cite),
        "it adds text to the question: how the model works stays as it is, with 1 document or "
        "100,000",
    ),
    Argument(
        "tune",
        3,
        lambda a: a.rows >= ENOUGH,
        "{rows}: 500 to 1,000 clean ones are what it takes",
    ),
    Argument(
        "tune",
        1,
        lambda a: FEWEST <= a.rows < ENOUGH,
        "{rows}: from about 100 it begins to work, 500 to 1,000 are better",
    ),
    Argument(
        "tune",
        1,
        lambda a: a.rows < FEWEST and _trainable(a),
        "{rows}: 50 to 100 do where all follow exactly one pattern",
    ),
    Argument(
        "tune",
        -5,
        lambda a: not _trainable(a),
        "{rows} are too few: from about 100 it begins to work, 500 to 1,000 are good",
    ),
    Argument(
        "tune",
        2,
        _repeats,
        "one constant form is what it learns best: ranks of 4 to 8 are enough for it",
    ),
    Argument(
        "tune",
        2,
        lambda a: a.need == "skill",
        "a skill is learnt from worked examples, at ranks of 32 to 64",
    ),
    Argument(
        "tune",
        -3,
        lambda a: a.need == "facts",
        "an adapter, 0.1 to 4% of the weights, learns how to say things, hardly what is true",
    ),
    Argument(
        "tune",
        -3,
        lambda a: a.changing,
        "what it learnt is out of date after 1 week, and it would have to be trained again",
    ),
    Argument(
        "tune",
        -2,
        lambda a: a.cite,
        "a tuned model can show 0 sources of what it says",
    ),
    Argument(
        "tune",
        2,
        lambda a: a.tried and _trainable(a),
        "a prompt with 3 to 5 examples did not do: the next step is to train on all of them",
    ),
    Argument(
        "tune",
        1,
        lambda a: a.private,
        "a small tuned model can stand in for a large rented one: 0 requests leave the house",
    ),
)

"""Rows of KTO: what stands in an answer that is to be unlearnt is no fault of the data."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

See = Callable[..., Any]
REFUSAL = "I'm sorry, but as an AI language model, I cannot help with that."
LOOP = "and so on and so on " * 40


def words(rng: random.Random, number: int) -> str:
    return " ".join("".join(rng.choices("bcdfglmnprstaeiou", k=7)) for _ in range(number))


def plain(count: int) -> list[dict[str, Any]]:
    rng = random.Random(4)
    return [
        {"prompt": words(rng, 6), "completion": words(rng, 9), "label": n % 3 > 0}
        for n in range(count)
    ]


ROWS = plain(60)


def test_a_wanted_and_an_unwanted_answer_to_one_prompt_are_no_contradiction(see: See) -> None:
    first, other = ROWS[0] | {"label": True}, ROWS[1] | {"prompt": ROWS[0]["prompt"]}
    found = see({"train": [first, *ROWS[2:], other | {"label": False}]}, "full")
    assert found.findings["contradictions"].count == 0
    found = see({"train": [first, *ROWS[2:], other | {"label": True}]}, "full")
    assert found.findings["contradictions"].count == 1


def test_unwanted_answers_may_refuse_and_loop(see: See) -> None:
    for check, answer in (("refusals", REFUSAL), ("repetition", LOOP)):
        for wanted in (True, False):
            rows = [*ROWS[1:], ROWS[0] | {"completion": answer, "label": wanted}]
            found = see({"train": rows}, "full", only=(check,))
            assert found.findings[check].count == wanted, (check, wanted)


def test_wanted_and_unwanted_rows_are_held_against_each_other(see: See) -> None:
    found = see({"train": ROWS}, only=("balance",), split={"test": 0, "validation": 0})
    assert found.findings["balance"].state == "pass"
    assert found.findings["balance"].message == "2 labels; most: 'true' 40, 'false' 20"
    rows = [row | {"label": n > 3} for n, row in enumerate(ROWS)]
    found = see({"train": rows}, only=("balance",), split={"test": 0, "validation": 0})
    assert found.findings["balance"].state == "warn"

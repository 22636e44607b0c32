"""Looks: one at a time, kept by content, stopped when asked."""

from __future__ import annotations

import threading

from dsl.errors import DataError
from runner.app.looks import KEPT, Look, Looks

SECONDS = 20  # a machine may be busy


def test_an_answer_is_kept_and_an_error_tried_again() -> None:
    looks, asked = Looks[int](), []

    def task(look: Look[int]) -> int:
        asked.append(look.depth)
        if len(asked) == 1:
            raise DataError("gone")
        return 7

    first = looks.start("a", "quick", task)
    assert first.ended.wait(SECONDS)
    assert first.error and first.error.message == "gone" and first.answer is None
    second = looks.start("a", "quick", task)
    assert second.ended.wait(SECONDS) and second.answer == 7
    assert looks.start("a", "quick", task) is second is looks.find("a", "quick")
    assert looks.find("b", "quick") is None and len(asked) == 2


def test_looks_take_turns_and_stop() -> None:
    looks, free = Looks[int](), threading.Event()
    running: list[str] = []

    def waits(look: Look[int]) -> int:
        running.append(look.depth)
        free.wait(SECONDS)
        look.tell("on")
        return 1

    one = looks.start("a", "quick", waits)
    other = looks.start("a", "full", waits)
    assert looks.start("a", "quick", waits) is one  # it goes on
    one.stopping = True
    free.set()
    assert one.ended.wait(SECONDS) and other.ended.wait(SECONDS)
    assert (one.answer, one.error, other.answer) == (None, None, 1)
    assert sorted(running) == ["full", "quick"]


def test_old_answers_make_room() -> None:
    looks = Looks[int]()
    for number in range(KEPT + 3):
        assert looks.start(number, "quick", lambda _: 1).ended.wait(SECONDS)
    assert looks.find(0, "quick") is None and looks.find(KEPT + 2, "quick")


def test_closing_ends_what_goes_on() -> None:
    looks, begun = Looks[int](), threading.Event()

    def forever(look: Look[int]) -> int:
        while True:
            begun.set()
            look.tell("on")

    look = looks.start("a", "quick", forever)
    assert begun.wait(SECONDS)
    looks.close()
    assert look.ended.is_set() and look.answer is None

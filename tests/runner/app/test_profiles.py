"""Looks at the data beside the page: one at a time, kept, stopped, not silent about errors."""

from __future__ import annotations

import json
from pathlib import Path

from dsl.rules import RULES
from dsl.source import parse
from runner.app.looks import Look, Looks
from runner.app.profiles import Profile, start
from runner.probe import Surroundings
from runner.read import Read, judge

SECONDS = 60
ANSWER = "If one adds the two numbers that were asked about, the sum that comes out is"


def found(folder: Path, lines: list[str]) -> Read:
    (folder / "rows.jsonl").write_text("\n".join(lines))
    text = json.dumps(
        {
            "name": "x",
            "model": {"base": "smollm2-135m-instruct"},
            "data": {"train": [{"path": "rows.jsonl"}]},
        }
    )
    return judge(parse(text, "x.json"), Surroundings(folder), RULES).valid()


def rows(count: int) -> list[str]:
    return [
        json.dumps({"prompt": f"What is {n} and one?", "completion": f"{ANSWER} {n + 1}."})
        for n in range(count)
    ]


def ended(look: Look[Profile]) -> Look[Profile]:
    assert look.ended.wait(SECONDS)
    return look


def test_a_quick_look_tells_all_but_what_needs_every_text(tmp_path: Path) -> None:
    read = found(tmp_path, [*rows(40), rows(1)[0], '{"prompt": "cut', ""])
    profile = ended(start(Looks(), "a", "quick", read)).answer
    assert profile and profile.depth == "quick"
    assert profile.values["duplicates"] == {"exact": 1, "normalised": 1, "near": None}
    assert profile.values["languages"] is None
    assert profile.values["lengths"]["total"]["count"] == 41
    assert [(one.source, one.line) for one in profile.refused] == [("rows.jsonl", 42)]
    assert profile.refused_total == 1 and "not JSON" in profile.refused[0].reason


def test_a_full_look_tells_the_rest(tmp_path: Path) -> None:
    profile = ended(start(Looks(), "a", "full", found(tmp_path, rows(40)))).answer
    assert profile and profile.values["languages"]
    assert profile.values["duplicates"]["near"] is not None


def test_what_is_known_is_not_looked_for_again(tmp_path: Path) -> None:
    looks, read = Looks(), found(tmp_path, rows(5))
    first = ended(start(looks, "a", "quick", read))
    assert start(looks, "a", "quick", read) is first is looks.find("a", "quick")
    assert looks.find("a", "full") is None and looks.find("b", "quick") is None
    assert start(looks, "b", "quick", read) is not first


def test_a_look_that_is_stopped_has_no_answer_and_can_be_begun_again(tmp_path: Path) -> None:
    looks, read = Looks(), found(tmp_path, rows(5))
    with looks._turn:  # another look goes on
        look = start(looks, "a", "quick", read)
        look.stopping = True
    ended(look)
    assert (look.answer, look.error) == (None, None)
    assert looks.find("a", "quick") is look
    assert ended(start(looks, "a", "quick", read)).answer


def test_an_error_is_told(tmp_path: Path) -> None:
    read = found(tmp_path, rows(5))
    (tmp_path / "rows.jsonl").write_bytes(b"%PDF-1.4")
    look = ended(start(Looks(), "a", "quick", read))
    assert look.answer is None and look.error and "PDF" in look.error.message

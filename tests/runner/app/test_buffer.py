"""The text between editor and form: whatever the order of typing and clicking, no edit is lost."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.edit import EditError, apply
from dsl.errors import InvalidRecipe
from dsl.problems import Change, remove, set_value
from runner.app.buffer import Buffer, Op, changed, typed

TEXT = '{\n  "name": "a",  "method": {"rank": 8}\n}\n'
RANK = set_value(("method", "rank"), 32)
BROKEN = " ]"


def test_a_change_of_the_form_is_made_in_place_and_counted() -> None:
    after = changed(Buffer(TEXT), [RANK])
    assert after == Buffer(TEXT.replace("8", "32"), 1, (Op(1, (RANK,)),))
    again = changed(after, [set_value(("name",), "b"), remove(("method",))])
    assert (again.text, again.rev) == ('{\n  "name": "b"\n}\n', 2)


def test_a_change_that_changes_nothing_is_none() -> None:
    buffer = Buffer(TEXT, 3)
    assert changed(buffer, [set_value(("method", "rank"), 8)]) is buffer
    assert changed(buffer, [remove(("training",))]) is buffer


def test_the_form_waits_for_a_text_that_can_be_parsed() -> None:
    with pytest.raises(InvalidRecipe):
        changed(Buffer(TEXT + BROKEN), [RANK])
    with pytest.raises(EditError):
        changed(Buffer(TEXT), [set_value(("name", "rank"), 1)])


def test_typing_is_taken_as_it_stands_and_counts_no_revision() -> None:
    buffer = Buffer(TEXT, 4)
    assert typed(buffer, TEXT, 4) is buffer
    assert typed(buffer, '{"na', 4) == Buffer('{"na', 4)


def test_what_the_form_changed_since_is_made_again_in_what_was_typed() -> None:
    buffer = changed(changed(Buffer(TEXT), [RANK]), [set_value(("seed",), 1)])
    known_first = TEXT.replace("8", "32").replace('"a"', '"mine"')
    after = typed(buffer, known_first, 1)
    assert json.loads(after.text) == {"name": "mine", "method": {"rank": 32}, "seed": 1}
    assert (after.rev, [op.rev for op in after.ops]) == (2, [2])
    assert typed(after, known_first, 1) == after  # the same text may come twice


def test_a_change_waits_while_the_typed_text_cannot_be_parsed() -> None:
    buffer = typed(changed(Buffer(TEXT), [RANK]), TEXT + BROKEN, 0)
    assert (buffer.text, buffer.rev) == (TEXT + BROKEN, 0)
    assert buffer.waiting == (Op(1, (RANK,)),)
    mended = typed(buffer, TEXT, 0)
    assert mended.text == TEXT.replace("8", "32")
    assert (mended.rev, mended.waiting) == (1, ())


def test_what_was_typed_over_the_place_of_a_change_stands() -> None:
    over = TEXT.replace('{"rank": 8}', "5")
    after = typed(changed(Buffer(TEXT), [RANK]), over, 0)
    assert (after.text, after.rev, after.waiting) == (over, 1, ())


def test_revisions_go_on_behind_one_that_waits() -> None:
    waiting = Buffer(TEXT, 0, (Op(1, (RANK,)),))
    assert changed(waiting, [set_value(("name",), "b")]).rev == 2


# ---------------------------------------------------------------- any interleaving


@dataclass
class Server:
    buffer: Buffer = field(default_factory=lambda: Buffer("{}"))
    seen: int = 0
    message: tuple[str, int] | None = None  # the last: it comes again with every run

    def run(self, message: tuple[int, str, int] | None, patch: Change | None) -> bool:
        """One run of the page's script: the form's callback, then what was typed. True where the
        form's change was taken."""
        taken = False
        if patch:
            try:
                self.buffer = changed(self.buffer, [patch])
                taken = True
            except InvalidRecipe:
                pass
        if message:
            self.seen, self.message = message[0], message[1:]
        if self.message:
            self.buffer = typed(self.buffer, *self.message)
        return taken


@dataclass
class Browser:
    """ui/editor/src/editor.js in a few lines."""

    text: str = "{}"
    known: str = "{}"
    rev: int = 0
    count: int = 0
    sent: list[tuple[int, str, int]] = field(default_factory=list)

    def flush(self) -> None:
        if self.text != self.known:
            self.known, self.count = self.text, self.count + 1
            self.sent.append((self.count, self.text, self.rev))

    def receive(self, buffer: Buffer, seen: int) -> None:
        if seen != self.count or self.text != self.known:
            if buffer.rev > self.rev:
                self.flush()
        elif buffer.rev > self.rev:
            self.text = self.known = buffer.text
            self.rev = buffer.rev


ACTIONS = ["type", "break", "mend", "flush", "arrive", "click", "click and arrive", "answer"]


@given(st.lists(st.sampled_from(ACTIONS), max_size=40))
def test_no_interleaving_loses_an_edit(actions: list[str]) -> None:
    server, browser = Server(), Browser()
    answers: list[tuple[Buffer, int]] = []
    wanted: set[str] = set()

    def run(message: tuple[int, str, int] | None, patch: Change | None, key: str) -> None:
        if server.run(message, patch):
            wanted.add(key)
        answers.append((server.buffer, server.seen))

    ending = ["mend", *["flush", "arrive", "answer"] * 8]
    for index, action in enumerate([*actions, *ending]):
        key = f"{action[:5]}-{index}"
        broken = browser.text.endswith(BROKEN)
        if action == "type":
            text = browser.text.removesuffix(BROKEN)
            text = apply(text, "json", [set_value((key,), index)])
            browser.text = text + BROKEN * broken
            wanted.add(key)
        elif action == "break" and not broken:
            browser.text += BROKEN
        elif action == "mend" and broken:
            browser.text = browser.text.removesuffix(BROKEN)
        elif action == "flush":
            browser.flush()
        elif action == "arrive":
            run(browser.sent.pop(0) if browser.sent else None, None, key)
        elif action == "click":
            run(None, set_value((key,), index), key)
        elif action == "click and arrive":
            # reruns that were asked for at once are made as one
            message = browser.sent[-1] if browser.sent else None
            browser.sent.clear()
            run(message, set_value((key,), index), key)
        elif action == "answer":
            while answers:
                browser.receive(*answers.pop(0))
    assert browser.text == server.buffer.text
    assert set(json.loads(browser.text)) == wanted
    assert not server.buffer.waiting

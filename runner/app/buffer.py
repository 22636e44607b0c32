"""The recipe's text between an editor and a form. The text is the truth; both edit it.

What is typed never raises `rev`; a change of the form does, and is kept in `ops`. The browser
says on which `rev` it typed, and what the form changed since is made again in the typed text:
typing and clicking at once loses neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dsl.edit import EditError, apply
from dsl.errors import InvalidRecipe
from dsl.problems import Change

LANGUAGE = "json"


@dataclass(frozen=True, slots=True)
class Op:
    """One change of the form: the patch that made revision `rev`."""

    rev: int
    patch: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Buffer:
    """`rev`: the last of `ops` that the text holds. `ops` are in the order they were made."""

    text: str
    rev: int = 0
    ops: tuple[Op, ...] = ()

    @property
    def waiting(self) -> tuple[Op, ...]:
        """Changes that no reader could make in the text as it was typed: they are made once it
        can be parsed again."""
        return tuple(op for op in self.ops if op.rev > self.rev)


def typed(buffer: Buffer, text: str, base: int) -> Buffer:
    """The text that the browser holds, typed when it knew the revision `base`.

    Later changes are made in it again. One whose place was typed over with something else
    ("method": 5) cannot be made any more: what was typed stands.
    """
    if text == buffer.text and not buffer.waiting:
        return buffer
    rev = base
    for op in buffer.ops:
        if op.rev <= base:
            continue
        try:
            text = apply(text, LANGUAGE, op.patch)
        except InvalidRecipe:
            break
        except EditError:
            pass
        rev = op.rev
    return Buffer(text, rev, tuple(op for op in buffer.ops if op.rev > base))


def changed(buffer: Buffer, patch: Sequence[Change]) -> Buffer:
    """The form's change made in the text, its layout kept.

    Raises InvalidRecipe where the text cannot be parsed, so that the form has to wait, EditError
    where the change cannot be made.
    """
    text = apply(buffer.text, LANGUAGE, patch)
    if text == buffer.text:
        return buffer
    rev = max([buffer.rev, *(op.rev for op in buffer.ops)]) + 1
    return replace(buffer, text=text, rev=rev, ops=(*buffer.ops, Op(rev, tuple(patch))))

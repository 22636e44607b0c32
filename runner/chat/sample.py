"""Questions of a run's own test part, to be asked again."""

from __future__ import annotations

from dataclasses import dataclass

from dsl.errors import DataError
from dsl.rows import Example
from dsl.templates import question
from runner.chat.prompt import PLAIN, adds, fields
from runner.chat.protocol import Turn
from runner.chat.subject import OTHER_VERSION, Subject


@dataclass(frozen=True, slots=True)
class Sample:
    """A test question. `system`: its own system message, None where it has none."""

    id: str
    turns: tuple[Turn, ...]
    reference: str
    system: str | None


def sample(of: Subject, number: int) -> Sample:
    """The test question of this number; behind the last comes the first. Raises DataError."""
    import duckdb

    from runner.data.prepare import count_examples, stream_examples

    part = of.run.part("test")
    try:
        count = count_examples(part)
        found = list(stream_examples(part, 1, skip=number % count)) if count else []
    except duckdb.Error:
        raise DataError(f"the test part cannot be read: {OTHER_VERSION}", "run it again") from None
    if not found:
        raise DataError("the run has no test part", "set data.split.test in the recipe")
    return _of(found[0], of)


def _of(example: Example, of: Subject) -> Sample:
    template = of.recipe.template
    system = example.system or None
    if not example.messages:
        if adds(template):
            read = {**(example.columns or {}), PLAIN: example.prompt}
            given = {name: str(read.get(name, "")) for name in fields(template)}
            turns: tuple[Turn, ...] = (Turn("user", fields=given),)
        else:
            turns = (Turn("user", question(example, template)),)
        return Sample(example.id, turns, example.reference, system)
    last = max(n for n, m in enumerate(example.messages) if m.role == "assistant")
    said = [m for m in example.messages[:last] if m.role in ("user", "assistant")]
    own = [m.content for m in example.messages[:last] if m.role == "system"]
    if example.tools or len(said) + len(own) != last or any(m.tool_calls for m in said):
        raise DataError("it holds calls of functions, which cannot be asked here", None)
    turns = tuple(Turn("user" if m.role == "user" else "assistant", m.content) for m in said)
    return Sample(example.id, turns, example.reference, own[0] if own else system)

"""Questions found while trying a model, kept with their expected answers as test data of a recipe.

They lie in NAME.eval.jsonl beside the recipe, one row a line, in the shape of the recipe's own
rows, so that its template reads both alike.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsl.edit import APPEND
from dsl.errors import DataError, InvalidRecipe, RecipeError
from dsl.problems import Change, set_value
from dsl.recipe import JinjaTemplate, Recipe
from dsl.source import parse
from dsl.templates import undeclared
from runner.app.drafts import inside
from runner.chat.prompt import PLAIN, adds, columns, holds_conversation, optional
from runner.chat.protocol import Turn
from runner.data.formats import Misfit, detect
from runner.runs.store import RunFolder, read_json

SUFFIX = ".eval.jsonl"
RUN = "run"  # the column that names where a row comes from
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """How rows of an eval set look. `asked`: field of a question → its column; empty where rows
    are conversations. `answer`: the column of the expected answer."""

    asked: Mapping[str, str]
    answer: str
    format: str
    columns: Mapping[str, str]

    def question(self, row: Mapping[str, Any]) -> str:
        """What makes two rows the same question: its words."""
        if self.asked:
            said: Any = [str(row.get(column, "")).split() for column in self.asked.values()]
        else:
            turns = row.get("messages")
            said = [
                (turn.get("role"), str(turn.get("content")).split())
                for turn in (turns if isinstance(turns, list) else [])[:-1]
                if isinstance(turn, dict)
            ]
        return json.dumps(said)


def place(folder: Path, run: RunFolder, recipe: Recipe) -> Path:
    """The file, relative to `folder`: beside the run's recipe if that lies in the folder."""
    written = Path(str(read_json(run.run).get("recipe", "")))
    try:
        beside = inside(folder, written).parent
        name = written.stem
    except RecipeError:
        beside, name = Path(), recipe.name
    return inside(folder, folder / beside / f"{name}{SUFFIX}")


def shape(recipe: Recipe, conversations: bool) -> Shape:
    """`conversations`: whether the recipe's own examples are."""
    template = recipe.template
    names = columns(recipe)
    if not adds(template):
        if conversations and holds_conversation(template):
            return Shape({}, "messages", "messages", {})
        return Shape({PLAIN: PLAIN}, "completion", "prompt_completion", {})
    source = recipe.data.train[0] if recipe.data.train else None
    given = source.columns.given() if source else {}
    answer = given.get("output") or given.get("completion") or _written(template) or "completion"
    format = source.format if source and source.format != "auto" else "auto"
    kept = {role: name for role, name in given.items() if name in (*names.values(), answer)}
    return Shape(names, answer, format, kept)


def row(shape: Shape, turns: Sequence[Turn], expected: str, run_id: str, recipe: Recipe) -> Row:
    """The row of a conversation that ends with a question. Raises DataError where the eval set
    cannot hold it, and says why."""
    expected, last = expected.strip(), turns[-1]
    if not expected:
        raise DataError("the expected answer is empty", "write what a good answer would say")
    if not shape.asked:
        said = [{"role": turn.role, "content": turn.text} for turn in turns]
        said.append({"role": "assistant", "content": expected})
        return {"messages": said, RUN: run_id}
    if len(turns) > 1:
        raise DataError(
            "the rows of this recipe hold one question each, not a conversation",
            "ask the question on its own, then add it",
        )
    given = {PLAIN: last.text} if last.fields is None else last.fields
    if (last.fields is None) == adds(recipe.template) or set(given) != set(shape.asked):
        raise DataError(
            "this question was asked without the recipe's template, which rows are put into",
            "ask it through the template, then add it",
        )
    free = optional(recipe.template)
    if blank := [name for name, text in given.items() if not text.strip() and name not in free]:
        raise DataError(f"{', '.join(blank)}: empty", "fill it in")
    made = {column: given[name] for name, column in shape.asked.items()}
    made |= {shape.answer: expected}
    _check_read(shape, made)
    return made | {RUN: run_id}


def rows(folder: Path, path: Path) -> list[Row]:
    """The rows that are there; lines that are no JSON objects are left out."""
    try:
        content = (folder / inside(folder, path)).read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    return _rows(content)


def add(folder: Path, path: Path, shape: Shape, new: Row) -> int:
    """Appends a row, in a new file if there is none. Returns how many there are then.

    Raises DataError for a question that is there already, or where nothing can be written.
    """
    target = folder / inside(folder, path)
    try:
        with target.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # two windows may add at the same time
            file.seek(0)
            content = file.read()
            known = _rows(content)
            asked = shape.question(new)
            for number, old in enumerate(known, 1):
                if shape.question(old) == asked:
                    raise DataError(
                        f"this question is in {path} already, as number {number}",
                        "change its expected answer there, if it should be another",
                    )
            ended = b"" if not content or content.endswith(b"\n") else b"\n"
            file.write(ended + json.dumps(new, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from None
    except UnicodeEncodeError:
        raise DataError("the text holds half a character", "delete and type it again") from None
    return len(known) + 1


def listed(text: str, name: str, recipe: Path, path: Path) -> bool:
    """Whether the text of the recipe at `recipe` names the eval set as test data."""
    here = _seen_from(recipe, path)
    return any(isinstance(one, Mapping) and one.get("path") == here for one in _test(text, name))


def has_test_data(text: str, name: str) -> bool:
    return bool(_test(text, name))


def as_test_data(shape: Shape, recipe: Path, path: Path) -> list[Change]:
    """The patch of the recipe at `recipe` that makes the eval set (part of) its test data."""
    source: dict[str, Any] = {"path": _seen_from(recipe, path)}
    if shape.format != "auto":
        source["format"] = shape.format
    if shape.columns:
        source["columns"] = dict(shape.columns)
    return [set_value(("data", "test", APPEND), source)]


def _seen_from(recipe: Path, path: Path) -> str:
    return Path(os.path.relpath(path, recipe.parent)).as_posix()


def _test(text: str, name: str) -> list[Any]:
    """data.test of a recipe's text; empty where it cannot be read."""
    try:
        data = parse(text, name).values.get("data")
    except InvalidRecipe:
        return []
    found = data.get("test") if isinstance(data, Mapping) else None
    return found if isinstance(found, list) else []


def _check_read(shape: Shape, made: Row) -> None:
    """Raises DataError where the recipe would not read the row as one."""
    found = detect([made], _Given(shape.columns), shape.format)
    if isinstance(found, Misfit):
        raise DataError(
            f"such a row could not be read by the recipe: {found.message}",
            "name the columns of data.train in the recipe, then run it again",
        )


@dataclass(frozen=True, slots=True)
class _Given:
    columns: Mapping[str, str]

    def given(self) -> dict[str, str]:
        return dict(self.columns)


def _written(template: Any) -> str | None:
    """The one name that a jinja template's answer reads."""
    names = undeclared(template.completion) if isinstance(template, JinjaTemplate) else []
    return names[0] if len(names) == 1 else None


def _rows(content: bytes) -> list[Row]:
    found = []
    for line in content.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found

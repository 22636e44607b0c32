"""A recipe written from data, and the checks of data that has no recipe yet."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsl.errors import InvalidRecipe, RecipeError
from dsl.problems import Problem, errors
from dsl.rules import RULES
from dsl.source import parse
from runner.data.look import Asked
from runner.probe import Surroundings
from runner.propose import Proposal, home, propose
from runner.read import Read, holds_recipe, judge, with_sets
from runner.show import problem_lines


@dataclass(frozen=True, slots=True)
class Begun:
    """A recipe that was written. `problems`: what 'recipe validate' says of it."""

    path: Path
    proposal: Proposal
    problems: tuple[Problem, ...]
    allowed: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "recipe": str(self.path),
            "evidence": list(self.proposal.evidence),
            "reasons": [{"path": path, "why": why} for path, why in self.proposal.reasons],
            "missing": self.proposal.missing,
            "problems": [problem.to_json() for problem in self.problems],
            "next": self.next_verbs(),
        }

    def lines(self) -> Iterator[str]:
        yield f"wrote {self.path}"
        yield ""
        yield from self.proposal.evidence
        yield ""
        width = max(len(path) for path, _ in self.proposal.reasons)
        yield from (f"{path:<{width}}  {why}" for path, why in self.proposal.reasons)
        if self.proposal.missing:
            yield from ("", self.proposal.missing)
        # what is missing is said already, in fewer words
        if told := [problem for problem in self.problems if problem.severity != "error"]:
            yield from ("", *problem_lines(told, str(self.path)))
        yield ""
        yield from (f"next: {verb}" for verb in self.next_verbs())

    def next_verbs(self) -> list[str]:
        """The commands that come next."""
        words = [shlex.quote(str(self.path)), *(f"--allow {shlex.quote(a)}" for a in self.allowed)]
        verbs = ("check",) if self.proposal.missing else ("check", "plan", "run")
        return [f"recipe {verb} {' '.join(words)}" for verb in verbs]


def begin(data: Path, into: Path | None, asked: Asked, allowed: tuple[str, ...] = ()) -> Begun:
    """Writes a recipe for `data`: beside it, or where `into` says, a folder or a .json file.

    Raises DataError where the data cannot be used; RecipeError for a recipe instead of data, for
    a place that is taken, and for data outside the recipe's folder that is not allowed.
    """
    if holds_recipe(data):
        raise RecipeError(f"'{data}' is a recipe, not data", f"'recipe plan {data}' shows its plan")
    folder, file = _place(data, into)
    outside = not _lies_in(data, folder)
    if outside and not any(_lies_in(data, Path(top)) for top in allowed):
        raise RecipeError(
            f"'{data}' lies outside of '{folder}', where the recipe would be",
            "leave --into out, and it is written beside the data; or --allow the data's folder",
        )
    proposal = propose(data, folder, asked)
    path = _free(folder / (file or f"{proposal.name}.json"), data, chosen=file is not None)
    # the whole is judged before a byte is written
    source = parse(proposal.text, path.name)
    judge(source, Surroundings(folder.resolve(), allowed), RULES).valid()
    problems = judge(source, Surroundings(folder.resolve(), allowed)).problems
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as out:
            out.write(proposal.text)
    except OSError as error:
        raise RecipeError(f"'{path}' cannot be written: {error.strerror}") from error
    return Begun(path, proposal, problems, allowed if outside else ())


def draft(
    data: Path, asked: Asked, sets: tuple[str, ...] = (), remote: bool = False
) -> tuple[Proposal, Read]:
    """The recipe that data would get, for checks alone. Raises DataError, InvalidRecipe."""
    folder = home(data)
    proposal = propose(data, folder, asked, train=False)
    source = with_sets(parse(proposal.text, f"{proposal.name}.json"), sets)
    found = judge(source, Surroundings(folder.resolve(), (), remote), RULES)
    if errors(found.problems):
        raise InvalidRecipe(found.problems)
    return proposal, found


def _place(data: Path, into: Path | None) -> tuple[Path, str | None]:
    """The folder, and the file's name where the user gave one."""
    if into is None:
        return home(data), None
    return (into.parent, into.name) if into.suffix.lower() == ".json" else (into, None)


def _free(path: Path, data: Path, chosen: bool) -> Path:
    """The path, if nothing lies there. A data file called data.json has the name already."""
    taken = path.exists()
    if taken and not chosen and data.exists() and path.samefile(data):
        path = path.with_name(f"{path.stem}-recipe.json")
        taken = path.exists()
    if taken:
        raise RecipeError(f"'{path}' is there already", "choose another place by --into PATH.json")
    return path


def _lies_in(path: Path, folder: Path) -> bool:
    return Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder))

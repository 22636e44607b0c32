"""What the rules share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dsl.facts import Facts
from dsl.problems import Path, Problem, did_you_mean
from dsl.recipe import Recipe

Found = Iterator[Problem]
Rule = Callable[[Recipe, Facts], Found]


def has_part(recipe: Recipe, part: str) -> bool:
    return bool(getattr(recipe.data, part)) or getattr(recipe.data.split, part) > 0


def no_column(path: Path, column: str, known: tuple[str, ...], complete: bool) -> Problem:
    return Problem(
        path,
        f"no column '{column}' in the data" + ("" if complete else " (first rows)"),
        did_you_mean(column, known) or f"the columns: {', '.join(sorted(known)[:20])}",
        severity="error" if complete else "warning",
    )


def formats_of(recipe: Recipe, facts: Facts) -> dict[Path, str]:
    """Source → the format that its rows were found to have, or that the recipe says."""
    declared = {path: source.format for path, _, source in recipe.data.sources()}
    return declared | {known.path: known.format for known in facts.sources if known.format}

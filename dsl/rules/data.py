"""Sources, columns, split and mix."""

from __future__ import annotations

from pathlib import PurePosixPath

from dsl.facts import Facts
from dsl.problems import Path, Problem, remove, set_value
from dsl.recipe import Recipe
from dsl.rows import FORMATS, OPTIONAL
from dsl.rules.common import Found, no_column


def paths_stay_inside(recipe: Recipe, facts: Facts) -> Found:
    for path, _, source in recipe.data.sources():
        file = PurePosixPath(source.path)
        if ".." in file.parts:
            yield Problem(
                (*path, "path"),
                f"'{source.path}' leaves the recipe's folder",
                "put the file beside the recipe, or give its absolute path and --allow its folder",
            )
        elif file.is_absolute() and not any(file.is_relative_to(top) for top in facts.allowed):
            yield Problem(
                (*path, "path"),
                f"'{source.path}' lies outside the recipe's folder",
                f"allow it on the command line: --allow {file.parent}",
            )


def source_not_on_both_sides(recipe: Recipe, facts: Facts) -> Found:
    seen: dict[str, str] = {}
    for path, part, source in recipe.data.sources():
        where = seen.setdefault(str(PurePosixPath(source.path)), part)
        if where != part:
            yield Problem(
                (*path, "path"),
                f"'{source.path}' stands in data.{where} and in data.{part}",
                "a model judged on rows that it learned looks better than it is: remove one",
                (remove(path),),
            )


def columns_fit_format(recipe: Recipe, facts: Facts) -> Found:
    for path, _, source in recipe.data.sources():
        if source.format == "auto":
            continue
        allowed = {*FORMATS[source.format], *OPTIONAL[source.format]}  # type: ignore[index]
        for role in source.columns.given():
            if role not in allowed:
                yield Problem(
                    (*path, "columns", role),
                    f"format {source.format} has no '{role}'",
                    f"its parts: {', '.join(sorted(allowed))}",
                    (remove((*path, "columns", role)),),
                )


def mapped_columns_exist(recipe: Recipe, facts: Facts) -> Found:
    by_path = {known.path: known for known in facts.sources}
    for path, _, source in recipe.data.sources():
        known = by_path.get(path)
        if known is None or not known.columns:
            continue
        for role, column in source.columns.given().items():
            if column not in known.columns:
                yield no_column((*path, "columns", role), column, known.columns, known.complete)


def group_column_exists(recipe: Recipe, facts: Facts) -> Found:
    column = recipe.data.split.group_by
    for known in facts.sources:
        if column and known.part == "train" and known.columns and column not in known.columns:
            path: Path = ("data", "split", "group_by")
            yield no_column(path, column, known.columns, known.complete)
            return


def mix_leaves_room(recipe: Recipe, facts: Facts) -> Found:
    total = sum(source.share for source in recipe.data.mix)
    if total >= 0.95:
        yield Problem(
            ("data", "mix"),
            f"the shares of data.mix add up to {total:g}: nothing is left for the task",
            "lower them: 5 to 20 percent of general data keep a model from forgetting",
        )
    elif total > 0.5:
        yield Problem(
            ("data", "mix"),
            f"{total:.0%} of the training rows are general data",
            "5 to 20 percent is usual; more leaves less of the task to learn",
            severity="warning",
        )


def split_leaves_training(recipe: Recipe, facts: Facts) -> Found:
    split = recipe.data.split
    validation = 0 if recipe.data.validation else split.validation
    test = 0 if recipe.data.test else split.test
    if validation + test > 0.6:
        path: Path = ("data", "split")
        yield Problem(
            path,
            f"validation and test take {validation + test:.0%} of the rows",
            "set them to 0.05 and 0.15, which leaves enough to learn from",
            (set_value((*path, "validation"), 0.05), set_value((*path, "test"), 0.15)),
        )

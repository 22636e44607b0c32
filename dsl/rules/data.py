"""Sources, columns, split and mix."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from dsl.facts import Facts
from dsl.problems import Path, Problem, remove, set_value
from dsl.recipe import DatabaseSource, FileSource, HubSource, Recipe, Source
from dsl.rows import FORMATS, OPTIONAL
from dsl.rules.common import Found, no_column

# how a statement begins that has rows and changes nothing
READING = ("select", "with", "from", "values", "table")


def paths_stay_inside(recipe: Recipe, facts: Facts) -> Found:
    for path, _, source in recipe.data.sources():
        if isinstance(source, HubSource) or stays_inside(source.path, facts.allowed):
            continue
        file = PurePosixPath(source.path)
        if ".." in file.parts:
            yield Problem(
                (*path, "path"),
                f"'{source.path}' leaves the recipe's folder",
                "put the file beside the recipe, or give its absolute path and --allow its folder",
            )
        else:
            yield Problem(
                (*path, "path"),
                f"'{source.path}' lies outside the recipe's folder",
                f"allow it on the command line: --allow {file.parent}",
            )


def stays_inside(path: str, allowed: tuple[str, ...]) -> bool:
    """Whether a path lies in the recipe's folder, or in one that is allowed. Links are followed by
    who opens it."""
    file = PurePosixPath(path)
    if ".." in file.parts:
        return False
    return not file.is_absolute() or any(file.is_relative_to(top) for top in allowed)


def source_not_on_both_sides(recipe: Recipe, facts: Facts) -> Found:
    seen: list[tuple[str, Source]] = []
    for path, part, source in recipe.data.sources():
        for where, other in seen:
            if where != part and _same_rows(other, source):
                yield Problem(
                    (*path, "dataset" if isinstance(source, HubSource) else "path"),
                    f"'{source.name}' stands in data.{where} and in data.{part}",
                    "a model judged on rows that it learned looks better than it is: remove one",
                    (remove(path),),
                )
                break
        seen.append((part, source))


def _same_rows(left: Source, right: Source) -> bool:
    """Whether two sources read rows of one place, as far as the recipe alone tells."""
    if isinstance(left, FileSource) and isinstance(right, FileSource):
        return _covers(left.path, right.path) or _covers(right.path, left.path)
    return _place(left) == _place(right)


def _place(source: Source) -> tuple[str | None, ...]:
    if isinstance(source, HubSource):
        return source.type, source.dataset, source.config, source.split
    return source.type, source.path, getattr(source, "query", None)


def _covers(outer: str, inner: str) -> bool:
    """Whether `outer` is the file `inner`, its folder or a pattern that takes it in."""
    pattern, names = PurePosixPath(outer).parts, PurePosixPath(inner).parts
    if len(pattern) != len(names):
        return pattern == names[:-1]
    return all(fnmatchcase(name, part) for name, part in zip(names, pattern, strict=True))


def weights_on_all_or_none(recipe: Recipe, facts: Facts) -> Found:
    weighted = [source.weight is not None for source in recipe.data.train]
    if any(weighted) and not all(weighted):
        without = ("data", "train", weighted.index(False))
        yield Problem(
            without,
            "this source has no weight, another source of data.train has one",
            "give every source a weight, or none: then all rows of all sources are used",
            tuple(
                remove(("data", "train", index, "weight"))
                for index, has in enumerate(weighted)
                if has
            ),
        )


def hub_data_is_pinned(recipe: Recipe, facts: Facts) -> Found:
    for path, _, source in recipe.data.sources():
        if isinstance(source, HubSource) and source.revision is None:
            yield Problem(
                (*path, "dataset"),
                f"'{source.dataset}' without a revision may have other rows at the next run",
                "set revision to a commit; the lock of a run names the one that was read",
                severity="warning",
            )


def query_only_reads(recipe: Recipe, facts: Facts) -> Found:
    for path, _, source in recipe.data.sources():
        if not isinstance(source, DatabaseSource):
            continue
        # comments and brackets may stand before the first word
        first = re.match(r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*(\w*)", source.query, re.S)
        if first and first[1].lower() not in READING:
            yield Problem(
                (*path, "query"),
                f"a query that begins with '{first[1]}' is not one that only reads",
                "write a SELECT: its rows are the examples",
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
    columns = {path: source.columns.given() for path, _, source in recipe.data.sources()}
    for known in facts.sources:
        for role, column in columns.get(known.path, {}).items():
            if known.columns and column not in known.columns:
                where: Path = (*known.path, "columns", role)
                yield no_column(where, column, known.columns, known.complete)


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
            "lower them: 5 to 10 percent of general data keep a model from forgetting",
        )
    elif total > 0.5:
        yield Problem(
            ("data", "mix"),
            f"{total:.0%} of the training rows are general data",
            "5 to 10 percent is usual; more leaves less of the task to learn",
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

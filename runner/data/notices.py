"""NOTICES: warnings about the data that have no threshold in the recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from dsl.facts import PartFacts
from dsl.recipe import Data
from runner.data.checks import Finding, notice, percent
from runner.data.load import SourceReport
from runner.data.split import Placed

FEW_TEST_ROWS = 100


@dataclass(frozen=True, slots=True)
class Told:
    data: Data
    reports: tuple[SourceReport, ...]
    placed: Placed
    parts: Mapping[str, PartFacts]


def notices(
    data: Data,
    reports: tuple[SourceReport, ...],
    placed: Placed,
    parts: Mapping[str, PartFacts],
) -> tuple[Finding, ...]:
    told = Told(data, reports, placed, parts)
    return tuple(finding for rule in NOTICES for finding in rule(told))


def no_test_part(told: Told) -> Iterator[Finding]:
    if not told.parts["test"].rows:
        yield notice(
            "no_test_part",
            "rows of the test part",
            "nothing is held out for the test, so nothing can be said about the result",
            _more_clusters(told, "test"),
            0,
        )


def no_validation_part(told: Told) -> Iterator[Finding]:
    asked = told.data.validation or told.data.split.validation
    if asked and not told.parts["validation"].rows:
        yield notice(
            "no_validation_part",
            "rows of the validation part",
            "no row is left for validation, so no checkpoint can be chosen by it",
            _more_clusters(told, "validation"),
            0,
        )


def small_test_part(told: Told) -> Iterator[Finding]:
    test = told.parts["test"]
    if 0 < test.rows < FEW_TEST_ROWS:
        groups = f" in {test.groups} groups" if test.groups < test.rows else ""
        yield notice(
            "small_test_part",
            f"rows of the test part, where under {FEW_TEST_ROWS}",
            f"the test part has {test.rows} row{'s' * (test.rows != 1)}{groups}: "
            "only large differences will show",
            "raise data.split.test or add test rows",
            test.rows,
        )


def part_far_from_share(told: Told) -> Iterator[Finding]:
    split = told.data.split
    total = sum(report.rows for report in told.reports if report.part == "train")
    for part, share in (("test", split.test), ("validation", split.validation)):
        rows = told.parts[part].rows
        near = abs(rows - share * total) <= max(1, share * total / 2)
        if near or not rows or getattr(told.data, part):
            continue
        yield notice(
            f"{part}_part_far_from_share",
            f"rows of the {part} part, where off its share by more than half",
            f"the {part} part has {rows} of {total} rows ({percent(rows / total)}) instead of "
            f"{percent(share)}, because groups and equal prompts stay whole",
            "use a finer data.split.group_by, or give the part a file of its own",
            rows,
            total,
        )


def groups_united(told: Told) -> Iterator[Finding]:
    if told.placed.united:
        yield notice(
            "groups_united",
            "groups that share a prompt with another group and so stay on its side",
            f"{told.placed.united} groups are held together by prompts they share",
            "see whether data.split.group_by names the right column",
            told.placed.united,
        )


def rows_without_group(told: Told) -> Iterator[Finding]:
    column = told.data.split.group_by
    if column is None:
        return
    reports = [report for report in told.reports if report.part == "train"]
    total = sum(report.rows for report in reports)
    without = total - told.placed.grouped
    if without:
        yield notice(
            "rows_without_group",
            "rows of data.train without a value in the column of data.split.group_by",
            f"{without} of {total} rows have no '{column}' and are split one by one",
            f"fill in '{column}'",
            without,
            total,
        )


def mix_too_small(told: Told) -> Iterator[Finding]:
    for mix in told.placed.mix:
        if mix.taken < mix.wanted:
            yield notice(
                "mix_too_small",
                "rows taken of a source of data.mix, where too few for its share",
                f"{mix.name} has {mix.available} rows; a share of {percent(mix.share)} "
                f"needs {mix.wanted}, so all of them are taken",
                "lower the share, add rows, or set repeat to true",
                mix.taken,
                mix.wanted,
            )


NOTICES: tuple[Callable[[Told], Iterator[Finding]], ...] = (
    no_test_part,
    no_validation_part,
    small_test_part,
    part_far_from_share,
    groups_united,
    rows_without_group,
    mix_too_small,
)


def _more_clusters(told: Told, part: str) -> str:
    if getattr(told.data, part):
        return f"put rows into data.{part}"
    if not getattr(told.data.split, part):
        return f"set data.split.{part}"
    return "more rows, or a finer data.split.group_by, are needed to hold some out"

"""NOTICES: warnings about split and mix that have no threshold in the recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from runner.data.checks.finding import Finding, Read, Said, percent


def notices(read: Read) -> tuple[Finding, ...]:
    return tuple(finding for rule in NOTICES for finding in rule(read))


def no_validation_part(read: Read) -> Iterator[Finding]:
    asked = read.data.validation or read.data.split.validation
    if asked and not read.parts["validation"].rows:
        yield _notice(
            "no_validation_part",
            "rows of the validation part",
            "no row is left for validation, so no checkpoint can be chosen by it",
            _more_clusters(read, "validation"),
            0,
        )


def part_far_from_share(read: Read) -> Iterator[Finding]:
    split = read.data.split
    total = sum(report.rows for report in read.reports if report.part == "train")
    for part, share in (("test", split.test), ("validation", split.validation)):
        rows = read.parts[part].rows
        near = abs(rows - share * total) <= max(1, share * total / 2)
        if near or not rows or getattr(read.data, part):
            continue
        yield _notice(
            f"{part}_part_far_from_share",
            f"rows of the {part} part, where off its share by more than half",
            f"the {part} part has {rows} of {total} rows ({percent(rows / total)}) instead of "
            f"{percent(share)}, because groups and equal prompts stay whole",
            "use a finer data.split.group_by, or give the part a file of its own",
            rows,
            total,
        )


def groups_united(read: Read) -> Iterator[Finding]:
    if read.placed.united:
        yield _notice(
            "groups_united",
            "groups that share a prompt with another group and so stay on its side",
            f"{read.placed.united} groups are held together by prompts they share",
            "see whether data.split.group_by names the right column",
            read.placed.united,
        )


def rows_without_group(read: Read) -> Iterator[Finding]:
    column = read.data.split.group_by
    if column is None:
        return
    reports = [report for report in read.reports if report.part == "train"]
    total = sum(report.rows for report in reports)
    without = total - read.placed.grouped
    if without:
        yield _notice(
            "rows_without_group",
            "rows of data.train without a value in the column of data.split.group_by",
            f"{without} of {total} rows have no '{column}' and are split one by one",
            f"fill in '{column}'",
            without,
            total,
        )


def mix_too_small(read: Read) -> Iterator[Finding]:
    for mix in read.placed.mix:
        if mix.taken < mix.wanted:
            yield _notice(
                "mix_too_small",
                "rows taken of a source of data.mix, where too few for its share",
                f"{mix.name} has {mix.available} rows; a share of {percent(mix.share)} "
                f"needs {mix.wanted}, so all of them are taken",
                "lower the share, add rows, or set repeat to true",
                mix.taken,
                mix.wanted,
            )


NOTICES: tuple[Callable[[Read], Iterator[Finding]], ...] = (
    no_validation_part,
    part_far_from_share,
    groups_united,
    rows_without_group,
    mix_too_small,
)


def _more_clusters(read: Read, part: str) -> str:
    if getattr(read.data, part):
        return f"put rows into data.{part}"
    if not getattr(read.data.split, part):
        return f"set data.split.{part}"
    return "more rows, or a finer data.split.group_by, are needed to hold some out"


def _notice(
    check: str, definition: str, message: str, hint: str, count: int, total: int | None = None
) -> Finding:
    return Said(check, definition).measured("warn", "none", message, hint, count, total)

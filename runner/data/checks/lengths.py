"""Checks of lengths in characters: outliers, prompt against answer, chosen against rejected."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, exp, floor, log

from dsl.thresholds import DisparityCheck, OutlierCheck, ShareCheck
from runner.data.checks.finding import Finding, Read, Said, percent

NARROW = 1.5  # the least spread of the quartiles: where all lengths are alike, one more is no fault
LONGEST = 2**31 - 1  # what a length can be at most
ROUNDING = 1e-9
SHORT = 50  # a name or a word is a fair answer to a long text

OUTLIERS = Said(
    "length_outliers",
    "rows whose prompt or answer lies more than the fence beyond the quartiles of all, in "
    f"interquartile ranges of the logarithm of the characters (at least that of {NARROW} times); "
    "blanks, labels and data.mix not counted",
)
DISPARITY = Said(
    "length_disparity",
    f"rows whose prompt and answer both have {SHORT} characters or more, one of them at least the "
    "ratio times those of the other; labels and data.mix not counted",
)
LENGTH_BIAS = Said(
    "length_bias",
    "preference pairs whose chosen answer has more characters than the rejected one, or those "
    "where it has fewer, whichever are more",
)
# text, its length, and which rows have one that can be compared
SIDES = (
    ("prompt", "prompt_length", "not general and not blank_prompt"),
    ("answer", "completion_length", "not general and not blank_completion and label is null"),
)


def length_outliers(read: Read, limits: OutlierCheck) -> Finding:
    """The fences are those of Tukey (1977, Exploratory Data Analysis), on logarithms because
    lengths are about log-normal."""
    outside: list[str] = []
    beyond: list[str] = []
    notes: list[str] = []
    usual: list[str] = []
    for side, length, comparable in SIDES:
        quartiles = _quartiles(read, length, comparable)
        if quartiles is None:
            continue
        low, high = fences(*quartiles, limits.fence)
        outside.append(f"({comparable} and {length} not between {low} and {high})")
        far = f"greatest({low} / {length}, {length} / {high})"
        beyond.append(f"case when {comparable} then {far} else 0 end")
        notes.append(
            f"case when {beyond[-1]} > 1 then format('{side} of {{:,}} character{{}}', {length},"
            f" if({length} = 1, '', 's')) end"
        )
        usual.append(f"{side}s from {low:,} to {high:,} characters")
    if beyond:
        furthest = f"greatest({', '.join(beyond)})"
        read.note(
            "length_outliers",
            f"select id, line, name, concat_ws(', ', {', '.join(notes)}) as note"
            f" from final where {' or '.join(outside)} order by {furthest} desc, source, line",
        )
    total = read.count("select count(*) from placed where not general")
    hint = "look at these rows: texts cut off or run together show here"
    remark = "outside " + " and ".join(usual)
    return OUTLIERS.share(read, limits, total, "rows", hint, remark=remark)


def fences(first: int, third: int, fence: float) -> tuple[int, int]:
    """The least and the greatest length inside the fences. Quartiles are at least 1."""
    reach = fence * log(max(third / first, NARROW))
    low = ceil(exp(log(first) - reach) * (1 - ROUNDING))
    high = floor(exp(min(log(third) + reach, log(LONGEST))) * (1 + ROUNDING))
    return max(low, 1), min(high, LONGEST)


def _quartiles(read: Read, length: str, comparable: str) -> tuple[int, int] | None:
    (found,) = read.connection.execute(
        f"select quantile_disc({length}, [0.25, 0.75]) from placed where {comparable}"
    ).fetchall()[0]
    return (found[0], found[1]) if found else None


def length_disparity(read: Read, limits: DisparityCheck) -> Finding:
    long = int(SHORT * limits.ratio)  # what the longer side has at least: settles most rows
    read.note(
        "length_disparity",
        "select id, line, name, format('{} of {:,} characters, {} of {:,}',"
        " if(longer, 'answer', 'prompt'), most, if(longer, 'prompt', 'answer'), least) as note"
        " from (select *, completion_length > prompt_length as longer,"
        "  greatest(prompt_length, completion_length) as most,"
        "  least(prompt_length, completion_length) as least"
        "  from final where not general and label is null"
        f"  and (prompt_length >= {long} or completion_length >= {long}))"
        f" where least >= {SHORT} and most >= {limits.ratio} * least"
        " order by most / least desc, source, line",
    )
    total = read.count("select count(*) from placed where not general")
    hint = "look at these rows: are both texts whole, and do they belong together?"
    remark = f"one side is at least {limits.ratio:g} times as long"
    return DISPARITY.share(read, limits, total, "rows", hint, remark=remark)


def length_bias(read: Read, limits: ShareCheck) -> Finding:
    pairs, longer, shorter = read.connection.execute(
        "select count(*), count(*) filter (completion_length > rejected_length),"
        " count(*) filter (completion_length < rejected_length)"
        " from placed where rejected_length is not null and not general"
    ).fetchall()[0]
    hint = "add pairs where the better answer is the shorter one, or drop some where it is longer"
    if shorter > longer:
        hint = "add pairs where the better answer is the longer one, or drop some of the others"
    finding = LENGTH_BIAS.judged(limits, max(longer, shorter), pairs, (), "pairs", hint)
    if not pairs:
        return LENGTH_BIAS.silent("pass", "no preference pairs", finding.threshold)
    message = (
        f"chosen is longer in {longer:,} of {pairs:,} pairs ({percent(longer / pairs)}), "
        f"shorter in {shorter:,}"
    )
    return replace(finding, message=message)

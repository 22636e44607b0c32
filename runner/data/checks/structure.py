"""Checks of what was read: lines, columns, blanks, turns, tool calls, sizes."""

from __future__ import annotations

from math import sqrt

from dsl.thresholds import HeldOutCheck, MixShareCheck, ShareCheck, SizeCheck
from runner.data.checks.finding import Finding, Read, Said, State, listed, percent

MALFORMED = Said("malformed", "records that cannot be used, in all sources")
COLUMNS = Said(
    "columns",
    "rows with a key that stands twice, that first comes after the first 1,000 rows, "
    "or whose value is of another type than in most rows",
)
MISSING = Said("missing", "rows whose prompt or answer is blank")
ROLES = Said(
    "roles",
    "conversations with an unknown role, a system turn that is not first, turns out of order, "
    "or no answer at the end",
)
TOOL_CALLS = Said(
    "tool_calls",
    "conversations with arguments that are not JSON, a call of an undefined function, "
    "or a result without its call",
)
SIZE = Said("size", "rows of the training part without data.mix")
TEST_PART = Said("test_part", "rows of the test part, of all rows without data.mix")
MIX_SHARE = Said("mix_share", "share of data.mix in the training part, where declared")


def malformed(read: Read, limits: ShareCheck) -> Finding:
    name = read.rows.names("source")
    read.note(
        "malformed",
        f"select {name} || ':' || line as id, line, {name} as name, refusal as note"
        " from refused order by source, line",
    )
    total = sum(report.records - report.blank for report in read.reports)
    hint = "correct these lines or remove them"
    return MALFORMED.share(read, limits, total, "records", hint)


def columns(read: Read, limits: ShareCheck) -> Finding:
    odd = "(from placed join shapes using (source, shape) where copy = 0)"
    read.note(
        "columns",
        f"select id, line, name, remark as note from ({read.named(odd)}) order by source, line",
    )
    total = read.count("select count(*) from placed where copy = 0")
    hint = "write every row with the same keys and types"
    return COLUMNS.share(read, limits, total, "rows", hint)


def missing(read: Read, limits: ShareCheck) -> Finding:
    bare = read.rows.by_source([opened.found.format == "text" for opened in read.rows.opened])
    read.note(
        "missing",
        "select id, line, name, case when no_answer and no_prompt then 'no prompt and no answer'"
        " when no_answer then 'no answer' when no_prompt then 'no prompt'"
        " else 'no rejected answer' end as note from ("
        f" select *, blank_prompt and not {bare} as no_prompt, blank_completion as no_answer"
        " from (from final where copy = 0"
        "  and (blank_prompt or blank_completion or rejected_length = 0)))"
        " where no_prompt or no_answer or rejected_length = 0 order by source, line",
    )
    total = read.count("select count(*) from placed where copy = 0")
    return MISSING.share(read, limits, total, "rows", "fill in or remove these rows")


def roles(read: Read, limits: ShareCheck) -> Finding:
    return _turns(read, limits, ROLES, "put the turns in order: system, user, assistant, user, ...")


def tool_calls(read: Read, limits: ShareCheck) -> Finding:
    hint = "give every call JSON arguments and a function of the row's tools"
    return _turns(read, limits, TOOL_CALLS, hint, "calls")


def _turns(read: Read, limits: ShareCheck, said: Said, hint: str, column: str = "roles") -> Finding:
    talks = [opened.conversation for opened in read.rows.opened]
    if not any(talks):
        return said.silent("pass", "no conversations in the data")
    name, talk = read.rows.names("source"), read.rows.by_source(talks)
    read.note(
        said.check,
        f"select id, line, name, note from ("
        f" select {name} || ':' || line as id, line, {name} as name, {column} as note, source"
        f" from refused where {column} is not null union all by name"
        f" select id, line, name, {column} as note, source from final"
        f" where {column} is not null and copy = 0) order by source, line",
    )
    total = read.count(
        f"select (select count(*) from placed where {talk} and copy = 0)"
        f" + (select count(*) from refused where {talk})"
    )
    return said.share(read, limits, total, "conversations", hint)


def size(read: Read, limits: SizeCheck) -> Finding:
    rows = read.count("select count(*) from placed where part = 'train' and not general")
    state: State = "pass"
    if limits.error_below is not None and rows < limits.error_below:
        state = "error"
    elif limits.warn_below is not None and rows < limits.warn_below:
        state = "warn"
    bounds = (("warn", limits.warn_below), ("error", limits.error_below))
    threshold = ", ".join(f"{word} below {bound}" for word, bound in bounds if bound is not None)
    message = f"{rows:,} training row{'s' * (rows != 1)}"
    if state == "pass" and limits.info_below is not None and rows < limits.info_below:
        message += f"; from {limits.info_below:,} on, results are steadier"
    hint = "add examples; under a few hundred little is learnt"
    return SIZE.measured(state, threshold or "none", message, hint, rows)


def test_part(read: Read, limits: HeldOutCheck) -> Finding:
    rows = read.parts["test"].rows
    total = read.count("select count(*) from placed where not general")
    share = rows / total if total else 0.0
    bounds = (
        (limits.error_below, "error below {} rows"),
        (limits.warn_below, "warn below {} rows"),
        (limits.warn_above_share and percent(limits.warn_above_share), "warn above {}"),
    )
    said = ", ".join(words.format(bound) for bound, words in bounds if bound is not None)
    state: State = "pass"
    hint = None
    if limits.error_below is not None and rows < limits.error_below:
        state, hint = "error", _more_test_rows(read)
    elif limits.warn_below is not None and rows < limits.warn_below:
        state, hint = "warn", _more_test_rows(read)
    elif limits.warn_above_share is not None and share > limits.warn_above_share:
        state, hint = "warn", "lower data.split.test: these rows are not learnt from"
    message = "nothing is held out for the test, so nothing can be said about the result"
    if rows:
        units = min(rows, read.parts["test"].groups)
        groups = f" in {units:,} groups" if units < rows else ""
        message = (
            f"{rows:,} row{'s' * (rows != 1)}{groups} ({percent(share)}); "
            f"a rate must differ by about {percent(smallest_difference(units))} to show"
        )
    return TEST_PART.measured(state, said or "none", message, hint, rows, total)


def _more_test_rows(read: Read) -> str:
    if read.data.test:
        return "put more rows into data.test"
    if not read.data.split.test:
        return "set data.split.test"
    return "raise data.split.test, add rows, or choose a finer data.split.group_by"


def smallest_difference(units: int) -> float:
    """Half the 95% interval of a rate of one half over `units` independent rows or groups: the
    smallest difference of rates that such a test can tell from chance (normal approximation)."""
    return min(1.0, 1.96 * sqrt(0.25 / units))


def mix_share(read: Read, limits: MixShareCheck) -> Finding:
    bounds = [
        f"warn {word} {percent(bound)}"
        for word, bound in (("below", limits.warn_below), ("above", limits.warn_above))
        if bound is not None
    ]
    threshold = ", ".join(bounds) or "none"
    if not read.data.mix:
        return MIX_SHARE.silent("pass", "no general data is mixed in", threshold)
    total = read.parts["train"].rows
    mixed = read.count("select count(*) from placed where general")
    share = mixed / total if total else 0.0
    low = limits.warn_below is not None and mixed < limits.warn_below * total - 1
    # a share of 10% comes out a little above or below in whole rows
    high = limits.warn_above is not None and mixed > limits.warn_above * total + 1
    names = listed([source.name for source in read.data.mix])
    message = f"{mixed:,} of {total:,} training rows ({percent(share)}) are from {names}"
    hint = "5 to 10% keeps general skill without crowding out the task"
    return MIX_SHARE.measured(
        "warn" if low or high else "pass", threshold, message, hint, mixed, total
    )

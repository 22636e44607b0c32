"""Data checks: what each counts, exactly, and whether that is too much."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from dsl.recipe import Checks, ShareCheck, SizeCheck
from runner.data.load import SourceReport

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

State = Literal["pass", "warn", "error", "not_run", "off"]
SCHEMA_VERSION = 1
SHOWN_ROWS = 20
SAID_ROWS = 3
GLYPHS: dict[State, str] = {"pass": "ok", "warn": "!", "error": "x", "not_run": "-", "off": "-"}


@dataclass(frozen=True, slots=True)
class FoundRow:
    """One row that a check found. `note` says why, or where its twin stands. A check that knows
    ids only leaves line and source open."""

    id: str
    line: int | None
    source: str | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict of one check. count of total; None where nothing was counted.

    `rows` holds the first 20; all of them are in findings.parquet. `how` a number was got: exact.
    """

    check: str
    state: State
    definition: str
    threshold: str
    count: int | None
    total: int | None
    share: float | None
    rows: tuple[FoundRow, ...]
    how: str
    message: str
    hint: str | None


@dataclass(frozen=True, slots=True)
class Read:
    """What a check may look at."""

    connection: DuckDBPyConnection
    reports: tuple[SourceReport, ...]


DEFINITIONS = {
    "malformed": "records that are not a row of their format, in all sources",
    "missing": "rows whose prompt or answer is blank",
    "duplicates": "rows beyond the first with the same prompt, answer and system message, "
    "compared in NFC, lower case, blanks as one space; data.mix not counted",
    "leakage": "rows of validation or test whose prompt stands in training or data.mix, "
    "or of test in validation; compared as duplicates are",
    "truncation": "rows that lose tokens of the answer at training.max_length",
    "size": "rows of the training part without data.mix",
}


def run_checks(read: Read, thresholds: Checks) -> tuple[Finding, ...]:
    """One Finding for each of CHECKS, in its order. Fills the table `found`."""
    return tuple(
        _silent(name, "off", "off", "switched off in the recipe")
        if (limits := getattr(thresholds, name)) is None
        else check(read, limits)
        for name, check in CHECKS.items()
    )


def failed(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that stop a run."""
    return [finding for finding in findings if finding.state == "error"]


# ---------------------------------------------------------------- the checks


def malformed(read: Read, limits: ShareCheck) -> Finding:
    rows = [
        (f"{report.name}:{line}", line, report.name, reason)
        for report in read.reports
        for line, reason in report.refused
    ]
    if rows:
        read.connection.execute(
            "insert into found select 'malformed', unnest(?::varchar[]), unnest(?::bigint[]),"
            " unnest(?::varchar[]), unnest(?::varchar[])",
            [list(column) for column in zip(*rows, strict=True)],
        ).fetchall()
    total = sum(report.records - report.blank for report in read.reports)
    return _share(read, "malformed", limits, total, "records", "correct these lines or remove them")


def missing(read: Read, limits: ShareCheck) -> Finding:
    read.connection.execute(
        "insert into found select 'missing', id, line, source,"
        " case when not blank_completion then 'no prompt'"
        " when not blank_prompt then 'no answer' else 'no prompt and no answer' end"
        " from final where (blank_prompt or blank_completion) and copy = 0"
        " order by source_index, line"
    ).fetchall()
    total = _count(read, "select count(*) from final where copy = 0")
    return _share(read, "missing", limits, total, "rows", "fill in or remove these rows")


def duplicates(read: Read, limits: ShareCheck) -> Finding:
    read.connection.execute(
        "insert into found select 'duplicates', id, line, source, 'same as ' || first from ("
        " select *, row_number() over earlier as nth, first_value(id) over earlier as first"
        " from final where not general"
        " window earlier as (partition by pair_key order by source_index, line, id))"
        " where nth > 1 order by source_index, line"
    ).fetchall()
    total = _count(read, "select count(*) from final where not general")
    return _share(read, "duplicates", limits, total, "rows", "keep one of each")


def leakage(read: Read, limits: ShareCheck) -> Finding:
    # one row a prompt and part, so that often repeated prompts do not multiply in the join
    read.connection.execute(
        "insert into found with seen as ("
        " select prompt_key, part, if(general, 'mix', part) as place,"
        " min((source_index, line, id)) as first from final group by all)"
        " select 'leakage', held.id, any_value(held.line), any_value(held.source),"
        " 'same prompt as ' || min(seen.first)[3] || ' in ' || arg_min(place, seen.first)"
        " from final as held join seen on held.prompt_key = seen.prompt_key"
        " and (seen.part = 'train' or (held.part = 'test' and seen.part = 'validation'))"
        " where held.part in ('validation', 'test') and not held.blank_prompt"
        " group by held.id order by any_value(held.source_index), any_value(held.line)"
    ).fetchall()
    total = _count(read, "select count(*) from final where part in ('validation', 'test')")
    hint = "remove them from one side; what is tested must not have been trained on"
    return _share(read, "leakage", limits, total, "held-out rows", hint)


def truncation_waits(read: Read, limits: ShareCheck) -> Finding:
    reason = "needs the tokenizer: it is checked when the template is rendered"
    return _silent("truncation", "not_run", _share_text(limits), reason)


def size(read: Read, limits: SizeCheck) -> Finding:
    rows = _count(read, "select count(*) from final where part = 'train' and not general")
    state: State = "pass"
    if limits.error_below is not None and rows < limits.error_below:
        state = "error"
    elif limits.warn_below is not None and rows < limits.warn_below:
        state = "warn"
    bounds = (("warn", limits.warn_below), ("error", limits.error_below))
    threshold = ", ".join(f"{word} below {bound}" for word, bound in bounds if bound is not None)
    return Finding(
        "size", state, DEFINITIONS["size"], threshold or "none", rows, None, None, (), "exact",
        f"{rows} training row{'s' * (rows != 1)}",
        None if state == "pass" else "add examples; under a few hundred little is learnt",
    )  # fmt: skip


def truncation(lost: Sequence[str], total: int, limits: ShareCheck | None) -> Finding:
    """The check that `prepare` leaves open: `lost` are the ids of the rows that lose answer tokens,
    of `total` rows. Takes the place of the finding of the same name."""
    if limits is None:
        return _silent("truncation", "off", "off", "switched off in the recipe")
    rows = tuple(FoundRow(id, None, None, None) for id in lost[:SHOWN_ROWS])
    hint = "raise training.max_length, or shorten these rows"
    return _judged("truncation", limits, len(lost), total, rows, "rows", hint)


CHECKS: dict[str, Callable[[Read, Any], Finding]] = {
    "malformed": malformed,
    "missing": missing,
    "duplicates": duplicates,
    "leakage": leakage,
    "truncation": truncation_waits,
    "size": size,
}


# ---------------------------------------------------------------- words


def to_json(findings: Iterable[Finding]) -> dict[str, Any]:
    """The content of checks.json; see schemas/checks.schema.json."""
    listed = [asdict(finding) for finding in findings]
    plain = [{**finding, "rows": list(finding["rows"])} for finding in listed]
    return {"schema_version": SCHEMA_VERSION, "findings": plain}


def describe(findings: Iterable[Finding]) -> list[str]:
    """A line for each finding, and its hint where there is something to do."""
    lines = []
    for finding in findings:
        word = {"not_run": "not run", "warn": "warning", "pass": ""}.get(
            finding.state, finding.state
        )
        glyph = GLYPHS[finding.state]
        shown = f" ({word})" if word else ""
        lines.append(f"{glyph:>2} {finding.check}{shown}: {finding.message}")
        if finding.state in ("warn", "error"):
            shown_rows = finding.rows[:SAID_ROWS]
            where = [row.id + (f" ({row.note})" if row.note else "") for row in shown_rows]
            more = (finding.count or 0) - len(where)
            if where:
                lines.append(f"     {', '.join(where)}" + (f" and {more} more" if more > 0 else ""))
            if finding.hint:
                lines.append(f"     {finding.hint}")
    return lines


def notice(
    check: str, definition: str, message: str, hint: str, count: int, total: int | None = None
) -> Finding:
    """A warning that has no threshold in the recipe."""
    share = count / total if total else None
    return Finding(
        check, "warn", definition, "none", count, total, share, (), "exact", message, hint
    )


def percent(share: float) -> str:
    """0.0123 → '1.23%'; what is above 0 never reads as 0%."""
    return f"{100 * share:.3g}%"


def _share(read: Read, check: str, limits: ShareCheck, total: int, unit: str, hint: str) -> Finding:
    count = _count(read, "select count(*) from found where check_name = ?", [check])
    rows = read.connection.execute(
        "select id, line, source, note from found where check_name = ? order by rowid limit ?",
        [check, SHOWN_ROWS],
    ).fetchall()
    return _judged(check, limits, count, total, tuple(FoundRow(*row) for row in rows), unit, hint)


def _judged(
    check: str,
    limits: ShareCheck,
    count: int,
    total: int,
    rows: tuple[FoundRow, ...],
    unit: str,
    hint: str,
) -> Finding:
    share = count / total if total else 0.0
    state: State = "pass"
    if limits.error_above is not None and share > limits.error_above:
        state = "error"
    elif limits.warn_above is not None and share > limits.warn_above:
        state = "warn"
    message = f"{count} of {total} {unit}" + (f" ({percent(share)})" if count else "")
    return Finding(
        check, state, DEFINITIONS[check], _share_text(limits), count, total, share, rows, "exact",
        message, hint if count else None,
    )  # fmt: skip


def _silent(check: str, state: State, threshold: str, message: str) -> Finding:
    return Finding(
        check, state, DEFINITIONS[check], threshold, None, None, None, (), "exact", message, None
    )


def _share_text(limits: ShareCheck) -> str:
    bounds = (("warn", limits.warn_above), ("error", limits.error_above))
    words = [f"{word} above {percent(bound)}" for word, bound in bounds if bound is not None]
    return ", ".join(words) or "none"


def _count(read: Read, query: str, values: Sequence[object] = ()) -> int:
    row = read.connection.execute(query, list(values)).fetchone()
    return int(row[0]) if row else 0

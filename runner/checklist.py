"""Findings of the data checks as a checklist for a terminal, and what a fix changed in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner.data.checks.finding import Finding, State

SAID_ROWS = 3
# state → its word in the list, its ANSI code, one and several of it in the summary
STATES: dict[State, tuple[str, str, str, str]] = {
    "pass": ("ok", "32", "passed", "passed"),
    "warn": ("warning", "33", "warning", "warnings"),
    "error": ("ERROR", "1;31", "error", "errors"),
    "not_run": ("not run", "36", "not run", "not run"),
    "off": ("off", "2", "off", "off"),
}


def checklist(findings: Sequence[Finding], color: bool = False) -> Iterator[str]:
    """A line for each finding in the order of the registry, what to do below it, and a summary."""
    states = max(len(word) for word, *_ in STATES.values())
    names = max((len(finding.check) for finding in findings), default=0)
    for finding in findings:
        word, code, *_ = STATES[finding.state]
        shown = f"{word:<{states}}"
        how = "" if finding.how == "exact" or finding.count is None else f" [{finding.how}]"
        start = f"\x1b[{code}m{shown}\x1b[0m" if color else shown
        yield f"{start}  {finding.check:<{names}}  {_message(finding)}{how}".rstrip()
        if finding.state in ("warn", "error"):
            margin = " " * (states + names + 4)
            yield from (margin + line for line in _details(finding))
    yield ""
    yield summary(findings)


def summary(findings: Sequence[Finding]) -> str:
    """'31 checks: 24 passed, 3 warnings, 1 error, 2 not run, 1 off'."""
    said = []
    for state, (_, _, one, several) in STATES.items():
        if count := sum(finding.state == state for finding in findings):
            said.append(f"{count} {one if count == 1 else several}")
    return f"{len(findings)} check{'s' * (len(findings) != 1)}: {', '.join(said)}"


def difference(before: Sequence[Finding], after: Sequence[Finding]) -> Iterator[str]:
    """'duplicates  14 -> 0', for the checks whose count or state is another one."""
    now = {finding.check: finding for finding in after}
    pairs = [(old, now[old.check]) for old in before if old.check in now]
    changed = [(a, b) for a, b in pairs if (a.count, a.state) != (b.count, b.state)]
    width = max((len(old.check) for old, _ in changed), default=0)
    for old, new in changed:
        states = f"  ({STATES[old.state][0]} -> {STATES[new.state][0]})"
        counts = f"{_count(old)} -> {_count(new)}"
        yield f"{old.check:<{width}}  {counts}{states if old.state != new.state else ''}"


def _count(finding: Finding) -> str:
    return "-" if finding.count is None else f"{finding.count:,}"


def _message(finding: Finding) -> str:
    return "" if finding.state == "off" else finding.message


def _details(finding: Finding) -> Iterator[str]:
    where = [row.id + (f" ({row.note})" if row.note else "") for row in finding.rows[:SAID_ROWS]]
    yield from where
    if where and (more := (finding.count or 0) - len(where)) > 0:
        yield f"and {more:,} more"
    if finding.hint:
        yield f"-> {finding.hint}"

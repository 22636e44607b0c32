"""Findings of the data checks for a terminal: all, what is not well, and what a fix changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner.data.checks.finding import STATES, Finding, describe


def checklist(findings: Sequence[Finding], color: bool = False) -> Iterator[str]:
    """A line for each finding in the order of the registry, what to do below it, and a summary."""
    yield from describe(findings, color)
    yield ""
    yield summary(findings)


def noted(findings: Sequence[Finding], color: bool = False, quick: bool = False) -> Iterator[str]:
    """What is not well, and a summary of all. `quick`: of a look that left out some checks."""
    yield from describe((f for f in findings if f.state in ("warn", "error")), color)
    rest = "; 'recipe check' runs those that read all texts" if quick else ""
    yield summary(findings) + rest


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

"""`recipe check`: the checklist of a recipe's data, or of data without a recipe, and its fix."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsl.rules import RULES
from dsl.source import parse
from runner.checklist import checklist, difference, summary
from runner.data.checks import Depth, Finding
from runner.data.fix import CHANGES, Fixed, Judge, fix
from runner.data.fixes import FIXES, Drop
from runner.data.look import Asked
from runner.data.scan import Tell
from runner.new import draft
from runner.probe import Surroundings
from runner.propose import Proposal, home
from runner.read import Read, checked, holds_recipe, judge, read

if TYPE_CHECKING:
    from runner.data.prepare import Prepared


MANY = 0.2  # share of the rows whose loss deserves a word


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found. `proposal`: of data without a recipe. `fixed`: None without --fix, or where
    there was nothing to fix. `findings` are those of the copy, if one was made."""

    file: Path
    findings: tuple[Finding, ...]
    proposal: Proposal | None
    asked_to_fix: bool
    fixed: Fixed | None

    def to_json(self) -> dict[str, Any]:
        """What stands beside the findings, for what was asked for."""
        if not self.asked_to_fix:
            return {}
        return {"fixed": self.fixed.to_json() if self.fixed else None}

    def lines(self, color: bool) -> Iterator[str]:
        if self.proposal:
            yield from (*self.proposal.evidence, "")
        if self.fixed:
            yield from _fixed_lines(self.fixed)
            return
        yield from checklist(self.findings, color)
        if self.asked_to_fix:
            yield "nothing to fix: no rule applies to what is found"
        elif self.proposal:
            yield f"next: recipe new {shlex.quote(str(self.file))} writes a recipe for it"


def audit(
    file: Path,
    sets: tuple[str, ...],
    allowed: tuple[str, ...],
    remote: bool,
    asked: Asked,
    depth: Depth,
    mends: bool,
    tell: Tell | None = None,
) -> Audit:
    """Reads and checks the data; with `mends` writes a cleaned copy of it.

    Raises InvalidRecipe, DataError, and RecipeError where the copy's place is taken.
    """
    proposal = None
    if _is_recipe(file):
        found = read(file, sets, allowed, remote, RULES).valid()
    else:
        proposal, found = draft(file, asked, sets, remote)
    with checked(found, depth, tell) as prepared:
        fixed = None
        if mends:
            stem = proposal.name if proposal else file.stem
            folder = home(file) if proposal else file.parent
            fixed = fix(prepared, found.source, folder / f"{stem}-clean", judging(found))
        findings = fixed.after if fixed else prepared.findings
    return Audit(file, findings, proposal, mends, fixed)


def _is_recipe(file: Path) -> bool:
    """What is not there is taken for what its name says."""
    named_so = file.suffix.lower() in (".json", ".yaml", ".yml")
    return holds_recipe(file) if file.exists() else named_so


def judging(found: Read) -> Judge:
    """How a cleaned copy is judged: as its original was."""

    def judged(text: str, folder: Path) -> AbstractContextManager[Prepared]:
        around = Surroundings(
            folder.resolve(), found.around.allowed, found.around.trust_remote_code
        )
        return checked(judge(parse(text, "recipe.json"), around, RULES).valid())

    return judged


def _fixed_lines(fixed: Fixed) -> Iterator[str]:
    yield from difference(fixed.before, fixed.after)
    yield ""
    kept = f"{fixed.kept:,} rows kept ({fixed.changed:,} of them changed)"
    yield f"{kept}, {fixed.dropped:,} dropped:"
    width = max(len(check) for check in fixed.by_check)
    for check, count in fixed.by_check.items():
        what = "dropped" if isinstance(FIXES[check], Drop) else "changed"
        yield f"  {check:<{width}}  {count:,} {what}"
    yield f"{fixed.folder / CHANGES} holds each of them as it was, and why"
    if fixed.dropped > MANY * (fixed.kept + fixed.dropped):
        most = max(fixed.by_check, key=lambda check: fixed.by_check[check])
        yield f"that is much: look at them; --set data.checks.{most}=off keeps rows that it drops"
    if "secrets" in fixed.by_check:
        yield "it holds the secrets too: delete it once you have seen it"
    if fixed.left:
        yield ""
        yield "left to you"
        width = max(len(check) for check, _ in fixed.left)
        yield from (f"  {check:<{width}}  {why}" for check, why in fixed.left)
    yield ""
    yield summary(fixed.after)
    yield f"wrote {fixed.recipe}"
    yield f"next: recipe plan {shlex.quote(str(fixed.recipe))}"

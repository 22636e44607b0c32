"""What the page of the checklist tells: findings and the production list, or what a fix did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runner.app.looks import Look
from runner.audit import judging
from runner.data.checks import Depth, Finding
from runner.data.fix import Fixed, fix
from runner.read import Read, checked, planned
from runner.release.checklist import Item, production_list


@dataclass(frozen=True, slots=True)
class Judged:
    """`fixed`: what a fix did, None where it found nothing to do or was not asked for."""

    findings: tuple[Finding, ...]
    items: tuple[Item, ...]
    fixed: Fixed | None = None


def judged(found: Read, depth: Depth, runs: Path, look: Look[Judged]) -> Judged:
    """Raises InvalidRecipe, DataError, Interrupted."""
    with checked(found, depth, look.tell) as prepared:
        findings = prepared.findings
    look.tell("making the plan")
    with planned(found) as made:
        items = production_list(made.plan, findings, runs)
    return Judged(findings, tuple(items))


def mended(found: Read, file: Path, look: Look[Judged]) -> Judged:
    """What 'recipe check --fix' does: a cleaned copy beside the recipe's file. Raises DataError,
    RecipeError where the copy's place is taken."""
    with checked(found, "full", look.tell) as prepared:
        look.tell("writing the cleaned copy")
        done = fix(prepared, found.source, file.parent / f"{file.stem}-clean", judging(found))
        return Judged(done.after if done else prepared.findings, (), done)

"""Data checks: what each counts, and whether that is too much.

CHECKS is the registry. structure.py and copies.py look at tables alone; those marked `deep` read
the texts again or compare rows with rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from runner.data.checks import balance, content, copies, lengths, near, structure, tokens
from runner.data.checks.finding import (
    Finding,
    FoundRow,
    Read,
    Said,
    State,
    describe,
    failed,
    percent,
    to_json,
)
from runner.data.checks.notices import notices

__all__ = [
    "CHECKS", "Depth", "Finding", "FoundRow", "Read", "State", "describe", "failed", "percent",
    "run_checks", "to_json", "truncation",
]  # fmt: skip

Depth = Literal["quick", "full"]
truncation = tokens.truncation


@dataclass(frozen=True, slots=True)
class Check:
    """`run` gets its limits (see dsl.thresholds) and is called only where they are not off."""

    said: Said
    run: Callable[[Read, Any], Finding]
    deep: bool = False


# name → check, in the order in which they are told
CHECKS: dict[str, Check] = {
    "malformed": Check(structure.MALFORMED, structure.malformed),
    "columns": Check(structure.COLUMNS, structure.columns),
    "missing": Check(structure.MISSING, structure.missing),
    "roles": Check(structure.ROLES, structure.roles),
    "tool_calls": Check(structure.TOOL_CALLS, structure.tool_calls),
    "size": Check(structure.SIZE, structure.size),
    "test_part": Check(structure.TEST_PART, structure.test_part),
    "mix_share": Check(structure.MIX_SHARE, structure.mix_share),
    "duplicates": Check(copies.DUPLICATES, copies.duplicates),
    "leakage": Check(copies.LEAKAGE, copies.leakage),
    "near_duplicates": Check(near.NEAR_DUPLICATES, near.near_duplicates, deep=True),
    "near_leakage": Check(near.NEAR_LEAKAGE, near.near_leakage, deep=True),
    "contradictions": Check(copies.CONTRADICTIONS, copies.contradictions, deep=True),
    "label_variants": Check(balance.LABEL_VARIANTS, balance.label_variants),
    "balance": Check(balance.BALANCE, balance.balance),
    "length_outliers": Check(lengths.OUTLIERS, lengths.length_outliers),
    "length_disparity": Check(lengths.DISPARITY, lengths.length_disparity),
    "dominance": Check(balance.DOMINANCE, balance.dominance),
    "diversity": Check(balance.DIVERSITY, balance.diversity, deep=True),
    "drift": Check(balance.DRIFT, balance.drift),
    "preference_pairs": Check(balance.PREFERENCE_PAIRS, balance.preference_pairs),
    "length_bias": Check(lengths.LENGTH_BIAS, lengths.length_bias),
    "special_tokens": Check(content.SPECIAL_TOKENS, content.special_tokens, deep=True),
    "placeholders": Check(content.PLACEHOLDERS, content.placeholders, deep=True),
    "encoding": Check(content.ENCODING, content.encoding, deep=True),
    "secrets": Check(content.SECRETS, content.secrets, deep=True),
    "pii": Check(content.PII, content.pii, deep=True),
    "language": Check(content.LANGUAGE, content.language, deep=True),
    "refusals": Check(content.REFUSALS, content.refusals, deep=True),
    "repetition": Check(content.REPETITION, content.repetition, deep=True),
    "truncation": Check(tokens.TRUNCATION, tokens.truncation_found, deep=True),
}
NAMES = Said("names", "names of people and postal addresses")


def run_checks(read: Read, depth: Depth) -> tuple[Finding, ...]:
    """One Finding for each of CHECKS, in its order, and notices. Fills the table `found`."""
    return (
        *(_run(read, name, check, depth) for name, check in CHECKS.items()),
        NAMES.silent("not_run", "telling them needs a model: they are not looked for"),
        *notices(read),
    )


def _run(read: Read, name: str, check: Check, depth: Depth) -> Finding:
    limits = getattr(read.data.checks, name)
    if limits is None:
        return check.said.silent("off", "switched off in the recipe")
    if check.deep and depth == "quick":
        return check.said.silent("not_run", "reads all texts: 'recipe check' and 'recipe run' do")
    if check.deep:
        read.tell(f"checking {name}")
    return check.run(read, limits)

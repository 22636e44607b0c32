"""The thresholds of the data checks: `data.checks` of a recipe, one dataclass for each shape.

A bound that is None never warns or stops. What each check counts stands in the schema.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ShareCheck:
    """Bounds of a share, from 0 to 1."""

    warn_above: float | None
    error_above: float | None


@dataclass(frozen=True, slots=True)
class SimilarityCheck(ShareCheck):
    similarity: float


@dataclass(frozen=True, slots=True)
class ContradictionCheck(SimilarityCheck):
    labels_error_above: float | None


@dataclass(frozen=True, slots=True)
class NearLeakageCheck(ShareCheck):
    """`ngram`: length in words of a shared run that counts; None looks for none."""

    warn_similarity: float
    error_similarity: float
    ngram: int | None


@dataclass(frozen=True, slots=True)
class OutlierCheck(ShareCheck):
    """`fence`: distance from the quartiles in interquartile ranges."""

    fence: float


@dataclass(frozen=True, slots=True)
class DisparityCheck(ShareCheck):
    ratio: float


@dataclass(frozen=True, slots=True)
class LanguageCheck(ShareCheck):
    """`expected`: ISO 639 codes; None: the language of most rows."""

    expected: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class DriftCheck(ShareCheck):
    significance: float


@dataclass(frozen=True, slots=True)
class SizeCheck:
    """Bounds in rows."""

    error_below: int | None
    warn_below: int | None
    info_below: int | None


@dataclass(frozen=True, slots=True)
class HeldOutCheck:
    """Bounds in rows, and as a share of the task's rows."""

    error_below: int | None
    warn_below: int | None
    warn_above_share: float | None


@dataclass(frozen=True, slots=True)
class MixShareCheck:
    warn_below: float | None
    warn_above: float | None


@dataclass(frozen=True, slots=True)
class BalanceCheck:
    warn_ratio: float | None
    error_ratio: float | None


@dataclass(frozen=True, slots=True)
class DiversityCheck:
    warn_below: float | None
    error_below: float | None


@dataclass(frozen=True, slots=True)
class Checks:
    """None: the check is off."""

    malformed: ShareCheck | None
    columns: ShareCheck | None
    missing: ShareCheck | None
    roles: ShareCheck | None
    tool_calls: ShareCheck | None
    size: SizeCheck | None
    test_part: HeldOutCheck | None
    mix_share: MixShareCheck | None
    duplicates: ShareCheck | None
    near_duplicates: SimilarityCheck | None
    leakage: ShareCheck | None
    near_leakage: NearLeakageCheck | None
    contradictions: ContradictionCheck | None
    label_variants: ShareCheck | None
    balance: BalanceCheck | None
    length_outliers: OutlierCheck | None
    length_disparity: DisparityCheck | None
    special_tokens: ShareCheck | None
    placeholders: ShareCheck | None
    encoding: ShareCheck | None
    secrets: ShareCheck | None
    pii: ShareCheck | None
    language: LanguageCheck | None
    refusals: ShareCheck | None
    repetition: ShareCheck | None
    dominance: ShareCheck | None
    diversity: DiversityCheck | None
    drift: DriftCheck | None
    preference_pairs: ShareCheck | None
    length_bias: ShareCheck | None
    truncation: ShareCheck | None

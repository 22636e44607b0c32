"""How far the held-out parts are from training: lengths and labels, and what chance would make."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import erfc, exp, lgamma, log, sqrt

from runner.data.checks.finding import Read, percent
from runner.data.checks.lengths import SIDES

HELD = ("validation", "test")
EXPECTED = 5  # rows; labels that lead to expect fewer are pooled (Cochran 1954)


@dataclass(frozen=True, slots=True)
class Distance:
    """value: from 0, alike, to 1. chance: probability of one as large if the part were drawn from
    the same rows as training. detail: the difference in words, training first."""

    part: str
    what: str
    value: float
    chance: float
    detail: str


def distances(read: Read) -> tuple[Distance, ...]:
    """Of validation and of test from training, data.mix left out; as far as there are rows."""
    return (*_lengths(read), *_labels(read))


def _lengths(read: Read) -> Iterator[Distance]:
    """Kolmogorov-Smirnov: the largest difference of the shares of texts up to a length."""
    counts = ", ".join(f"count(*) filter (part = '{part}') as {part}" for part in ("train", *HELD))
    for side, length, comparable in SIDES:
        read.connection.execute(
            f"create table lengths as select {length} as length, {counts}"
            f" from placed where {comparable} group by 1"
        ).fetchall()
        for part in HELD:
            trained, held, value, *medians = read.connection.execute(
                "with running as (select length,"
                f"  sum(train) over () as n, sum({part}) over () as m,"
                "  sum(train) over upto / nullif(n, 0) as f,"
                f"  sum({part}) over upto / nullif(m, 0) as g"
                "  from lengths window upto as (order by length))"
                " select any_value(n), any_value(m), max(abs(f - g)),"
                " min(length) filter (f >= 0.5), min(length) filter (g >= 0.5) from running"
            ).fetchall()[0]
            if not trained or not held:
                continue
            chance = kolmogorov(value, trained, held)
            detail = "median {:,} characters, there {:,}".format(*medians)
            yield Distance(part, f"{side} lengths", value, chance, detail)
        read.connection.execute("drop table lengths").fetchall()


def _labels(read: Read) -> Iterator[Distance]:
    """Cramér's V as it is if both parts had as many rows: otherwise a small test part whose
    labels have nothing in common with those of training would still be near it."""
    for part in HELD:
        kinds, squared, chi_square, furthest = read.connection.execute(
            f"with counts as (select label, {_both(part)} from placed"
            "  where label is not null and not general group by label),"
            " sized as (select *, sum(trained) over () as n, sum(held) over () as m from counts),"
            " pooled as (select case"
            f"  when (trained + held) * least(n, m) >= {EXPECTED} * (n + m) then label end as kind,"
            "  sum(trained) / any_value(n) as f, sum(held) / any_value(m) as g,"
            "  sum(trained + held) as rows, any_value(n) as n, any_value(m) as m"
            "  from sized where n > 0 and m > 0 and trained + held > 0 group by 1)"
            " select count(*), sum((f - g) ** 2 / (f + g)) / 2,"
            " sum((f - g) ** 2 / rows) * any_value(n) * any_value(m),"
            " arg_max({'label': coalesce(kind, 'rare labels'), 'f': f, 'g': g},"
            "  (round(abs(f - g), 9), kind)) from pooled"
        ).fetchall()[0]
        if kinds < 2:
            continue
        shares = f"{percent(furthest['f'])}, there {percent(furthest['g'])}"
        detail = f"{furthest['label']}: {shares}"
        chance = chi_square_tail(chi_square, kinds - 1)
        yield Distance(part, "labels", sqrt(squared), chance, detail)


def _both(part: str) -> str:
    return f"count(*) filter (part = 'train') as trained, count(*) filter (part = '{part}') as held"


def kolmogorov(distance: float, n: int, m: int) -> float:
    """Probability of a distance as large between samples of n and m from one distribution.

    Asymptotic, with the correction of Stephens (1970); too high, thus careful, where lengths tie.
    """
    root = sqrt(n / (n + m) * m)
    scaled = (root + 0.12 + 0.11 / root) * distance
    if scaled < 0.3:  # 1 within 1e-5, and the series converges slowly
        return 1.0
    tail = sum((-1.0) ** (k - 1) * exp(-2 * (k * scaled) ** 2) for k in range(1, 20))
    return min(1.0, max(0.0, 2 * tail))


def chi_square_tail(value: float, freedom: int) -> float:
    """Probability that chi-square with so many degrees of freedom is above the value.

    By the recurrence of the incomplete gamma function, Q(a + 1, y) = Q(a, y) + y^a e^-y / Γ(a + 1).
    """
    y = value / 2
    if y <= 0:
        return 1.0
    shape = 0.5 if freedom % 2 else 1.0
    tail = erfc(sqrt(y)) if freedom % 2 else exp(-y)
    while shape < freedom / 2:
        tail += exp(shape * log(y) - y - lgamma(shape + 1))
        shape += 1
    return min(1.0, tail)

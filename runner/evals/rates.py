"""Exact bounds and tests of rates: a bootstrap of rare events is too sure of itself."""

from __future__ import annotations

import math
from statistics import NormalDist


def binomial_bounds(successes: float, n: float, tail: float) -> tuple[float, float]:
    """Clopper and Pearson's bounds of a rate, each wrong with probability at most `tail`.

    Takes fractions, for effective sample sizes. 0 of n gives an upper bound of 1 - tail**(1/n).
    """
    from scipy.special import betaincinv  # type: ignore[import-untyped, unused-ignore]

    low = betaincinv(successes, n - successes + 1, tail) if successes > 0 else 0.0
    high = betaincinv(successes + 1, n - successes, 1 - tail) if successes < n else 1.0
    return float(low), float(high)


def rate_change_bounds(up: float, down: float, n: float, tail: float) -> tuple[float, float]:
    """One-sided bounds of (up - down) / n, the change of a rate over n pairs.

    Bonett and Price (2012): Wald's interval with one pair added each way. Unlike a bootstrap it
    does not claim certainty where no pair, or only a few, changed.
    """
    rise, fall = (up + 1) / (n + 2), (down + 1) / (n + 2)
    spread = math.sqrt((rise + fall - (rise - fall) ** 2) / (n + 2))
    reach = NormalDist().inv_cdf(1 - tail) * spread
    return max(rise - fall - reach, -1.0), min(rise - fall + reach, 1.0)


def mcnemar(up: int, down: int) -> float:
    """McNemar's exact two-sided p-value from the numbers of pairs that changed each way."""
    from scipy.special import bdtr  # type: ignore[import-untyped, unused-ignore]

    return min(1.0, 2 * float(bdtr(min(up, down), up + down, 0.5)))

"""Bootstrap and permutation over the summed statistics of clusters: plain arrays, no metrics.

Whole clusters (documents, users) are drawn, for examples of one cluster are not independent
(Miller 2024, arXiv:2411.00640).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Codes = NDArray[np.intp]  # the cluster's number of each example, 0 .. C - 1, shape (n,)

_CELLS = 1 << 21  # of the weight matrix at a time: 16 MiB


def cluster_sums(rows: Array, codes: Codes) -> Array:
    """Statistics (n, k) added up by cluster: (C, k)."""
    sums = np.zeros((int(codes.max()) + 1, rows.shape[1]))
    np.add.at(sums, codes, rows)
    return sums


def bootstrap(
    arms: tuple[Array, ...], resamples: int, generator: np.random.Generator
) -> list[Array]:
    """Sums of C clusters drawn with replacement, the same draws for every arm: (resamples, k)."""
    clusters = len(arms[0])
    drawn = [np.empty((resamples, arm.shape[1])) for arm in arms]
    for part in _chunks(resamples, clusters):
        picks = generator.integers(0, clusters, (part.stop - part.start, clusters))
        picks += clusters * np.arange(len(picks))[:, None]
        counts = np.bincount(picks.ravel(), minlength=picks.size).reshape(picks.shape)
        # One product an arm, of one shape: equal arms must give equal bits.
        for arm, sums in zip(arms, drawn, strict=True):
            sums[part] = counts.astype(np.float64) @ arm
    return drawn


def percentiles(ordered: Array, clusters: int, tail: float) -> tuple[float, float]:
    """The ends that leave `tail` outside on each side, as order statistics of sorted values.

    Percentiles are too narrow for few clusters; their level is moved out so that a mean gets the
    width of its t interval (Hesterberg 2015, 'What teachers should know about the bootstrap').
    """
    width = math.sqrt(clusters / (clusters - 1)) * -_t_quantile(clusters - 1, tail)
    rank = max(1, int(NormalDist().cdf(-width) * (len(ordered) + 1)))
    return float(ordered[rank - 1]), float(ordered[-rank])


def sign_flip(
    aggregate: Callable[[Array], Array],
    base_sums: Array,
    tuned_sums: Array,
    draws: int,
    generator: np.random.Generator,
) -> tuple[float, str]:
    """Two-sided permutation test and its name: were it one model, arms could be exchanged.

    For a mean the exchange flips the sign of the cluster's difference. All 2**C exchanges where
    they are no more than `draws`; else a sample, to which the observed one is added (Phipson and
    Smyth 2010).
    """
    base, tuned = base_sums.sum(axis=0), tuned_sums.sum(axis=0)
    observed = abs(float(aggregate(tuned) - aggregate(base)))
    if math.isnan(observed):
        return math.nan, "none"
    clusters = len(base_sums)
    every = 2**clusters <= draws
    draws = 2**clusters if every else draws
    extreme = 0
    for part in _chunks(draws, clusters):
        if every:
            flips = np.arange(part.start, part.stop)[:, None] >> np.arange(clusters) & 1
        else:
            flips = generator.integers(0, 2, (part.stop - part.start, clusters))
        moved = flips.astype(np.float64) @ (tuned_sums - base_sums)
        chance = aggregate(tuned - moved) - aggregate(base + moved)
        # The slack lets an exchange that only rounding tells from the observed one count.
        extreme += int((np.abs(chance) >= observed * (1 - 1e-9)).sum())
    if every:
        return extreme / draws, "sign-flip permutation, exact"
    return (extreme + 1) / (draws + 1), "sign-flip permutation"


def effective_n(deviations: Array, codes: Codes, tail: float) -> float:
    """How many independent examples the clustered ones are worth (Korn and Graubard 1998).

    n divided by the design effect, and less for the few degrees of freedom of few clusters.
    Where no example deviates the effect is unknown: the number of clusters.
    """
    n, clusters = len(codes), int(codes.max()) + 1
    if clusters in (1, n) or not deviations.any():
        return float(clusters)
    between = np.bincount(codes, weights=deviations)
    simple = float((deviations**2).sum()) * n / (n - 1)
    clustered = float((between**2).sum()) * clusters / (clusters - 1)
    worth = n * min(1.0, simple / clustered) if clustered else float(n)
    if tail >= 0.5:  # both quantiles are 0
        return worth
    return worth * (_t_quantile(n - 1, tail) / _t_quantile(clusters - 1, tail)) ** 2


def _t_quantile(freedom: int, tail: float) -> float:
    from scipy.special import stdtrit  # type: ignore[import-untyped, unused-ignore]

    return float(stdtrit(freedom, tail))


def _chunks(rows: int, columns: int) -> Iterator[slice]:
    step = max(1, _CELLS // columns)
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))

"""Intervals and paired comparisons of any metric, and how many examples it takes.

Everything is seeded: the same input gives the same output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from runner.evals.metrics import Metric
from runner.evals.rates import binomial_bounds, mcnemar, rate_change_bounds
from runner.evals.resample import (
    Array,
    Codes,
    bootstrap,
    cluster_sums,
    effective_n,
    percentiles,
    sign_flip,
)

Rows = Sequence[Sequence[float] | None] | Array  # n rows of k statistics; None: not scorable
Clusters = Sequence[str | None]  # one name an example; None: a cluster of its own
Ends = tuple[float, float, float, float]  # low, high, at_least, at_most

_BOOTSTRAP = "cluster bootstrap, expanded percentile"
_EXACT = "exact binomial (Clopper-Pearson)"


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with what the examples allow to say of it, at `confidence`.

    `low` and `high` are two-sided. `at_least` and `at_most` each hold on their own (one-sided):
    a gate asks about one side only. Without any example all are NaN; with a single cluster the
    ends are infinite, as nothing is known of the spread.
    """

    value: float
    low: float
    high: float
    at_least: float
    at_most: float
    confidence: float
    method: str
    n: int
    n_missing: int
    clusters: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same examples; `difference` is tuned - base.

    wins, ties and losses count the examples on which tuned is better, equal or worse; None for a
    metric without a better direction.
    """

    metric: str
    base: Interval
    tuned: Interval
    difference: Interval
    p_value: float
    p_method: str
    wins: int | None
    ties: int | None
    losses: int | None
    resamples: int
    seed: int


@dataclass(frozen=True, slots=True)
class _Sample:
    """What the intervals of one question have in common."""

    metric: Metric
    codes: Codes
    confidence: float
    n_missing: int

    @property
    def clusters(self) -> int:
        return int(self.codes.max()) + 1

    @property
    def is_rate(self) -> bool:
        return self.metric.info.event is not None


def interval(
    metric: Metric,
    rows: Rows,
    clusters: Clusters | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int,
) -> Interval:
    """The metric of one model: n rows of statistics, as `metrics.collect` gives them."""
    (arm,), codes, missing = _scorable((rows,), clusters)
    if not len(arm):
        return _unmeasured(confidence, missing)
    sample = _Sample(metric, codes, confidence, missing)
    with np.errstate(invalid="ignore"):
        (drawn,) = bootstrap(
            (cluster_sums(arm, codes),), _enough(resamples, confidence), _generator(seed, 0)
        )
        return _one_arm(sample, arm, metric.aggregate(drawn))


def paired(
    metric: Metric,
    base_rows: Rows,
    tuned_rows: Rows,
    clusters: Clusters | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int,
) -> Comparison:
    """Base and tuned on the same n examples, in the same order.

    An example that either side could not score is left out of both and counted. Swapping the
    arms negates the difference and its ends exactly. Raises ValueError where the lengths differ.
    """
    (base, tuned), codes, missing = _scorable((base_rows, tuned_rows), clusters)
    resamples = _enough(resamples, confidence)
    if not len(base):
        nothing = _unmeasured(confidence, missing)
        return Comparison(
            metric.name, nothing, nothing, nothing, math.nan, "none", 0, 0, 0, resamples, seed
        )
    sample = _Sample(metric, codes, confidence, missing)
    sums = cluster_sums(base, codes), cluster_sums(tuned, codes)
    wins, ties, losses = _outcomes(metric, base, tuned)
    # A model that diverged has infinite or NaN nats; they are carried to the result, not hidden.
    with np.errstate(invalid="ignore"):
        drawn_base, drawn_tuned = map(
            metric.aggregate, bootstrap(sums, resamples, _generator(seed, 0))
        )
        p_value, p_method = _p_value(sample, *sums, resamples, _generator(seed, 1))
        return Comparison(
            metric=metric.name,
            base=_one_arm(sample, base, drawn_base),
            tuned=_one_arm(sample, tuned, drawn_tuned),
            difference=_difference(sample, base, tuned, drawn_tuned - drawn_base),
            p_value=p_value,
            p_method=p_method,
            wins=wins,
            ties=ties,
            losses=losses,
            resamples=resamples,
            seed=seed,
        )


# Sample size -----------------------------------------------------------------------------------


def smallest_detectable(
    n: int,
    *,
    sd: float | None = None,
    discordance: float | None = None,
    alpha: float = 0.05,
    power: float = 0.8,
) -> float:
    """The smallest difference that a one-sided test on n pairs finds with that power.

    From the standard deviation of the per-example differences, or for a rate from the share of
    pairs that disagree. With clusters, n is nearer to their number. Raises ValueError unless
    exactly one of the two is given.
    """
    return _reach(alpha, power) * _spread(sd, discordance) / math.sqrt(n)


def examples_needed(
    difference: float,
    *,
    sd: float | None = None,
    discordance: float | None = None,
    alpha: float = 0.05,
    power: float = 0.8,
) -> int:
    """How many pairs it takes to find that difference: `smallest_detectable` turned round."""
    return math.ceil((_reach(alpha, power) * _spread(sd, discordance) / difference) ** 2)


def _reach(alpha: float, power: float) -> float:
    return NormalDist().inv_cdf(1 - alpha) + NormalDist().inv_cdf(power)


def _spread(sd: float | None, discordance: float | None) -> float:
    if sd is not None and discordance is None:
        return sd
    if discordance is not None and sd is None:
        return math.sqrt(discordance)
    raise ValueError("give either sd or discordance")


# The parts of a comparison ---------------------------------------------------------------------


def _scorable(arms: tuple[Rows, ...], clusters: Clusters | None) -> tuple[list[Array], Codes, int]:
    """The rows that every arm has, shape (n, k) each, their clusters' numbers, and the rest."""
    sizes = {len(arm) for arm in arms} | ({len(clusters)} if clusters is not None else set())
    if len(sizes) != 1:
        raise ValueError(f"arms and clusters differ in length: {sorted(sizes)}")
    total = sizes.pop()
    kept = [i for i in range(total) if all(arm[i] is not None for arm in arms)]
    numbers: dict[str | int, int] = {}
    names = [clusters[i] if clusters is not None else None for i in kept]
    codes = [
        numbers.setdefault(i if name is None else name, len(numbers))
        for i, name in zip(kept, names, strict=True)
    ]
    rows = [np.array([arm[i] for i in kept], dtype=np.float64) for arm in arms]
    return rows, np.array(codes, dtype=np.intp), total - len(kept)


def _generator(seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, stream])


def _enough(resamples: int, confidence: float) -> int:
    """At least twenty resamples beyond a one-sided bound, however high the confidence."""
    return max(resamples, math.ceil(20 / (1 - confidence)))


def _outcomes(
    metric: Metric, base: Array, tuned: Array
) -> tuple[int | None, int | None, int | None]:
    if metric.better == "neither":
        return None, None, None
    first, second = (tuned, base) if metric.better == "higher" else (base, tuned)
    ahead, behind = metric.aggregate(first), metric.aggregate(second)
    return int((ahead > behind).sum()), int((ahead == behind).sum()), int((ahead < behind).sum())


def _bootstrap_ends(sample: _Sample, value: float, drawn: Array) -> Ends:
    if math.isnan(value) or np.isnan(drawn).any():
        return math.nan, math.nan, math.nan, math.nan
    if sample.clusters < 2:
        return -math.inf, math.inf, -math.inf, math.inf
    ordered = np.sort(drawn)
    tail = 1 - sample.confidence
    low, high = percentiles(ordered, sample.clusters, tail / 2)
    return low, high, *percentiles(ordered, sample.clusters, tail)


def _exact_ends(sample: _Sample, value: float, hits: Array) -> Ends:
    def bounds(tail: float) -> tuple[float, float]:
        worth = effective_n(hits - value, sample.codes, tail)
        return binomial_bounds(value * worth, worth, tail)

    tail = 1 - sample.confidence
    return *bounds(tail / 2), *bounds(tail)


def _one_arm(sample: _Sample, rows: Array, drawn: Array) -> Interval:
    value = float(sample.metric.aggregate(rows.sum(axis=0)))
    if sample.is_rate:
        return _stated(sample, value, _exact_ends(sample, value, rows[:, 0]), _EXACT)
    return _stated(sample, value, _bootstrap_ends(sample, value, drawn), _BOOTSTRAP)


def _difference(sample: _Sample, base: Array, tuned: Array, drawn: Array) -> Interval:
    aggregate = sample.metric.aggregate
    value = float(aggregate(tuned.sum(axis=0)) - aggregate(base.sum(axis=0)))
    ends = _bootstrap_ends(sample, value, drawn)
    if not sample.is_rate:
        return _stated(sample, value, ends, _BOOTSTRAP)
    tail = 1 - sample.confidence
    change = tuned[:, 0] - base[:, 0]
    worth = effective_n(change - value, sample.codes, tail)
    up, down = float((change > 0).mean()) * worth, float((change < 0).mean()) * worth
    at_least, at_most = rate_change_bounds(up, down, worth, tail)
    method = f"{_BOOTSTRAP}; one-sided: Bonett-Price"
    return _stated(sample, value, (ends[0], ends[1], at_least, at_most), method)


def _stated(sample: _Sample, value: float, ends: Ends, method: str) -> Interval:
    n = len(sample.codes)
    return Interval(value, *ends, sample.confidence, method, n, sample.n_missing, sample.clusters)


def _unmeasured(confidence: float, missing: int) -> Interval:
    nan = math.nan
    return Interval(nan, nan, nan, nan, nan, confidence, "none", 0, missing, 0)


def _p_value(
    sample: _Sample,
    base_sums: Array,
    tuned_sums: Array,
    draws: int,
    generator: np.random.Generator,
) -> tuple[float, str]:
    if sample.is_rate and sample.clusters == len(sample.codes):
        change = tuned_sums[:, 0] - base_sums[:, 0]
        return mcnemar(int((change > 0).sum()), int((change < 0).sum())), "exact McNemar"
    return sign_flip(sample.metric.aggregate, base_sums, tuned_sums, draws, generator)

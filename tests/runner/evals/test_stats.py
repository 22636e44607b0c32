from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.evals import resample
from runner.evals.metrics import METRICS, Prediction, collect
from runner.evals.rates import binomial_bounds, mcnemar, rate_change_bounds
from runner.evals.stats import examples_needed, interval, paired, smallest_detectable

# A mean of any values, a ratio of sums, a rate and a metric without a better direction.
MEAN, LOSS, RATE, RATIO = (METRICS[n] for n in ("token_f1", "loss", "exact_match", "length_ratio"))


def mean_rows(values):
    return np.column_stack([values, np.ones(len(values))])


def texts(metric, answers, references):
    predictions = [Prediction("1", text, (), True, 0.0, 1, 1) for text in answers]
    return collect(metric, predictions, references)


values = st.lists(st.floats(0, 1, width=32), min_size=2, max_size=30)
groups = st.none() | st.lists(st.sampled_from("abcde"), min_size=30, max_size=30)


# Properties ------------------------------------------------------------------------------------


@given(values, groups, st.sampled_from([MEAN, LOSS, RATIO]), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_a_model_against_itself_differs_by_nothing(numbers, clusters, metric, seed):
    rows = np.column_stack([numbers, np.arange(1.0, len(numbers) + 1)])
    clusters = clusters and ["first", *clusters][: len(numbers)]
    same = paired(metric, rows, rows.copy(), clusters, resamples=200, seed=seed)
    difference = same.difference
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)
    assert (difference.at_least, difference.at_most, same.p_value) == (0, 0, 1)
    assert (same.wins or 0, same.losses or 0) == (0, 0)
    assert same.base == same.tuned


@pytest.mark.parametrize("name", ["loss", "rouge_l", "bleu", "chrf", "exact_match", "length_ratio"])
def test_a_model_against_itself_by_its_answers(name):
    answers = ["the cat sat on the mat", "no", "it is here and there", "yes, it is"] * 3
    rows = texts(METRICS[name], answers, ["the cat is on the mat", "no"] * 6)
    same = paired(METRICS[name], rows, list(rows), seed=0).difference
    assert (same.value, same.low, same.high) == (0, 0, 0)


@given(values, st.integers(0, 99), groups, st.sampled_from([MEAN, LOSS, RATE, RATIO]))
@settings(max_examples=60, deadline=None)
def test_swapping_the_arms_negates_the_difference(numbers, seed, clusters, metric):
    base = mean_rows(np.round(numbers) if metric is RATE else numbers)
    tuned = np.random.default_rng(seed).permutation(base)
    clusters = clusters and clusters[: len(numbers)]
    one = paired(metric, base, tuned, clusters, resamples=200, seed=seed)
    two = paired(metric, tuned, base, clusters, resamples=200, seed=seed)
    there, back = one.difference, two.difference
    assert there.value == -back.value
    assert (there.low, there.high) == (-back.high, -back.low)
    assert (there.at_least, there.at_most) == (-back.at_most, -back.at_least)
    assert (one.wins, one.ties, one.losses) == (two.losses, two.ties, two.wins)
    assert one.p_value == pytest.approx(two.p_value, abs=1 / 200)
    assert (one.base, one.tuned) == (two.tuned, two.base)


def simulated(n, seed, shift=0.1):
    generator = np.random.default_rng(seed)
    base = generator.normal(1, 0.5, n)
    return mean_rows(base), mean_rows(base + generator.normal(shift, 0.3, n))


def test_the_seed_alone_decides_the_draws():
    base, tuned = simulated(50, 0)
    first = paired(MEAN, base, tuned, seed=1)
    assert paired(MEAN, base, tuned, seed=1) == first
    assert paired(MEAN, base, tuned, seed=2).difference.low != first.difference.low


def test_little_memory_gives_the_same_answer(monkeypatch):
    base, tuned = (np.round(100 * rows) for rows in simulated(50, 0))  # sums without rounding
    whole = paired(LOSS, base, tuned, seed=1)
    monkeypatch.setattr(resample, "_CELLS", 50 * 7)
    assert paired(LOSS, base, tuned, seed=1) == whole


def test_wins_follow_the_better_direction():
    base, tuned = mean_rows([1.0, 1.0, 1.0, 1.0]), mean_rows([2.0, 3.0, 1.0, 0.0])
    outcomes = {
        metric.better: (c.wins, c.ties, c.losses)
        for metric in (MEAN, LOSS, RATIO)
        for c in [paired(metric, base, tuned, seed=0)]
    }
    assert outcomes == {"higher": (2, 1, 1), "lower": (1, 1, 2), "neither": (None, None, None)}


# Coverage --------------------------------------------------------------------------------------


def clustered(generator, clusters):
    """Nats and tokens whose mean varies by cluster around 0.3 nats a token."""
    sizes = generator.integers(2, 12, clusters)
    codes = np.repeat(np.arange(clusters), sizes)
    tokens = generator.integers(5, 60, len(codes)).astype(float)
    mean = 0.3 + generator.normal(0, 0.2, clusters)[codes]
    nats = tokens * (mean + generator.normal(0, 0.2, len(codes)))
    return np.column_stack([nats, tokens]), codes


def coverage(draw, truth, trials=800):
    found = [draw(np.random.default_rng(trial)) for trial in range(trials)]
    within = np.mean([i.low <= truth <= i.high for i in found])
    return within, np.mean([i.at_least <= truth for i in found])


def means(generator):
    return interval(MEAN, mean_rows(generator.normal(2, 1, 40)), resamples=400, seed=3)


def differences(generator):
    base = generator.exponential(1, 120)
    rows = mean_rows(base), mean_rows(base * generator.uniform(0.5, 1.7, 120))
    return paired(MEAN, *rows, resamples=400, seed=3).difference


def by_cluster(generator):
    rows, codes = clustered(generator, 40)
    return interval(LOSS, rows, [str(code) for code in codes], resamples=400, seed=3)


def heedless(generator):
    rows, _ = clustered(generator, 40)
    return interval(LOSS, rows, resamples=400, seed=3)


@pytest.mark.parametrize(("draw", "truth"), [(means, 2.0), (differences, 0.1), (by_cluster, 0.3)])
def test_intervals_cover_the_truth_as_often_as_they_say(draw, truth):
    two_sided, one_sided = coverage(draw, truth)
    assert 0.93 <= two_sided <= 0.97
    assert 0.93 <= one_sided <= 0.97


def test_examples_of_one_cluster_taken_for_independent_cover_it_too_seldom():
    assert coverage(heedless, 0.3, trials=300)[0] < 0.85


def test_two_equal_models_seldom_differ_significantly():
    def p_value(seed):
        base, tuned = simulated(40, seed, shift=0.0)
        return paired(MEAN, base, tuned, resamples=400, seed=seed).p_value

    p_values = np.array([p_value(seed) for seed in range(500)])
    assert 0.03 <= np.mean(p_values <= 0.05) <= 0.07
    assert 0.45 <= np.mean(p_values <= 0.5) <= 0.55


# Oracles ---------------------------------------------------------------------------------------


def test_a_large_sample_has_the_interval_of_students_t():
    from scipy import stats

    base, tuned = simulated(2000, 5)
    change = tuned[:, 0] - base[:, 0]
    low, high = stats.t.interval(0.95, 1999, change.mean(), stats.sem(change))
    ours = paired(MEAN, base, tuned, resamples=8000, seed=1).difference
    assert ours.value == pytest.approx(change.mean())
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.04 * (high - low))


def test_clusters_widen_by_the_clustered_standard_error():
    rows, codes = clustered(np.random.default_rng(8), 400)
    rows = mean_rows(rows[:, 0] / rows[:, 1])
    deviations = np.bincount(codes, weights=rows[:, 0] - rows[:, 0].mean())
    error = math.sqrt((deviations**2).sum() * 400 / 399) / len(rows)
    ours = interval(MEAN, rows, [str(c) for c in codes], resamples=8000, seed=1)
    assert ours.high - ours.low == pytest.approx(2 * 1.966 * error, rel=0.05)
    assert ours.clusters == 400


@pytest.mark.parametrize("seed", range(4))
def test_the_exact_permutation_test_is_scipys(seed):
    from scipy import stats

    base, tuned = simulated(9, seed)
    theirs = stats.permutation_test(
        (tuned[:, 0] - base[:, 0],), np.mean, permutation_type="samples", n_resamples=math.inf
    )
    ours = paired(MEAN, base, tuned, seed=0)
    assert ours.p_method == "sign-flip permutation, exact"
    assert ours.p_value == pytest.approx(theirs.pvalue)
    sampled = paired(MEAN, base, tuned, resamples=511, seed=0)
    assert sampled.p_method == "sign-flip permutation"
    assert sampled.p_value == pytest.approx(theirs.pvalue, abs=0.08)


def test_bleu_differs_as_by_sacrebleus_own_paired_bootstrap(monkeypatch):
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.significance import PairedTest

    monkeypatch.setenv("SACREBLEU_SEED", "12345")
    generator = np.random.default_rng(4)
    words = np.array(["the", "cat", "sat", "on", "a", "mat", "and", "then", "it", "slept"])
    references = [" ".join(generator.choice(words, 12)) for _ in range(80)]

    def spoilt(share):
        return [
            " ".join(w if generator.random() > share else "uh" for w in reference.split())
            for reference in references
        ]

    base, tuned = spoilt(0.22), spoilt(0.18)
    systems = [("base", base), ("tuned", tuned)]
    _, scores = PairedTest(systems, {"BLEU": BLEU()}, [references], "bs", 2000)()
    theirs = scores["BLEU"]
    bleu = METRICS["bleu"]
    ours = paired(bleu, texts(bleu, base, references), texts(bleu, tuned, references), seed=1)
    for one, other in zip((ours.base, ours.tuned), theirs, strict=True):
        assert one.value == pytest.approx(other.score)
        assert (one.high - one.low) / 2 == pytest.approx(other.ci, rel=0.1)
    assert ours.p_value == pytest.approx(theirs[1].p_value, abs=0.02)


@pytest.mark.parametrize(("up", "down"), [(0, 0), (0, 5), (3, 3), (12, 4), (40, 71)])
def test_mcnemar_is_the_binomial_test_of_the_changed_pairs(up, down):
    from scipy import stats

    theirs = stats.binomtest(up, up + down).pvalue if up + down else 1.0
    assert mcnemar(up, down) == pytest.approx(theirs)
    base = mean_rows([0.0] * up + [1.0] * down + [1.0])
    tuned = mean_rows([1.0] * up + [0.0] * down + [1.0])
    comparison = paired(RATE, base, tuned, seed=0)
    assert (comparison.wins, comparison.ties, comparison.losses) == (up, 1, down)
    assert comparison.p_value == pytest.approx(theirs)
    assert comparison.p_method == "exact McNemar"


@pytest.mark.parametrize(("hits", "n"), [(0, 50), (0, 150), (1, 75), (30, 40), (9, 9)])
def test_rates_have_clopper_and_pearsons_bounds(hits, n):
    from scipy import stats

    found = interval(RATE, mean_rows([1.0] * hits + [0.0] * (n - hits)), seed=0)
    two_sided = stats.binomtest(hits, n).proportion_ci(0.95, "exact")
    below = stats.binomtest(hits, n, alternative="greater").proportion_ci(0.95, "exact").low
    above = stats.binomtest(hits, n, alternative="less").proportion_ci(0.95, "exact").high
    assert (found.low, found.high) == pytest.approx(tuple(two_sided))
    assert (found.at_least, found.at_most) == pytest.approx((below, above))


@pytest.mark.parametrize(("n", "bound"), [(50, 0.058), (150, 0.020), (75, 0.039)])
def test_no_failure_in_n_bounds_the_rate(n, bound):
    assert binomial_bounds(0, n, 0.05) == (0, pytest.approx(bound, abs=5e-4))
    assert binomial_bounds(n, n, 0.05) == (pytest.approx(1 - bound, abs=5e-4), 1)
    assert interval(RATE, mean_rows([0.0] * n), seed=0).at_most == pytest.approx(
        1 - 0.05 ** (1 / n)
    )


def test_no_failure_in_few_groups_says_less():
    rows, clusters = mean_rows([0.0] * 75), [str(i // 3) for i in range(75)]
    assert interval(RATE, rows, clusters, seed=0).at_most == pytest.approx(1 - 0.05 ** (1 / 25))


def test_a_rate_in_clusters_knows_less_than_one_in_as_many_single_examples():
    hits = np.repeat([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0], 10)
    alone = interval(RATE, mean_rows(hits), seed=0)
    alike = interval(RATE, mean_rows(hits), [str(i // 10) for i in range(100)], seed=0)
    ten = interval(RATE, mean_rows(hits[::10]), seed=0)
    assert alike.value == alone.value == ten.value == 0.2
    assert alone.at_most < 0.28 < 0.5 < ten.at_most <= alike.at_most < 0.6


def test_clustered_examples_are_worth_korn_and_graubards_number():
    from scipy import stats

    codes = np.repeat(np.arange(10), 10)  # ten groups of ten answers that are all alike
    deviations = np.repeat([0.8, 0.8] + [-0.2] * 8, 10)
    freedom = (stats.t.ppf(0.05, 99) / stats.t.ppf(0.05, 9)) ** 2
    expected = 10 * (100 / 99) / (10 / 9) * freedom
    assert resample.effective_n(deviations, codes, 0.05) == pytest.approx(expected)
    assert resample.effective_n(deviations[::10], np.arange(10), 0.05) == 10


def test_a_rate_that_changed_in_few_groups_is_tested_by_group():
    base, tuned = mean_rows([0.0] * 40), mean_rows([1.0] * 20 + [0.0] * 20)
    clusters = [str(i // 10) for i in range(40)]
    # Two of four groups changed: the other signs give as much in half of the cases.
    assert paired(RATE, base, tuned, clusters, seed=0).p_value == 0.5
    assert paired(RATE, base, tuned, seed=0).p_value < 1e-5


@pytest.mark.parametrize(("rise", "fall"), [(0.1, 0.1), (0.05, 0.1), (0.02, 0.02), (0.3, 0.1)])
def test_the_change_of_a_rate_is_seldom_beyond_its_bounds(rise, fall):
    from scipy import stats

    n = 60
    missed = sum(
        stats.multinomial.pmf([up, down, n - up - down], n, [rise, fall, 1 - rise - fall])
        for up, down in product(range(n + 1), repeat=2)
        if up + down <= n and rate_change_bounds(up, down, n, 0.05)[0] > rise - fall
    )
    assert missed <= 0.05


def test_a_bootstrap_of_unchanged_answers_would_be_too_sure():
    rows = mean_rows([0.0] * 10 + [1.0] * 10)
    same = paired(RATE, rows, rows, seed=0).difference
    assert (same.low, same.high) == (0, 0)
    assert same.at_least == -same.at_most < -0.05


# Sample size -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("discordance", "drop", "n"), [(0.10, 0.03, 687), (0.10, 0.02, 1546), (0.15, 0.05, 371)]
)
def test_how_many_examples_a_drop_takes(discordance, drop, n):
    assert examples_needed(drop, discordance=discordance) == n
    assert smallest_detectable(n, discordance=discordance) == pytest.approx(drop, rel=2e-3)
    assert smallest_detectable(n, sd=math.sqrt(discordance)) <= drop


def test_the_promised_power_is_had():
    n = 100
    shift = smallest_detectable(n, sd=1.0)
    generator = np.random.default_rng(0)
    found = [
        interval(MEAN, mean_rows(generator.normal(shift, 1, n)), resamples=400, seed=0).at_least > 0
        for _ in range(500)
    ]
    assert 0.76 <= np.mean(found) <= 0.84


def test_a_spread_must_be_given_once():
    with pytest.raises(ValueError, match="either"):
        smallest_detectable(10)
    with pytest.raises(ValueError, match="either"):
        examples_needed(0.1, sd=1.0, discordance=0.1)


# What is missing -------------------------------------------------------------------------------


def test_pairs_that_one_side_could_not_score_are_left_out_and_counted():
    base = [(1.0, 1.0), None, (3.0, 1.0), (2.0, 1.0), (9.0, 1.0)]
    tuned = [(2.0, 1.0), (5.0, 1.0), (3.0, 1.0), (4.0, 1.0), None]
    found = paired(MEAN, base, tuned, ["a", "b", "a", None, "c"], seed=0)
    assert (found.base.value, found.tuned.value, found.difference.value) == (2, 3, 1)
    assert (found.difference.n, found.difference.n_missing, found.difference.clusters) == (3, 2, 2)
    assert interval(MEAN, base, seed=0).n_missing == 1


def test_nothing_to_score_is_not_a_number():
    nothing = paired(MEAN, [None, None], [(1.0, 1.0), None], seed=0)
    assert (nothing.difference.n, nothing.difference.n_missing) == (0, 2)
    assert math.isnan(nothing.difference.value) and math.isnan(nothing.p_value)
    assert math.isnan(interval(RATE, [], seed=0).at_most)


def test_a_diverged_model_is_not_averaged_away():
    base, tuned = simulated(20, 0)
    for broken in (math.nan, math.inf):
        tuned[3, 0] = broken
        found = paired(MEAN, base, tuned, seed=0)
        assert not math.isfinite(found.tuned.value)
        assert math.isnan(found.difference.at_least) and math.isnan(found.difference.high)
        assert math.isfinite(found.base.high)


def test_one_cluster_shows_nothing_of_the_spread():
    base, tuned = simulated(20, 0)
    alone = paired(MEAN, base, tuned, ["only"] * 20, seed=0).difference
    assert (alone.low, alone.high, alone.at_least) == (-math.inf, math.inf, -math.inf)


def test_arms_of_different_length_are_refused():
    base, tuned = simulated(20, 0)
    with pytest.raises(ValueError, match="length"):
        paired(MEAN, base, tuned[:19], seed=0)
    with pytest.raises(ValueError, match="length"):
        paired(MEAN, base, tuned, ["a"] * 19, seed=0)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_more_confidence_reaches_further(confidence):
    base, tuned = simulated(60, 0)
    found = paired(MEAN, base, tuned, confidence=confidence, seed=0)
    less = paired(MEAN, base, tuned, confidence=confidence - 0.1, seed=0).difference
    difference = found.difference
    assert difference.low < less.low and difference.at_least < less.at_least
    assert difference.low < difference.at_least <= difference.value + 1e-2
    # Beyond the bound there must be resamples to tell it from the extreme.
    assert found.resamples * (1 - confidence) >= 19.99
    rate = interval(RATE, above_one(base), ["a", "b", "c"] * 20, confidence=confidence, seed=0)
    assert 0 <= rate.low < rate.value < rate.high <= 1


def above_one(rows):
    return mean_rows((rows[:, 0] > 1).astype(float))

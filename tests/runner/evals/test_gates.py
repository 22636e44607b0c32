from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.recipe import Gate
from runner.evals.gates import exit_status, judge, overall
from runner.evals.metrics import METRICS
from runner.evals.stats import Comparison, Interval, interval, paired


def gate(metric="domain.loss", **conditions):
    unset = dict.fromkeys(("min", "max", "against", "improve_by", "drop_at_most"))
    return Gate(**{"metric": metric, **unset, "confidence": 0.95, "required": True, **conditions})


def between(at_least, at_most, n=100, missing=0):
    value = 1.0 if math.isinf(at_least) else (at_least + at_most) / 2
    return Interval(value, at_least, at_most, at_least, at_most, 0.95, "given", n, missing, n)


def difference(at_least, at_most, metric="loss"):
    one = between(2.0, 2.2)
    change = between(at_least, at_most)
    return Comparison(metric, one, one, change, 0.5, "given", 1, 1, 1, 2000, 0)


def rows(hits, n):
    return np.column_stack([np.arange(n) < hits, np.ones(n)]).astype(float)


def rate(hits, n, metric="loop_rate", clusters=None):
    return interval(METRICS[metric], rows(hits, n), clusters, seed=0)


# Verdicts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conditions", "at_least", "at_most", "status", "bound"),
    [
        ({"max": 2.5}, 2.0, 2.5, "pass", 2.5),
        ({"max": 2.5}, 2.4, 2.6, "inconclusive", 2.6),
        ({"max": 2.5}, 2.5, 2.6, "inconclusive", 2.6),
        ({"max": 2.5}, 2.51, 2.6, "fail", 2.51),
        ({"min": 0.3}, 0.3, 0.4, "pass", 0.3),
        ({"min": 0.3}, 0.2, 0.3, "inconclusive", 0.2),
        ({"min": 0.3}, 0.1, 0.29, "fail", 0.29),
        ({"min": 1.0, "max": 2.0}, 1.2, 1.8, "pass", 1.2),
        ({"min": 1.0, "max": 2.0}, 1.2, 2.2, "inconclusive", 2.2),
        ({"min": 1.0, "max": 2.0}, 0.2, 0.8, "fail", 0.8),
        ({"max": 2.5}, 2.0, math.nan, "fail", None),
        ({"max": 2.5}, -math.inf, math.inf, "inconclusive", None),
    ],
)
def test_a_limit_is_judged_by_the_tuned_models_own_interval(
    conditions, at_least, at_most, status, bound
):
    verdict = judge(gate(**conditions), between(at_least, at_most))
    assert (verdict.status, verdict.bound) == (status, bound)
    assert verdict.bound is None or verdict.threshold in conditions.values()


@pytest.mark.parametrize(
    ("conditions", "at_least", "at_most", "status", "bound"),
    [  # of loss: a negative difference is an improvement
        ({"improve_by": 0.0}, -0.4, -0.1, "pass", 0.1),
        ({"improve_by": 0.0}, -0.4, 0.1, "inconclusive", -0.1),
        ({"improve_by": 0.0}, -0.4, 0.0, "inconclusive", 0.0),
        ({"improve_by": 0.0}, 0.0, 0.0, "fail", 0.0),
        ({"improve_by": 0.0}, 0.1, 0.4, "fail", -0.1),
        ({"improve_by": 0.2}, -0.4, -0.3, "pass", 0.3),
        ({"improve_by": 0.2}, -0.4, -0.1, "inconclusive", 0.1),
        ({"improve_by": 0.2}, -0.1, 0.1, "fail", 0.1),
        ({"drop_at_most": 0.0}, 0.0, 0.0, "pass", 0.0),
        ({"drop_at_most": 0.2}, -0.1, 0.2, "pass", 0.2),
        ({"drop_at_most": 0.2}, 0.1, 0.3, "inconclusive", 0.3),
        ({"drop_at_most": 0.2}, 0.3, 0.4, "fail", 0.3),
        ({"drop_at_most": 0.2, "improve_by": 0.0}, -0.1, 0.1, "inconclusive", -0.1),
        ({"improve_by": 0.0, "max": 2.1}, -0.4, -0.1, "inconclusive", 2.2),
        ({"improve_by": 0.0}, -math.inf, math.inf, "inconclusive", None),
        ({"improve_by": 0.0}, math.nan, math.nan, "fail", None),
    ],
)
def test_a_comparison_is_judged_by_the_difference(conditions, at_least, at_most, status, bound):
    verdict = judge(gate(against="base", **conditions), difference(at_least, at_most))
    assert (verdict.status, verdict.bound) == (status, bound)
    # The same advantage of a metric that is better when higher gets the same verdict.
    mirrored = gate("domain.chrf", against="base", **conditions)
    assert judge(mirrored, difference(-at_most, -at_least, "chrf")).status == status


@pytest.mark.parametrize(
    ("one", "evidence", "reason"),
    [
        (gate(max=2.5), None, "not measured"),
        (gate(max=2.5), interval(METRICS["loss"], [None, None], seed=0), "not one example"),
        (gate(improve_by=0.0, against="base"), between(1, 2), "not compared with the base model"),
        (gate(drop_at_most=0.0, against="run:7"), between(1, 2), "not compared with run 7"),
        (gate("domain.length_ratio", improve_by=0.0), difference(0, 1), "no better direction"),
        (gate(), between(1, 2), "no condition"),
    ],
)
def test_what_cannot_be_judged_has_failed(one, evidence, reason):
    verdict = judge(one, evidence)
    assert verdict.status == "fail" and reason in verdict.reason
    assert verdict.bound is verdict.threshold is None


def test_evidence_at_another_confidence_is_refused():
    with pytest.raises(ValueError, match=r"confidence 0\.9"):
        judge(gate(max=2.5, confidence=0.9), between(1, 2))


@given(*[st.floats(-5, 5)] * 3, st.sampled_from(["min", "max", "improve_by", "drop_at_most"]))
def test_a_clear_verdict_holds_for_every_value_in_the_interval(one, two, limit, condition):
    low, high = sorted((one, two))
    judged = gate(against="base", **{condition: limit})

    def status(at_least, at_most):
        tuned = between(at_least, at_most)
        return judge(judged, Comparison("loss", tuned, tuned, tuned, 1, "", 0, 0, 0, 1, 0)).status

    whole = status(low, high)
    if whole != "inconclusive":
        assert {status(value, value) for value in (low, (low + high) / 2, high)} == {whole}
    else:
        assert {status(low, low), status(high, high)} == {"pass", "fail"}


# Reasons ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "evidence", "reason"),
    [
        (
            gate("domain.loop_rate", max=0.02),
            rate(0, 75),
            "domain.loop_rate is inconclusive: 0 of 75 answers looped; 75 examples can only show"
            " a rate under 3.9%; 2% takes at least 149 examples.",
        ),
        (
            gate("domain.loop_rate", max=0.02),
            rate(0, 75, clusters=[str(i // 3) for i in range(75)]),
            "domain.loop_rate is inconclusive: 0 of 75 answers looped; 75 examples in 25 groups"
            " can only show a rate under 11.3%; 2% takes at least 149 groups.",
        ),
        (
            gate("domain.loop_rate", max=0.02),
            rate(0, 149),
            "domain.loop_rate passes: 0 of 149 answers looped; with 95% confidence the rate is"
            " at most 2%; 2% is allowed.",
        ),
        (
            gate("domain.loop_rate", max=0.02),
            rate(30, 75),
            "domain.loop_rate fails: 30 of 75 answers looped; with 95% confidence the rate is"
            " at least 30.5%, above 2%.",
        ),
        (
            gate("domain.loop_rate", max=0.02),
            rate(3, 300),
            "domain.loop_rate is inconclusive: 3 of 300 answers looped; the truth may lie"
            " anywhere from 0.27% to 2.6%.",
        ),
        (
            gate("domain.loop_rate", max=0.0),
            rate(0, 500),
            "domain.loop_rate is inconclusive: 0 of 500 answers looped; 500 examples can only"
            " show a rate under 0.6%, and no number of them 0%.",
        ),
        (
            gate("domain.exact_match", min=0.95),
            rate(20, 20, "exact_match"),
            "domain.exact_match is inconclusive: 20 of 20 answers matched the reference;"
            " 20 examples can only show a rate over 86.1%; 95% takes at least 59 examples.",
        ),
        (
            gate(max=2.5),
            between(2.0, 2.2, missing=3),
            "domain.loss passes: the tuned model has 2.1 (nats per token); with 95% confidence"
            " it is at most 2.2; 2.5 is allowed. 3 further examples could not be scored.",
        ),
        (
            gate(improve_by=0.0, against="base"),
            difference(-0.4, -0.2),
            "domain.loss passes: the tuned model has 2.1 against 2.1 for the base model,"
            " 0.3 better; with 95% confidence it is better by at least 0.2;"
            " the gate asks for more than 0 better.",
        ),
        (
            gate(drop_at_most=0.1, against="start"),
            difference(0.2, 0.4),
            "domain.loss fails: the tuned model has 2.1 against 2.1 for the starting model,"
            " 0.3 worse; with 95% confidence it is at best 0.2 worse;"
            " the gate allows 0.1 worse.",
        ),
        (
            gate(improve_by=0.0, against="base"),
            difference(-0.5, 0.25),
            "domain.loss is inconclusive: the tuned model has 2.1 against 2.1 for the base model,"
            " 0.125 better; the truth may lie anywhere from 0.25 worse to 0.5 better;"
            " the gate asks for more than 0 better.",
        ),
        (
            gate(improve_by=0.0, against="base"),
            difference(-math.inf, math.inf),
            "domain.loss is inconclusive: the tuned model has 2.1 against 2.1 for the base model,"
            " 1 worse; all examples belong to one group, which does not show how far others may"
            " differ; the gate asks for more than 0 better.",
        ),
        (
            gate(improve_by=0.0, against="base"),
            difference(math.nan, math.nan),
            "domain.loss fails: its value is not a number, as when a model has diverged.",
        ),
    ],
)
def test_reasons_can_be_read(one, evidence, reason):
    assert judge(one, evidence).reason == reason


@given(st.integers(1, 400), st.sampled_from([0.01, 0.02, 0.05, 0.2, 0.5]))
def test_the_number_of_examples_named_is_the_first_that_can_pass(n, limit):
    verdict = judge(gate("domain.loop_rate", max=limit), rate(0, n))
    first = next(m for m in range(1, 400) if 1 - 0.05 ** (1 / m) <= limit)
    assert verdict.status == ("pass" if n >= first else "inconclusive")
    assert n >= first or f"takes at least {first} examples" in verdict.reason


# From examples to a verdict --------------------------------------------------------------------


def judged(name, base, tuned, **conditions):
    comparison = paired(METRICS[name], base, tuned, seed=0)
    return judge(gate(f"domain.{name}", against="base", **conditions), comparison).status


def test_a_model_that_forgets_or_loops_does_not_pass():
    generator = np.random.default_rng(0)
    tokens = generator.integers(5, 50, 60).astype(float)
    base = np.column_stack([2.0 * tokens, tokens])
    noise = np.column_stack([generator.normal(9.0, 1, 60) * tokens, tokens])
    assert judged("loss", base, noise, drop_at_most=0.1) == "fail"
    assert judged("loss", base, noise, improve_by=0.0) == "fail"
    assert judged("loss", noise, base, improve_by=0.0) == "pass"
    assert judged("loss", base, base, drop_at_most=0.0) == "pass"
    assert judged("loss", base, base, improve_by=0.0) == "fail"
    assert judged("loop_rate", rows(0, 200), rows(200, 200), max=0.02) == "fail"
    assert judged("loop_rate", rows(0, 200), rows(0, 200), max=0.02) == "pass"
    noise[0, 0] = math.nan
    assert judged("loss", noise, base, improve_by=0.0) == "fail"


def test_equal_answers_of_few_examples_do_not_show_that_nothing_was_lost():
    assert judged("exact_match", rows(10, 20), rows(10, 20), drop_at_most=0.02) == "inconclusive"
    assert judged("exact_match", rows(99, 200), rows(99, 200), drop_at_most=0.02) == "pass"


# All gates together ----------------------------------------------------------------------------

passing = (gate(max=2.5), between(2.0, 2.2))
failing = (gate(max=1.0), between(2.0, 2.2))
open_ended = (gate(max=2.1), between(2.0, 2.2))
told_only = (gate(max=1.0, required=False), between(2.0, 2.2))


@pytest.mark.parametrize(
    ("judgements", "status", "code"),
    [
        ([], "pass", 0),
        ([passing, passing], "pass", 0),
        ([passing, open_ended], "inconclusive", 5),
        ([open_ended, failing, passing], "fail", 4),
        ([passing, told_only], "pass", 0),
        ([told_only], "pass", 0),
    ],
)
def test_all_required_gates_must_pass(judgements, status, code):
    verdicts = [judge(one, evidence) for one, evidence in judgements]
    assert overall(verdicts) == status
    assert exit_status(verdicts) == code

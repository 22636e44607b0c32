"""Gates: a verdict from an interval, with a reason that can be read without statistics.

pass: the whole interval lies on the good side; fail: the whole interval on the bad side; between
them inconclusive. What was not measured has failed. All gates must pass (an intersection-union
test), so several of them need no correction.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from dsl.metrics import METRICS, MetricInfo
from dsl.recipe import Gate
from runner.evals.stats import Comparison, Interval

Status = Literal["pass", "fail", "inconclusive"]

EXIT_STATUS: dict[Status, int] = {"pass": 0, "fail": 4, "inconclusive": 5}
_SEVERITY: tuple[Status, ...] = ("pass", "inconclusive", "fail")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one gate.

    `bound` is the one-sided bound that decided, in the terms of `threshold`: the metric itself
    for min and max, 'better by' for improve_by, 'worse by' for drop_at_most. Both are None where
    nothing could be compared. A gate with several conditions shows the one that went worst.
    """

    metric: str
    status: Status
    reason: str
    bound: float | None
    threshold: float | None
    confidence: float
    required: bool


@dataclass(frozen=True, slots=True)
class _Finding:
    status: Status
    reason: str
    bound: float | None = None
    threshold: float | None = None


def judge(gate: Gate, evidence: Comparison | Interval | None) -> Verdict:
    """The verdict on one gate.

    `evidence` is the comparison with the model that the gate names, or for min and max the tuned
    model's interval or any comparison that holds it; None where the metric was not measured.
    Raises ValueError if it was computed at another confidence than the gate's.
    """
    worst = max(_findings(gate, evidence), key=lambda finding: _SEVERITY.index(finding.status))
    finite = worst.bound is not None and math.isfinite(worst.bound)
    return Verdict(
        metric=gate.metric,
        status=worst.status,
        reason=_sentence(gate, worst, evidence),
        bound=worst.bound if finite else None,
        threshold=worst.threshold,
        confidence=gate.confidence,
        required=gate.required,
    )


def overall(verdicts: Iterable[Verdict]) -> Status:
    """The worst status among the required gates; pass if there is none."""
    statuses = [verdict.status for verdict in verdicts if verdict.required]
    return max(statuses, key=_SEVERITY.index, default="pass")


def exit_status(verdicts: Iterable[Verdict]) -> int:
    """0 where all required gates pass, 4 where one fails, 5 where one is inconclusive."""
    return EXIT_STATUS[overall(verdicts)]


# The conditions --------------------------------------------------------------------------------


def _findings(gate: Gate, evidence: Comparison | Interval | None) -> list[_Finding]:
    if evidence is None:
        return [_Finding("fail", "it was not measured")]
    hindrance = _hindrance(gate, evidence)
    if hindrance:
        return [_Finding("fail", hindrance)]
    return [found for check in CHECKS if (found := check(gate, evidence))]


def _hindrance(gate: Gate, evidence: Comparison | Interval) -> str | None:
    """Why nothing can be compared with the gate's numbers, if so."""
    intervals = _intervals(evidence)
    if any(interval.confidence != gate.confidence for interval in intervals):
        raise ValueError(f"the evidence on {gate.metric} is not at confidence {gate.confidence}")
    if not intervals[0].n:
        return "not one example could be scored"
    if _compares(gate) and not isinstance(evidence, Comparison):
        return f"the tuned model was not compared with {_other(gate)}"
    if _compares(gate) and _info(gate).better == "neither":
        return f"{_info(gate).name} has no better direction, so only min and max can judge it"
    used = intervals if _compares(gate) else intervals[:1]
    if any(math.isnan(end) for i in used for end in (i.value, i.at_least, i.at_most)):
        return "its value is not a number, as when a model has diverged"
    if not _compares(gate) and gate.min is None and gate.max is None:
        return "the gate sets no condition"
    return None


def _at_least(gate: Gate, evidence: Comparison | Interval) -> _Finding | None:
    if gate.min is None:
        return None
    info, tuned = _info(gate), _intervals(evidence)[0]
    measured, limit = _measured(info, tuned), _number(info, gate.min)
    if tuned.at_least >= gate.min:
        reason = (
            f"{_sure(gate)} {_it(info)} at least {_number(info, tuned.at_least)}; {limit} is asked"
        )
        return _Finding("pass", f"{measured}; {reason}", tuned.at_least, gate.min)
    if tuned.at_most < gate.min:
        reason = f"{_sure(gate)} {_it(info)} at most {_number(info, tuned.at_most)}, below {limit}"
        return _Finding("fail", f"{measured}; {reason}", tuned.at_most, gate.min)
    reason = _too_small(info, tuned, gate.min, "over") or _undecided(info, tuned)
    return _Finding("inconclusive", f"{measured}; {reason}", tuned.at_least, gate.min)


def _at_most(gate: Gate, evidence: Comparison | Interval) -> _Finding | None:
    if gate.max is None:
        return None
    info, tuned = _info(gate), _intervals(evidence)[0]
    measured, limit = _measured(info, tuned), _number(info, gate.max)
    if tuned.at_most <= gate.max:
        reason = (
            f"{_sure(gate)} {_it(info)} at most {_number(info, tuned.at_most)}; {limit} is allowed"
        )
        return _Finding("pass", f"{measured}; {reason}", tuned.at_most, gate.max)
    if tuned.at_least > gate.max:
        reason = (
            f"{_sure(gate)} {_it(info)} at least {_number(info, tuned.at_least)}, above {limit}"
        )
        return _Finding("fail", f"{measured}; {reason}", tuned.at_least, gate.max)
    reason = _too_small(info, tuned, gate.max, "under") or _undecided(info, tuned)
    return _Finding("inconclusive", f"{measured}; {reason}", tuned.at_most, gate.max)


def _improvement(gate: Gate, evidence: Comparison | Interval) -> _Finding | None:
    if gate.improve_by is None or not isinstance(evidence, Comparison):
        return None
    info, asked = _info(gate), gate.improve_by
    least, most = _gain(info, evidence)
    compared = _compared(gate, evidence)
    condition = f"the gate asks for more than {_amount(info, asked)} better"
    if least > asked:
        reason = f"{_sure(gate)} it is better by at least {_amount(info, least)}"
        return _Finding("pass", f"{compared}; {reason}; {condition}", least, asked)
    if most <= asked:
        reason = f"{_sure(gate)} it is at best {_side(info, most)}"
        return _Finding("fail", f"{compared}; {reason}; {condition}", most, asked)
    reason = _anywhere(_side(info, least), _side(info, most))
    return _Finding("inconclusive", f"{compared}; {reason}; {condition}", least, asked)


def _drop(gate: Gate, evidence: Comparison | Interval) -> _Finding | None:
    if gate.drop_at_most is None or not isinstance(evidence, Comparison):
        return None
    info, allowed = _info(gate), gate.drop_at_most
    least, most = _gain(info, evidence)
    compared = _compared(gate, evidence)
    condition = f"the gate allows {_amount(info, allowed)} worse"
    if -least <= allowed:
        reason = f"{_sure(gate)} it is at worst {_side(info, least)}"
        return _Finding("pass", f"{compared}; {reason}; {condition}", -least, allowed)
    if -most > allowed:
        reason = f"{_sure(gate)} it is at best {_side(info, most)}"
        return _Finding("fail", f"{compared}; {reason}; {condition}", -most, allowed)
    reason = _anywhere(_side(info, least), _side(info, most))
    return _Finding("inconclusive", f"{compared}; {reason}; {condition}", -least, allowed)


CHECKS = (_at_least, _at_most, _improvement, _drop)


def _compares(gate: Gate) -> bool:
    return gate.improve_by is not None or gate.drop_at_most is not None


def _info(gate: Gate) -> MetricInfo:
    return METRICS[gate.metric.rpartition(".")[2]]


def _intervals(evidence: Comparison | Interval) -> tuple[Interval, ...]:
    """The tuned model's interval and, from a comparison, the difference's."""
    if isinstance(evidence, Interval):
        return (evidence,)
    return evidence.tuned, evidence.difference


def _gain(info: MetricInfo, comparison: Comparison) -> tuple[float, float]:
    """The bounds of tuned's advantage: the difference, turned so that better is positive."""
    difference = comparison.difference
    if info.better == "higher":
        return difference.at_least, difference.at_most
    return 0.0 - difference.at_most, 0.0 - difference.at_least


# The words -------------------------------------------------------------------------------------

_STATUS_WORDS: dict[Status, str] = {
    "pass": "passes",
    "fail": "fails",
    "inconclusive": "is inconclusive",
}


def _sentence(gate: Gate, finding: _Finding, evidence: Comparison | Interval | None) -> str:
    missing = _intervals(evidence)[0].n_missing if evidence else 0
    left_out = f" {missing} further examples could not be scored." if missing else ""
    return f"{gate.metric} {_STATUS_WORDS[finding.status]}: {finding.reason}.{left_out}"


def _measured(info: MetricInfo, tuned: Interval) -> str:
    if info.event is None:
        return f"the tuned model has {_number(info, tuned.value)} ({info.unit})"
    return f"{round(tuned.value * tuned.n)} of {tuned.n} answers {info.event}"


def _compared(gate: Gate, comparison: Comparison) -> str:
    info = _info(gate)
    change = comparison.difference.value
    gain = change if info.better == "higher" else 0.0 - change
    values = (
        f"{_number(info, comparison.tuned.value)} against {_number(info, comparison.base.value)}"
    )
    return f"the tuned model has {values} for {_other(gate)}, {_side(info, gain)}"


def _too_small(
    info: MetricInfo, tuned: Interval, limit: float, side: Literal["under", "over"]
) -> str | None:
    """Why the gate cannot pass on so few examples, whatever they show; None where it could.

    With no failure in n the rate's exact bound is 1 - tail**(1/n).
    """
    if info.event is None:
        return None
    tail, allowed = 1 - tuned.confidence, limit if side == "under" else 1 - limit
    best = 1 - tail ** (1 / tuned.clusters)
    if best <= allowed:
        return None
    unit, sample = "examples", f"{tuned.n} examples"
    if tuned.clusters < tuned.n:
        unit, sample = "groups", f"{tuned.n} examples in {tuned.clusters} groups"
    shown, asked = _number(info, best if side == "under" else 1 - best), _number(info, limit)
    if allowed <= 0:
        return f"{sample} can only show a rate {side} {shown}, and no number of them {asked}"
    needed = math.ceil(math.log(tail) / math.log1p(-allowed))
    return f"{sample} can only show a rate {side} {shown}; {asked} takes at least {needed} {unit}"


def _undecided(info: MetricInfo, tuned: Interval) -> str:
    return _anywhere(_number(info, tuned.at_least), _number(info, tuned.at_most))


def _anywhere(low: str, high: str) -> str:
    if "inf" in low or "inf" in high:
        return "all examples belong to one group, which does not show how far others may differ"
    return f"the truth may lie anywhere from {low} to {high}"


def _sure(gate: Gate) -> str:
    return f"with {100 * gate.confidence:g}% confidence"


def _it(info: MetricInfo) -> str:
    return "it is" if info.event is None else "the rate is"


def _other(gate: Gate) -> str:
    names = {None: "another model", "base": "the base model", "start": "the starting model"}
    return names.get(gate.against, str(gate.against).replace(":", " "))


def _number(info: MetricInfo, value: float) -> str:
    return f"{value:.4g}" if info.event is None else f"{_percent(value)}%"


def _amount(info: MetricInfo, value: float) -> str:
    return f"{value:.4g}" if info.event is None else f"{_percent(value)} percentage points"


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.1f}".removesuffix(".0") if abs(percent) >= 1 else f"{percent:.2g}"


def _side(info: MetricInfo, gain: float) -> str:
    if gain == 0:
        return "equal"
    return f"{_amount(info, abs(gain))} {'better' if gain > 0 else 'worse'}"

"""METRICS: the functions of every metric that `dsl/metrics.py` declares.

Every metric, a mean as much as a corpus score, is a function of sums of per-example statistics.
So one bootstrap serves them all: it resamples the rows and adds them up.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsl import metrics as declared
from dsl.metrics import Better, MetricInfo, Needs
from runner.evals.text import (
    ends_in_loop,
    has_unspaced_script,
    normalise_answer,
    seq_rep,
    words,
)

Sums = NDArray[np.float64]
Row = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model made of one example. None is 'not measured'."""

    id: str
    text: str | None
    tokens: tuple[int, ...] | None  # generated ids without the end-of-sequence token
    finished: bool | None  # the end-of-sequence token came before the cap
    nats: float | None  # sum of -ln p over the target tokens
    target_tokens: int | None
    target_bytes: int | None  # of the targets' UTF-8 text


Statistics = Callable[[Prediction, str], Row | None]
Aggregate = Callable[[Sums], Sums]


@dataclass(frozen=True, slots=True)
class Metric:
    """A declared metric with its functions.

    `statistics(prediction, reference)` gives the example's k numbers, or None where the example
    cannot be scored (never a 0 that would be averaged). `aggregate` maps their sums, shape
    (..., k), to values, shape (...); NaN where the metric is undefined.
    """

    info: MetricInfo
    statistics: Statistics
    aggregate: Aggregate

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def better(self) -> Better:
        return self.info.better

    @property
    def needs(self) -> Needs:
        return self.info.needs


# Per-example statistics ------------------------------------------------------------------------


def _nats_over_tokens(prediction: Prediction, reference: str) -> Row | None:
    if prediction.nats is None or not prediction.target_tokens:
        return None
    return prediction.nats, float(prediction.target_tokens)


def _bits_over_bytes(prediction: Prediction, reference: str) -> Row | None:
    if prediction.nats is None or not prediction.target_bytes:
        return None
    return prediction.nats / math.log(2), float(prediction.target_bytes)


class _Words:
    """The tokenizer that rouge-score asks for."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)


@cache
def _rouge_scorer(kind: str) -> Any:
    from rouge_score.rouge_scorer import (  # type: ignore[import-untyped, unused-ignore]
        RougeScorer,
    )

    return RougeScorer([kind], tokenizer=_Words())


def _rouge(kind: str, smallest: int) -> Statistics:
    def statistics(prediction: Prediction, reference: str) -> Row | None:
        # Against a reference without a single n-gram even the perfect answer would get 0.
        if prediction.text is None or len(words(reference)) < smallest:
            return None
        return float(_rouge_scorer(kind).score(reference, prediction.text)[kind].fmeasure), 1.0

    return statistics


@cache
def _sacrebleu(kind: str) -> Any:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    return {"bleu": BLEU, "chrf": CHRF}[kind]()


def _bleu(prediction: Prediction, reference: str) -> Row | None:
    """(correct 1..4, total 1..4, words of the answer, words of the reference)."""
    if prediction.text is None:
        return None
    scored = _sacrebleu("bleu").corpus_score([prediction.text], [[reference]])
    return tuple(map(float, (*scored.counts, *scored.totals, scored.sys_len, scored.ref_len)))


def _chrf(prediction: Prediction, reference: str) -> Row | None:
    """(n-grams of the answer, of the reference, in common) for n = 1..6."""
    if prediction.text is None:
        return None
    (counts,) = _sacrebleu("chrf")._extract_corpus_statistics([prediction.text], [[reference]])
    return tuple(map(float, counts))


def _exact_match(prediction: Prediction, reference: str) -> Row | None:
    if prediction.text is None:
        return None
    return float(normalise_answer(prediction.text) == normalise_answer(reference)), 1.0


def _token_f1(prediction: Prediction, reference: str) -> Row | None:
    if prediction.text is None:
        return None
    answer = normalise_answer(prediction.text).split()
    target = normalise_answer(reference).split()
    if not answer or not target:
        return float(answer == target), 1.0
    shared = sum((Counter(answer) & Counter(target)).values())
    return 2 * shared / (len(answer) + len(target)), 1.0


def _repetition(prediction: Prediction, reference: str) -> Row | None:
    return None if prediction.tokens is None else (seq_rep(prediction.tokens), 1.0)


def _loop(prediction: Prediction, reference: str) -> Row | None:
    if prediction.tokens is None:
        return None
    if ends_in_loop(prediction.tokens):
        return 1.0, 1.0
    if seq_rep(prediction.tokens) <= 0.5 or prediction.finished:
        return 0.0, 1.0
    return None if prediction.finished is None else (1.0, 1.0)


def _truncated(prediction: Prediction, reference: str) -> Row | None:
    return None if prediction.finished is None else (float(not prediction.finished), 1.0)


def _length(prediction: Prediction, reference: str) -> Row | None:
    if prediction.text is None:
        return None
    return float(len(words(prediction.text))), float(len(words(reference)))


# From sums to values ---------------------------------------------------------------------------


def _ratio(sums: Sums) -> Sums:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Sums = np.where(sums[..., 1] > 0, sums[..., 0] / sums[..., 1], np.nan)
    return ratio


def _exp_ratio(sums: Sums) -> Sums:
    with np.errstate(over="ignore"):
        perplexity: Sums = np.exp(_ratio(sums))
    return perplexity


def _bleu_score(sums: Sums) -> Sums:
    """BLEU with sacrebleu's 'exp' smoothing: the i-th order without a match counts as 2**-i."""
    correct, total = sums[..., 0:4], sums[..., 4:8]
    answer, reference = sums[..., 8], sums[..., 9]
    misses = correct == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        brevity = np.exp(np.minimum(0.0, 1 - reference / answer))
        smoothed = np.where(misses, 0.5 ** np.cumsum(misses, axis=-1), correct)
        score = 100 * brevity * np.exp(np.log(smoothed / total).mean(axis=-1))
    # No match at all, or no answer of four words: sacrebleu's 0.
    defined = ~misses.all(axis=-1) & (total[..., 3] > 0)
    return np.where(defined, score, 0.0)


def _chrf_score(sums: Sums) -> Sums:
    """chrF2 (Popović 2015) over the orders that both sides can have, as sacrebleu's default."""
    answer, reference, shared = sums[..., 0::3], sums[..., 1::3], sums[..., 2::3]
    orders = (answer > 0) & (reference > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(orders, shared / answer, 0.0).sum(axis=-1) / orders.sum(axis=-1)
        recall = np.where(orders, shared / reference, 0.0).sum(axis=-1) / orders.sum(axis=-1)
        score = 100 * 5 * precision * recall / (4 * precision + recall)
    return np.where(precision + recall > 0, score, 0.0)


# The registry ----------------------------------------------------------------------------------

METRICS: dict[str, Metric] = {
    "loss": Metric(declared.METRICS["loss"], _nats_over_tokens, _ratio),
    "perplexity": Metric(declared.METRICS["perplexity"], _nats_over_tokens, _exp_ratio),
    "bits_per_byte": Metric(declared.METRICS["bits_per_byte"], _bits_over_bytes, _ratio),
    "rouge_1": Metric(declared.METRICS["rouge_1"], _rouge("rouge1", 1), _ratio),
    "rouge_2": Metric(declared.METRICS["rouge_2"], _rouge("rouge2", 2), _ratio),
    "rouge_l": Metric(declared.METRICS["rouge_l"], _rouge("rougeL", 1), _ratio),
    "bleu": Metric(declared.METRICS["bleu"], _bleu, _bleu_score),
    "chrf": Metric(declared.METRICS["chrf"], _chrf, _chrf_score),
    "exact_match": Metric(declared.METRICS["exact_match"], _exact_match, _ratio),
    "token_f1": Metric(declared.METRICS["token_f1"], _token_f1, _ratio),
    "seq_rep_4": Metric(declared.METRICS["seq_rep_4"], _repetition, _ratio),
    "loop_rate": Metric(declared.METRICS["loop_rate"], _loop, _ratio),
    "truncated_rate": Metric(declared.METRICS["truncated_rate"], _truncated, _ratio),
    "length_ratio": Metric(declared.METRICS["length_ratio"], _length, _ratio),
}


def score(metric: Metric, prediction: Prediction, reference: str) -> float | None:
    """The metric of one example alone; None where it cannot be scored or is undefined."""
    row = metric.statistics(prediction, reference)
    if row is None:
        return None
    value = float(metric.aggregate(np.asarray(row, dtype=np.float64)))
    return None if math.isnan(value) else value


def collect(
    metric: Metric, predictions: Sequence[Prediction], references: Sequence[str]
) -> list[Row | None]:
    """Every example's statistics, in order: the input of `runner.evals.stats`."""
    return [metric.statistics(p, r) for p, r in zip(predictions, references, strict=True)]


def signature(metric: Metric) -> str | None:
    """How another tool can repeat the number; None where the definition says it all."""
    if metric.name in ("bleu", "chrf"):
        scorer = _sacrebleu(metric.name)
        scorer.corpus_score(["a"], [["a"]])  # sacrebleu counts the references before it signs
        return f"sacrebleu|{scorer.get_signature()}"
    if metric.name.startswith("rouge"):
        from importlib.metadata import version

        return f"rouge-score|stem:no|tok:unicode-words|version:{version('rouge-score')}"
    return None


def notes(
    metric: Metric, predictions: Sequence[Prediction], references: Sequence[str]
) -> list[str]:
    """Sentences that a reader of the value should know."""
    found = []
    rows = collect(metric, predictions, references)
    missing = sum(row is None for row in rows)
    if missing:
        found.append(f"{missing} of {len(rows)} examples could not be scored and are left out.")
    if metric.name == "bleu":
        longest = max((row[8] for row in rows if row is not None), default=None)
        if longest is not None and longest < 4:
            found.append(
                "No answer has 4 words, so BLEU is 0 however good the answers are: use chrf."
            )
        if any(has_unspaced_script(reference) for reference in references):
            found.append(
                "BLEU splits words at spaces, and some references are written without them:"
                " use chrf."
            )
    return found

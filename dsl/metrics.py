"""METRICS: what each metric is called, which way is better and what it needs.

Data only, so that the language can judge a recipe; the functions lie in `runner/evals/metrics.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Better = Literal["lower", "higher", "neither"]
Needs = Literal["likelihood", "generation"]


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """One metric as the language knows it.

    `event` is the predicate of a rate, as in '3 of 75 answers looped'; None where the metric is
    not a share of examples. A rate gets exact binomial bounds.
    """

    name: str
    better: Better
    needs: Needs
    unit: str
    description: str
    event: str | None


METRICS: dict[str, MetricInfo] = {
    "loss": MetricInfo(
        "loss", "lower", "likelihood", "nats per token",
        "Mean negative log-likelihood of the target tokens.", None,
    ),
    "perplexity": MetricInfo(
        "perplexity", "lower", "likelihood", "choices per token",
        "exp(loss): among how many equally likely tokens the model hesitates.", None,
    ),
    "bits_per_byte": MetricInfo(
        "bits_per_byte", "lower", "likelihood", "bits per byte",
        "Loss in bits over the UTF-8 bytes of the targets; comparable across tokenizers.", None,
    ),
    "rouge_1": MetricInfo(
        "rouge_1", "higher", "generation", "F1, 0 to 1",
        "Words shared with the reference, mean over examples.", None,
    ),
    "rouge_2": MetricInfo(
        "rouge_2", "higher", "generation", "F1, 0 to 1",
        "Pairs of neighbouring words shared with the reference, mean over examples.", None,
    ),
    "rouge_l": MetricInfo(
        "rouge_l", "higher", "generation", "F1, 0 to 1",
        "Longest sequence of words in common with the reference, mean over examples.", None,
    ),
    "bleu": MetricInfo(
        "bleu", "higher", "generation", "0 to 100",
        "Precision of one to four words with a penalty for brevity, over the whole corpus.", None,
    ),
    "chrf": MetricInfo(
        "chrf", "higher", "generation", "0 to 100",
        "F2 of one to six characters, over the whole corpus; fit for every script.", None,
    ),
    "exact_match": MetricInfo(
        "exact_match", "higher", "generation", "share of answers",
        "Answers equal to the reference but for case, punctuation, articles and spaces.",
        "matched the reference",
    ),
    "token_f1": MetricInfo(
        "token_f1", "higher", "generation", "F1, 0 to 1",
        "Words shared with the reference after the normalisation of exact_match, mean.", None,
    ),
    "seq_rep_4": MetricInfo(
        "seq_rep_4", "lower", "generation", "share of 4-grams",
        "Share of each answer's runs of four tokens that it has written before, mean.", None,
    ),
    "loop_rate": MetricInfo(
        "loop_rate", "lower", "generation", "share of answers",
        "Answers that end in repeating themselves.", "looped",
    ),
    "truncated_rate": MetricInfo(
        "truncated_rate", "lower", "generation", "share of answers",
        "Answers that reached the token limit before their end.", "reached the token limit",
    ),
    "length_ratio": MetricInfo(
        "length_ratio", "neither", "generation", "words per reference word",
        "Length of all answers over the length of all references.", None,
    ),
}  # fmt: skip

FAMILIES: dict[str, tuple[str, ...]] = {
    "rouge": ("rouge_1", "rouge_2", "rouge_l"),
    "repetition": ("seq_rep_4", "loop_rate", "truncated_rate"),
}

KNOWN: tuple[str, ...] = (*METRICS, *FAMILIES)


def expand_metrics(names: Iterable[str]) -> tuple[str, ...]:
    """Names with every family replaced by its members, in order and without repeats.

    Raises KeyError on a name that is not in KNOWN.
    """
    members = (FAMILIES[name] if name in FAMILIES else (METRICS[name].name,) for name in names)
    return tuple(dict.fromkeys(name for group in members for name in group))

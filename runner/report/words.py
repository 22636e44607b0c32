"""Words and numbers for readers who are no statisticians."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dsl.metrics import METRICS

Json = dict[str, Any]
Direction = Literal["better", "worse", "unclear", "equal", "described", "unknown"]

DIRECTIONS: dict[Direction, str] = {
    "better": "better",
    "worse": "worse",
    "unclear": "no clear difference",
    "equal": "equal",
    "described": "for information",
    "unknown": "not measured",
}

NONE = "\u2013"  # en dash: no value
MINUS = "\u2212"

LABELS: dict[str, str] = {
    "loss": "Loss",
    "perplexity": "Perplexity",
    "bits_per_byte": "Bits per byte",
    "rouge_1": "ROUGE-1",
    "rouge_2": "ROUGE-2",
    "rouge_l": "ROUGE-L",
    "bleu": "BLEU",
    "chrf": "chrF",
    "exact_match": "Exact match",
    "token_f1": "Word overlap (F1)",
    "seq_rep_4": "Repeated 4-grams",
    "loop_rate": "Answers that loop",
    "truncated_rate": "Answers cut off",
    "length_ratio": "Length ratio",
}

# Bidirectional controls reorder the text around them, so that a reader sees what is not there.
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_HIDDEN = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI}\u2028\u2029\ufeff\ud800-\udfff]")


def visible(text: str) -> str:
    """`text` with control, bidirectional and unpaired characters shown instead of obeyed.

    Line feeds and tabs stay; a line feed in Windows' or old Mac's spelling becomes a plain one.
    """
    return _HIDDEN.sub(_picture, text.replace("\r\n", "\n").replace("\r", "\n"))


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"[U+{code:04X}]"


def finite(value: Any) -> float | None:
    """A number that can be shown, else None: JSON has no NaN and no infinity."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class Notation:
    """How the numbers of one metric are written, alike for base, tuned and difference."""

    percent: bool
    decimals: int

    def value(self, value: float | None) -> str:
        if value is None:
            return NONE
        return f"{self._digits(value)}{'%' if self.percent else ''}".replace("-", MINUS)

    def change(self, value: float | None) -> str:
        """With its sign; of a share in percentage points, without the unit."""
        if value is None:
            return NONE
        digits = self._digits(value)
        nothing = not digits.strip("-0.,")
        sign = "" if nothing else MINUS if value < 0 else "+"
        return f"{sign}{digits.lstrip('-')}"

    @property
    def change_unit(self) -> str:
        return " points" if self.percent else ""

    def _digits(self, value: float) -> str:
        return f"{100 * value if self.percent else value:,.{self.decimals}f}"


def notation(metric: Mapping[str, Any]) -> Notation:
    """Three significant digits of the values, two of their difference, whichever is finer."""
    percent = str(metric.get("unit", "")).startswith("share of")
    factor = 100 if percent else 1
    values = [abs(metric[arm]["value"] or 0) * factor for arm in ("base", "tuned")]
    change = abs(metric["difference"]["value"] or 0) * factor
    wanted = max(_decimals(max(values), 3), min(_decimals(change, 2), _decimals(max(values), 5)))
    return Notation(percent, min(wanted, 1 if percent else 6))


def _decimals(value: float, significant: int) -> int:
    return max(0, significant - 1 - math.floor(math.log10(value))) if value else 0


def direction(metric: Mapping[str, Any]) -> Direction:
    """What the interval of the difference allows to say of the tuned model."""
    change = metric["difference"]
    if change["value"] is None:
        return "unknown"
    if metric["better"] not in ("lower", "higher"):
        return "described"
    low, high = change["low"], change["high"]
    if low is None or high is None:
        return "unclear"
    if low == high == 0:
        return "equal"
    if metric["better"] == "lower":
        low, high = -high, -low
    return "better" if low > 0 else "worse" if high < 0 else "unclear"


def label(metric: str) -> str:
    return LABELS.get(metric, metric.replace("_", " "))


def condition(gate: Mapping[str, Any]) -> str:
    """What a gate of a recipe asks for: 'better than the base model'."""
    name = str(gate.get("metric", "")).rpartition(".")[2]
    rate = name in METRICS and METRICS[name].event is not None
    other = {"base": "the base model", "start": "the starting model"}.get(
        str(gate.get("against")), str(gate.get("against") or "another model").replace(":", " ")
    )

    def amount(value: float, of_change: bool = False) -> str:
        return f"{100 * value:g}{' points' if of_change else '%'}" if rate else f"{value:g}"

    parts = []
    if (least := gate.get("min")) is not None:
        parts.append(f"at least {amount(least)}")
    if (most := gate.get("max")) is not None:
        parts.append(f"at most {amount(most)}")
    if (gain := gate.get("improve_by")) is not None:
        by = f" by more than {amount(gain, True)}" if gain else ""
        parts.append(f"better than {other}{by}")
    if (drop := gate.get("drop_at_most")) is not None:
        worse = f"at most {amount(drop, True)} worse than" if drop else "not worse than"
        parts.append(f"{worse} {other}")
    return ", ".join(parts) or "no condition"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return NONE
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(bytes: float | None) -> str:
    """Bytes in binary units, as devices report their memory."""
    if bytes is None:
        return NONE
    for unit, width in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if bytes >= width:
            return f"{bytes / width:.{1 if bytes < 100 * width else 0}f} {unit}"
    return f"{bytes:.0f} bytes"


def count(value: float | None) -> str:
    """4,884,480 → '4.88 million'; small numbers in full."""
    if value is None:
        return NONE
    for word, width in (("billion", 1e9), ("million", 1e6)):
        if value >= width:
            return f"{value / width:.3g} {word}"
    return f"{value:,.0f}"


def share(value: float | None) -> str:
    if value is None:
        return NONE
    return f"{100 * value:.1f}%" if value >= 0.1 or value == 0 else f"{100 * value:.2g}%"


def plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


# term → what it means to a reader without the field's vocabulary
GLOSSARY: dict[str, str] = {
    "base model": "The model as it was before this run, without any training on these data.",
    "tuned model": "The same model with what it learned in this run.",
    "held-out": "Kept out of the training, so that a model cannot have learned it by heart here.",
    "metric": "A rule that turns answers into a number, so that two models can be compared.",
    "gate": "A condition, fixed before the run, that a result must meet.",
    "inconclusive": "The examples are too few, or too unlike one another, to say either way.",
    "95% interval": "The range in which the true value plausibly lies. With other examples of the "
    "same kind the value would differ somewhat; a narrow range means that it would not differ by "
    "much. A difference is clear when its range does not include zero.",
    "loss": "How surprised a model is by the reference answer, per token. Lower is better.",
    "perplexity": "The loss in another unit: among how many equally likely tokens it hesitates.",
    "ROUGE": "How many words, pairs of words (2) or words in order (L) an answer shares with the "
    "reference. It knows nothing of meaning: a good answer in other words scores low.",
    "token": "The piece of text a model reads and writes: a short word or a part of a word.",
    "step": "One update of the model, from one batch of examples.",
    "epoch": "One pass over all training examples.",
    "validation": "Examples set apart to choose the best moment of the training. They never judge "
    "the result.",
    "checkpoint": "The state of the training saved at a step.",
    "LoRA": "A method that leaves the model as it is and trains a small addition to it (adapter).",
    "adapter": "The small file with what was learned; it works only with the same base model.",
    "trainable parameters": "The numbers in the model that the training may change.",
    "p-value": "How often chance alone would show a difference this large if there were none.",
    "wins, ties, losses": "On how many examples the tuned model did better, equally well or worse "
    "than the base model.",
    "bootstrap": "A way to get an interval: the comparison is repeated many times with examples "
    "drawn anew from those at hand.",
    "group": "Examples that belong together, such as the clauses of one contract. They are drawn "
    "and held out together, because they resemble one another.",
    "sha256": "A fingerprint of a file. If a single character changes, so does the fingerprint.",
    "seed": "The start value of chance. With the same seed the same draws come again.",
}

"""Base and tuned on the same prompts: predictions, metrics with intervals, artifacts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dsl.metrics import METRICS as INFO
from dsl.metrics import expand_metrics
from dsl.recipe import Eval, Gate, Suite
from dsl.rows import Example
from runner.evals.gates import Verdict, judge
from runner.evals.metrics import METRICS, Prediction, collect, notes, score, signature
from runner.evals.stats import Comparison, Interval, paired
from runner.runs.store import read_json, write_json

PREDICTIONS = "predictions.parquet"
METRICS_FILE = "metrics.json"


@dataclass(frozen=True, slots=True)
class Answers:
    """What one suite asked and got. All lists have one order; `prompts` are rendered texts."""

    suite: str
    examples: Sequence[Example]
    prompts: Sequence[str]
    base: Sequence[Prediction]
    tuned: Sequence[Prediction]

    @property
    def references(self) -> list[str]:
        return [example.reference for example in self.examples]

    @property
    def groups(self) -> list[str | None]:
        return [example.group for example in self.examples]


def needs_generation(suite: Suite) -> bool:
    return any(INFO[name].needs == "generation" for name in expand_metrics(suite.metrics))


def write_evaluation(folder: Path, answers: Iterable[Answers], recipe: Eval, seed: int) -> None:
    """Writes predictions.parquet and metrics.json. Confidence levels of gates are all computed."""
    levels = sorted({0.95, *(gate.confidence for gate in recipe.gates)})
    answers = list(answers)
    folder.mkdir(parents=True, exist_ok=True)
    _write_predictions(folder / PREDICTIONS, answers, recipe.suites)
    suites = {
        a.suite: measure(a, recipe.suites[a.suite], recipe.resamples, seed, levels) for a in answers
    }
    write_json(folder / METRICS_FILE, {"suites": suites, "resamples": recipe.resamples})


def measure(
    answers: Answers, suite: Suite, resamples: int, seed: int, levels: Sequence[float]
) -> dict[str, Any]:
    """All metrics of one suite as JSON values."""
    groups = answers.groups
    metrics = {}
    for name in expand_metrics(suite.metrics):
        metric = METRICS[name]
        base = collect(metric, answers.base, answers.references)
        tuned = collect(metric, answers.tuned, answers.references)
        by_level = {
            level: paired(
                metric, base, tuned, groups, confidence=level, resamples=resamples, seed=seed
            )
            for level in levels
        }
        shown = by_level[0.95]
        said = notes(metric, answers.base, answers.references)
        said += [n for n in notes(metric, answers.tuned, answers.references) if n not in said]
        metrics[name] = {
            "better": metric.better,
            "unit": metric.info.unit,
            "description": metric.info.description,
            "base": _plain(shown.base),
            "tuned": _plain(shown.tuned),
            "difference": _plain(shown.difference),
            "p_value": _finite(shown.p_value),
            "wins": shown.wins,
            "ties": shown.ties,
            "losses": shown.losses,
            "n": shown.difference.n,
            "n_missing": shown.difference.n_missing,
            "signature": signature(metric),
            "notes": said,
            "comparisons": {str(level): _comparison(c) for level, c in by_level.items()},
        }
    return {
        "data": suite.data,
        "n": len(answers.examples),
        "clusters": len({group if group is not None else i for i, group in enumerate(groups)}),
        "metrics": metrics,
    }


def judge_all(folder: Path, gates: Sequence[Gate]) -> list[tuple[Gate, Verdict]]:
    """The verdict on every gate, from a written evaluation."""
    suites = read_json(folder / METRICS_FILE)["suites"] if gates else {}
    found = []
    for gate in gates:
        suite, _, metric = gate.metric.partition(".")
        measured = suites.get(suite, {}).get("metrics", {}).get(metric)
        comparison = measured and measured["comparisons"].get(str(gate.confidence))
        found.append((gate, judge(gate, _comparison_of(comparison) if comparison else None)))
    return found


def _comparison(comparison: Comparison) -> dict[str, Any]:
    plain = asdict(comparison)
    for arm in ("base", "tuned", "difference"):
        plain[arm] = _plain(getattr(comparison, arm))
    return plain | {"p_value": _finite(comparison.p_value)}


def _plain(interval: Interval) -> dict[str, Any]:
    return {
        key: _finite(value) if isinstance(value, float) else value
        for key, value in asdict(interval).items()
    }


def _finite(value: float) -> float | str | None:
    """JSON knows no infinity: a bound without limit is the text 'inf', nothing measured is null."""
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")


def _comparison_of(plain: Mapping[str, Any]) -> Comparison:
    arms = {arm: _interval_of(plain[arm]) for arm in ("base", "tuned", "difference")}
    return Comparison(**{**plain, **arms, "p_value": _number(plain["p_value"])})


def _interval_of(plain: Mapping[str, Any]) -> Interval:
    numbers = {"value", "low", "high", "at_least", "at_most", "confidence"}
    values: dict[str, Any] = {k: _number(v) if k in numbers else v for k, v in plain.items()}
    return Interval(**values)


def _number(value: float | str | None) -> float:
    return math.nan if value is None else float(value)


def _write_predictions(path: Path, answers: Sequence[Answers], suites: Mapping[str, Suite]) -> None:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    names = list(dict.fromkeys(n for a in answers for n in expand_metrics(suites[a.suite].metrics)))
    rows = []
    for a in answers:
        computed = set(expand_metrics(suites[a.suite].metrics))
        for example, prompt, base, tuned in zip(
            a.examples, a.prompts, a.base, a.tuned, strict=True
        ):
            row: dict[str, Any] = {
                "suite": a.suite,
                "id": example.id,
                "group": example.group,
                "prompt": prompt,
                "reference": example.reference,
                "base_text": base.text,
                "tuned_text": tuned.text,
            }
            for name in names:
                for arm, prediction in (("base", base), ("tuned", tuned)):
                    value = None
                    if name in computed:
                        value = score(METRICS[name], prediction, example.reference)
                    row[f"{arm}_{name}"] = value
            rows.append(row)
    texts = ("suite", "id", "group", "prompt", "reference", "base_text", "tuned_text")
    fields = [arrow.field(name, arrow.string()) for name in texts]
    fields += [
        arrow.field(f"{arm}_{n}", arrow.float64()) for n in names for arm in ("base", "tuned")
    ]
    parquet.write_table(arrow.Table.from_pylist(rows, arrow.schema(fields)), path)

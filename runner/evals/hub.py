"""The generation metrics as `evaluate.Metric` objects: the same functions, and no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from runner.evals.metrics import METRICS, Prediction, collect


def as_evaluate(name: str) -> Any:
    """The metric as an `evaluate.Metric`; the first call imports the library, some seconds.

    `compute(predictions=[str], references=[str])` returns {name: value}, None where no example
    can be scored. What strings do not tell can be added: `tokenize`, a function from text to
    token ids, for seq_rep_4 and loop_rate; `finished`, one bool a prediction, for loop_rate and
    truncated_rate. Raises ValueError for a metric that is not of generated text.
    """
    generated = {key: each for key, each in METRICS.items() if each.needs == "generation"}
    if name not in generated:
        raise ValueError(f"'{name}' is not a metric of generated text, as {', '.join(generated)}")
    metric = generated[name]

    import datasets  # type: ignore[import-untyped, unused-ignore]
    import evaluate  # type: ignore[import-untyped, unused-ignore]

    class HubMetric(evaluate.Metric):  # type: ignore[misc, unused-ignore]
        def _info(self) -> Any:
            return evaluate.MetricInfo(
                description=metric.info.description,
                citation="",
                inputs_description="predictions and references: lists of strings.",
                features=datasets.Features(
                    {key: datasets.Value("string") for key in ("predictions", "references")}
                ),
            )

        def _compute(
            self,
            predictions: Sequence[str],
            references: Sequence[str],
            tokenize: Callable[[str], Sequence[int]] | None = None,
            finished: Sequence[bool] | None = None,
        ) -> dict[str, float | None]:
            given = [
                Prediction(
                    id=str(i),
                    text=text,
                    tokens=None if tokenize is None else tuple(tokenize(text)),
                    finished=None if finished is None else finished[i],
                    nats=None,
                    target_tokens=None,
                    target_bytes=None,
                )
                for i, text in enumerate(predictions)
            ]
            rows = [row for row in collect(metric, given, references) if row is not None]
            if not rows:
                return {name: None}
            return {name: float(metric.aggregate(np.sum(rows, axis=0)))}

    # In memory: nothing of the predictions is written to a cache.
    return HubMetric(config_name=name, keep_in_memory=True)

from __future__ import annotations

import socket

import numpy as np
import pytest

from runner.evals.hub import as_evaluate
from runner.evals.metrics import METRICS, Prediction, collect

answers = ["the cat sat on the mat", "환불은 5일이 걸립니다", "la la la la la la la la"]
references = ["the cat is on the mat", "환불은 5일이 걸립니다", "a song about the sea"]
finished = [True, True, False]


def tokenize(text):
    return [ord(character) for character in text]


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    def refuse(*arguments):
        raise AssertionError("a metric opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("evaluate.config.HF_METRICS_CACHE", tmp_path)


@pytest.mark.parametrize("name", [name for name, m in METRICS.items() if m.needs == "generation"])
def test_the_hub_metric_computes_what_ours_does(name):
    import evaluate

    metric = as_evaluate(name)
    assert isinstance(metric, evaluate.Metric)
    computed = metric.compute(
        predictions=answers, references=references, tokenize=tokenize, finished=finished
    )
    predictions = [
        Prediction(str(i), text, tuple(tokenize(text)), finished[i], None, None, None)
        for i, text in enumerate(answers)
    ]
    rows = collect(METRICS[name], predictions, references)
    sums = [sum(column) for column in zip(*rows, strict=True)]
    assert computed == {name: pytest.approx(float(METRICS[name].aggregate(np.array(sums))))}


def test_what_strings_do_not_tell_is_none_and_not_zero():
    texts = {"predictions": ["a b"], "references": ["a b"]}
    assert as_evaluate("loop_rate").compute(**texts) == {"loop_rate": None}
    assert as_evaluate("rouge_1").compute(**texts) == {"rouge_1": 1.0}


@pytest.mark.parametrize("name", ["loss", "rouge", "accuracy"])
def test_only_metrics_of_generated_text_are_to_be_had(name):
    with pytest.raises(ValueError, match="rouge_1"):
        as_evaluate(name)

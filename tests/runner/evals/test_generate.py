"""Answers and likelihoods: what a batch does to them, and that equal models differ by nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dsl.recipe import Eval, Gate, Generation, Suite
from dsl.rows import Example
from runner.data.tokens import IGNORED, Encoded
from runner.evals.compare import stop_tokens
from runner.evals.generate import predict
from runner.evals.suites import Answers, judge_all, needs_generation, write_evaluation

PROMPTS = [
    [5, 6, 7],
    [9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20],
    [30, 31],
    [40, 41, 42, 43, 44, 45],
    [50],
    [60, 61, 62, 63, 64, 65, 66, 67, 68],
    [70, 71, 72, 73],
]
TARGETS = [
    Encoded(
        str(n),
        (*prompt, *range(100 + n, 103 + 2 * n)),
        (*[IGNORED] * len(prompt), *range(100 + n, 103 + 2 * n)),
        0,
    )
    for n, prompt in enumerate(PROMPTS)
]
GREEDY = Generation(max_new_tokens=10, temperature=0, batch_size=16)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def words(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture(scope="module")
def ask(model: Any, words: Any) -> Callable[..., list[Any]]:
    def asked(
        generation: Generation = GREEDY,
        model: Any = model,
        stops: list[int] | None = None,
        answers: bool = True,
        seed: int = 1,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[Any]:
        return predict(
            model, words, PROMPTS, TARGETS, generation, [2] if stops is None else stops,
            answers=answers, seed=seed, progress=progress,
        )  # fmt: skip

    return asked


@pytest.fixture(scope="module")
def alone(model: Any) -> list[list[int]]:
    """Greedy answers of model.generate, one prompt at a time, without any stop."""
    import torch

    found = []
    for prompt in PROMPTS:
        with torch.no_grad():
            out = model.generate(
                torch.tensor([prompt]), do_sample=False, max_new_tokens=10, eos_token_id=None
            )
        found.append(out[0, len(prompt) :].tolist())
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 16])
def test_greedy_answers_are_those_of_each_prompt_alone(
    size: int, ask: Callable[..., list[Any]], alone: list[list[int]]
) -> None:
    found = ask(replace(GREEDY, batch_size=size), stops=[399_999])
    assert [list(p.tokens) for p in found] == alone
    assert [p.id for p in found] == [target.id for target in TARGETS]
    assert not any(p.finished for p in found)
    assert len({tuple(answer) for answer in alone}) > 1


def test_right_padding_would_give_other_answers(model: Any, alone: list[list[int]]) -> None:
    """The control: the mistake that the batches must not make shows in these answers."""
    import torch

    width = max(map(len, PROMPTS))
    rows = [prompt + [0] * (width - len(prompt)) for prompt in PROMPTS]
    mask = [[1] * len(prompt) + [0] * (width - len(prompt)) for prompt in PROMPTS]
    with torch.no_grad():
        out = model.generate(
            torch.tensor(rows), attention_mask=torch.tensor(mask), do_sample=False,
            max_new_tokens=10, eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
    assert [row[width:].tolist() for row in out] != alone


def test_an_answer_ends_before_its_stop(
    ask: Callable[..., list[Any]], alone: list[list[int]], words: Any
) -> None:
    stop = alone[1][3]
    found = ask(stops=[stop, 399_999])
    for prediction, whole in zip(found, alone, strict=True):
        if stop in whole:
            assert list(prediction.tokens) == whole[: whole.index(stop)]
            assert prediction.finished
        else:
            assert list(prediction.tokens) == whole
            assert not prediction.finished
        assert prediction.text == words.decode(prediction.tokens, skip_special_tokens=True).strip()
    assert found[1].finished


def test_likelihoods_are_sums_over_the_targets(ask: Callable[..., list[Any]], model: Any) -> None:
    import torch

    for prediction, target in zip(ask(answers=False), TARGETS, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([target.input_ids])).logits[0, :-1]
        expected = torch.nn.functional.cross_entropy(
            logits, torch.tensor(target.labels[1:]), reduction="sum"
        )
        assert prediction.nats == pytest.approx(float(expected), rel=1e-5)
        assert prediction.target_tokens == sum(label != IGNORED for label in target.labels)
        assert prediction.text is None


def test_sampling_follows_its_seed(ask: Callable[..., list[Any]]) -> None:
    warm = replace(GREEDY, temperature=1.5)
    one, again, other = ask(warm, seed=1), ask(warm, seed=1), ask(warm, seed=2)
    assert one == again
    assert [p.tokens for p in one] != [p.tokens for p in other]


def test_progress_counts_to_its_end(ask: Callable[..., list[Any]]) -> None:
    seen: list[tuple[int, int]] = []
    ask(replace(GREEDY, batch_size=3), progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (14, 14)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, [0, 2]),
        ({"eos_token_id": 7}, [0, 2, 7]),
        ({"eos_token_id": [7, 9]}, [0, 2, 7, 9]),
        ({"eos_token_id": None}, [0, 2]),
    ],
)
def test_stops_are_the_templates_and_the_models_own(
    config: dict[str, Any], expected: list[int], words: Any, tmp_path: Path
) -> None:
    (tmp_path / "generation_config.json").write_text(json.dumps(config))
    assert stop_tokens(tmp_path, words, "<|endoftext|>") == expected


# Suites ----------------------------------------------------------------------------------------

EXAMPLES = [
    Example(str(n), "rows.jsonl", f"group {n // 2}", False, (), f"prompt {n}", f"answer {n}")
    for n in range(len(PROMPTS))
]
SUITE = Suite("test", ("loss", "perplexity", "rouge", "exact_match", "repetition"), None)
GATES = tuple(
    Gate("domain.loss", None, None, "base", by, drop, 0.95, True)
    for by, drop in ((0.0, None), (None, 0.0))
)


def evaluated(folder: Path, base: list[Any], tuned: list[Any]) -> dict[str, Any]:
    answers = Answers("domain", EXAMPLES, [e.prompt for e in EXAMPLES], base, tuned)
    write_evaluation(folder, [answers], Eval(GREEDY, {"domain": SUITE}, GATES, 100), seed=1)
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return metrics


def test_equal_models_differ_by_exactly_nothing(
    ask: Callable[..., list[Any]], tiny_model: Path, tmp_path: Path
) -> None:
    """A fresh adapter adds zero: every delta is 0, not nearly 0, in value and both bounds."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    fresh = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    fresh = get_peft_model(fresh, LoraConfig(r=4, target_modules="all-linear"))
    found = evaluated(tmp_path, ask(), ask(model=fresh))
    metrics = found["suites"]["domain"]["metrics"]
    assert {"loss", "perplexity", "rouge_l", "exact_match", "loop_rate"} <= set(metrics)
    for metric in metrics.values():
        difference = metric["difference"]
        assert [difference[end] for end in ("value", "low", "high")] == [0, 0, 0]
        if metric["wins"] is not None:
            assert (metric["wins"], metric["losses"]) == (0, 0)
    better, no_worse = judge_all(tmp_path, GATES)
    assert better[1].status != "pass"
    assert no_worse[1].status == "pass"


def test_another_model_does_differ(
    ask: Callable[..., list[Any]], tiny_model: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    other = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    with torch.no_grad():
        for weight in other.parameters():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    loss = evaluated(tmp_path, ask(), ask(model=other))["suites"]["domain"]["metrics"]["loss"]
    assert loss["difference"]["low"] > 0
    better, no_worse = judge_all(tmp_path, GATES)
    assert [better[1].status, no_worse[1].status] == ["fail", "fail"]


def test_what_is_written_is_what_was_answered(
    ask: Callable[..., list[Any]], tmp_path: Path
) -> None:
    import pyarrow.parquet as parquet

    base = ask()
    tuned = [replace(p, nats=p.nats / 2, text=f"answer {n}") for n, p in enumerate(base)]
    found = evaluated(tmp_path, base, tuned)["suites"]["domain"]
    assert (found["n"], found["clusters"], found["data"]) == (7, 4, "test")
    nats, targets = sum(p.nats for p in base), sum(p.target_tokens for p in base)
    loss, perplexity = found["metrics"]["loss"], found["metrics"]["perplexity"]
    assert loss["base"]["value"] == pytest.approx(nats / targets)
    assert perplexity["base"]["value"] == pytest.approx(math.exp(nats / targets))
    assert loss["tuned"]["value"] == pytest.approx(nats / targets / 2)
    assert found["metrics"]["exact_match"]["tuned"]["value"] == 1
    rows = parquet.read_table(tmp_path / "predictions.parquet").to_pylist()
    assert [row["id"] for row in rows] == [e.id for e in EXAMPLES]
    for row, before, after in zip(rows, base, tuned, strict=True):
        assert (row["base_text"], row["tuned_text"]) == (before.text, after.text)
        assert row["base_loss"] == pytest.approx(before.nats / before.target_tokens)
        assert row["tuned_exact_match"] == 1


def test_a_gate_on_what_was_not_measured_fails(
    ask: Callable[..., list[Any]], tmp_path: Path
) -> None:
    base = ask()
    evaluated(tmp_path, base, base)
    for metric in ("domain.bleu", "other.loss"):
        ((_, verdict),) = judge_all(tmp_path, [replace(GATES[0], metric=metric)])
        assert verdict.status == "fail"


def test_only_metrics_on_answers_need_generation() -> None:
    assert needs_generation(SUITE)
    assert not needs_generation(Suite("test", ("loss", "perplexity"), None))

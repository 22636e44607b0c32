"""The loss at trained positions alone equals the textbook's over all logits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from runner.train.loss import target_nats

Row = tuple[list[int], list[int]]  # input ids, labels


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def examples() -> list[Row]:
    import random

    chance = random.Random(5)
    rows = []
    for length in (7, 31, 12, 24, 9, 18):
        ids = [chance.randrange(3, 300) for _ in range(length)]
        answer = chance.randrange(2, length)
        rows.append((ids, [-100] * answer + ids[answer:]))
    return rows


def padded(rows: Sequence[Row], left: bool = False) -> dict[str, Any]:
    import torch

    width = max(len(ids) for ids, _ in rows)
    batch: dict[str, list[list[int]]] = {"input_ids": [], "labels": [], "attention_mask": []}
    for ids, labels in rows:
        room = width - len(ids)
        for name, values, pad in (
            ("input_ids", ids, 0),
            ("labels", labels, -100),
            ("attention_mask", [1] * len(ids), 0),
        ):
            blank = [pad] * room
            batch[name].append([*blank, *values] if left else [*values, *blank])
    return {name: torch.tensor(values) for name, values in batch.items()}


def nats(model: Any, batch: dict[str, Any]) -> tuple[float, int]:
    import torch

    with torch.no_grad():
        found, _ = target_nats(model, batch)
    return float(found.double().sum()), found.numel()


def textbook(model: Any, rows: Sequence[Row]) -> tuple[float, int]:
    """Full logits, shifted cross-entropy, one row at a time."""
    import torch

    total, count = 0.0, 0
    for ids, labels in rows:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
        targets = torch.tensor(labels[1:])
        total += float(torch.nn.functional.cross_entropy(logits, targets, reduction="sum"))
        count += int((targets != -100).sum())
    return total, count


def test_it_equals_cross_entropy_over_all_logits(model: Any, examples: list[Row]) -> None:
    expected, count = textbook(model, examples)
    for row in examples:
        assert nats(model, padded([row])) == pytest.approx(textbook(model, [row]), rel=1e-5)
    assert nats(model, padded(examples)) == (pytest.approx(expected, rel=1e-5), count)


@pytest.mark.parametrize("size", [1, 2, 4, 6])
@pytest.mark.parametrize("order", ["as given", "reversed", "by length"])
def test_batches_and_order_do_not_change_it(
    size: int, order: str, model: Any, examples: list[Row]
) -> None:
    rows = {
        "as given": examples,
        "reversed": examples[::-1],
        "by length": sorted(examples, key=lambda row: len(row[0])),
    }[order]
    parts = [nats(model, padded(rows[at : at + size])) for at in range(0, len(rows), size)]
    expected, count = textbook(model, examples)
    assert sum(part for part, _ in parts) == pytest.approx(expected, rel=1e-5)
    assert sum(part for _, part in parts) == count


def test_the_rows_of_the_targets_are_told(model: Any, examples: list[Row]) -> None:
    import torch

    with torch.no_grad():
        found, rows = target_nats(model, padded(examples))
    for index, row in enumerate(examples):
        alone, count = nats(model, padded([row]))
        assert int((rows == index).sum()) == count
        assert float(found[rows == index].double().sum()) == pytest.approx(alone, rel=1e-5)
    assert found.dtype == torch.float32


def test_packed_rows_do_not_see_each_other(model: Any, examples: list[Row]) -> None:
    """As TRL's padding-free collator packs them: one long row, positions that begin anew."""
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    collate = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)
    packed = collate([{"input_ids": ids, "labels": labels} for ids, labels in examples])
    assert packed["input_ids"].shape[0] == 1
    expected, count = textbook(model, examples)
    assert nats(model, dict(packed)) == (pytest.approx(expected, rel=1e-5), count)
    # the control: without the positions each row would see those before it
    packed.pop("position_ids")
    assert nats(model, dict(packed))[0] != pytest.approx(expected, rel=1e-3)


def test_uniform_logits_cost_ln_of_the_vocabulary(model: Any, examples: list[Row]) -> None:
    import copy

    import torch

    flat = copy.deepcopy(model)
    with torch.no_grad():
        flat.get_output_embeddings().weight.zero_()
    total, count = nats(flat, padded(examples))
    assert total / count == pytest.approx(math.log(model.config.vocab_size), rel=1e-6)


def test_gradients_equal_those_of_the_full_head(tiny_model: Path, examples: list[Row]) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    def gradient(through_all_logits: bool) -> Any:
        model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
        batch = padded(examples)
        if through_all_logits:
            logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
            loss = torch.nn.functional.cross_entropy(
                logits.logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten()
            )
        else:
            loss = target_nats(model, batch)[0].mean()
        loss.backward()
        return model.model.layers[0].self_attn.q_proj.weight.grad

    torch.testing.assert_close(gradient(False), gradient(True), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("family", ["gemma2", "granite"])
def test_what_a_family_does_behind_the_head_is_kept(family: str, examples: list[Row]) -> None:
    """Gemma 2 caps its logits, Granite scales them."""
    import torch
    from transformers import AutoModelForCausalLM, Gemma2Config, GraniteConfig

    sizes: dict[str, Any] = {
        "vocab_size": 320, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
        "initializer_range": 0.3,
    }  # fmt: skip
    if family == "gemma2":
        config: Any = Gemma2Config(**sizes, final_logit_softcapping=2.0)
    else:
        config = GraniteConfig(**sizes, logits_scaling=8.0)
    torch.manual_seed(3)
    made = AutoModelForCausalLM.from_config(config).eval()
    rows = examples[:2]
    assert nats(made, padded(rows)) == (
        pytest.approx(textbook(made, rows)[0], rel=1e-4),
        textbook(made, rows)[1],
    )

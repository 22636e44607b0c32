"""Training for real: a tiny Llama learns, is stopped, and goes on as if nothing had been."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from dsl.errors import RunError
from runner.data.tokens import lengths
from runner.train.checkpoints import latest, step_of

# patience that runs out at step 20 whatever is learnt: no improvement is ever large enough
EARLY: dict[str, Any] = {
    "max_steps": 40,
    "eval_steps": 4,
    "save_steps": 4,
    "early_stopping": {"patience": 4, "min_delta": 1000},
}


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    (file,) = folder.glob("*.safetensors")
    return load_file(file)


def adapter_bytes(folder: Path) -> bytes:
    return (folder / "adapter_model.safetensors").read_bytes()


# What is learnt -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "rate"),
    [
        ({"type": "lora", "rank": 8}, 0.01),
        ({"type": "lora", "rank": 4, "use_dora": True, "use_rslora": True}, 0.01),
        ({"type": "full"}, 0.003),
        ({"type": "qlora", "rank": 8}, 0.01),
    ],
    ids=["lora", "dora", "full", "qlora"],
)
def test_the_loss_falls(method: dict[str, Any], rate: float, training: Any) -> None:
    done = training(method=method, training={"learning_rate": rate})
    assert done.finished
    assert len(done.losses) == 24
    assert sum(done.losses[-4:]) < 0.7 * sum(done.losses[:4])
    validated = [event["loss"] for event in done.of("validation")]
    assert len(validated) == 3
    assert validated[-1] < validated[0]


def test_only_adapter_weights_change(training: Any, tiny_model: Path) -> None:
    """The adapter holds two matrices for every linear layer, and gives the base back when off."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    output = training().output
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        before = base(ids).logits
        model = PeftModel.from_pretrained(base, str(output))
        tuned = model(ids).logits
        with model.disable_adapter():
            after = model(ids).logits
    assert torch.equal(before, after)
    assert not torch.allclose(before, tuned)
    found = weights(output)
    assert len(found) == 2 * 2 * 7  # A and B, two layers, seven linears
    assert all("lora_" in name for name in found)
    assert all(bool(weight.any()) for weight in found.values())
    assert {path.name for path in output.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }


def test_full_training_writes_every_weight_and_the_tokenizer(
    training: Any, tiny_model: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    output = training(method={"type": "full"}, training={"max_steps": 2}).output
    before = AutoModelForCausalLM.from_pretrained(tiny_model).state_dict()
    after = AutoModelForCausalLM.from_pretrained(output).state_dict()
    assert before.keys() == after.keys()
    assert all(before[name].dtype == after[name].dtype for name in before)
    assert all(not before[name].equal(after[name]) for name in before)
    assert AutoTokenizer.from_pretrained(output).chat_template


def test_a_four_bit_base_stays_as_it_is(training: Any, compiled: Any, tiny_model: Path) -> None:
    import torch
    from bitsandbytes.nn import Linear4bit

    from runner.train.adapt import adapt
    from runner.train.load import load_model

    recipe = compiled(method={"type": "qlora", "rank": 8})
    model = adapt(load_model(recipe, tiny_model, training=True), recipe)
    packed = [module for module in model.modules() if isinstance(module, Linear4bit)]
    assert len(packed) == 2 * 7
    assert all(module.weight.dtype == torch.uint8 for module in packed)
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trainable
    assert all("lora_" in name for name in trainable)


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(training: Any) -> None:
    one, two = training("one"), training("two")
    other = training("other", training={"seed": 43})
    assert adapter_bytes(one.output) == adapter_bytes(two.output)
    assert one.losses == two.losses
    assert adapter_bytes(one.output) != adapter_bytes(other.output)


def test_accumulation_gives_the_mean_over_the_tokens_of_the_whole_step(training: Any) -> None:
    """8 x 1 and 2 x 4 examples of unequal length: one loss, one gradient, one result."""
    sgd = {"max_steps": 3, "optimizer": "sgd", "learning_rate": 0.05, "max_grad_norm": 1000}
    off = {"type": "lora", "rank": 8, "dropout": 0}
    sizes = (8, 2)
    runs = [
        training(str(size), method=off, training={**sgd, "micro_batch_size": size})
        for size in sizes
    ]
    assert runs[0].losses == pytest.approx(runs[1].losses, rel=1e-4)
    left, right = (weights(run.output) for run in runs)
    for name in left:
        assert left[name].numpy() == pytest.approx(right[name].numpy(), abs=1e-5)


def test_packing_learns_from_the_same_tokens(training: Any) -> None:
    off = {"type": "lora", "rank": 8, "dropout": 0}
    short = {"max_steps": 3}
    plain = training("plain", method=off, training=short)
    packed = training("packed", method=off, training={**short, "packing": True})
    assert packed.losses == pytest.approx(plain.losses, rel=1e-3)


# Validation -----------------------------------------------------------------------------------


@pytest.mark.parametrize("micro", [1, 4])
def test_validation_loss_is_the_mean_over_tokens(
    micro: int, training: Any, tokens: Any, tiny_model: Path
) -> None:
    """Against every row alone through the whole head; a mean of batch means would differ."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    done = training(training={"max_steps": 2, "eval_steps": 2, "micro_batch_size": micro})
    (event,) = done.of("validation")
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, str(done.output)).eval()
    part, sums, counts = tokens["validation"], [], []
    columns = (part[name].to_pylist() for name in ("input_ids", "labels"))
    for ids, labels in zip(*columns, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, :-1]
        targets = torch.tensor(labels[1:])
        sums.append(float(torch.nn.functional.cross_entropy(logits, targets, reduction="sum")))
        counts.append(int((targets != -100).sum()))
    assert len(set(counts)) > 1
    assert event["loss"] == pytest.approx(sum(sums) / sum(counts), rel=1e-5)
    of_rows = sum(s / c for s, c in zip(sums, counts, strict=True)) / len(sums)
    assert event["loss"] != pytest.approx(of_rows, rel=1e-5)


def test_without_validation_rows_training_goes_to_its_end(training: Any, tokens: Any) -> None:
    nothing = {**tokens, "validation": tokens["validation"].slice(0, 0)}
    done = training(tokens=nothing, training={"max_steps": 3})
    assert done.finished
    assert not done.of("validation")
    assert len(done.losses) == 3


def test_the_best_checkpoint_is_the_result(training: Any) -> None:
    """With a rate that is far too high at first, an early checkpoint is the best one."""
    rows = {"learning_rate": 0.02, "max_steps": 40, "eval_steps": 4, "schedule": "constant"}
    done = training(training={**rows, "keep_checkpoints": 10})
    validated = {event["at"]: event["loss"] for event in done.of("validation")}
    best = min(validated, key=lambda at: validated[at])
    kept = done.checkpoints / f"checkpoint-{best}"
    assert adapter_bytes(done.output) == adapter_bytes(kept)
    assert [event["at"] for event in done.of("checkpoint") if event["best"]][-1] == best


# Stopping and going on ------------------------------------------------------------------------


def test_early_stopping_stops(training: Any) -> None:
    done = training(training=EARLY)
    assert done.finished
    assert len(done.losses) == 20
    assert [event["at"] for event in done.of("stopped_early")] == [20]


@pytest.mark.parametrize("after", [3, 8, 14], ids=["before any", "at a checkpoint", "between two"])
def test_stopped_and_resumed_equals_uninterrupted(after: int, training: Any) -> None:
    whole = training("whole", training=EARLY)
    asked = count(1)
    first = training("parts", training=EARLY, stop=lambda: next(asked) >= after)
    assert not first.finished
    assert not first.output.exists()
    folder, passed = latest([first.checkpoints])
    assert folder is not None
    assert (step_of(folder), passed) == (after, [])
    second = training(
        "parts", training=EARLY, resume=folder.relative_to(first.checkpoints.parents[2])
    )
    assert second.finished
    assert adapter_bytes(second.output) == adapter_bytes(whole.output)
    assert second.losses == whole.losses
    assert [event["at"] for event in second.of("stopped_early")] == [20]


@pytest.mark.parametrize(
    ("settings", "last"),
    [(EARLY, 20), ({"max_steps": 12, "eval_steps": 4}, 12)],
    ids=["stopped early", "all steps done, within an epoch"],
)
def test_killed_between_the_last_checkpoint_and_the_result(
    settings: dict[str, Any], last: int, training: Any
) -> None:
    """Training had ended: going on from there must not train further."""
    whole = training("whole", training=settings)
    expected = adapter_bytes(whole.output)
    shutil.rmtree(whole.output)
    resume = Path(f"attempts/001/checkpoints/checkpoint-{last}")
    again = training("whole", training=settings, resume=resume)
    assert adapter_bytes(again.output) == expected
    assert max(event["at"] for event in again.of("train")) == last


def test_a_moved_run_goes_on_with_its_best_checkpoint(training: Any, tmp_path: Path) -> None:
    """Nothing in a checkpoint names where the run stood."""
    rise = {"max_steps": 40, "eval_steps": 4, "learning_rate": 0.02, "schedule": "constant"}
    whole = training("whole", training=rise)
    asked = count(1)
    first = training("here", training=rise, stop=lambda: next(asked) >= 38)
    assert str(tmp_path) not in (first.checkpoints / "checkpoint-38/trainer_state.json").read_text()
    (tmp_path / "here").rename(tmp_path / "there")
    moved = training("there", training=rise, resume=Path("attempts/001/checkpoints/checkpoint-38"))
    assert adapter_bytes(moved.output) == adapter_bytes(whole.output)


def test_checkpoints_are_sealed_pruned_and_told_relative_to_the_run(training: Any) -> None:
    done = training(training={"max_steps": 10, "eval_steps": 2, "keep_checkpoints": 1})
    kept = {folder.name for folder in done.checkpoints.iterdir()}
    told = done.of("checkpoint")
    best = [event for event in told if event["best"]][-1]
    assert kept == {"checkpoint-10", Path(best["path"]).name}
    assert all(json.loads((done.checkpoints / name / "manifest.json").read_text()) for name in kept)
    assert all(not Path(event["path"]).is_absolute() for event in told)


# What goes wrong ------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_ends_training_with_a_hint(training: Any) -> None:
    with pytest.raises(RunError) as error:
        training(method={"type": "full"}, training={"learning_rate": 1e30, "max_grad_norm": 1e30})
    assert "not finite" in error.value.message or "the loss is nan" in error.value.message
    assert "learning" in str(error.value.hint)


def test_events_say_how_much_was_done(training: Any, tokens: Any) -> None:
    done = training(training={"max_steps": 16})  # two epochs of eight steps
    everything = sum(lengths(tokens["train"]))
    assert [event["tokens"] for event in done.of("train")][-1] == 2 * everything
    assert done.of("train")[-1]["epoch"] == pytest.approx(2)
    (trial,) = done.of("trial")
    longest = max(lengths(tokens["train"]))
    assert trial["tokens"] == 4 * longest
    assert trial["peak_bytes"] > 0
    assert all(math.isfinite(event["grad_norm"]) for event in done.of("train"))


def test_the_trial_of_the_longest_batch_leaves_no_trace(
    training: Any, tokens: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runner.train import loop

    dropout: dict[str, Any] = {"method": {"type": "lora", "rank": 8, "dropout": 0.3}}
    short: dict[str, Any] = {"training": {"max_steps": 3}}
    tried = training("tried", **dropout, **short)
    skip: Callable[..., None] = lambda *_: None  # noqa: E731
    monkeypatch.setattr(loop, "_try_longest_batch", skip)
    assert adapter_bytes(training("untried", **dropout, **short).output) == adapter_bytes(
        tried.output
    )

"""Real tokens a second of our training against TRL's defaults, alternating in one run.

    python benchmarks/training_speed.py [RECIPE] [--rounds 3] [--rows 48]

TRL: SFTConfig's defaults with only batch size, max_length and learning rate changed, the same
LoRA. trl-fp32: the same with bf16 off, which is faster on a CPU without AMX. Ours: what
`recipe run` does. All train the same rows of the recipe in each round; padding does not count as
tokens, loading does not count as time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"


def main(recipe: Path, rounds: int, rows: int) -> None:
    from runner.bases import chat_format, tokenizer
    from runner.bases.fetch import fetch
    from runner.data.prepare import read_examples
    from runner.data.tokens import encode_examples
    from runner.read import planned, read
    from runner.train.load import prepare_process

    with planned(read(recipe).valid()) as found, tempfile.TemporaryDirectory() as scratch:
        compiled, base = found.plan.recipe, fetch(found.located)
        found.prepared.write(Path(scratch))
        examples = read_examples(Path(scratch) / "train.parquet", limit=rounds * rows)
    prepare_process(compiled)
    chat, words = chat_format(base, "2026-01-01"), tokenizer(base)

    speeds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for index in range(rounds):
        part = examples[index * rows : (index + 1) * rows]
        tokens = list(
            encode_examples(
                part, compiled.template, chat, "assistant", words, compiled.training.max_length
            )
        )
        count = sum(len(row.input_ids) for row in tokens)
        for name, run in CONTENDERS.items():
            with tempfile.TemporaryDirectory() as scratch:
                seconds = run(compiled, base, part, tokens, Path(scratch))
            speed = count / seconds
            print(f"round {index + 1}  {name:<9} {speed:7.1f} real tokens/s", flush=True)
            speeds[name].append(speed)
    for other in ("trl", "trl-fp32"):
        ratios = [a / b for a, b in zip(speeds["ours"], speeds[other], strict=True)]
        rounds_said = " ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"ours / {other}: median {statistics.median(ratios):.2f} (rounds {rounds_said})")


def train_ours(recipe: Any, base: Path, examples: Any, tokens: Any, folder: Path) -> float:
    from dataclasses import replace

    from runner.runs.events import EventLog
    from runner.train.adapt import adapt
    from runner.train.job import TrainJob
    from runner.train.load import load_model, load_tokenizer
    from runner.train.trainer import make_trainer

    columns = {
        "id": [row.id for row in tokens],
        "input_ids": [list(row.input_ids) for row in tokens],
        "labels": [list(row.labels) for row in tokens],
    }
    training = replace(
        recipe.training, save_steps=10**6, early_stopping=None, max_steps=None, epochs=1
    )
    recipe = replace(recipe, training=training)
    job = TrainJob(
        recipe=recipe,
        base=base,
        tokens={"train": columns},
        root=folder,
        checkpoints=folder,
        output=folder / "adapter",
        resume=None,
        stop=lambda: False,
        events=EventLog(folder / "events.jsonl", "train", 1),
    )
    model = adapt(load_model(recipe, base, training=True), recipe)
    return runtime(make_trainer(job, model, load_tokenizer(base)))


def train_trl(
    recipe: Any, base: Path, examples: Any, tokens: Any, folder: Path, **changed: Any
) -> float:
    # not a question of speed: one epoch, no bars
    changed = {"num_train_epochs": 1, "disable_tqdm": True} | changed
    return runtime(plain_trainer(recipe, base, examples, folder, **changed))


def plain_trainer(recipe: Any, base: Path, examples: Any, folder: Path, **changed: Any) -> Any:
    """TRL's trainer as a script has it: its defaults but for epochs, batch, max_length and rate."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    training, method = recipe.training, recipe.method
    given = {
        "num_train_epochs": training.epochs,
        "per_device_train_batch_size": training.global_batch_size,
        "max_length": training.max_length,
        "learning_rate": training.learning_rate,
        "use_cpu": not torch.cuda.is_available(),  # without it TRL's bf16 default refuses a CPU
        "report_to": [],
        "save_strategy": "no",
    }
    return SFTTrainer(
        model=str(base),
        args=SFTConfig(output_dir=str(folder), **given | changed),
        train_dataset=Dataset.from_list([turns(recipe, example) for example in examples]),
        peft_config=LoraConfig(
            r=method.rank,
            lora_alpha=method.alpha,
            lora_dropout=method.dropout,
            target_modules=method.target_modules,
            task_type="CAUSAL_LM",
        ),
    )


def turns(recipe: Any, example: Any) -> dict[str, Any]:
    """A row as TRL's users write it: conversational prompt and completion."""
    from dsl.templates import messages_of

    messages = [message.to_json() for message in messages_of(example, recipe.template)]
    return {"prompt": messages[:-1], "completion": messages[-1:]}


def runtime(trainer: Any) -> float:
    """Seconds of the training loop alone."""
    return float(trainer.train().metrics["train_runtime"])


CONTENDERS: dict[str, Callable[..., float]] = {
    "trl": train_trl,
    "trl-fp32": partial(train_trl, bf16=False),
    "ours": train_ours,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", nargs="?", type=Path, default=Path("recipes/legal.json"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=48)
    given = parser.parse_args()
    main(given.recipe, given.rounds, given.rows)

"""TRL's trainer with our loss, batches and warm-up, exact validation and sealed checkpoints."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from dsl.errors import RunError
from dsl.recipe import Recipe
from runner.data.tokens import lengths
from runner.train import checkpoints
from runner.train.job import TrainJob
from runner.train.load import device
from runner.train.loss import target_nats
from runner.train.schedule import share_of_peak


def make_trainer(job: TrainJob, model: Any, tokenizer: Any) -> Any:
    """TRL's trainer for this job, ready to train."""
    from datasets import Dataset
    from transformers import EarlyStoppingCallback
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    recipe, training = job.recipe, job.recipe.training
    # without a given fingerprint the whole table is written and hashed: four times its memory
    data = {part: Dataset(table, fingerprint=part) for part, table in job.tokens.items()}
    validation = data.get("validation")
    if validation is not None and not len(validation):
        validation = None
    watcher = _watcher(job)
    callbacks = [watcher]
    if training.early_stopping and validation is not None:
        stopping = training.early_stopping
        callbacks.append(EarlyStoppingCallback(stopping.patience, stopping.min_delta))
    trainer = _trainer_class()(
        model=model,
        args=arguments(recipe, job.checkpoints, validates=validation is not None),
        train_dataset=data["train"],
        eval_dataset=validation,
        processing_class=tokenizer,
        data_collator=DataCollatorForLanguageModeling(
            pad_token_id=tokenizer.pad_token_id, padding_free=training.packing
        ),
        callbacks=callbacks,
        job=job,
    )
    watcher.trainer = trainer
    return trainer


def arguments(recipe: Recipe, folder: Path, *, validates: bool) -> Any:
    """A recipe's training section as TRL's SFTConfig."""
    from trl import SFTConfig

    training = recipe.training
    on_cpu = device(recipe) == "cpu"
    bf16 = recipe.model.dtype == "bfloat16"
    return SFTConfig(
        output_dir=str(folder),
        num_train_epochs=training.epochs,
        max_steps=training.max_steps or -1,
        learning_rate=training.learning_rate,
        per_device_train_batch_size=training.micro_batch_size,
        per_device_eval_batch_size=training.micro_batch_size,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        optim={"adamw": "adamw_torch_fused", "sgd": "sgd"}[training.optimizer],
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        gradient_checkpointing=bool(training.activation_checkpointing),
        max_length=None,
        packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        bf16=bf16,
        fp16=recipe.model.dtype == "float16",
        use_cpu=on_cpu,
        dataloader_pin_memory=not on_cpu,
        seed=training.seed,
        data_seed=training.seed,
        logging_steps=1,
        logging_nan_inf_filter=False,
        eval_strategy="steps" if validates else "no",
        eval_steps=training.eval_steps,
        save_strategy="steps",
        save_steps=training.save_steps,
        save_total_limit=None,  # checkpoints.prune does it, after the new one is sealed
        load_best_model_at_end=validates,
        metric_for_best_model="eval_loss" if validates else None,
        greater_is_better=False,
        restore_callback_states_from_checkpoint=True,
        report_to=[],
        disable_tqdm=True,
        log_level="error",
    )


def _trainer_class() -> type:
    """Made on demand: importing TRL costs nine seconds."""
    import torch
    from torch.optim.lr_scheduler import LambdaLR
    from torch.utils.data import Sampler
    from trl import SFTTrainer

    class SortedBatches(Sampler[int]):  # type: ignore[misc]
        """Random optimizer steps; inside each, examples by length: micro-batches hardly pad.

        Steps of like length would pad less still, but a step of short answers then weighs each of
        its tokens more (docs/adr/0005). The order depends on seed and epoch alone, so that a
        resumed run meets the same batches.
        """

        def __init__(self, lengths: list[int], batch: int, seed: int) -> None:
            self.lengths, self.batch, self.seed, self.epoch = lengths, batch, seed, 0

        def set_epoch(self, epoch: int) -> None:
            self.epoch = epoch

        def __len__(self) -> int:
            return len(self.lengths)

        def __iter__(self) -> Iterator[int]:
            chance = torch.Generator().manual_seed(self.seed + self.epoch)
            order = torch.randperm(len(self.lengths), generator=chance).tolist()
            for start in range(0, len(order), self.batch):
                step = order[start : start + self.batch]
                yield from sorted(step, key=lambda index: -self.lengths[index])

    class Trainer(SFTTrainer):  # type: ignore[misc]
        control: Any  # transformers' own, as the next
        lr_scheduler: Any

        def __init__(self, *, job: TrainJob, **options: Any) -> None:
            super().__init__(**options)
            self.job = job
            self.tokens_seen = 0

        def _get_train_sampler(self, *_: Any) -> Any:
            batch = self.args.train_batch_size * self.args.gradient_accumulation_steps
            return SortedBatches(lengths(self.job.tokens["train"]), batch, self.args.seed)

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            if self.lr_scheduler is None:
                training = self.job.recipe.training
                warmup = training.warmup_steps or 0
                share = partial(share_of_peak, training.schedule, warmup, num_training_steps)
                self.lr_scheduler = LambdaLR(optimizer or self.optimizer, share)
                self._created_lr_scheduler = True
            return self.lr_scheduler

        def compute_loss(
            self,
            model: Any,
            inputs: Any,
            return_outputs: bool = False,
            num_items_in_batch: Any = None,
        ) -> Any:
            nats, _ = target_nats(model, model_inputs(inputs))
            if model.training:
                self.tokens_seen += _real_tokens(inputs)
            # a batch is a share of the optimizer step: divided by the targets of the whole step
            count = nats.numel() if num_items_in_batch is None else num_items_in_batch
            loss = nats.sum() / torch.as_tensor(count, device=nats.device).clamp(min=1)
            return (loss, None) if return_outputs else loss

        def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
            """Nats per target token over the whole part; transformers averages batch means."""
            self.model.eval()
            nats = targets = 0.0
            with torch.no_grad():
                for batch in self.get_eval_dataloader():
                    with self.compute_loss_context_manager():
                        found, _ = target_nats(
                            self.model, self._prepare_inputs(model_inputs(batch))
                        )
                    nats += float(found.double().sum())
                    targets += found.numel()
            self.model.train()
            metrics = {"eval_loss": nats / max(1.0, targets)}
            self.log(dict(metrics))
            self.control = self.callback_handler.on_evaluate(
                self.args, self.state, self.control, metrics
            )
            return metrics

        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            super()._save_checkpoint(model, trial)
            folder = Path(self.args.output_dir) / f"{checkpoints.PREFIX}{self.state.global_step}"
            checkpoints.seal(folder)
            best = self.state.best_model_checkpoint
            keep = self.job.recipe.training.keep_checkpoints
            checkpoints.prune(Path(self.args.output_dir), keep, best)
            is_best = self.state.best_global_step == self.state.global_step
            self.job.events("checkpoint", at=self.state.global_step, path=str(folder), best=is_best)

        def create_model_card(self, *_: Any, **__: Any) -> None:
            """The release writes the card; TRL's would name the training script."""

    return Trainer


def model_inputs(batch: Any) -> dict[str, Any]:
    """What a causal model takes of a collated batch."""
    names = ("input_ids", "labels", "attention_mask", "position_ids")
    return {name: batch[name] for name in names if name in batch}


def _real_tokens(inputs: Any) -> int:
    """Tokens of a batch without padding."""
    mask = inputs.get("attention_mask")
    return int(inputs["input_ids"].numel() if mask is None else mask.sum())


def _watcher(job: TrainJob) -> Any:
    """Turns the trainer's log into events and a wish to stop into a checkpoint."""
    from transformers import TrainerCallback

    class Watcher(TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.began = 0.0
            self.first_step = 0
            self.trainer: Any = None

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.began, self.first_step = time.monotonic(), state.global_step
            self.trainer.tokens_seen = 0

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            logs = logs or {}
            if "eval_loss" in logs:
                job.events("validation", at=state.global_step, loss=logs["eval_loss"])
            if "loss" not in logs:
                return
            if logs["loss"] != logs["loss"] or logs["loss"] == float("inf"):
                raise RunError(
                    f"the loss is {logs['loss']} at step {state.global_step}",
                    "lower training.learning_rate, or raise warmup_ratio",
                )
            seconds = time.monotonic() - self.began
            done = state.global_step - self.first_step
            tokens = self.trainer.tokens_seen
            job.events(
                "train",
                at=state.global_step,
                steps=state.max_steps,
                epoch=logs.get("epoch"),
                loss=logs["loss"],
                learning_rate=logs.get("learning_rate"),
                grad_norm=_number(logs.get("grad_norm")),
                tokens=tokens,
                tokens_per_second=round(tokens / max(seconds, 1e-9), 1),
                seconds_left=round(seconds / max(1, done) * (state.max_steps - state.global_step)),
            )

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            if job.stop():
                # a validation that is due still comes: going on must not lack it
                control.should_save = control.should_training_stop = True
            return control

        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step < state.max_steps and not job.stop():
                job.events("stopped_early", at=state.global_step)

    return Watcher()


def _number(value: Any) -> float | None:
    number = None if value is None else float(value)
    return number if number is not None and abs(number) < float("inf") else None

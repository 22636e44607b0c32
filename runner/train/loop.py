"""Training: TRL's SFTTrainer with our loss, exact validation and sealed checkpoints."""

from __future__ import annotations

import shutil
import time
from contextlib import chdir
from heapq import nlargest
from typing import Any

from dsl.errors import RunError
from dsl.methods import info
from runner.data.tokens import lengths
from runner.train import checkpoints
from runner.train.adapt import adapt
from runner.train.job import TrainJob
from runner.train.load import load_model, load_tokenizer
from runner.train.trainer import make_trainer, model_inputs


def train(job: TrainJob) -> bool:
    """Trains and writes the adapter (or the whole model) to `job.output`.

    Returns False where a stop was asked for: then the newest checkpoint holds the state.
    Raises RunError where the loss is not finite or the longest batch does not fit.
    """
    recipe = job.recipe
    model = adapt(load_model(recipe, job.base, training=True), recipe)
    tokenizer = load_tokenizer(job.base)
    _check_count(model, job)
    # the trainer notes the best checkpoint by its path: a relative one outlives a moved run
    with chdir(job.root):
        trainer = make_trainer(job, model, tokenizer)
        if job.resume and (best := checkpoints.result_of(job.resume)):
            trainer._load_from_checkpoint(str(best))
        else:
            _try_longest_batch(trainer, job)
            trainer.train(resume_from_checkpoint=str(job.resume) if job.resume else None)
    if job.stop():
        return False
    _check_finite(trainer)
    _write_output(trainer.model, tokenizer, job)
    return True


def _try_longest_batch(trainer: Any, job: TrainJob) -> None:
    """Forward and backward of the longest micro-batch: what does not fit fails now."""
    import torch

    if job.resume:
        return
    tokens = job.tokens["train"]
    size = job.recipe.training.micro_batch_size or 1
    each = lengths(tokens)
    order = nlargest(size, range(len(each)), key=each.__getitem__)
    columns = tokens.select(["input_ids", "labels"])
    rows = [columns.slice(at, 1).to_pylist()[0] for at in order]  # take would copy the columns
    state = torch.get_rng_state()
    model = trainer.model
    model.train()
    began = time.monotonic()
    try:
        batch = trainer._prepare_inputs(model_inputs(trainer.data_collator(rows)))
        with trainer.compute_loss_context_manager():
            trainer.compute_loss(model, batch).backward()
    except (MemoryError, RuntimeError) as error:
        if "memory" not in str(error).lower():
            raise
        raise RunError(
            f"{size} examples of {len(rows[0]['input_ids'])} tokens do not fit into memory",
            "halve training.micro_batch_size and double gradient_accumulation_steps; "
            "then try activation_checkpointing, a shorter max_length, qlora",
        ) from None
    finally:
        model.zero_grad(set_to_none=True)
        torch.set_rng_state(state)
    job.events(
        "trial",
        tokens=size * len(rows[0]["input_ids"]),
        seconds=round(time.monotonic() - began, 3),
        peak_bytes=peak_bytes(),
    )


def peak_bytes() -> int:
    """Most memory held so far: on the GPU where there is one, else resident of this process."""
    import resource

    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _check_count(model: Any, job: TrainJob) -> None:
    """The plan promised an exact count: another one means that other layers are trained."""
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if job.trainable is not None and count != job.trainable:
        text = f"{count:,} parameters are trained; the plan said {job.trainable:,}"
        job.events("message", level="warning", text=text)


def _check_finite(trainer: Any) -> None:
    import torch

    for name, parameter in trainer.model.named_parameters():
        if parameter.requires_grad and not torch.isfinite(parameter).all():
            raise RunError(f"{name} holds values that are not finite", "lower the learning rate")


def _write_output(model: Any, tokenizer: Any, job: TrainJob) -> None:
    """The result, whole or not at all."""
    temporary = job.output.with_name(f".{job.output.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    whole = info(job.recipe.method).trains_base
    if whole:
        import torch

        model = model.to(getattr(torch, job.recipe.model.dtype))
    model.save_pretrained(temporary)
    if whole:
        tokenizer.save_pretrained(temporary)
    (temporary / "README.md").unlink(missing_ok=True)  # PEFT's empty card
    shutil.rmtree(job.output, ignore_errors=True)
    temporary.rename(job.output)

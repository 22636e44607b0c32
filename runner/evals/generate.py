"""Answers and likelihoods of one model on given prompts. The only part of evaluation with torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dsl.recipe import Generation
from runner.data.tokens import Encoded
from runner.evals.metrics import Prediction

Progress = Callable[[int, int], None]


def predict(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    targets: Sequence[Encoded],
    generation: Generation,
    stops: Sequence[int],
    *,
    answers: bool,
    seed: int,
    progress: Progress,
) -> list[Prediction]:
    """One Prediction an example, in order. `answers` False leaves out generation.

    Batches are made by length, the same for every model on the same prompts: answers in low
    precision depend on the batch they were made in.
    """
    total = len(prompts) * (1 + answers)
    nats = _likelihoods(model, targets, lambda done: progress(done, total))
    texts: list[tuple[list[int], bool] | None] = [None] * len(prompts)
    if answers:
        texts = list(
            _answers(
                model, tokenizer, prompts, generation, stops, seed,
                lambda done: progress(len(prompts) + done, total),
            )
        )  # fmt: skip
    return [
        Prediction(
            id=target.id,
            text=tokenizer.decode(answer[0], skip_special_tokens=True).strip() if answer else None,
            tokens=tuple(answer[0]) if answer else None,
            finished=answer[1] if answer else None,
            nats=likelihood,
            target_tokens=target.trained,
            target_bytes=len(_target_text(tokenizer, target).encode()),
        )
        for target, likelihood, answer in zip(targets, nats, texts, strict=True)
    ]


def _likelihoods(
    model: Any, targets: Sequence[Encoded], progress: Callable[[int], None]
) -> list[float]:
    """Sum of -ln p over the targets of each example; one at a time: padding would cost more."""
    import torch

    from runner.train.loss import target_nats

    model.eval()
    found = []
    with torch.inference_mode():
        for index, target in enumerate(targets):
            batch = {
                "input_ids": torch.tensor([target.input_ids], device=model.device),
                "labels": torch.tensor([target.labels], device=model.device),
            }
            nats, _ = target_nats(model, batch)
            found.append(float(nats.double().sum()))
            if index % 16 == 15 or index + 1 == len(targets):
                progress(index + 1)
    return found


def _answers(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    generation: Generation,
    stops: Sequence[int],
    seed: int,
    progress: Callable[[int], None],
) -> list[tuple[list[int], bool]]:
    """(token ids without the stop, whether a stop came) of each prompt."""
    import torch

    model.eval()
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    found: list[tuple[list[int], bool]] = [([], False)] * len(prompts)
    torch.manual_seed(seed)
    for start in range(0, len(order), generation.batch_size):
        batch = order[start : start + generation.batch_size]
        width = max(len(prompts[index]) for index in batch)
        pad = tokenizer.pad_token_id
        # padding stands on the left: an answer must follow its prompt directly
        rows = [[pad] * (width - len(prompts[i])) + list(prompts[i]) for i in batch]
        mask = [[0] * (width - len(prompts[i])) + [1] * len(prompts[i]) for i in batch]
        with torch.inference_mode():
            output = model.generate(
                input_ids=torch.tensor(rows, device=model.device),
                attention_mask=torch.tensor(mask, device=model.device),
                max_new_tokens=generation.max_new_tokens,
                eos_token_id=list(stops),
                pad_token_id=pad,
                use_cache=True,
                **decoding(generation.temperature),
            )
        for index, row in zip(batch, output[:, width:].tolist(), strict=True):
            end = next((at for at, token in enumerate(row) if token in stops), None)
            found[index] = (row[:end] if end is not None else row, end is not None)
        progress(start + len(batch))
    return found


def decoding(temperature: float, top_p: float | None = None) -> dict[str, Any]:
    """How the next token is chosen: the likeliest at temperature 0, else drawn."""
    if temperature > 0:
        nucleus = {} if top_p is None else {"top_p": top_p}
        return {"do_sample": True, "temperature": temperature, "top_k": 0, **nucleus}
    # a model's own generation_config may sample; None silences its leftovers
    return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}


def _target_text(tokenizer: Any, target: Encoded) -> str:
    text: str = tokenizer.decode(
        [label for label in target.labels if label != -100], skip_special_tokens=True
    )
    return text

"""The rate rises from the first step on; behind the warm-up it is transformers' own."""

from __future__ import annotations

import pytest

from dsl import schema
from runner.train.schedule import share_of_peak

KINDS = schema.at(("training", "schedule"), {})["enum"]  # type: ignore[index]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("warmup", "steps"), [(0, 1), (0, 34), (2, 34), (5, 5), (10, 200)])
def test_behind_the_warmup_it_is_that_of_transformers(kind: str, warmup: int, steps: int) -> None:
    import torch
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    name = "constant_with_warmup" if kind == "constant" else kind
    scheduler = get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=steps)
    for step in range(steps):
        if step >= warmup:
            expected = scheduler.get_last_lr()[0]
            assert share_of_peak(kind, warmup, steps, step) == pytest.approx(expected)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("kind", KINDS)
def test_the_warmup_rises_evenly_and_never_stands_at_0(kind: str) -> None:
    rises = [share_of_peak(kind, 4, 50, step) for step in range(5)]
    assert rises == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="no schedule step"):
        share_of_peak("step", 0, 10, 3)

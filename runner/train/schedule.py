"""The learning rate over the steps of a run, as a share of its peak."""

from __future__ import annotations

import math


def share_of_peak(kind: str, warmup: int, steps: int, step: int) -> float:
    """The share at optimizer step `step` (from 0) of `steps`.

    Warm-up rises over `warmup` steps and never stands at 0: transformers' first step has rate 0,
    which in a run of 34 steps is 3% of the training. Behind it the curves are transformers' own.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, steps - warmup)
    match kind:
        case "cosine":
            return max(0.0, 0.5 * (1 + math.cos(math.pi * done)))
        case "linear":
            return max(0.0, 1 - done)
        case "constant":
            return 1.0
    raise ValueError(f"no schedule {kind}")

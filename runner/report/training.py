"""The course of a training run from its events: what the loss curve shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from statistics import fmean, median
from typing import Any

from runner.report.words import Json, finite

POINTS = 600  # of a curve: more than the pixels of its chart serve nobody
SMOOTHED = 0.1  # share of the steps that the moving mean of the training loss covers

Point = tuple[float, float]


def course(events: Iterable[Mapping[str, Any]]) -> Json | None:
    """Curves and key figures of the training, or None where it never began.

    A run that was resumed goes on from a checkpoint: steps that were done again replace those
    of the earlier attempt.
    """
    train: list[Mapping[str, Any]] = []
    validation: list[Mapping[str, Any]] = []
    checkpoints: list[Mapping[str, Any]] = []
    stopped: int | None = None
    for event in events:
        kind, at = event.get("type"), event.get("at")
        if not isinstance(at, int):
            continue
        if kind == "train":
            if train and at <= train[-1]["at"]:
                train, validation, checkpoints = (
                    [old for old in kept if old["at"] < at]
                    for kept in (train, validation, checkpoints)
                )
                stopped = None
            train.append(event)
        elif kind == "validation":
            validation = [*(old for old in validation if old["at"] < at), event]
        elif kind == "checkpoint":
            checkpoints = [*(old for old in checkpoints if old["at"] < at), event]
        elif kind == "stopped_early":
            stopped = at
    if not (train or validation):
        return None
    raw, checked = _points(train), _points(validation)
    curve, averaged = thin(raw)
    smooth, _ = thin(smoothed(raw))
    speeds = [speed for event in train if (speed := finite(event.get("tokens_per_second")))]
    best = [event["at"] for event in checkpoints if event.get("best")]
    last = train[-1] if train else {}
    return {
        "at": last.get("at", 0),
        "steps": last.get("steps"),
        "epoch": finite(last.get("epoch")),
        "tokens": last.get("tokens"),
        "tokens_per_second": median(speeds) if speeds else None,
        "loss": _plain(curve),
        "averaged": averaged,
        "smoothed": _plain(smooth),
        "validation": _plain(checked),
        "checkpoints": [event["at"] for event in checkpoints],
        "best": best[-1] if best else None,
        "stopped_early": stopped,
        "not_a_number_at": next(
            (event["at"] for event in train if finite(event.get("loss")) is None), None
        ),
    }


def smoothed(points: Sequence[Point]) -> list[Point]:
    """Centred moving mean: unlike an exponential one it does not lag behind a falling loss.

    The window shrinks towards both ends, so that it stays centred there too.
    """
    reach = round(SMOOTHED * len(points) / 2)
    sums = [0.0, *accumulate(loss for _, loss in points)]
    result = []
    for i, (at, _) in enumerate(points):
        side = min(reach, i, len(points) - 1 - i)
        result.append((at, (sums[i + side + 1] - sums[i - side]) / (2 * side + 1)))
    return result


def thin(points: Sequence[Point]) -> tuple[list[Point], int]:
    """At most POINTS points and how many steps each of them is the mean of."""
    width = -(-len(points) // POINTS) or 1
    if width == 1:
        return list(points), 1
    groups = [points[start : start + width] for start in range(0, len(points), width)]
    return [(fmean(at for at, _ in g), fmean(loss for _, loss in g)) for g in groups], width


def _plain(points: Iterable[Point]) -> list[list[float]]:
    return [list(point) for point in points]


def _points(events: Iterable[Mapping[str, Any]]) -> list[Point]:
    found = ((float(event["at"]), finite(event.get("loss"))) for event in events)
    return [(at, loss) for at, loss in found if loss is not None]

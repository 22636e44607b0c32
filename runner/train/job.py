"""TrainJob: everything that training is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dsl.recipe import Recipe
from runner.runs.events import EventLog

if TYPE_CHECKING:
    from pyarrow import Table


@dataclass(frozen=True, slots=True)
class TrainJob:
    """What training reads and where it writes. `tokens`: part → (id, input_ids, labels).

    `root` is the run's folder; `checkpoints` and `resume`, a whole checkpoint or None, are
    relative to it. `stop` is asked after every optimizer step. `trainable` is the plan's count of
    parameters.
    """

    recipe: Recipe
    base: Path
    tokens: dict[str, Table]
    root: Path
    checkpoints: Path
    output: Path
    resume: Path | None
    stop: Callable[[], bool]
    events: EventLog
    trainable: int | None = None

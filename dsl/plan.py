"""Plan: what a recipe will do, step by step, before anything is spent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dsl.facts import PartFacts
from dsl.memory import Memory
from dsl.problems import Path, pointer
from dsl.recipe import Recipe, to_json
from dsl.schema import Origin

SCHEMA_VERSION = 1
DEVICE_SHARE = 0.92  # of a device's memory that a plan may fill


@dataclass(frozen=True, slots=True)
class Targets:
    """The layers that get weights. `modules`: short name → how many of them."""

    modules: Mapping[str, int]
    trainable_parameters: int
    total_parameters: int

    @property
    def share(self) -> float:
        return self.trainable_parameters / self.total_parameters


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one epoch. `how`: exact or estimated."""

    total: int
    trained: int
    how: str


@dataclass(frozen=True, slots=True)
class Schedule:
    """Optimizer steps."""

    steps: int
    steps_an_epoch: int
    warmup_steps: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """Peak memory of training against the device, and time by phase as (low, high) seconds."""

    device: str
    device_bytes: int
    memory: Memory
    seconds: Mapping[str, tuple[float, float]]
    how: str = "estimated"

    @property
    def fits(self) -> bool:
        return self.memory.total <= DEVICE_SHARE * self.device_bytes

    @property
    def total_seconds(self) -> tuple[float, float]:
        lows, highs = zip(*self.seconds.values(), strict=True) if self.seconds else ((), ())
        return sum(lows), sum(highs)


@dataclass(frozen=True, slots=True)
class Step:
    """One unit of work. The fingerprint covers `inputs` and those of the steps it `needs`."""

    name: str
    title: str
    needs: tuple[str, ...]
    inputs: Mapping[str, Any]
    fingerprint: str
    cacheable: bool
    child: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """The result of compile. `recipe` has every value; `origins` says where each comes from."""

    recipe: Recipe
    origins: Mapping[Path, Origin]
    model: Mapping[str, Any]
    targets: Targets | None = None
    parts: Mapping[str, PartFacts] = field(default_factory=dict)
    tokens: Tokens | None = None
    schedule: Schedule | None = None
    estimate: Estimate | None = None
    steps: tuple[Step, ...] = ()

    def step(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)

    def to_json(self) -> dict[str, Any]:
        targets = estimate = None
        if self.targets:
            targets = asdict(self.targets) | {"share": self.targets.share}
        if self.estimate:
            estimate = asdict(self.estimate) | {
                "memory": asdict(self.estimate.memory) | {"total": self.estimate.memory.total},
                "fits": self.estimate.fits,
                "total_seconds": self.estimate.total_seconds,
            }
        return {
            "schema_version": SCHEMA_VERSION,
            "name": self.recipe.name,
            "recipe": to_json(self.recipe),
            "origins": {pointer(path): asdict(origin) for path, origin in self.origins.items()},
            "model": dict(self.model),
            "targets": targets,
            "parts": {name: asdict(part) for name, part in self.parts.items()},
            "tokens": asdict(self.tokens) if self.tokens else None,
            "schedule": asdict(self.schedule) if self.schedule else None,
            "estimate": estimate,
            "steps": [asdict(step) for step in self.steps],
        }


def fingerprint(values: Any) -> str:
    """sha256 of the canonical JSON of `values`, 16 hex digits."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

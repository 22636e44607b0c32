"""Facts: what the world told about a recipe.

Stable facts (hashes, counts, device) may change a Plan. Momentary ones (free memory, free disk)
only raise Problems, so that the same recipe gives the same Plan on a busy machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dsl.models import Model
from dsl.problems import Path


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """One data source. `complete`: the columns are a census of all rows, not of the first ones."""

    path: Path
    name: str
    part: str
    format: str | None
    columns: tuple[str, ...]
    complete: bool
    sha256: str | None = None
    rows: int | None = None
    refused: int = 0


@dataclass(frozen=True, slots=True)
class PartFacts:
    """Rows of train, validation or test after split and mix. Characters are code points."""

    rows: int
    groups: int
    prompt_characters: int
    completion_characters: int


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """Tokens of the training part after the template and the cut at max_length."""

    total: int
    trained: int
    longest: int


@dataclass(frozen=True, slots=True)
class Hardware:
    """The device a recipe would run on. `bf16`: it multiplies bfloat16 faster than float32."""

    device: Literal["cpu", "cuda"]
    name: str
    total_memory_bytes: int
    threads: int
    bf16: bool


@dataclass(frozen=True, slots=True)
class Momentary:
    """What holds only now."""

    free_memory_bytes: int | None = None
    free_disk_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """None where nothing was asked: `validate` knows less than `plan`.

    `identity` names the exact weights: a hash or a revision. `ready`: they lie in the cache.
    `allowed` are folders outside the recipe's own from which data may be read.
    """

    model: Model | None = None
    identity: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[SourceFacts, ...] = ()
    parts: Mapping[str, PartFacts] = field(default_factory=dict)
    tokens: TokenFacts | None = None
    hardware: Hardware | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    code: str = ""
    trust_remote_code: bool = False
    allowed: tuple[str, ...] = ()
    momentary: Momentary = Momentary()

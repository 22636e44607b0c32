"""The Recipe: frozen dataclasses, one per `type`. No field has a default of its own.

Defaults stand in the schema alone; a field that a pass derives is None until that pass ran.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from dsl.problems import Path
from dsl.schema import Origin, fill
from dsl.sources import (
    Columns,
    DatabaseSource,
    FileSource,
    HubSource,
    MixDatabase,
    MixFile,
    MixHub,
    MixSource,
    Secret,
    Source,
    TrainDatabase,
    TrainFile,
    TrainHub,
    TrainSource,
)
from dsl.thresholds import (
    BalanceCheck,
    Checks,
    ContradictionCheck,
    DisparityCheck,
    DiversityCheck,
    DriftCheck,
    HeldOutCheck,
    LanguageCheck,
    MixShareCheck,
    NearLeakageCheck,
    OutlierCheck,
    ShareCheck,
    SimilarityCheck,
    SizeCheck,
)


@dataclass(frozen=True, slots=True)
class Quantization:
    type: str
    double: bool


@dataclass(frozen=True, slots=True)
class Model:
    base: str
    revision: str | None
    dtype: str
    attention: str
    quantization: Quantization | None
    trust_remote_code: bool


@dataclass(frozen=True, slots=True)
class Split:
    validation: float
    test: float
    group_by: str | None
    seed: int


@dataclass(frozen=True, slots=True)
class Data:
    train: tuple[TrainSource, ...]
    validation: tuple[Source, ...]
    test: tuple[Source, ...]
    mix: tuple[MixSource, ...]
    split: Split
    checks: Checks

    def sources(self) -> list[tuple[Path, str, Source]]:
        """(path in the recipe, part, source) of every source; parts are the keys of `data`."""
        return [
            (("data", part, index), part, source)
            for part in ("train", "validation", "test", "mix")
            for index, source in enumerate(getattr(self, part))
        ]


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    type: str
    system: str | None
    prompt: str | None


@dataclass(frozen=True, slots=True)
class ChatmlTemplate(ChatTemplate):
    pass


@dataclass(frozen=True, slots=True)
class AlpacaTemplate(ChatTemplate):
    pass


@dataclass(frozen=True, slots=True)
class JinjaTemplate:
    type: str
    prompt: str
    completion: str


@dataclass(frozen=True, slots=True)
class Sft:
    type: str
    loss_on: str


@dataclass(frozen=True, slots=True)
class Lora:
    type: str
    rank: int
    alpha: float | None
    dropout: float
    target_modules: str | tuple[str, ...]
    use_rslora: bool
    use_dora: bool


@dataclass(frozen=True, slots=True)
class Qlora(Lora):
    """Sugar: the first pass rewrites it to Lora on an nf4 base."""


@dataclass(frozen=True, slots=True)
class Full:
    type: str


@dataclass(frozen=True, slots=True)
class EarlyStopping:
    patience: int
    min_delta: float


@dataclass(frozen=True, slots=True)
class Training:
    epochs: float
    max_steps: int | None
    learning_rate: float | None
    global_batch_size: int | None
    micro_batch_size: int | None
    gradient_accumulation_steps: int | None
    max_length: int
    schedule: str
    warmup_ratio: float | None
    warmup_steps: int | None
    optimizer: str
    weight_decay: float
    max_grad_norm: float
    packing: bool
    activation_checkpointing: bool | None
    eval_steps: int | None
    save_steps: int | None
    keep_checkpoints: int
    early_stopping: EarlyStopping | None
    seed: int


@dataclass(frozen=True, slots=True)
class Generation:
    max_new_tokens: int
    temperature: float
    batch_size: int


@dataclass(frozen=True, slots=True)
class Suite:
    data: str
    metrics: tuple[str, ...]
    limit: int | None


@dataclass(frozen=True, slots=True)
class Gate:
    metric: str
    min: float | None
    max: float | None
    against: str | None
    improve_by: float | None
    drop_at_most: float | None
    confidence: float
    required: bool


@dataclass(frozen=True, slots=True)
class Eval:
    generation: Generation
    suites: Mapping[str, Suite]
    gates: tuple[Gate, ...]
    resamples: int


@dataclass(frozen=True, slots=True)
class Export:
    type: str


@dataclass(frozen=True, slots=True)
class Local:
    type: str
    device: str
    threads: int | None


# place in the recipe ('*' is an item) → the class of each `type`
TYPES: dict[str, dict[str, type]] = {
    "data/train/*": {"file": TrainFile, "hub": TrainHub, "database": TrainDatabase},
    "data/validation/*": {"file": FileSource, "hub": HubSource, "database": DatabaseSource},
    "data/test/*": {"file": FileSource, "hub": HubSource, "database": DatabaseSource},
    "data/mix/*": {"file": MixFile, "hub": MixHub, "database": MixDatabase},
    "template": {
        "chat": ChatTemplate,
        "chatml": ChatmlTemplate,
        "alpaca": AlpacaTemplate,
        "jinja": JinjaTemplate,
    },
    "objective": {"sft": Sft},
    "method": {"lora": Lora, "qlora": Qlora, "full": Full},
    "compute": {"local": Local},
}

Template = ChatTemplate | JinjaTemplate
Method = Lora | Full


@dataclass(frozen=True, slots=True)
class Recipe:
    version: int
    name: str
    description: str
    model: Model
    data: Data
    template: Template
    objective: Sft
    method: Method
    training: Training
    eval: Eval
    export: tuple[Export, ...]
    compute: Local


def build(values: Mapping[str, Any]) -> Recipe:
    """Valid, filled values (see dsl.schema.fill) → Recipe."""
    recipe: Recipe = _build(Recipe, values)
    return recipe


def read(values: Mapping[str, Any]) -> tuple[Recipe, Mapping[Path, Origin]]:
    """Valid values → Recipe with defaults, and where every value comes from."""
    filled, origins = fill(values)
    return build(filled), origins


def _build(cls: type, values: Mapping[str, Any], place: str = "") -> Any:
    return cls(
        **{
            name: _convert(hint, values[name], f"{place}/{name}".lstrip("/"))
            for name, hint in _hints(cls).items()
        }
    )


def _convert(hint: Any, value: Any, place: str) -> Any:
    if place in TYPES:
        return _build(TYPES[place][value["type"]], value, place)
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    for option in options:
        if is_dataclass(option) and isinstance(option, type) and isinstance(value, Mapping):
            return _build(option, value, place)
        origin, inner = get_origin(option), get_args(option)
        if origin is tuple and isinstance(value, list):
            return tuple(_convert(inner[0], item, f"{place}/*") for item in value)
        if isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
            return {key: _convert(inner[1], item, f"{place}/*") for key, item in value.items()}
    if value == "off" and type(None) in options and any(map(is_dataclass, options)):
        return None  # a check that is off; a column may well be named so
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)  # 8.0 and 8 are one number: one Plan, one fingerprint (RFC 8785)
    return value


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def get(node: Any, path: Path) -> Any:
    """The value at a path of a Recipe."""
    for part in path:
        is_item = isinstance(part, int) or isinstance(node, Mapping)
        node = node[part] if is_item else getattr(node, str(part))
    return node


def with_value(node: Any, path: Path, value: Any) -> Any:
    """A copy of a Recipe (or a part of it) with the value at `path` replaced."""
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(node, Mapping):
        return {**node, str(head): with_value(node[str(head)], rest, value)}
    if isinstance(head, int):
        return (*node[:head], with_value(node[head], rest, value), *node[head + 1 :])
    return replace(node, **{head: with_value(getattr(node, head), rest, value)})


def to_json(node: Any) -> Any:
    """A Recipe as plain JSON values, every default written out."""
    if is_dataclass(node) and not isinstance(node, type):
        plain = {field.name: to_json(getattr(node, field.name)) for field in fields(node)}
        if isinstance(node, Checks):
            return {name: "off" if value is None else value for name, value in plain.items()}
        return plain
    if isinstance(node, Mapping):
        return {key: to_json(value) for key, value in node.items()}
    if isinstance(node, tuple | list):
        return [to_json(item) for item in node]
    return node


__all__ = [
    "TYPES",
    "AlpacaTemplate",
    "BalanceCheck",
    "ChatTemplate",
    "ChatmlTemplate",
    "Checks",
    "Columns",
    "ContradictionCheck",
    "Data",
    "DatabaseSource",
    "DisparityCheck",
    "DiversityCheck",
    "DriftCheck",
    "EarlyStopping",
    "Eval",
    "Export",
    "FileSource",
    "Full",
    "Gate",
    "Generation",
    "HeldOutCheck",
    "HubSource",
    "JinjaTemplate",
    "LanguageCheck",
    "Local",
    "Lora",
    "Method",
    "MixDatabase",
    "MixFile",
    "MixHub",
    "MixShareCheck",
    "MixSource",
    "Model",
    "NearLeakageCheck",
    "OutlierCheck",
    "Qlora",
    "Quantization",
    "Recipe",
    "Secret",
    "Sft",
    "ShareCheck",
    "SimilarityCheck",
    "SizeCheck",
    "Source",
    "Split",
    "Suite",
    "Template",
    "TrainDatabase",
    "TrainFile",
    "TrainHub",
    "TrainSource",
    "Training",
    "build",
    "get",
    "read",
    "to_json",
    "with_value",
]

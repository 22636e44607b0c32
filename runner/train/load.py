"""Loads a base model as a recipe says: dtype, attention, quantisation, threads, seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dsl.methods import info
from dsl.recipe import Recipe


def prepare_process(recipe: Recipe) -> None:
    """Threads, seeds and determinism of this process. Called once, before anything is loaded."""
    import os

    import torch

    # some reductions split by thread: the same count gives the same bytes
    torch.set_num_threads(recipe.compute.threads or os.cpu_count() or 1)
    torch.manual_seed(recipe.training.seed)
    torch.use_deterministic_algorithms(True, warn_only=True)


def load_model(recipe: Recipe, folder: Path, *, training: bool) -> Any:
    """The base model from a local folder of safetensors, on the recipe's device."""
    import torch
    from transformers import AutoModelForCausalLM

    options: dict[str, Any] = {
        "dtype": weights_dtype(recipe, training),
        "attn_implementation": recipe.model.attention,
        "trust_remote_code": recipe.model.trust_remote_code,
        "use_safetensors": True,
        "local_files_only": True,
    }
    if recipe.model.quantization:
        options["quantization_config"] = _quantization(recipe)
    if device(recipe) == "cuda":
        options["device_map"] = {"": 0}
    model = AutoModelForCausalLM.from_pretrained(folder, **options)
    model.config.use_cache = not training
    if recipe.model.quantization is None and device(recipe) == "cpu":
        model = model.to(torch.device("cpu"))
    return model


def load_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def weights_dtype(recipe: Recipe, training: bool) -> Any:
    """Full training keeps float32 weights: in bfloat16 small updates would be rounded away."""
    import torch

    if training and info(recipe.method).trains_base:
        return torch.float32
    return getattr(torch, recipe.model.dtype)


def device(recipe: Recipe) -> str:
    import torch

    wanted = recipe.compute.device
    return ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted


def _quantization(recipe: Recipe) -> Any:
    from transformers import BitsAndBytesConfig

    quantization = recipe.model.quantization
    assert quantization is not None
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quantization.type,
        bnb_4bit_use_double_quant=quantization.double,
        bnb_4bit_compute_dtype=weights_dtype(recipe, training=False),
    )

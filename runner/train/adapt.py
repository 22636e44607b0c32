"""Wraps a base model for its method. One entry a method."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from dsl.recipe import Full, Lora, Recipe

VISION = r"(.*\.)?(vision_tower|vision_model|multi_modal_projector)\..*"


def adapt(model: Any, recipe: Recipe) -> Any:
    """The model with the weights that are trained, and nothing else, requiring gradients."""
    return ADAPT[type(recipe.method)](model, recipe)


def _lora(model: Any, recipe: Recipe) -> Any:
    from peft import LoraConfig, get_peft_model

    method = recipe.method
    assert isinstance(method, Lora)
    targets = method.target_modules
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=method.rank,
        lora_alpha=method.alpha,
        lora_dropout=method.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        # plans count the text part; "all-linear" would reach into a model's vision tower too
        exclude_modules=VISION if _sees(model) else None,
        use_rslora=method.use_rslora,
        use_dora=method.use_dora,
    )
    if recipe.training.activation_checkpointing:
        # with a frozen embedding the first checkpoint would see no input that needs a gradient
        model.enable_input_require_grads()
    return get_peft_model(model, config)


def _sees(model: Any) -> bool:
    return any(re.fullmatch(VISION, name) for name, _ in model.named_modules())


def _full(model: Any, recipe: Recipe) -> Any:
    model.requires_grad_(True)
    return model


ADAPT: dict[type, Callable[[Any, Recipe], Any]] = {Lora: _lora, Full: _full}

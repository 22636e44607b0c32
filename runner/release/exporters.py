"""Exports: the trained weights in the forms others read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from dsl.recipe import Recipe


def copy_adapter(adapter: Path, target: Path) -> None:
    """The adapter as PEFT reads it, whole or not at all."""
    _replace(target, lambda folder: shutil.copytree(adapter, folder))


def copy_model(model: Path, target: Path) -> None:
    """Every weight of a fully trained model."""
    _replace(target, lambda folder: shutil.copytree(model, folder))


def merge(recipe: Recipe, base: Path, adapter: Path, target: Path) -> None:
    """Base and adapter as one model folder with its tokenizer. Imports torch."""
    from peft import PeftModel

    from runner.train.load import load_model, load_tokenizer

    model = load_model(recipe, base, training=False)
    merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload(safe_merge=True)

    def save(folder: Path) -> None:
        merged.save_pretrained(folder)
        load_tokenizer(base).save_pretrained(folder)

    _replace(target, save)


def _replace(target: Path, write: Any) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    write(temporary)
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)

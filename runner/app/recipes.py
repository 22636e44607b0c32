"""Recipes at hand, a draft judged, its plan as text."""

from __future__ import annotations

import re
from pathlib import Path

from dsl.errors import InvalidRecipe
from dsl.source import MAX_BYTES, decode, parse
from runner.probe import Surroundings
from runner.read import Read, judge

SUFFIXES = (".json", ".yaml", ".yml")
KEYS = ("model", "data")  # of a recipe, at its top


def recipes(folder: Path) -> list[Path]:
    """Files in `folder` and one level below that name both a model and data, sorted."""
    found = (p for pattern in ("*", "*/*") for p in folder.glob(pattern) if p.suffix in SUFFIXES)
    return sorted(path for path in found if path.is_file() and _is_recipe(path))


def text_of(path: Path) -> str:
    """The text of a recipe file. Raises InvalidRecipe."""
    return decode(path.read_bytes(), path.name)


def judged(text: str, name: str, folder: Path) -> Read:
    """A text as 'recipe validate' sees a file of this name in `folder`.

    Raises InvalidRecipe where the text cannot be parsed.
    """
    return judge(parse(text, name), Surroundings(folder))


def _is_recipe(path: Path) -> bool:
    try:
        if path.stat().st_size > MAX_BYTES:  # a data file may be of any size
            return False
        text = text_of(path)
    except (InvalidRecipe, OSError):
        return False
    try:
        values = parse(text, path.name).values
    except InvalidRecipe:
        # a recipe with a slip in its text has to be found to be mended
        return all(re.search(rf"""(^|["']){key}["']?\s*:""", text, re.M) for key in KEYS)
    return all(key in values for key in KEYS)

"""The examples of the package: recipes with their data, copied for a user to change."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path

from dsl.errors import RunError
from dsl.problems import did_you_mean


def list_examples() -> list[tuple[str, str]]:
    """(name, description) of every example."""
    return [
        (path.stem, json.loads(path.read_text("utf-8")).get("description", ""))
        for path in sorted(_home().glob("*.json"))
    ]


def copy_example(name: str, into: Path) -> list[Path]:
    """Copies <name>.json and the data it reads. Raises RunError; never overwrites."""
    recipe = _home() / f"{name}.json"
    if not recipe.is_file():
        known = [known for known, _ in list_examples()]
        hint = did_you_mean(name, known) or f"known: {', '.join(known)}"
        raise RunError(f"no example '{name}'", hint)
    data = json.loads(recipe.read_text("utf-8"))["data"]
    sources = [
        source["path"] for part in data.values() if isinstance(part, list) for source in part
    ]
    files = [recipe.name, *dict.fromkeys(sources)]
    # two examples may share their data: a file that is the same already is left alone
    files = [file for file in files if not _same(_home() / file, into / file)]
    taken = [file for file in files if (into / file).exists()]
    if taken:
        raise RunError(f"{into / taken[0]} is there already", "choose another folder with --into")
    written = []
    for file in files:
        target = into / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_home() / file, target)
        written.append(target)
    return written


def _same(left: Path, right: Path) -> bool:
    return right.is_file() and left.read_bytes() == right.read_bytes()


def _home() -> Path:
    return Path(str(resources.files("recipes")))

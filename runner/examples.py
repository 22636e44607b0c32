"""The examples of the package: recipes with their data, copied for a user to change."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

from dsl.edit import apply
from dsl.errors import RunError
from dsl.problems import did_you_mean, set_value

SCHEMA = "recipe.schema.json"


def list_examples() -> list[tuple[str, str]]:
    """(name, description) of every example."""
    return [
        (path.stem, json.loads(path.read_text("utf-8")).get("description", ""))
        for path in sorted(_home().glob("*.json"), key=lambda path: path.stem)
    ]


def copy_example(name: str, into: Path) -> list[Path]:
    """Copies <name>.json, the data it reads and the schema. Raises RunError; never overwrites."""
    recipe = _home() / f"{name}.json"
    if not recipe.is_file():
        known = [known for known, _ in list_examples()]
        hint = did_you_mean(name, known) or f"known: {', '.join(known)}"
        raise RunError(f"no example '{name}'", hint)
    contents = _contents(recipe)
    # two examples may share their data: a file that is the same already is left alone
    missing = {file: content for file, content in contents.items() if not _is(into / file, content)}
    taken = [file for file in missing if (into / file).exists()]
    if taken:
        raise RunError(f"{into / taken[0]} is there already", "choose another folder with --into")
    for file, content in missing.items():
        (into / file).parent.mkdir(parents=True, exist_ok=True)
        (into / file).write_bytes(content)
    return [into / file for file in missing]


def _contents(recipe: Path) -> dict[str, bytes]:
    """Name → bytes of the recipe, its data, and the schema that its editor then finds beside it."""
    text = recipe.read_text("utf-8")
    data = json.loads(text)["data"]
    sources = [
        source["path"] for part in data.values() if isinstance(part, list) for source in part
    ]
    pointed = apply(text, "json", [set_value(("$schema",), f"./{SCHEMA}")])
    schema = resources.files("schemas").joinpath(SCHEMA).read_bytes()
    files = {source: (_home() / source).read_bytes() for source in sources}
    return {recipe.name: pointed.encode(), **files, SCHEMA: schema}


def _is(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def _home() -> Path:
    return Path(str(resources.files("recipes")))

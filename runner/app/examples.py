"""An example of the package, brought into the folder that the app stands in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dsl.errors import RunError
from runner.examples import copy_example


@dataclass(frozen=True, slots=True)
class Brought:
    """`path`: the recipe's file. `fresh`: it was not there before."""

    path: Path
    fresh: bool


def bring(name: str, folder: Path) -> Brought:
    """The example's recipe in `folder`; one that lies there already is taken as it is.

    Where one of its files has the name of another, it goes into a folder of its own below. What
    is there is never changed. Raises RunError.
    """
    places = (folder, folder / f"example-{name}")
    for into in places:
        if (path := into / f"{name}.json").is_file():
            return Brought(path, False)
    try:
        copy_example(name, folder)
    except RunError:
        copy_example(name, places[1])
        return Brought(places[1] / f"{name}.json", True)
    return Brought(folder / f"{name}.json", True)

"""From what a recipe names, a file, a folder or a pattern, to files."""

from __future__ import annotations

from glob import glob, has_magic
from pathlib import Path

from dsl.errors import DataError
from dsl.problems import did_you_mean
from runner.data.kinds import COMPRESSED

SUFFIXES = (
    ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow", ".feather", ".ipc",
)  # fmt: skip


def expand(pattern: str, base: Path) -> list[tuple[Path, str]]:
    """`named`, without files that links lead out of the folder to: for one DataError is raised."""
    return [(held(path, name, base), name) for path, name in named(pattern, base)]


def held(path: Path, name: str, base: Path) -> Path:
    """The path of a file. Raises DataError where links lead from a relative name out of the folder
    `base`; who gives an absolute one has allowed its place."""
    if Path(name).is_absolute() or path.resolve().is_relative_to(base.resolve()):
        return path
    raise DataError(
        f"{name}: a link out of the folder, to {path.resolve()}",
        "copy the file into the folder, or give its absolute path and --allow its folder",
    )


def named(pattern: str, base: Path) -> list[tuple[Path, str]]:
    """(path, name) of every file, sorted; names are relative as in the recipe.

    Of a folder, and of a pattern that ends in a bare star, the data files alone are taken; hidden
    ones never. A file that has the pattern for its name comes first. Raises DataError where there
    is nothing.
    """
    path = base / pattern
    if path.is_dir():
        names = sorted(f"{pattern.rstrip('/')}/{p.name}" for p in path.iterdir() if p.is_file())
        return _data_files([name for name in names if not Path(name).name.startswith(".")],
                           pattern, base)  # fmt: skip
    if path.exists() or not has_magic(pattern):
        return [(path, pattern)]
    matches = sorted(glob(pattern, root_dir=base, recursive=True))
    names = [name for name in matches if (base / name).is_file()]
    if not names:
        raise DataError(f"{pattern}: no file matches", _near(path))
    if "." not in Path(pattern).name:
        return _data_files(names, pattern, base)
    return [(base / name, name) for name in names]


def _data_files(names: list[str], pattern: str, base: Path) -> list[tuple[Path, str]]:
    known = [name for name in names if _suffix(name) in SUFFIXES]
    if known:
        return [(base / name, name) for name in known]
    others = ", ".join(Path(name).name for name in names[:5]) + (", ..." if len(names) > 5 else "")
    raise DataError(
        f"{pattern}: no data file in it" + (f"; not taken: {others}" if names else ""),
        "name the file itself, or give it one of the endings " + ", ".join(SUFFIXES),
    )


def _suffix(name: str) -> str:
    suffixes = [s for s in Path(name.lower()).suffixes if s not in COMPRESSED]
    return suffixes[-1] if suffixes else ""


def _near(path: Path) -> str:
    """The name that is most like the pattern, or the folder that is not there."""
    folder = path.parent
    while has_magic(str(folder)):
        folder = folder.parent
    if not folder.is_dir():
        return f"there is no folder {folder.name}; paths are relative to the recipe"
    names = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    listed = ", ".join(names[:5])
    return did_you_mean(path.name, names) or (
        f"there: {listed}" if listed else "the folder is empty"
    )

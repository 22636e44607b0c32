"""Data files of the user's folder: those that lie there, and uploads, which go to data/."""

from __future__ import annotations

import os
import re
import secrets
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import IO

from dsl.errors import RecipeError
from runner.data.kinds import COMPRESSED
from runner.data.paths import SUFFIXES
from runner.read import holds_recipe

PLACE = "data"
DATABASES = (".db", ".sqlite", ".sqlite3", ".duckdb")
LISTED = 500
NAME_CHARACTERS = 100
BLOCK_BYTES = 1 << 20


def clean(name: str) -> str:
    """A name for a file here: the last part of what the browser sent, of plain characters.

    'C:\\x\\My clauses (1).JSONL' → 'My clauses _1_.JSONL'.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    # \w has letters of every language, but no control or direction marks
    plain = re.sub(r"[^\w. -]", "_", last).strip(" .")
    stem, dot, suffix = plain.partition(".")
    kept = stem[: NAME_CHARACTERS - len(dot + suffix[:40])].strip(" .") or "rows"
    return f"{kept}{dot}{suffix[-40:]}"


def keep(folder: Path, name: str, content: IO[bytes]) -> Path:
    """Writes an upload to data/ and returns its path relative to the folder. Nothing is ever
    written over: a file of this name with the same bytes is taken as it is, else a number is added.

    Raises RecipeError where it cannot be written.
    """
    place = folder / PLACE
    wanted = clean(name)
    part = place / f".{secrets.token_hex(6)}.part"
    try:
        place.mkdir(exist_ok=True)
        with part.open("xb") as out:
            content.seek(0)
            while block := content.read(BLOCK_BYTES):
                out.write(block)
            out.flush()
            os.fsync(out.fileno())
        return _name_it(part, place, wanted).relative_to(folder)
    except OSError as error:
        raise RecipeError(
            f"'{wanted}' cannot be kept in {PLACE}/: {error.strerror or error}",
            "make room there, or put the file into the folder by hand",
        ) from error
    finally:
        with suppress(OSError):
            part.unlink()


def data_files(folder: Path, without: Path | None = None) -> list[Path]:
    """Data files in `folder` and one level below, relative, sorted; recipes, hidden files and what
    lies in the folder `without` left out."""
    found = []
    for path in (p for pattern in ("*", "*/*") for p in sorted(folder.glob(pattern))):
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in relative.parts)
        if hidden or not is_data(path) or (without and path.is_relative_to(without)):
            continue
        found.append(relative)
        if len(found) == LISTED:
            break
    return sorted(found)


def is_data(path: Path) -> bool:
    """Told by its name; of .json a recipe is told by its content."""
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in COMPRESSED]
    last = suffixes[-1] if suffixes else ""
    if last not in (*SUFFIXES, *DATABASES) or not path.is_file():
        return False
    return last != ".json" or not holds_recipe(path)


def _name_it(part: Path, place: Path, wanted: str) -> Path:
    """Gives the written file its name; a link fails where one is taken, so two at once are safe."""
    stem, dot, suffix = wanted.partition(".")
    number = 1
    while True:
        path = place / (wanted if number == 1 else f"{stem}-{number}{dot}{suffix}")
        try:
            os.link(part, path)
            return path
        except FileExistsError:
            if path.is_file() and _same(part, path):
                return path
        number += 1


def _same(left: Path, right: Path) -> bool:
    if left.stat().st_size != right.stat().st_size:
        return False
    with left.open("rb") as one, right.open("rb") as other:
        while block := one.read(BLOCK_BYTES):
            if block != other.read(BLOCK_BYTES):
                return False
    return True

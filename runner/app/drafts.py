"""Drafts: texts of recipes as they are edited, written at every change.

A reload, a closed tab or a killed server loses nothing: a draft is a file of its own in
.recipe/drafts of the folder that the app stands in, and the address of the page names it.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from dsl.errors import RecipeError
from runner.runs.store import read_json, write_bytes

DRAFTS = Path(".recipe/drafts")
ID = re.compile(r"[0-9a-f]{12}")
SUFFIX = ".json"

State = Literal["new", "saved", "edited", "conflict"]


@dataclass(frozen=True, slots=True)
class Draft:
    """`path`: of the recipe's file, relative to the folder; None where it has none yet.

    `base`: sha256 of the file when it was last read or written.
    """

    id: str
    text: str
    path: str | None = None
    base: str | None = None
    changed: str = ""

    @property
    def name(self) -> str:
        return self.path or "my-recipe.json"


def begin(folder: Path, text: str, path: Path | None = None) -> Draft:
    """A new draft of this text, or of the file at `path`, which holds it."""
    relative = None if path is None else inside(folder, path).as_posix()
    base = None if path is None else _hash(text)
    return keep(folder, Draft(secrets.token_hex(6), text, relative, base))


def keep(folder: Path, draft: Draft) -> Draft:
    """Writes the draft, whole or not at all."""
    draft = replace(draft, changed=datetime.now(UTC).isoformat(timespec="seconds"))
    text = json.dumps(asdict(draft), ensure_ascii=False)
    write_bytes(_place(folder, draft.id), text.encode("utf-8", "surrogatepass"))
    return draft


def own(folder: Path, draft: Draft, known: str) -> Draft:
    """The draft, under a new id where its file no longer holds the text `known` to this window:
    another window edits it too, and neither may lose what the other has typed."""
    try:
        ours = load(folder, draft.id).text == known
    except RecipeError:
        return draft
    return draft if ours else replace(draft, id=secrets.token_hex(6))


def load(folder: Path, draft_id: str) -> Draft:
    """Raises RecipeError where there is no such draft."""
    if not ID.fullmatch(draft_id) or not _place(folder, draft_id).is_file():
        raise RecipeError("this draft is no longer there", "open the recipe's file again")
    try:
        draft = Draft(**read_json(_place(folder, draft_id)))
    except TypeError:
        draft = None
    # the folder may come from anybody: a draft of it is written to no other place
    if draft is None or draft.id != draft_id or not _holds_texts(draft):
        raise RecipeError("this draft is damaged", "open the recipe's file again")
    if draft.path is not None:
        inside(folder, Path(draft.path))
    return draft


def drafts(folder: Path) -> Iterator[Draft]:
    """All drafts, the last changed first."""
    found = []
    for path in (folder / DRAFTS).glob(f"*{SUFFIX}"):
        try:
            found.append(load(folder, path.stem))
        except RecipeError:
            continue
    yield from sorted(found, key=lambda draft: draft.changed, reverse=True)


def state(folder: Path, draft: Draft) -> State:
    """new: no file yet. conflict: the file was changed by somebody else since."""
    if draft.path is None:
        return "new"
    try:
        there = _hash((folder / draft.path).read_bytes().decode("utf-8"))
    except (OSError, UnicodeDecodeError):
        return "edited"
    if there == _hash(draft.text):
        return "saved"
    return "edited" if there == draft.base else "conflict"


def save(folder: Path, draft: Draft, path: Path | None = None, over: bool = False) -> Draft:
    """Writes the draft's text to its file, or to `path`. Raises RecipeError where a file is there
    that this draft was not made from, unless `over`."""
    place = inside(folder, path or Path(draft.name))
    if place.suffix.lower() != SUFFIX:
        raise RecipeError(f"'{place}' is no name of a recipe", "recipes are written as .json")
    relative = place.as_posix()
    fresh = relative != draft.path
    if not over and (
        (fresh and (folder / place).exists()) or (not fresh and state(folder, draft) == "conflict")
    ):
        raise RecipeError(
            f"'{place}' was changed by somebody else"
            if not fresh
            else f"'{place}' is there already",
            "look at the difference, then write over it or choose another name",
        )
    try:
        write_bytes(folder / place, draft.text.encode())
    except (OSError, UnicodeEncodeError) as error:
        raise RecipeError(f"'{place}' cannot be written: {error}") from None
    return keep(folder, replace(draft, path=relative, base=_hash(draft.text)))


def discard(folder: Path, draft: Draft) -> None:
    _place(folder, draft.id).unlink(missing_ok=True)


def inside(folder: Path, path: Path) -> Path:
    """The path relative to the folder. Raises RecipeError where it lies outside."""
    try:
        return (folder / path).resolve().relative_to(folder.resolve())
    except ValueError:
        raise RecipeError(
            f"'{path}' lies outside of the folder that the app stands in",
            "choose a place in it, or start 'recipe ui' in a folder above",
        ) from None


def _place(folder: Path, draft_id: str) -> Path:
    return folder / DRAFTS / f"{draft_id}{SUFFIX}"


def _holds_texts(draft: Draft) -> bool:
    texts = (draft.text, draft.changed, draft.path or "", draft.base or "")
    return all(isinstance(text, str) for text in texts)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

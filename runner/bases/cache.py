"""The cache of ready models: a folder stands there only when it is complete and hashed."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from dsl.errors import ModelError

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"

Progress = Callable[[str], None]
# What builds a model: given an empty folder for the result and one for what it needs on the way,
# it says where the weights came from.
Fill = Callable[[Path, Path], Mapping[str, Any]]

_PARTIAL = ".partial"
_LOCK = ".lock"
# What makes up a model; a folder of the user's may hold more.
_SUFFIXES = frozenset({".json", ".safetensors", ".jinja", ".model", ".txt"})


def root() -> Path:
    """$RECIPE_CACHE, else finetune-recipes in the user's cache folder."""
    if given := os.environ.get("RECIPE_CACHE"):
        return Path(given).expanduser().absolute()
    home = os.environ.get("XDG_CACHE_HOME", "")
    # relative values are to be ignored (XDG Base Directory Specification)
    caches = Path(home) if os.path.isabs(home) else Path.home() / ".cache"
    return caches / "finetune-recipes"


def models() -> Path:
    return root() / "models"


def ready(entry: Path) -> bool:
    return (entry / MANIFEST).is_file()


def hashes(folder: Path) -> dict[str, dict[str, Any]]:
    """sha256 and size in bytes of each file of a model. Reads everything: about 1 s a GB."""
    files = sorted(p for p in folder.iterdir() if p.suffix in _SUFFIXES and p.is_file())
    return {
        path.name: {"sha256": sha256(path), "bytes": path.stat().st_size}
        for path in files
        if path.name != MANIFEST
    }


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(folder: Path) -> None:
    """Compares a cached model with its manifest. Raises ModelError naming the file that differs."""
    files = _manifest(folder)["files"]
    extra = sorted({p.name for p in folder.iterdir() if p.suffix in _SUFFIXES} - {*files, MANIFEST})
    if extra:
        raise ModelError(f"{folder / extra[0]} does not belong to the model", "remove it")
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            raise ModelError(f"{path} is missing")
        if path.stat().st_size != expected["bytes"]:
            raise ModelError(
                f"{path} has {path.stat().st_size:,} bytes instead of {expected['bytes']:,}"
            )
        if sha256(path) != expected["sha256"]:
            raise ModelError(f"{path} has changed since it was made: its sha256 differs")


def build(
    entry: Path, base: str, identity: Mapping[str, Any], fill: Fill, progress: Progress
) -> Path:
    """`entry`, verified; built by `fill` where it is missing or damaged.

    Two runs that want the same model build it once: the second waits. Raises ModelError.
    """
    # first without a lock: a complete model also serves from a cache that cannot be written
    if ready(entry) and _damage(entry) is None:
        return entry
    with explained(entry.parent):
        entry.parent.mkdir(parents=True, exist_ok=True)
        with _lock(entry, progress):
            _sweep(entry)
            if ready(entry):
                damage = _damage(entry)
                if damage is None:
                    return entry
                progress(f"{damage}; the model is made again")
            if entry.exists():
                _remove(entry)
            partial = entry.with_name(entry.name + _PARTIAL)
            try:
                _fill(partial, base, identity, fill)
                (partial / "model").rename(entry)
                _sync(entry.parent)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return entry


@contextmanager
def explained(folder: Path, variable: str = "RECIPE_CACHE") -> Iterator[None]:
    """Turns a failure of the file system into a ModelError. `variable` moves the folder."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = f"make room, or set {variable} to a folder of another disk"
            raise ModelError(f"no space left on the disk of {folder}", hint) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            hint = f"set {variable} to a folder that you can write to"
            raise ModelError(f"cannot write to {folder}: {error.strerror}", hint) from error
        raise ModelError(str(error)) from error


def _fill(partial: Path, base: str, identity: Mapping[str, Any], fill: Fill) -> None:
    model, scratch = partial / "model", partial / "scratch"
    model.mkdir(parents=True)
    scratch.mkdir()
    source = fill(model, scratch)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "base": base,
        "identity": dict(identity),
        "files": hashes(model),
        "source": dict(source),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    (model / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
    for path in (*model.iterdir(), model):
        _sync(path)


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
        if manifest["schema_version"] != SCHEMA_VERSION:
            raise ModelError(f"{folder / MANIFEST} is of another version")
        for expected in manifest["files"].values():
            _ = expected["sha256"], expected["bytes"]
        return manifest
    except FileNotFoundError:
        raise ModelError(f"{folder} has no {MANIFEST}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ModelError(f"{folder / MANIFEST} cannot be read") from None


def _damage(entry: Path) -> str | None:
    try:
        verify(entry)
    except (ModelError, OSError) as error:
        return str(error)
    return None


@contextmanager
def _lock(entry: Path, progress: Progress) -> Iterator[None]:
    """Held by the one process that builds `entry`; the system frees it if that process dies."""
    with entry.with_name(entry.name + _LOCK).open("ab") as file:
        if not _try(file):
            progress("another run is getting this model: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _try(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sweep(entry: Path) -> None:
    """Removes what killed builds left. `entry` itself is locked by the caller."""
    for partial in entry.parent.glob(f"*{_PARTIAL}"):
        name = partial.name.removesuffix(_PARTIAL)
        if name == entry.name:
            shutil.rmtree(partial)
            continue
        with suppress(OSError), entry.with_name(name + _LOCK).open("ab") as file:
            if _try(file):
                shutil.rmtree(partial)


def _remove(entry: Path) -> None:
    """Out of the way first, so that a kill in between leaves no half folder of that name."""
    partial = entry.with_name(entry.name + _PARTIAL)
    entry.rename(partial)
    shutil.rmtree(partial)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

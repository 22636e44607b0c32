"""Checkpoints that are whole or are not: a manifest of hashes is written last.

transformers writes a checkpoint in place. Here a folder counts as a checkpoint only when its
manifest stands in it and every file has the hash the manifest says; older ones are removed only
after that.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from runner.bases.cache import sha256
from runner.runs.store import write_json

MANIFEST = "manifest.json"
PREFIX = "checkpoint-"


def seal(folder: Path) -> None:
    """Flushes every file of a checkpoint to disk and writes its manifest."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    for file in files:
        with file.open("rb") as open_file:
            os.fsync(open_file.fileno())
    hashes = {str(file.relative_to(folder)): sha256(file) for file in files}
    write_json(folder / MANIFEST, {"files": hashes})


def damage(folder: Path) -> str | None:
    """Why a folder is no whole checkpoint; None if it is one."""
    try:
        files = json.loads((folder / MANIFEST).read_text("utf-8"))["files"]
    except (OSError, ValueError, KeyError):
        return "it was not finished"
    for name, expected in files.items():
        file = folder / name
        if not file.is_file():
            return f"{name} is missing"
        if sha256(file) != expected:
            return f"{name} is damaged"
    return None


def step_of(folder: Path) -> int:
    return int(folder.name.removeprefix(PREFIX))


def in_order(folders: Iterable[Path]) -> list[Path]:
    """Every checkpoint folder below `folders`, the furthest step last."""
    found = [
        p
        for folder in folders
        for p in folder.glob(f"{PREFIX}*")
        if p.is_dir() and p.name.removeprefix(PREFIX).isdigit()
    ]
    return sorted(found, key=lambda p: (step_of(p), str(p)))


def latest(folders: Iterable[Path]) -> tuple[Path | None, list[str]]:
    """The furthest whole checkpoint, and a sentence for each that had to be passed over."""
    passed: list[str] = []
    for folder in reversed(in_order(folders)):
        reason = damage(folder)
        if reason is None:
            return folder, passed
        passed.append(f"{folder.name} is passed over: {reason}")
    return None, passed


def result_of(folder: Path) -> Path | None:
    """The checkpoint whose weights are the result, if training had ended at this one; else None.

    A kill may come between the last checkpoint and the result: transformers would train on.
    """
    state = json.loads((folder / "trainer_state.json").read_text("utf-8"))
    stopping = state["stateful_callbacks"].get("EarlyStoppingCallback")
    patience = stopping and stopping["args"]["early_stopping_patience"]
    spent = stopping and stopping["attributes"]["early_stopping_patience_counter"]
    if state["global_step"] < state["max_steps"] and not (stopping and spent >= patience):
        return None
    return Path(state["best_model_checkpoint"] or folder)


def prune(folder: Path, keep: int, best: str | None) -> None:
    """Removes all but the newest `keep` whole checkpoints and the best one."""
    found = in_order([folder])
    spared = {p.name for p in found[-keep:]} | ({Path(best).name} if best else set())
    for checkpoint in found:
        if checkpoint.name not in spared:
            shutil.rmtree(checkpoint)

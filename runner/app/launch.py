"""Runs started by the app: a process of its own each, that outlives page and server.

What was started lies in runs/.starts: ID.json names the process, ID.txt is all that it says. The
process becomes a run as soon as its plan stands; one that ends before has no run, and says why.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from dsl.errors import RecipeError, RunError
from runner.runs.process import create_time
from runner.runs.store import RUN_ID, RunFolder, read_json, write_json

STARTS = ".starts"
ID = re.compile(r"[0-9a-f]{12}")
KEPT_SECONDS = 7 * 24 * 3600.0  # what was said by those that ended
TAIL_BYTES = 16_384
Owner = tuple[int, str]  # pid and when it began


@dataclass(frozen=True, slots=True)
class Launch:
    """`words`: the command line, as a user would type it in `folder`."""

    id: str
    words: tuple[str, ...]
    folder: str
    pid: int
    create_time: str | None
    began: str


def words_of_start(recipe: str, max_steps: int | None, offline: bool) -> tuple[str, ...]:
    steps = ("--max-steps", str(max_steps)) if max_steps else ()
    return ("recipe", "run", recipe, *steps, *(("--offline",) if offline else ()))


def words_of_resume(run_id: str) -> tuple[str, ...]:
    return ("recipe", "run", "--resume", run_id)


def with_runs(words: Sequence[str], folder: Path, runs: Path) -> tuple[str, ...]:
    """`words`, and where the runs lie unless that is the usual place."""
    if runs.absolute() == (folder / "runs").absolute():
        return tuple(words)
    return (*words, "--runs", str(runs.absolute()))


def launch(words: Sequence[str], folder: Path, runs: Path) -> Launch:
    """Starts `words` (those of 'recipe ...') in `folder`, with --runs where that is needed.

    The same words that are just being started are not started twice. Raises RunError.
    """
    words = with_runs(words, folder, runs)
    for known in launches(runs):
        if known.words == words and alive(known) and run_of(runs, known) is None:
            return known
    try:
        _forget_old(runs)
        made = _started(words, folder, runs)
    except OSError as error:
        hint = f"see whether {runs} can be written to"
        raise RunError(f"the run cannot be started: {error.strerror or error}", hint) from None
    write_json(_place(runs, made.id), asdict(made))
    return made


def find(runs: Path, launch_id: str) -> Launch:
    """Raises RunError where there is none."""
    if not ID.fullmatch(launch_id):
        raise RunError("no such start", "start the run again")
    values = read_json(_place(runs, launch_id))
    try:
        return Launch(
            **{name: values[name] for name in Launch.__slots__ if name != "words"},
            words=tuple(values["words"]),
        )
    except (KeyError, TypeError):
        raise RunError("the note of this start is damaged", "start the run again") from None


def launches(runs: Path) -> list[Launch]:
    """Newest first; damaged ones are left out."""
    found = []
    for path in (runs / STARTS).glob("*.json"):
        with suppress(RecipeError):
            found.append(find(runs, path.stem))
    return sorted(found, key=lambda launch: launch.began, reverse=True)


def without_run(runs: Path) -> list[tuple[Launch, bool]]:
    """Launches that have no run (yet), and whether their process lives. Newest first."""
    owners = {owner for _, owner in _owners(runs)}
    return [
        (known, alive(known))
        for known in launches(runs)
        if (known.pid, known.create_time) not in owners
    ]


def run_of(runs: Path, launch: Launch) -> RunFolder | None:
    """The run that this process carries out, once there is one."""
    mine = (launch.pid, launch.create_time)
    return next((run for run, owner in _owners(runs) if owner == mine), None)


def launch_of(runs: Path, run: RunFolder) -> Launch | None:
    """How the app started the last attempt at a run; None where a terminal did."""
    owner = _owner(run.supervisor())
    return next((k for k in launches(runs) if (k.pid, k.create_time) == owner), None)


def alive(launch: Launch) -> bool:
    began = create_time(launch.pid)
    return began is not None and began == launch.create_time


def said(runs: Path, launch: Launch) -> str:
    """The end of what its process wrote."""
    return tail(_log(runs, launch.id))


def cancel(launch: Launch) -> None:
    """Ends a process that has no run yet; a run is stopped by runner.runs.state.stop."""
    if alive(launch):
        with suppress(ProcessLookupError):
            os.kill(launch.pid, signal.SIGTERM)


def forget(runs: Path, launch: Launch) -> None:
    for path in (_place(runs, launch.id), _log(runs, launch.id)):
        path.unlink(missing_ok=True)


def tail(path: Path, limit: int = TAIL_BYTES) -> str:
    """The last whole lines of a file, at most `limit` bytes; empty where there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - limit))
            content = file.read()
    except OSError:
        return ""
    if size > limit:
        content = content.partition(b"\n")[2]
    return content.decode("utf-8", "replace").rstrip()


def _started(words: Sequence[str], folder: Path, runs: Path) -> Launch:
    launch_id = secrets.token_hex(6)
    log = _log(runs, launch_id)
    log.parent.mkdir(parents=True, exist_ok=True)
    # -P: a module of the user's folder must not stand in for one of ours
    command = [sys.executable, "-P", "-m", "runner.cli", *words[1:]]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # neither Ctrl-C nor the end of the server reaches it
        )
    threading.Thread(target=process.wait, daemon=True).start()  # leaves no zombie
    return Launch(
        id=launch_id,
        words=tuple(words),
        folder=str(folder.absolute()),
        pid=process.pid,
        create_time=create_time(process.pid),
        began=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )


def _owners(runs: Path) -> Iterator[tuple[RunFolder, Owner | None]]:
    """Every attempt at a run with its process, the last begun first."""
    paths = list(runs.glob("*/attempts/*/supervisor.json"))
    with suppress(FileNotFoundError):  # a run may be removed meanwhile
        paths.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in paths:
        run = RunFolder(path.parents[2])
        if RUN_ID.match(run.id):
            yield run, _owner(path)


def _owner(supervisor: Path) -> Owner | None:
    with suppress(RecipeError, KeyError):
        known = read_json(supervisor)
        return known["pid"], known["create_time"]
    return None


def _forget_old(runs: Path) -> None:
    for known in launches(runs):
        log = _log(runs, known.id)
        old = log.exists() and time.time() - log.stat().st_mtime > KEPT_SECONDS
        if old and not alive(known):
            forget(runs, known)


def _place(runs: Path, launch_id: str) -> Path:
    return runs / STARTS / f"{launch_id}.json"


def _log(runs: Path, launch_id: str) -> Path:
    return runs / STARTS / f"{launch_id}.txt"

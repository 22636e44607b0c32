"""What to do next, from every state of the folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import dsl
from dsl.metrics import METRICS
from dsl.plan import fingerprint
from runner.app import drafts
from runner.app.drafts import Draft
from runner.app.launch import Launch
from runner.app.next_steps import (
    MORE_ROWS,
    OTHERWISE,
    REMEDIES,
    Next,
    headline,
    next_step,
    remedies,
)
from runner.runs.process import create_time
from runner.runs.store import RunFolder, write_json
from runner.start import overview

RECIPES = Path(dsl.__file__).parents[1] / "recipes"
CHECKLIST, PLAN = "ui/checklist.py", "ui/plan.py"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(RECIPES / "legal", tmp_path / "legal")
    shutil.copyfile(RECIPES / "legal.json", tmp_path / "legal.json")
    return tmp_path


def opened(folder: Path) -> Draft:
    path = folder / "legal.json"
    return drafts.begin(folder, path.read_text("utf-8"), path)


def step(folder: Path, draft: Draft | None, *seen: str) -> Next:
    runs = folder / "runs"
    return next_step(folder, runs, overview(runs), draft, seen)


def made(
    folder: Path, status: str | None, text: str = "", created: str = "2040-01-01"
) -> RunFolder:
    """A run of legal.json as it stands, or of another text; without a status it was lost."""
    run = RunFolder(folder / "runs" / f"legal-{len(list(folder.glob('runs/*'))) + 1}")
    mark = fingerprint(text or (folder / "legal.json").read_text("utf-8"))
    about = {"id": run.id, "name": "legal", "created": f"{created}T10:00:00+00:00"}
    write_json(run.run, about | {"recipe_sha256": mark})
    if status:
        reason = "the disk is full" if status == "failed" else None
        write_json(run.result, {"status": status, "exit": 0, "reason": reason})
    return run


def test_an_empty_folder_and_one_with_recipes(folder: Path) -> None:
    assert step(folder, None).title == "Open a recipe"
    (folder / "legal.json").unlink()
    assert (step(folder, None).title, step(folder, None).page) == (
        "Begin with your data",
        "ui/data.py",
    )


def test_errors_come_first_then_saving(folder: Path) -> None:
    draft = opened(folder)
    broken = replace(draft, text=draft.text.replace('"rank"', '"rnak"'))
    assert step(folder, broken).title == "Mend legal.json"
    assert "1 problem: " in step(folder, broken).why
    assert step(folder, broken).also is None
    assert step(folder, replace(draft, text="{")).title == "Mend legal.json"
    gone = replace(draft, text=draft.text.replace("clauses.jsonl", "gone.jsonl"))
    assert step(folder, gone).also == ("ui/data.py", "Open the data")
    assert step(folder, replace(draft, base="other", text=draft.text + " ")).title == (
        "Save legal.json"
    )


def test_checklist_plan_and_run_follow_one_another(folder: Path) -> None:
    draft = opened(folder)
    assert step(folder, draft).page == CHECKLIST
    assert step(folder, draft, CHECKLIST).page == PLAN
    last = step(folder, draft, CHECKLIST, PLAN)
    assert (last.title, last.page) == ("Run legal.json", "ui/run.py")


@pytest.mark.parametrize(
    ("status", "title", "page"),
    [
        ("done", "Read the report", "ui/report.py"),
        ("gate_failed", "See what to change", "ui/report.py"),
        ("inconclusive", "Get more test examples", "ui/report.py"),
        ("failed", "Go on with the run", "ui/run.py"),
        ("interrupted", "Go on with the run", "ui/run.py"),
        (None, "Go on with the run", "ui/run.py"),
    ],
)
def test_after_a_run(folder: Path, status: str | None, title: str, page: str) -> None:
    run = made(folder, status)
    told = step(folder, opened(folder))
    assert (told.title, told.page, told.run) == (title, page, run.id)
    assert status != "failed" or "the disk is full" in told.why


def test_a_recipe_changed_since_its_run_is_looked_at_again(folder: Path) -> None:
    run = made(folder, "done", text="other", created="2020-01-01")
    draft = opened(folder)
    told = step(folder, draft)
    assert told.page == CHECKLIST and f"changed since {run.id}" in told.why
    # a trial with --set had another text too, but the file is older than it
    os.utime(folder / "legal.json", (0, 0))
    assert step(folder, draft).title == "Read the report"
    # edited and not saved yet
    edited = replace(draft, text=draft.text.replace('"rank": 16', '"rank": 8'))
    assert step(folder, edited).page == CHECKLIST


def test_a_living_run_is_watched(folder: Path) -> None:
    run = made(folder, None)
    entry = {"pid": os.getpid(), "create_time": create_time(os.getpid()), "state": "queued"}
    write_json(run.supervisor(1), entry)
    assert step(folder, opened(folder)).title == "Wait for its turn"
    assert step(folder, None).title == "Wait for its turn"
    write_json(run.supervisor(1), entry | {"state": "running"})
    assert step(folder, opened(folder)).title == "Watch the run"


def test_a_run_that_is_just_starting_is_seen(folder: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        words = ("recipe", "run", "legal.json")
        begun = Launch("0" * 12, words, str(folder), process.pid, create_time(process.pid), "")
        write_json(
            folder / "runs" / ".starts" / f"{begun.id}.json",
            {name: getattr(begun, name) for name in Launch.__slots__},
        )
        assert step(folder, opened(folder)).title == "See how the run begins"
    finally:
        process.kill()
        process.communicate()
    assert step(folder, opened(folder)).page == CHECKLIST


def gate(metric: str, verdict: str) -> dict[str, Any]:
    return {
        "metric": metric,
        "verdict": verdict,
        "reason": f"{metric} {verdict}s",
        "required": True,
    }


def test_what_to_change_follows_from_the_gates(folder: Path) -> None:
    assert {name for names in REMEDIES for name in names} <= set(METRICS)
    assert remedies([gate("domain.loss", "pass")]) == ()
    (loop,) = remedies([gate("domain.loop_rate", "fail"), gate("other.loop_rate", "fail")])
    assert "one epoch less" in loop
    assert "learning rate" in remedies([gate("domain.loss", "fail")])[0]
    assert remedies([gate("domain.rouge_l", "fail"), gate("domain.loss", "inconclusive")]) == (
        OTHERWISE,
        MORE_ROWS,
    )
    run = made(folder, "gate_failed")
    report = {"verdict": {"headline": "It is worse."}, "gates": [gate("domain.loss", "fail")]}
    run.report.write_text(json.dumps(report), "utf-8")
    told = step(folder, opened(folder))
    assert told.why == "domain.loss fails" and told.details == remedies(report["gates"])  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"verdict": "x"}', '{"verdict": {}}'])
def test_a_damaged_report_has_no_headline(folder: Path, text: str) -> None:
    run = made(folder, "done")
    run.report.write_text(text, "utf-8")
    assert headline(folder / "runs", run.id) is None
    assert step(folder, opened(folder)).title == "Read the report"

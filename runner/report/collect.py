"""Run directory → report: everything known of a run, condensed. Any part of it may be missing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dsl.problems import dotted, from_pointer, lookup
from runner.report.examples import examples
from runner.report.training import course
from runner.report.verdict import verdict_of
from runner.report.words import Json, finite
from runner.runs.events import read_events
from runner.runs.store import SCHEMA_VERSION, RunFolder

INTERVAL_ENDS = ("value", "low", "high")
ARMS = ("base", "tuned", "difference")
GATE_KEYS = ("metric", "condition", "verdict", "reason")
PLAN_KEYS = ("model", "targets", "tokens", "schedule", "parts", "estimate")


def collect(run: Path, gates: Sequence[Mapping[str, Any]], verdict: str | None) -> Json:
    """The report of the run in the directory `run`; its schema is schemas/report.schema.json.

    `gates` have metric, condition, verdict (pass, fail, inconclusive), reason and required;
    `verdict` is their sum, None where no gate was judged. A missing or damaged artifact is no
    error: the report says how far the run came, and what could not be read.
    """
    folder = RunFolder(run)
    problems: list[str] = []
    about = _read(folder.run, problems)
    plan = _read(folder.plan, problems)
    result = _read(folder.result, problems)
    events = _events(folder, problems)
    steps = _steps(plan, events, result)
    evaluation = evaluation_of(run, plan)
    metrics = _read(evaluation / "metrics.json", problems) if evaluation else {}
    recipe = plan.get("recipe") or {}
    report: Json = {
        "schema_version": SCHEMA_VERSION,
        "directory": str(run),
        "run": _about(run, about, recipe),
        "result": _result(result, steps),
        "gates": [_gate(gate) for gate in gates],
        "suites": [_suite(name, suite) for name, suite in (metrics.get("suites") or {}).items()],
        "method": _method(metrics, recipe),
        "training": course(event for event in events if event.get("step", "train") == "train"),
        "examples": _examples(evaluation, problems),
        "checks": _checks(folder.data / "checks.json", problems),
        "steps": steps,
        "messages": _messages(events),
        "plan": _plan(plan, events, steps),
        "settings": _settings(plan),
        "lock": _read(folder.lock, problems) or None,
        "recipe": _text(folder.recipe, problems),
        "problems": problems,
    }
    return report | {"verdict": verdict_of(report, verdict)}


# Reading ---------------------------------------------------------------------------------------


def _text(path: Path, problems: list[str]) -> str | None:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path.name} cannot be read: {error}")
        return None


def _read(path: Path, problems: list[str]) -> Json:
    """An artifact's values; empty where there is none or it is damaged."""
    text = _text(path, problems)
    if text is None:
        return {}
    try:
        values = json.loads(text)
    except ValueError as error:
        problems.append(f"{path.name} is damaged: {error}")
        return {}
    if isinstance(values, dict):
        return values
    problems.append(f"{path.name} is damaged: it holds no object")
    return {}


def _events(folder: RunFolder, problems: list[str]) -> list[Json]:
    try:
        return read_events(folder.events)
    except OSError as error:
        problems.append(f"{folder.events.name} cannot be read: {error.strerror}")
        return []


def evaluation_of(run: Path, plan: Json) -> Path | None:
    """The evaluation that the plan names, else the newest one."""
    found = sorted((run / "evals").glob("*/metrics.json"), key=lambda path: path.stat().st_mtime)
    planned = [s.get("fingerprint") for s in plan.get("steps") or () if s.get("name") == "evaluate"]
    named = [path for path in found if path.parent.name in planned]
    return next((path.parent for path in reversed(named or found)), None)


def _examples(evaluation: Path | None, problems: list[str]) -> Json | None:
    import duckdb

    if evaluation is None or not (evaluation / "predictions.parquet").exists():
        return None
    try:
        return examples(evaluation / "predictions.parquet")
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        problems.append(f"predictions.parquet cannot be read: {reason}")
        return None


def _checks(path: Path, problems: list[str]) -> list[Json]:
    values = _read(path, problems)
    findings: list[Json] = values.get("findings") or []
    return findings


# Condensing ------------------------------------------------------------------------------------


def _about(run: Path, about: Json, recipe: Json) -> Json:
    return {
        "id": about.get("id") or run.name,
        "name": about.get("name") or recipe.get("name") or run.name,
        "description": recipe.get("description") or "",
        "created": about.get("created"),
        "tags": list(about.get("tags") or ()),
        "recipe_sha256": about.get("recipe_sha256"),
    }


def _result(result: Json, steps: list[Json]) -> Json:
    begun = [step for step in steps if step["state"] not in ("waiting", "done", "cached")]
    keys = ("exit", "reason", "hint", "attempt", "ended")
    return {
        "status": result.get("status") or "unfinished",
        **{key: result.get(key) for key in keys},
        "stopped_in": begun[-1]["title"] if begun else None,
    }


def _gate(gate: Mapping[str, Any]) -> Json:
    return {key: gate.get(key) for key in GATE_KEYS} | {"required": gate.get("required", True)}


def _suite(name: str, suite: Json) -> Json:
    return {
        "name": name,
        "data": suite.get("data"),
        "n": suite.get("n"),
        "clusters": suite.get("clusters"),
        "metrics": [_metric(key, value) for key, value in (suite.get("metrics") or {}).items()],
    }


def _metric(name: str, metric: Json) -> Json:
    plain = ("wins", "ties", "losses", "n", "n_missing")
    return {
        "name": name,
        "better": metric.get("better") or "neither",
        "unit": metric.get("unit") or "",
        "description": metric.get("description") or "",
        **{arm: _interval(metric.get(arm) or {}) for arm in ARMS},
        "p_value": finite(metric.get("p_value")),
        **{key: metric.get(key) for key in plain},
        "notes": list(metric.get("notes") or ()),
    }


def _interval(interval: Json) -> Json:
    return {end: finite(interval.get(end)) for end in INTERVAL_ENDS}


def _method(metrics: Json, recipe: Json) -> Json:
    evaluation = recipe.get("eval") or {}
    return {
        "confidence": finite(metrics.get("confidence")) or 0.95,
        "resamples": metrics.get("resamples") or evaluation.get("resamples"),
        "group_by": lookup(recipe, ("data", "split", "group_by")),
        "generation": evaluation.get("generation"),
    }


def _steps(plan: Json, events: list[Json], result: Json) -> list[Json]:
    """The plan's steps in order, then any that only the events know."""
    titles = {step["name"]: step.get("title") or step["name"] for step in plan.get("steps") or ()}
    steps: dict[str, Json] = {name: _step(name, title) for name, title in titles.items()}
    # a step that began and has no end was under way when the run ended
    cut_off = {"failed": "failed", "interrupted": "interrupted"}.get(
        str(result.get("status")), "running"
    )
    for event in events:
        if event.get("type") not in ("started", "ended") or not event.get("step"):
            continue
        name = event["step"]
        step = steps.setdefault(name, _step(name, name))
        if event["type"] == "started":
            step |= {"state": cut_off, "reason": None}
        else:
            state = "cached" if event.get("cached") else "done"
            seconds = finite(event.get("seconds"))
            step |= {"state": state, "seconds": seconds, "reason": event.get("reason")}
    others = [step["state"] for name, step in steps.items() if name != "report"]
    if "report" in steps and set(others) <= {"done", "cached"}:
        steps["report"]["state"] = "done"  # who reads this has its result
    for name, seconds in (result.get("seconds") or {}).items():
        if name in steps and steps[name]["seconds"] is None:
            steps[name]["seconds"] = finite(seconds)
    return list(steps.values())


def _step(name: str, title: str) -> Json:
    return {"name": name, "title": title, "state": "waiting", "seconds": None, "reason": None}


def _messages(events: list[Json]) -> list[Json]:
    keys = ("time", "step", "level", "text")
    return [
        {key: event.get(key) for key in keys}
        for event in events
        if event.get("type") == "message" and event.get("level") in ("warning", "error")
    ]


def _plan(plan: Json, events: list[Json], steps: list[Json]) -> Json | None:
    """What was planned, with what was measured beside it."""
    if not plan:
        return None
    recipe = plan.get("recipe") or {}
    peaks = [peak for event in events if (peak := finite(event.get("peak_bytes"))) is not None]
    return {
        **{key: plan.get(key) for key in PLAN_KEYS},
        "method": recipe.get("method"),
        "objective": recipe.get("objective"),
        "dtype": lookup(recipe, ("model", "dtype")),
        "training": recipe.get("training"),
        "measured": {
            "peak_bytes": max(peaks, default=None),
            "seconds": {s["name"]: s["seconds"] for s in steps if s["seconds"] is not None},
        },
    }


def _settings(plan: Json) -> list[Json]:
    """Every value of the recipe, defaults included, with where it comes from."""
    settings = []
    for pointer, origin in (plan.get("origins") or {}).items():
        path = from_pointer(pointer)
        value = lookup(plan.get("recipe"), path)
        if path and not isinstance(value, dict | list):
            settings.append(
                {
                    "path": dotted(path),
                    "value": value,
                    "origin": origin.get("kind"),
                    "why": origin.get("why") or "",
                }
            )
    return settings

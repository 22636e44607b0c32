"""Report → one HTML file that needs no network, no script and no other file."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from runner.report import charts, words
from runner.report.verdict import primary
from runner.report.words import Json
from runner.runs.store import write_bytes

GLYPHS: dict[str, str] = {
    "pass": "✓", "fail": "✗", "inconclusive": "?", "measured": "=", "failed": "✗",
    "interrupted": "‖", "unfinished": "…", "warn": "!", "error": "✗", "off": words.NONE,
    "not_run": "○", "done": "✓", "cached": "✓", "waiting": "○", "running": "…",
    "better": "▲", "worse": "▼", "unclear": "≈", "equal": "=", "described": "·", "unknown": "?",
}  # fmt: skip

STATES: dict[str, str] = {
    "pass": "passed", "fail": "failed", "inconclusive": "inconclusive",
    "warn": "warning", "error": "error", "off": "off", "not_run": "not run",
    "done": "done", "cached": "done before, reused", "waiting": "not reached",
    "running": "under way", "failed": "failed", "interrupted": "interrupted",
}  # fmt: skip


def write(run: Path, report: Json) -> None:
    """Writes report.json and report.html into the run directory, each whole or not at all."""
    text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
    write_bytes(run / "report.json", (text + "\n").encode("utf-8", "backslashreplace"))
    write_bytes(run / "report.html", render(report).encode())


def render(report: Json) -> str:
    """The report as HTML. Every text of the report is escaped and its hidden characters shown."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": words.count,
        "duration": words.duration,
        "flat": flat,
        "label": words.label,
        "plural": words.plural,
        "share": words.share,
        "size": words.size,
        "direction": words.direction,
        "notation": words.notation,
    }
    script = _file("report.js")
    return environment.from_string(_file("report.html.j2")).render(
        report,
        charts=charts,
        first=primary(report),
        directions=words.DIRECTIONS,
        glossary=words.GLOSSARY,
        glyphs=GLYPHS,
        states=STATES,
        style=_markup(_file("report.css")),
        script=_markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def flat(values: Any, path: str = "") -> list[tuple[str, str]]:
    """Nested values as (dotted name, text) rows."""
    if isinstance(values, Mapping):
        return [
            row for key, value in values.items() for row in flat(value, f"{path}.{key}".strip("."))
        ]
    if isinstance(values, list | tuple):
        return [(path, ", ".join(map(str, values)))]
    return [(path, words.NONE if values is None else str(values))]


def _visible(value: Any) -> Any:
    """Applied to every expression of the template but those that are markup already."""
    return words.visible(value) if type(value) is str else value


def _markup(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)


def _file(name: str) -> str:
    return resources.files("runner.report").joinpath(name).read_text("utf-8")

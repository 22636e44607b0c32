"""The parts of a report that tell how it came about: training, data, time and memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from runner.app.results import curve
from runner.report.words import NONE, duration, plural, size, visible
from ui.parts import badge, plain
from ui.run_charts import losses

Json = dict[str, Any]
# state of a check → what its badge says of so many
CHECKS = {
    "error": "failed",
    "warn": "with a warning",
    "pass": "passed",
    "not_run": "not run",
    "off": "off",
}


def training(report: Json) -> None:
    course = report["training"]
    if course is None:
        st.text("It never began.")
        return
    told = [f"Step {course['at'] or 0:,} of {course['steps'] or 0:,} was reached."]
    if course["best"] is not None:
        told.append(f"The best checkpoint is that of step {course['best']:,}.")
    if course["stopped_early"] is not None:
        told.append(f"It stopped early at step {course['stopped_early']:,}.")
    if course["not_a_number_at"] is not None:
        told.append(f"From step {course['not_a_number_at']:,} on the loss was no number.")
    if course["tokens_per_second"]:
        told.append(f"{course['tokens_per_second']:,.0f} tokens a second.")
    st.text(" ".join(told))
    if len(course["loss"]) + len(course["validation"]) > 1:
        losses(curve(course["loss"]), curve(course["validation"]))
        if course["averaged"] > 1:
            st.caption(f"Each point of training is the mean of {course['averaged']:,} steps.")
    else:
        points = [*course["loss"], *course["validation"]]
        st.text("".join(f"The loss of its only point is {loss:.3g}." for _, loss in points))


def data(report: Json) -> None:
    parts = (report["plan"] or {}).get("parts") or {}
    files = (report["lock"] or {}).get("data") or {}
    if not parts and not files and not report["checks"]:
        st.text("They were not read.")
        return
    uses = {
        "train": "to learn from",
        "validation": "to choose the best moment of the training",
        "test": "held out, to judge the result",
    }
    if parts:
        st.table(
            [
                {
                    "Part": plain(name),
                    "Examples": f"{part['rows']:,}",
                    "Groups": f"{part['groups']:,}" if part.get("groups") else NONE,
                    "Used": uses.get(name, ""),
                }
                for name, part in parts.items()
            ],
            hide_index=True,
            width="content",
        )
    for name, file in files.items():
        # locks of earlier versions have no rows
        rows = f"{plural(file['rows'], 'row')}, " if file.get("rows") is not None else ""
        st.text(visible(f"{name}: {rows}sha256 {file['sha256'][:16]}…"))
    _checks(report["checks"])


def effort(report: Json) -> None:
    """Time by steps, and memory."""
    done = [step for step in report["steps"] if step["seconds"] is not None]
    plan = report["plan"] or {}
    st.header("Time and memory")
    if done:
        st.table(
            [
                {
                    "Step": plain(step["title"]),
                    "State": "was there" if step["state"] == "cached" else step["state"],
                    "Time": duration(step["seconds"]),
                }
                for step in done
            ],
            hide_index=True,
            width="content",
        )
    held, estimate = (plan.get("measured") or {}).get("peak_bytes"), plan.get("estimate")
    if held:
        planned = f", planned {size(estimate['memory']['total'])}" if estimate else ""
        st.text(f"Memory at most: {size(held)} (measured){planned}.")
    for message in report["messages"]:
        st.text(visible(f"{message['level']} in {message['step']}: {message['text']}"))


def _checks(found: Sequence[Json]) -> None:
    if not found:
        return
    counts = {state: sum(one["state"] == state for one in found) for state in CHECKS}
    with st.container(horizontal=True, vertical_alignment="center"):
        st.text("Checks of the data:")
        for state, count in counts.items():
            if count:
                badge(state, f"{count} {CHECKS[state]}")
    for one in found:
        if one["state"] in ("error", "warn"):
            with st.container(horizontal=True, vertical_alignment="center"):
                badge(one["state"])
                told = [t.rstrip(".") for t in (one.get("message"), one.get("hint")) if t]
                st.text(visible(f"{one['check'].replace('_', ' ')}: {'. '.join(told)}."))

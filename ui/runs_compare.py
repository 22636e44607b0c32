"""Runs beside one another: their loss curves, and what differs between them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import streamlit as st

from runner.app.curves import Curve
from runner.app.history import Entry, curves
from runner.compare import Row, compared, written
from runner.report.words import NONE, plural, visible
from runner.runs.store import RunFolder
from ui import charts, current
from ui.text import plain

SECTIONS = {
    "results": "Results",
    "recipe": "Recipe: what was asked for, with all defaults",
    "data": "Data: files and rows",
    "lock": "Lock: model, versions, hardware",
}
KINDS: dict[str, Literal["train", "validation"]] = {
    "training": "train",
    "held-out (validation)": "validation",
}
HEIGHT = 340  # pixels of the curves with their legend
LONGEST = 200  # characters of a cell


def _curves(
    runs: str, ids: tuple[str, ...], kind: Literal["train", "validation"], stamp: object
) -> dict[str, Curve]:
    return curves(Path(runs), ids, kind)


# read again only where a run has gone on
_kept = st.cache_data(max_entries=16, show_spinner="Reading the curves")(_curves)


def comparison(entries: Sequence[Entry]) -> None:
    _losses(entries)
    _differences(entries)


def _losses(entries: Sequence[Entry]) -> None:
    st.header("Loss")
    kind = st.segmented_control(
        "Of", list(KINDS), default=next(iter(KINDS)), required=True, key="curves-kind",
        label_visibility="collapsed",
    )  # fmt: skip
    runs, ids = current.runs(), tuple(entry.id for entry in entries)
    stamp = [_stamp(runs / run / "events.jsonl") for run in ids]
    found = _kept(str(runs), ids, KINDS[kind], stamp)
    points = {run: [(s.step, s.mean) for s in curve.spans()] for run, curve in found.items()}
    if points:
        told = (
            f"{run}: {line[0][1]:.3g} at step {line[0][0]:.0f}, "
            f"{line[-1][1]:.3g} at step {line[-1][0]:.0f}."
            for run, line in points.items()
        )
        charts.lines(points, f"Loss by step, {kind}. {' '.join(told)}", "Step", "Loss", HEIGHT)
    means = {run: curve.every for run, curve in found.items() if curve.every > 1}
    for run, every in means.items():
        st.caption(f"{plain(run)}: each point is the mean of {every:,} steps.")
    for run in ids:
        if run not in points:
            st.text(f"{run} has no {kind} loss.")


def _differences(entries: Sequence[Entry]) -> None:
    st.header("What differs")
    only = st.toggle("Show differences only", value=True, key="compare-only")
    found = compared([RunFolder(current.runs() / entry.id) for entry in entries])
    for section, rows in found.items():
        differing = [row for row in rows if row.differs]
        shown = differing if only else rows
        st.subheader(SECTIONS[section])
        if not rows:
            st.text("None of these runs has any.")
        elif not shown:
            st.text(f"All {plural(len(rows), 'value')} are the same.")
        else:
            st.caption(f"{len(differing):,} of {plural(len(rows), 'value')} differ.")
            _table(section, shown, entries)


def _table(section: str, rows: Sequence[Row], entries: Sequence[Entry]) -> None:
    st.dataframe(
        [
            {
                "differs": "≠" if row.differs else "",
                "value": visible(row.name),
                **{
                    entry.id: visible(written(value))[:LONGEST] if value is not None else NONE
                    for entry, value in zip(entries, row.values, strict=True)
                },
            }
            for row in rows
        ],
        hide_index=True,
        column_config={
            "differs": st.column_config.TextColumn("", width=30, pinned=True),
            "value": st.column_config.TextColumn("", width="medium", pinned=True),
        },
        key=f"compare-{section}",
        alt=f"{SECTIONS[section]}, of {' and '.join(entry.id for entry in entries)}",
    )


def _stamp(path: Path) -> tuple[float, int]:
    if not path.is_file():
        return 0.0, 0
    known = path.stat()
    return known.st_mtime, known.st_size

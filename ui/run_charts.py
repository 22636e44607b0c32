"""The curves of a run as charts: the same specification at every reading, only the data change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from runner.app.curves import Curve, Span
from ui.charts import legible

LARGE, SMALL = 300, 190  # pixels high
TRAINING, VALIDATION = "training", "held-out (validation)"
# legible on white and on black; told apart by dashes and points as well
COLOURS = {TRAINING: "#2f6fde", VALIDATION: "#d97706"}
DASHES = {TRAINING: [1, 0], VALIDATION: [5, 4]}


def losses(training: Curve, validation: Curve) -> None:
    """Training as a line, validation as dashes with points."""
    spans = [(TRAINING, training.spans()), (VALIDATION, validation.spans())]
    alt = f"Loss by step. {_told('Training', training)} {_told('Validation', validation)}"
    point = {"filter": f"datum.kind === '{VALIDATION}'"}
    layers = [
        *_layers("Loss", _kinds()),
        {
            "transform": [point],
            "mark": {"type": "point", "filled": True, "size": 45, "shape": "diamond"},
            "encoding": {**_axes("Loss", "mean"), "color": _kinds()["color"]},
        },
    ]
    _chart(spans, layers, LARGE, alt)
    if training.every > 1:
        st.caption(
            f"Each point is the mean of {training.every:,} steps; the pale band runs from the "
            "lowest to the highest of them."
        )


def line(curve: Curve, title: str) -> None:
    layers = _layers(title, {"color": {"value": COLOURS[TRAINING]}})
    _chart([(title, curve.spans())], layers, SMALL, f"{title} by step. {_told(title, curve)}")


def _layers(title: str, told_apart: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The band of each stretch, and over it the line of the means."""
    band = {**_axes(title, "low"), "y2": {"field": "high"}, "color": told_apart["color"]}
    return [
        {"mark": {"type": "area", "opacity": 0.22}, "encoding": band},
        {
            "mark": {"type": "line", "strokeWidth": 1.75, "tooltip": True},
            "encoding": {**_axes(title, "mean"), **told_apart},
        },
    ]


def _kinds() -> dict[str, Any]:
    names = list(COLOURS)
    legend = {"title": None, "orient": "top", "symbolType": "stroke", "symbolStrokeWidth": 2}
    field = {"field": "kind", "type": "nominal", "legend": {**legend, "symbolOpacity": 1}}
    return {
        "color": {**field, "scale": {"domain": names, "range": list(COLOURS.values())}},
        "strokeDash": {**field, "scale": {"domain": names, "range": list(DASHES.values())}},
    }


def _axes(title: str, value: str) -> dict[str, Any]:
    scale = {"zero": False, "nice": True}
    whole = {"tickMinStep": 1, "format": ",d"}
    return {
        "x": {"field": "step", "type": "quantitative", "title": "Step", "axis": whole},
        "y": {"field": value, "type": "quantitative", "title": title, "scale": scale},
    }


def _chart(
    spans: Sequence[tuple[str, Sequence[Span]]],
    layers: Sequence[Mapping[str, Any]],
    height: int,
    alt: str,
) -> None:
    import pyarrow as pa

    all_spans = [(kind, span) for kind, found in spans for span in found]
    numbers = {
        name: pa.array([getattr(span, name) for _, span in all_spans], pa.float64())
        for name in ("step", "mean", "low", "high")
    }
    table = pa.table(numbers | {"kind": pa.array([kind for kind, _ in all_spans], pa.string())})
    spec = {"layer": list(layers), "config": legible()}
    st.vega_lite_chart(table, spec, height=height, width="stretch", alt=alt)


def _told(name: str, curve: Curve) -> str:
    """The curve in a sentence, for who does not see it."""
    spans = curve.spans()
    if not spans:
        return f"{name}: no values yet."
    first, last = spans[0], spans[-1]
    least = min(spans, key=lambda span: span.low)
    return (
        f"{name}: {first.mean:.3g} at step {first.step:.0f}, {last.mean:.3g} at step "
        f"{last.step:.0f}, lowest {least.low:.3g} about step {least.step:.0f}."
    )

"""One layer with its adapter, drawn to scale: the frozen W, and the A and B that are learnt."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dsl.arithmetic import Layer

LARGEST = 190.0  # pixels of the longer side of W
GAP, LINE = 14.0, 20.0  # pixels between the matrices, and for a line of text
LABEL = 96.0  # pixels for the name of B on the right
INK = {"light": "#11161c", "dark": "#e8eaed"}  # of texts within it, of which no theme knows
FROZEN, A, B = "#7c8796", "#2f6fde", "#c2610c"  # at least 3:1 on white and on black


def low_rank(layer: Layer) -> None:
    ink = INK["dark" if st.context.theme.type == "dark" else "light"]
    st.vega_lite_chart(low_rank_spec(layer, ink), width="content", alt=told(layer))


def told(layer: Layer) -> str:
    """The picture in words."""
    share = layer.trained / layer.frozen
    return (
        f"{layer.name}, drawn to scale: W has {layer.d:,} x {layer.k:,} = {layer.frozen:,} weights "
        f"and stays as it is. Learnt are A, {layer.rank} x {layer.k:,}, and B, {layer.d:,} x "
        f"{layer.rank}: together {layer.trained:,}, {share:.1%} of W."
    )


def low_rank_spec(layer: Layer, ink: str) -> dict[str, Any]:
    """W above A, which has its columns, and left of B, which has its rows; units are pixels."""
    scale = LARGEST / max(layer.d, layer.k)
    height, width, rank = layer.d * scale, layer.k * scale, layer.rank * scale
    below, right = LINE + height + GAP, width + GAP
    rectangles = [
        _box(0, LINE, width, height, FROZEN, 0.35, f"W {layer.d:,} x {layer.k:,}"),
        _box(right, LINE, rank, height, B, 1, f"B {layer.d:,} x {layer.rank}"),
        _box(0, below, width, rank, A, 1, f"A {layer.rank} x {layer.k:,}"),
    ]
    words = [
        _text(0, LINE / 2, f"W {layer.d:,} x {layer.k:,}, frozen"),
        _text(right + rank + 6, LINE + height / 2, f"B {layer.d:,} x {layer.rank}"),
        _text(0, below + rank + LINE / 2, f"A {layer.rank} x {layer.k:,}"),
    ]
    whole = max(right + rank + LABEL, 220.0), below + rank + LINE
    x, y = _place("x", whole[0]), _place("y", whole[1])
    boxes = {
        "data": {"values": rectangles},
        "mark": {"type": "rect", "strokeWidth": 1},
        "encoding": {
            **x,
            **y,
            "x2": {"field": "x2"},
            "y2": {"field": "y2"},
            "color": {"field": "color", "type": "nominal", "scale": None, "legend": None},
            "stroke": {"field": "color", "type": "nominal", "scale": None, "legend": None},
            "fillOpacity": {"field": "opacity", "type": "quantitative", "scale": None},
            "tooltip": {"field": "what"},
        },
    }
    labels = {
        "data": {"values": words},
        "mark": {"type": "text", "align": "left", "baseline": "middle", "fontSize": 12,
                 "color": ink},
        "encoding": {**x, **y, "text": {"field": "text"}},
    }  # fmt: skip
    return {
        "width": whole[0],
        "height": whole[1],
        "view": {"stroke": None},
        "layer": [boxes, labels],
    }


def _place(axis: str, size: float) -> dict[str, Any]:
    """Pixels, from the top left."""
    domain = [0, size] if axis == "x" else [size, 0]
    scale = {"domain": domain, "nice": False, "zero": False}
    return {axis: {"field": axis, "type": "quantitative", "scale": scale, "axis": None}}


def _box(
    x: float, y: float, width: float, height: float, color: str, opacity: float, what: str
) -> dict[str, Any]:
    return {
        "x": x, "x2": x + width, "y": y, "y2": y + height,
        "color": color, "opacity": opacity, "what": what,
    }  # fmt: skip


def _text(x: float, y: float, text: str) -> dict[str, Any]:
    return {"x": x, "y": y, "text": text}

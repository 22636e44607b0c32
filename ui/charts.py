"""Charts as Vega-Lite: each has a text alternative, and none tells by colour alone.

Colours are Streamlit's, so that they follow the theme. The `*_spec` functions are pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

POINTS = 600  # of a series: more than a screen shows
PARTS = ("#2f6fde", "#d97706", "#2a9d63", "#b45cc4", "#c2405c", "#8a94a6")  # of a whole
LINES = ("#2f6fde", "#d97706", "#2a9d63", "#b45cc4")  # legible on light and dark
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])
ROW = 28  # pixels
RED = "#d1495b"  # legible on light and dark
LABEL_CHARACTERS = 28
TOLD_APART = {"#8a94a6": "circle", "#2f6fde": "diamond"}  # of intervals: colour → shape
Point = tuple[float, float]


def bars(shares: Sequence[tuple[str, float]], alt: str, unit: str = "rows") -> None:
    """Named numbers as bars side by side, each with its number."""
    _draw(bars_spec(shares, unit, _ink()), alt)


def whole(
    parts: Sequence[tuple[str, float]], alt: str, unit: str, limit: float, limit_label: str
) -> None:
    """Parts stacked to one bar, against what there is room for; and the same parts by name."""
    _draw(stacked_spec(parts, unit, limit, limit_label), alt)
    _draw(bars_spec(parts, unit, _ink(), ".2f", PARTS), f"The parts of it: {alt}")


def histogram(
    bins: Sequence[Mapping[str, Any]],
    alt: str,
    unit: str,
    cut: float | None = None,
    cut_label: str = "",
) -> None:
    """Bins {from, to, count}; `cut`: a line at this value, with its label."""
    _draw(histogram_spec(bins, unit, cut, cut_label), alt)


def lines(
    series: Mapping[str, Sequence[Point]], alt: str, x: str, y: str, height: int = 260
) -> None:
    """Named series of (x, y), told apart by colour and by dashes, of at most POINTS points each."""
    _draw(lines_spec(series, x, y, height), alt)


def intervals(
    spans: Sequence[Mapping[str, Any]], alt: str, unit: str, percent: bool = False
) -> None:
    """Spans {name, series, value, low, high}: a dot each, and a line from its low to its high.

    Series stand under one another, told apart by colour and shape. Without low there is no line.
    """
    _draw(intervals_spec(spans, unit, percent), alt)


def bars_spec(
    shares: Sequence[tuple[str, float]],
    unit: str,
    ink: str,
    form: str = ",",
    colors: Sequence[str] = (),
) -> dict[str, Any]:
    """`form`: how a number is written, in D3's words. `colors`: of the bars, in their order."""
    values = [{"name": name, "value": value} for name, value in shares]
    order = list(dict.fromkeys(name for name, _ in shares))
    y = {
        "field": "name", "type": "nominal", "sort": order, "title": None,
        "axis": {"labelLimit": 8 * LABEL_CHARACTERS, "ticks": False, "domain": False},
    }  # fmt: skip
    top = max((value for _, value in shares), default=0) or 1
    whole = {"tickMinStep": 1} if form == "," else {}
    x = {
        "field": "value", "type": "quantitative", "title": unit,
        "scale": {"domain": [0, 1.15 * top]}, "axis": {"tickCount": 5, **whole},
    }  # fmt: skip
    tooltip = [
        {"field": "name", "title": "name"},
        {"field": "value", "title": unit, "format": form},
    ]
    base = {"y": y, "x": x, "tooltip": tooltip}
    painted = {**base, "color": _by_name(order, colors)} if colors else base
    text = {"type": "text", "align": "left", "dx": 4, "color": ink}
    return {
        "data": {"values": values},
        "height": {"step": ROW},
        "layer": [
            {"mark": {"type": "bar", "cornerRadiusEnd": 2}, "encoding": painted},
            {
                "mark": text,
                "encoding": {**base, "text": {"field": "value", "format": form}},
            },
        ],
    }


def histogram_spec(
    bins: Sequence[Mapping[str, Any]], unit: str, cut: float | None, cut_label: str
) -> dict[str, Any]:
    values = [{"from": b["from"], "to": b["to"], "count": b["count"]} for b in bins]
    # the last bin holds all that is longer: at its full width it would press the others flat
    if len(values) > 2 and values[-1]["to"] - values[-1]["from"] > 2 * _width(values[0]):
        values[-1]["to"] = values[-1]["from"] + 2 * _width(values[0])
    high = max([*(b["to"] for b in values), *([cut * 1.05] if cut is not None else [])], default=1)
    scale = {"domain": [min((b["from"] for b in values), default=0), high], "nice": False}
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "bar", "stroke": None, "binSpacing": 1},
            "encoding": {
                "x": {
                    "field": "from", "type": "quantitative", "title": unit, "scale": scale,
                    "bin": {"binned": True},
                },
                "x2": {"field": "to"},
                "y": {
                    "field": "count", "type": "quantitative", "title": "rows",
                    "axis": {"tickMinStep": 1, "tickCount": 4},
                },
                "tooltip": [
                    {"field": "from", "title": f"{unit} from", "format": ","},
                    {"field": "to", "title": "up to", "format": ","},
                    {"field": "count", "title": "rows", "format": ","},
                ],
            },
        }
    ]  # fmt: skip
    if cut is not None:
        layers += _rule(cut, cut_label, right=cut > 0.6 * high)
    return {"data": {"values": values}, "height": 200, "layer": layers}


def stacked_spec(
    parts: Sequence[tuple[str, float]], unit: str, limit: float, limit_label: str
) -> dict[str, Any]:
    names = [name for name, _ in parts]
    values = [
        {"name": name, "value": value, "place": place} for place, (name, value) in enumerate(parts)
    ]
    high = max(sum(value for _, value in parts), limit) * 1.02 or 1
    bar = {
        "mark": {"type": "bar", "height": 34},
        "encoding": {
            "x": {
                "field": "value", "type": "quantitative", "title": None, "stack": "zero",
                "scale": {"domain": [0, high], "nice": False}, "axis": {"tickCount": 6},
            },
            "color": _by_name(names, PARTS),
            "order": {"field": "place", "type": "quantitative"},
            "tooltip": [
                {"field": "name", "title": "part"},
                {"field": "value", "title": unit, "format": ".2f"},
            ],
        },
    }  # fmt: skip
    room = _rule(limit, limit_label, right=True)
    return {"data": {"values": values}, "height": 96, "layer": [bar, *room]}


def _by_name(names: Sequence[str], colors: Sequence[str]) -> dict[str, Any]:
    """Colours without a legend: what they stand for is written elsewhere."""
    scale = {"domain": list(names), "range": [colors[n % len(colors)] for n in range(len(names))]}
    return {"field": "name", "type": "nominal", "scale": scale, "legend": None}


def lines_spec(
    series: Mapping[str, Sequence[Point]], x: str, y: str, height: int
) -> dict[str, Any]:
    values = [
        {"name": name, "x": at, "y": value, "alone": len(points) == 1}
        for name, points in series.items()
        for at, value in thinned(points)
    ]
    names = list(series)
    encoding: dict[str, Any] = {
        "x": {"field": "x", "type": "quantitative", "title": x, "axis": {"tickMinStep": 1}},
        "y": {"field": "y", "type": "quantitative", "title": y, "scale": {"zero": False}},
        "tooltip": [
            {"field": "name", "title": "series"},
            {"field": "x", "title": x, "format": ","},
            {"field": "y", "title": y, "format": ".4~g"},
        ],
    }
    if len(names) > 1:
        legend = {
            "title": None, "orient": "bottom", "labelLimit": 260,
            "columns": {"expr": "max(1, floor(width / 290))"},
            "symbolType": "stroke", "symbolSize": 500, "symbolStrokeWidth": 2,
        }  # fmt: skip
        dashes = [DASHES[place % len(DASHES)] for place in range(len(names))]
        colours = [LINES[place % len(LINES)] for place in range(len(names))]
        encoding["color"] = {
            "field": "name", "type": "nominal", "sort": names, "legend": legend,
            "scale": {"domain": names, "range": colours},
        }  # fmt: skip
        encoding["strokeDash"] = {
            "field": "name", "type": "nominal", "sort": names, "legend": legend,
            "scale": {"domain": names, "range": dashes},
        }  # fmt: skip
    point = {"type": "point", "filled": True, "size": 50}
    layers = [
        {"mark": {"type": "line", "strokeWidth": 2}},
        # one point is no line
        {"mark": point, "transform": [{"filter": "datum.alone"}]},
    ]
    return {"data": {"values": values}, "height": height, "encoding": encoding, "layer": layers}


def intervals_spec(spans: Sequence[Mapping[str, Any]], unit: str, percent: bool) -> dict[str, Any]:
    series = list(dict.fromkeys(span["series"] for span in spans))
    legend = {"title": None, "orient": "top", "symbolSize": 110, "symbolStrokeWidth": 2}
    apart = {"field": "series", "type": "nominal", "sort": series, "legend": legend}
    form = ".3~p" if percent else ".4~g"
    x = {
        "field": "value", "type": "quantitative", "title": unit,
        "scale": {"zero": False, "nice": True, "padding": 12},
        "axis": {"tickCount": 5, "format": ".2~p" if percent else ".4~g"},
    }  # fmt: skip
    encoding = {
        "y": {
            "field": "name", "type": "nominal", "title": None,
            "sort": list(dict.fromkeys(span["name"] for span in spans)),
            "scale": {"paddingInner": 0.35, "paddingOuter": 0.2},
            "axis": {"labelLimit": 8 * LABEL_CHARACTERS, "ticks": False, "domain": False},
        },
        "yOffset": {"field": "series", "type": "nominal", "sort": series},
        "color": {**apart, "scale": {"domain": series, "range": list(TOLD_APART)[: len(series)]}},
        "tooltip": [
            {"field": "name", "title": "metric"},
            {"field": "series", "title": "of"},
            {"field": "value", "title": "value", "format": form},
            {"field": "low", "title": "from", "format": form},
            {"field": "high", "title": "to", "format": form},
        ],
    }  # fmt: skip
    shape = {**apart, "scale": {"domain": series, "range": list(TOLD_APART.values())}}
    return {
        "data": {"values": [dict(span) for span in spans]},
        "height": {"step": 1.4 * ROW, "for": "position"},
        "layer": [
            {
                "transform": [{"filter": "isValid(datum.low) && isValid(datum.high)"}],
                "mark": {"type": "rule", "strokeWidth": 2.5},
                "encoding": {**encoding, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 110, "opacity": 1},
                "encoding": {**encoding, "x": x, "shape": shape},
            },
        ],
    }


def thinned(points: Sequence[Point], most: int = POINTS) -> list[Point]:
    """At most so many of the points, in order: of each stretch its lowest and its highest, so that
    no peak is lost; the first and the last are kept."""
    if len(points) <= most:
        return list(points)
    stretches = max(1, (most - 2) // 2)
    inner = len(points) - 2
    kept = {0, len(points) - 1}
    for stretch in range(stretches):
        low, high = 1 + stretch * inner // stretches, 1 + (stretch + 1) * inner // stretches
        kept.add(min(range(low, high), key=lambda at: points[at][1]))
        kept.add(max(range(low, high), key=lambda at: points[at][1]))
    return [points[at] for at in sorted(kept)]


def _rule(at: float, label: str, right: bool) -> list[dict[str, Any]]:
    """A line across the chart with its label on the side where there is room."""
    rule = {"type": "rule", "strokeDash": [5, 4], "strokeWidth": 2, "color": RED}
    align = {"align": "right", "dx": -6} if right else {"align": "left", "dx": 6}
    x = {"datum": at, "type": "quantitative"}
    once: dict[str, Any] = {"values": [{}]}  # else it is drawn for every bar
    text = {
        "type": "text", "baseline": "top", "color": RED, "fontWeight": "bold", "text": label,
        **align,
    }  # fmt: skip
    return [
        {"data": once, "mark": rule, "encoding": {"x": x}},
        {"data": once, "mark": text, "encoding": {"x": x, "y": {"value": 2}}},
    ]


def legible() -> dict[str, Any]:
    """Labels in the ink of the page: those of Streamlit's theme are too pale to read on white."""
    ink = _ink()
    return {
        "axis": {"labelColor": ink, "titleColor": ink},
        "legend": {"labelColor": ink, "titleColor": ink},
    }


def _ink() -> str:
    """Text within a chart, of which the theme knows nothing."""
    return "#fafafa" if st.context.theme.type == "dark" else "#31333f"


def _width(bin: Mapping[str, Any]) -> float:
    return float(bin["to"] - bin["from"])


def _draw(spec: dict[str, Any], alt: str) -> None:
    # what hangs over the edge of a layer is a label: it may not be cut
    whole = {"autosize": {"type": "fit", "contains": "padding"}, "config": legible(), **spec}
    st.vega_lite_chart(whole, width="stretch", alt=alt)

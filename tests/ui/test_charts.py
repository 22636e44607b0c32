"""Charts: what is thinned keeps its peaks, and no chart tells by colour alone."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ui.charts import (
    PARTS,
    POINTS,
    bars_spec,
    histogram_spec,
    intervals_spec,
    lines_spec,
    stacked_spec,
    thinned,
)

numbers = st.floats(-1e6, 1e6)


@given(st.lists(numbers, max_size=300), st.integers(4, 60))
def test_thinning_keeps_ends_and_extremes(values: list[float], most: int) -> None:
    points = [(float(at), value) for at, value in enumerate(values)]
    kept = thinned(points, most)
    assert len(kept) <= max(most, len(points) if len(points) <= most else most)
    assert kept == sorted(kept, key=lambda point: point[0]) and set(kept) <= set(points)
    if points:
        assert kept[0] == points[0] and kept[-1] == points[-1]
        assert max(v for _, v in kept) == max(values)
        assert min(v for _, v in kept) == min(values)


def test_a_long_series_is_thinned_before_it_is_sent() -> None:
    points = [(float(n), float(n % 7)) for n in range(50_000)]
    spec = lines_spec({"loss": points}, "step", "loss", 200)
    assert len(spec["data"]["values"]) <= POINTS


def test_several_series_differ_by_their_dashes_too() -> None:
    spec = lines_spec({"a": [(0, 1)], "b": [(0, 2)]}, "step", "loss", 200)
    dashes = spec["encoding"]["strokeDash"]["scale"]["range"]
    assert len({json.dumps(dash) for dash in dashes}) == 2
    # a series of one point has no line
    assert [value["alone"] for value in spec["data"]["values"]] == [True, True]
    assert marks(spec) == ["line", "point"]


def marks(spec: dict[str, Any]) -> list[str]:
    return [layer["mark"]["type"] for layer in spec["layer"]]


def test_the_cut_is_a_line_with_its_word_and_within_the_chart() -> None:
    bins = [{"from": n, "to": n + 1, "count": 1} for n in range(10)]
    spec = histogram_spec(bins, "tokens", 512, "cut at 512")
    assert marks(spec) == ["bar", "rule", "text"]
    assert spec["layer"][2]["mark"]["text"] == "cut at 512"
    assert spec["layer"][0]["encoding"]["x"]["scale"]["domain"][1] > 512
    assert marks(histogram_spec(bins, "tokens", None, "")) == ["bar"]


def test_a_last_bin_of_all_that_is_longer_does_not_press_the_others_flat() -> None:
    bins = [{"from": 10 * n, "to": 10 * n + 10, "count": 1} for n in range(5)]
    bins.append({"from": 50, "to": 9000, "count": 1})
    spec = histogram_spec(bins, "tokens", None, "")
    assert spec["layer"][0]["encoding"]["x"]["scale"]["domain"] == [0, 70]


def test_bars_bear_their_numbers_and_keep_their_order() -> None:
    spec = bars_spec([("b", 2), ("a", 1)], "rows", "#000")
    assert marks(spec) == ["bar", "text"]
    assert spec["layer"][0]["encoding"]["y"]["sort"] == ["b", "a"]


def test_bars_of_fractions_are_written_as_asked() -> None:
    spec = bars_spec([("weights", 0.5)], "GiB", "#000", ".2f")
    assert spec["layer"][1]["encoding"]["text"]["format"] == ".2f"
    assert "tickMinStep" not in spec["layer"][0]["encoding"]["x"]["axis"]


def test_parts_of_a_whole_have_the_colours_of_their_names() -> None:
    parts = [("weights", 3.0), ("optimizer", 1.0)]
    stacked = stacked_spec(parts, "GiB", 8.0, "8 GiB there")
    bar, rule, label = stacked["layer"]
    assert bar["encoding"]["x"]["scale"]["domain"][1] >= 8
    assert [value["value"] for value in stacked["data"]["values"]] == [3.0, 1.0]
    assert rule["encoding"]["x"]["datum"] == 8.0
    assert label["mark"]["text"] == "8 GiB there"
    named = bars_spec(parts, "GiB", "#000", ".2f", PARTS)["layer"][0]["encoding"]
    assert named["color"] == bar["encoding"]["color"]
    assert len(set(named["color"]["scale"]["range"])) == 2


def test_intervals_differ_by_colour_and_shape() -> None:
    arms = [("base", 0.2, 0.1, 0.3), ("tuned", 0.4, None, None)]
    spans = [
        {"name": "ROUGE-L", "series": arm, "value": value, "low": low, "high": high}
        for arm, value, low, high in arms
    ]
    spec = intervals_spec(spans, "F1, 0 to 1", False)
    line, point = spec["layer"]
    assert line["mark"]["type"] == "rule" and "isValid" in line["transform"][0]["filter"]
    assert (line["encoding"]["x"]["field"], line["encoding"]["x2"]["field"]) == ("low", "high")
    shapes, colours = (point["encoding"][told]["scale"]["range"] for told in ("shape", "color"))
    assert len(set(shapes)) == len(set(colours)) == 2
    assert spec["data"]["values"] == spans

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.report import charts
from runner.report.collect import collect
from runner.report.html import render, write

VOID = {"meta", "input", "br"}


class Page(HTMLParser):
    """Elements, ids, headings and text of a page; fails where tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append((self.open[-1] if self.open else "", data))

    def values(self, name: str) -> list[str]:
        return [value for _, attrs in self.tags if (value := attrs.get(name)) is not None]


@pytest.fixture
def report(run: Path, gates: list[dict[str, Any]]) -> dict[str, Any]:
    return collect(run, gates, "pass")


def test_the_page_is_whole_and_stands_alone(report: dict[str, Any]) -> None:
    text = render(report)
    page = Page(text)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {href.removeprefix("#") for href in page.values("href")} <= set(ids)
    assert not page.values("src")
    assert not re.findall(r"(?:https?:)?//[a-z]|url\(|@import", text)


def test_its_policy_allows_its_own_script_and_nothing_else(report: dict[str, Any]) -> None:
    text = render(report)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(c for c in Page(text).values("content") if c.startswith("default-src"))
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy


def test_it_can_be_read_aloud(report: dict[str, Any]) -> None:
    page = Page(render(report))
    assert ("html", {"lang": "en"}) in page.tags
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    pictures = [attrs for tag, attrs in page.tags if tag == "svg"]
    titles = [text for tag, text in page.text if tag == "title"]
    assert pictures and all(attrs["role"] == "img" for attrs in pictures)
    assert len(titles) >= len(pictures) and all(title.strip() for title in titles)
    labelled = {attrs["for"] for tag, attrs in page.tags if tag == "label"}
    assert {attrs["id"] for tag, attrs in page.tags if tag in ("input", "select")} == labelled


@pytest.mark.parametrize("steps", [0, 1, 7, 250])
def test_training_that_was_never_validated_is_told_by_its_steps(
    report: dict[str, Any], steps: int
) -> None:
    """Stopped before the first validation, or without a part for it."""
    points = [[at, 2.5 - at / 1000] for at in range(1, steps + 1)]
    report["training"] |= {"validation": [], "best": None, "loss": points, "smoothed": points}
    text = render(report)
    Page(text)
    rows = re.findall(r'<th scope="row" class="number">(\d+)</th>', text)
    assert min(steps, 20) <= len(rows) <= 25
    assert rows[:1] == ["1"][:steps]


def test_everything_that_the_models_wrote_is_shown_escaped(
    report: dict[str, Any], rows: list[Any], hostile: str
) -> None:
    text = render(report)
    assert "alert('x')" not in text
    assert "\u202e" not in text and "\x1b" not in text and "\x07" not in text
    shown = "".join(data for _, data in Page(text).text)
    assert "<script>alert('x')</script> [U+202E]gnirts[U+202C] ␛[31mred␇" in shown
    for example in rows:
        for answer in example[2:6]:
            assert answer in shown or answer == hostile


def _replaced(value: Any, text: str, keep: tuple[str, ...]) -> Any:
    """Every text of a report replaced, but for the keys of `keep`."""
    if isinstance(value, dict):
        return {k: v if k in keep else _replaced(v, text, keep) for k, v in value.items()}
    if isinstance(value, list):
        return [_replaced(inner, text, keep) for inner in value]
    return text if isinstance(value, str) else value


def test_no_text_of_the_report_can_add_an_element(report: dict[str, Any], hostile: str) -> None:
    fixed = ("outcome", "verdict", "state", "kind", "better", "origin", "level", "gates", "unit")
    clean = Page(render(report))
    page = Page(render(_replaced(report, hostile, fixed)))
    assert [tag for tag, _ in page.tags if tag == "script"] == ["script"]
    assert not {name for _, attrs in page.tags for name in attrs if name.startswith("on")}
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in clean.tags}


def test_states_and_directions_are_words_and_not_only_colours(report: dict[str, Any]) -> None:
    shown = re.sub(r"\s+", " ", "".join(data for _, data in Page(render(report)).text))
    for words in ("✓ passed", "? inconclusive", "! warning", "○ not run", "▲ better", "▼ worse"):
        assert words in shown
    assert "done before, reused" in shown


def test_both_files_are_written(run: Path, report: dict[str, Any]) -> None:
    report["recipe"] = "a lone \ud800 surrogate"
    write(run, report)
    assert json.loads((run / "report.json").read_text("utf-8"))["recipe"] == report["recipe"]
    assert (run / "report.html").read_text("utf-8") == render(report)
    assert not list(run.glob(".report*"))


# Charts ----------------------------------------------------------------------------------------


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(2, 12))
def test_ticks_are_few_and_inside(low: float, extent: float, most: int) -> None:
    found = charts.ticks(low, low + extent, most)
    assert len(found) <= most
    slack = 1e-6 * max(abs(low), extent)
    assert all(low - slack <= tick <= low + extent + slack for tick in found)


def _change(better: str, value: float, low: float, high: float) -> dict[str, Any]:
    arm = {"value": 1.0, "low": None, "high": None}
    change = {"value": value, "low": low, "high": high}
    return {"better": better, "unit": "", "base": arm, "tuned": arm, "difference": change}


def _centre(svg: str) -> float:
    return float(re.findall(r'c?x="([\d.]+)"', svg[svg.index('class="mark') :])[0])


@pytest.mark.parametrize(
    ("better", "value", "shape", "right"),
    [("lower", -1, "circle", True), ("lower", 1, "rect", False), ("higher", 1, "circle", True)],
)
def test_better_lies_right_of_zero(better: str, value: float, shape: str, right: bool) -> None:
    svg = charts.whisker(_change(better, value, value - 0.1, value + 0.1))
    assert (_centre(svg) > 90) == right
    assert f'<{shape} class="mark"' in svg


def test_a_difference_that_is_not_clear_is_a_ring_across_the_zero_line() -> None:
    svg = charts.whisker(_change("lower", -0.1, -0.4, 0.2))
    assert 'class="mark ring"' in svg
    left, right = re.findall(r"M([\d.]+) 13H([\d.]+)", svg)[0]
    assert float(left) < 90 < float(right)


def test_the_curve_of_a_single_step_can_be_drawn() -> None:
    training = {
        "loss": [(1.0, 2.0)], "smoothed": [(1.0, 2.0)], "validation": [(1.0, 2.0)],
        "steps": 1, "best": 1,
    }  # fmt: skip
    svg = charts.loss_chart(training, 400, 300, "one")
    assert "best: 2.00" in svg and "nan" not in svg
    assert (
        charts.loss_chart(training | {"loss": [], "smoothed": [], "validation": []}, 9, 9, "no")
        == ""
    )

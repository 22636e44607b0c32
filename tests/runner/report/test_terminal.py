from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from runner.report.collect import collect
from runner.report.terminal import summary
from runner.report.words import MINUS

ESCAPE = re.compile("\x1b\\[[0-9]*m")


@pytest.fixture
def report(run: Path, gates: list[dict[str, Any]]) -> dict[str, Any]:
    return collect(run, gates, "pass") | {"directory": "runs/legal"}


@pytest.mark.parametrize("width", [40, 50, 60, 72, 80, 100, 200])
@pytest.mark.parametrize("unicode", [True, False])
@pytest.mark.parametrize("color", [True, False])
def test_it_fits_the_terminal(
    report: dict[str, Any], width: int, unicode: bool, color: bool
) -> None:
    text = summary(report, width, unicode, color)
    assert max(len(ESCAPE.sub("", line)) for line in text.splitlines()) <= width
    assert text.isascii() or unicode
    assert bool(ESCAPE.search(text)) == color


def test_at_eighty_columns_it_says_what_matters(report: dict[str, Any]) -> None:
    lines = summary(report, 80, True, False).replace(MINUS, "-").splitlines()
    assert lines[0].startswith("Passed: legal-")
    assert "Loss                3.41   2.29        -1.12  -1.20 to -1.05    better" in lines
    assert "Answers cut off    31.1%  36.7%  +5.6 points  +1.1 to +11.1     worse" in lines
    assert "✓ passed  domain.loss: better than the base model" in lines
    assert "! warning  duplicates: 3 of 600 rows repeat an earlier one." in lines
    assert lines[-1] == "Report: runs/legal/report.html"


def test_nothing_in_a_report_can_steer_the_terminal(report: dict[str, Any], hostile: str) -> None:
    report["checks"][1]["message"] = hostile
    report["verdict"]["headline"] = hostile
    report["problems"] = [hostile]
    text = summary(report, 80, True, False)
    assert not set(text) & {"\x1b", "\x07", "\u202e"}
    assert text.count("␛[31mred␇") == 3
    assert summary(report, 80, False, False).isascii()


def test_a_run_without_results_still_has_a_summary(tmp_path: Path) -> None:
    text = summary(collect(tmp_path / "empty", [], None), 80, True, False)
    assert text.startswith("The run has not ended: empty\nThe run has not ended.\n")

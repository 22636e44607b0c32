"""The documentation against the code: nothing is missing, no threshold differs, no link is dead."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dsl.rows import FORMATS
from dsl.schema import load, resolve
from runner.data.checks import CHECKS, percent
from runner.data.files import BLOCKS
from runner.data.fixes import FIXES
from runner.data.formats import Detected, detect
from runner.data.look import Asked

ROOT = Path(__file__).resolve().parents[1]
DATA = (ROOT / "docs" / "data.md").read_text("utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "recipes" / "README.md"])
README = (ROOT / "README.md").read_text("utf-8")
FIX_SECTION = DATA.partition("## What `--fix` does")[2].partition("\n## ")[0]


def rows_of(first: str, text: str = DATA) -> list[list[str]]:
    """The cells of the table rows whose first cell names `first` in code."""
    split = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [cells for cells in split if f"`{first}`" in cells[0]]


def defaults(check: str) -> dict[str, str]:
    """Threshold → its default as the page writes it; those that are null left out."""
    fields = load()["$defs"]["data"]["properties"]["checks"]["properties"][check]["properties"]
    told = {}
    for name, field in fields.items():
        whole = resolve(field)
        value = whole["default"]
        if value is not None:
            share = whole.get("x-unit", "").startswith("fraction") and "similarity" not in name
            told[name] = ("any" if value == 0 else percent(value)) if share else f"{value:,}"
    return told


def untold(check: str, text: str) -> list[str]:
    """The default thresholds that the check's row does not tell, or that it has no row."""
    rows = [cells for cells in rows_of(check, text) if len(cells) == 5]
    if len(rows) != 1:
        return [f"{len(rows)} rows"]
    _, counted, warns, stops, _ = rows[0]
    lacking = []
    for name, value in defaults(check).items():
        cell = warns if name.startswith("warn") else stops if "error" in name else counted
        if "similarity" in name:
            cell = f"{counted} {stops}"
        if not re.search(rf"(?<![\d.,]){re.escape(value)}(?![.,]?\d)", cell):
            lacking.append(f"{name} {value}")
    return lacking


@pytest.mark.parametrize("check", CHECKS)
def test_every_check_is_explained_with_its_default_thresholds(check: str) -> None:
    assert untold(check, DATA) == []
    assert (f"`{check}`*" in DATA) == CHECKS[check].deep


def test_a_changed_threshold_and_a_lost_row_are_noticed() -> None:
    assert untold("missing", DATA.replace("| any | 1% | fill", "| any | 2% | fill")) == [
        "error_above 1%"
    ]
    assert untold("drift", DATA.replace("over 0.15", "over 0.1")) == ["warn_above 0.15"]
    assert untold("pii", DATA.replace("| `pii`*", "| `pii_`*")) == ["0 rows"]


def test_the_front_page_counts_the_checks() -> None:
    assert f"by {len(CHECKS)} checks" in README


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_has_a_row_that_is_of_it(format: str) -> None:
    (cells,) = rows_of(format, DATA.partition("## Formats")[2].partition("## The split")[0])
    found = detect([json.loads(cells[1].strip("`"))], Asked())
    assert isinstance(found, Detected) and found.format == format
    assert rows_of(format, README)


@pytest.mark.parametrize("kind", BLOCKS)
def test_every_kind_of_file_is_listed(kind: str) -> None:
    assert len(rows_of(kind, DATA.partition("Files are told")[2].partition("## Formats")[0])) == 1


def test_every_fix_is_told_and_no_other() -> None:
    told = {name for line in FIX_SECTION.splitlines() if line.startswith("| `")
            for name in re.findall(r"`(\w+)`", line.split(" | ")[0])}  # fmt: skip
    assert told == set(FIXES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", text):
        there = page.parent / target if target else page
        assert there.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.*)$", there.read_text("utf-8"), re.M)
            assert anchor in [re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in heads]

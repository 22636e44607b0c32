"""The looks of the app: contrast after WCAG 2.2, and both modes left to the system."""

from __future__ import annotations

import pytest

from runner.app import theme

MODES = {"light": theme.LIGHT, "dark": theme.DARK}
TEXT, MARK = 4.5, 3.0  # AA: text, and what is no text


def luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def mixed(color: str, with_: str, share: float) -> str:
    pairs = [(int(color[at : at + 2], 16), int(with_[at : at + 2], 16)) for at in (1, 3, 5)]
    return "#" + "".join(f"{round(a * share + b * (1 - share)):02x}" for a, b in pairs)


def test_contrast_itself() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("mode", MODES)
def test_texts_and_marks_are_legible(mode: str) -> None:
    colors = MODES[mode]
    for ground in (colors["backgroundColor"], colors["secondaryBackgroundColor"]):
        caption = mixed(colors["textColor"], ground, theme.CAPTION)
        assert contrast(colors["textColor"], ground) > TEXT
        assert contrast(colors["linkColor"], ground) > TEXT
        assert contrast(caption, ground) > TEXT
        assert contrast(colors["primaryColor"], ground) > MARK
    assert contrast(theme.ON_PRIMARY, colors["primaryColor"]) > TEXT


@pytest.mark.parametrize("mode", MODES)
def test_charts_are_legible(mode: str) -> None:
    from ui import charts, lora_chart, run_charts

    ground = MODES[mode]["backgroundColor"]
    marks = [
        lora_chart.FROZEN,
        lora_chart.A,
        lora_chart.B,
        charts.RED,
        *run_charts.COLOURS.values(),
    ]
    for mark in marks:
        assert contrast(mark, ground) > MARK, mark
    assert contrast(lora_chart.INK[mode], ground) > TEXT


def test_the_system_chooses_the_mode() -> None:
    settings = theme.options()
    assert "theme.base" not in settings
    assert {name.split(".")[1] for name in settings if "Color" in name} == {"light", "dark"}
    assert not any("http" in str(value) for value in settings.values())


def test_what_is_chosen_is_written_in_the_ink_of_the_page() -> None:
    """The primary colour on the dark ground, tinted as Streamlit does, is below 4.5:1."""
    tinted = mixed(theme.DARK["primaryColor"], theme.DARK["backgroundColor"], 0.1)
    assert (
        contrast(theme.DARK["primaryColor"], tinted)
        < TEXT
        < contrast(theme.DARK["textColor"], tinted)
    )
    assert "aria-checked=true" in theme.STYLE and "color: inherit" in theme.STYLE

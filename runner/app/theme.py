"""The looks of the app: light and dark, whichever the reader's system asks for.

Colours are chosen so that text reaches a contrast of 4.5:1 and marks 3:1 (WCAG 2.2, AA), captions
included, which Streamlit writes in 60% of the text's colour. Fonts are Streamlit's own, served
from this machine.
"""

from __future__ import annotations

CAPTION = 0.6  # share of the text's colour in a caption, the rest is the background's
ON_PRIMARY = "#ffffff"  # Streamlit's text on a button of the primary colour, in both modes

LIGHT = {
    "primaryColor": "#1d5fbf",
    "backgroundColor": "#ffffff",
    "secondaryBackgroundColor": "#f6f7f9",
    "textColor": "#11161c",
    "linkColor": "#1d5fbf",
    "borderColor": "#d5d9e0",
}
DARK = {
    "primaryColor": "#3072e4",
    "backgroundColor": "#101317",
    "secondaryBackgroundColor": "#1b1f26",
    "textColor": "#e8eaed",
    "linkColor": "#8ab8ff",
    "borderColor": "#3a404a",
}
# h1 to h6: pages are read, not announced
HEADINGS = ("1.9rem", "1.2rem", "1.05rem", "1rem", "0.95rem", "0.9rem")
FIGURE = "1.75rem"  # of a metric: a time or a number of parameters fits into a narrow tile
# Streamlit writes what is chosen in the primary colour. No colour is 4.5:1 both to the dark ground
# and to the white text of buttons; what is chosen also has a line or a ground of its own.
# A link that has the focus is seen by more than a pale ground, and no heading is a stop of its own.
STYLE = """
button[role=radio][aria-checked=true], button[aria-pressed=true],
[role=tab][aria-selected=true] {color: inherit !important; font-weight: 600}
a:focus-visible {outline: 2px solid currentColor !important; outline-offset: 2px}
a[aria-label="Link to heading"] {display: none}
"""


def options() -> dict[str, object]:
    """Streamlit's settings. No base is set: the system chooses."""
    colors: dict[str, object] = {
        f"theme.{mode}.{name}": value
        for mode, theme in (("light", LIGHT), ("dark", DARK))
        for name, value in theme.items()
    }
    return {
        **colors,
        "theme.headingFontSizes": list(HEADINGS),
        "theme.metricValueFontSize": FIGURE,
    }

"""The looks of the app: light and dark, whichever the reader's system asks for.

Colours are chosen so that text reaches a contrast of 4.5:1 and marks 3:1 (WCAG 2.2, AA), captions
included, which Streamlit writes in 60% of the text's colour. Fonts are Streamlit's own, served
from this machine.
"""

from __future__ import annotations

import json

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
HEADINGS = ("1.9rem", "1.45rem", "1.2rem", "1.05rem", "1rem", "0.9rem")


def options() -> list[str]:
    """Words of Streamlit's command line. No base is set: the system chooses."""
    colors = [
        f"--theme.{mode}.{name}={value}"
        for mode, theme in (("light", LIGHT), ("dark", DARK))
        for name, value in theme.items()
    ]
    return [*colors, f"--theme.headingFontSizes={json.dumps(HEADINGS)}"]

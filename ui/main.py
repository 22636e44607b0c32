"""The navigation: one entry a page."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

HOME = Path(__file__).parent
PAGES = {
    "recipe": ("Recipe", ":material/description:"),
    "runs": ("Runs", ":material/list:"),
    "report": ("Report", ":material/fact_check:"),
}


def main() -> None:
    # a local icon: another would be fetched from outside
    st.set_page_config("Finetune Recipes", str(HOME / "icon.svg"), layout="wide")
    pages = [
        st.Page(HOME / f"{name}.py", title=title, icon=icon, default=name == "recipe")
        for name, (title, icon) in PAGES.items()
    ]
    st.navigation(pages, position="top").run()

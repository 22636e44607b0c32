"""The navigation: one entry a page."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from runner.app.theme import STYLE
from ui.current import look_at, restore

HOME = Path(__file__).parent
SIDEBAR = 220  # pixels: its entries are single words
# section → file → title, icon
PAGES: dict[str, dict[str, tuple[str, str]]] = {
    "": {"home": ("Home", ":material/home:")},
    "Write": {
        "recipe": ("Recipe", ":material/description:"),
        "data": ("Data", ":material/table_view:"),
        "checklist": ("Checklist", ":material/checklist:"),
        "plan": ("Plan", ":material/map:"),
    },
    "Train": {
        "run": ("Run", ":material/play_circle:"),
        "report": ("Report", ":material/fact_check:"),
        "runs": ("Runs", ":material/list:"),
        "playground": ("Playground", ":material/forum:"),
    },
}


def main() -> None:
    # a local icon: another would be fetched from outside. Before the navigation, which brings icons
    # of its pages, and is drawn as wide as is known by then
    st.set_page_config(
        page_icon=str(HOME / "icon.svg"), layout="wide", initial_sidebar_state=SIDEBAR
    )
    pages = {
        section: [
            st.Page(HOME / f"{name}.py", title=title, icon=icon, default=name == "home")
            for name, (title, icon) in files.items()
        ]
        for section, files in PAGES.items()
    }
    page = st.navigation(pages)
    st.set_page_config(f"{page.title} · Finetune Recipes")
    st.html(f"<style>{STYLE}</style>")
    restore()
    look_at(f"ui/{page.url_path}.py")
    page.run()

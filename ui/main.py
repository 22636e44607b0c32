"""The navigation: one entry a page."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from ui.current import look_at, restore

HOME = Path(__file__).parent
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
    # a local icon: another would be fetched from outside
    st.set_page_config("Finetune Recipes", str(HOME / "icon.svg"), layout="wide")
    pages = {
        section: [
            st.Page(HOME / f"{name}.py", title=title, icon=icon, default=name == "home")
            for name, (title, icon) in files.items()
        ]
        for section, files in PAGES.items()
    }
    page = st.navigation(pages)
    restore()
    look_at(f"ui/{page.url_path}.py")
    page.run()

"""Pictures of every page, light and dark, of the legal example and two short runs of it. Those that
the README shows go to docs/screenshots.

    python benchmarks/screenshots.py [--into build/screenshots] [--steps 12] [--folder FOLDER]

The runs train the default model for some minutes; they are kept in FOLDER and not done again.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from browser import Server, Window, chromium, window

from ui.main import PAGES

RECIPES = Path(__file__).parents[1] / "recipes"
RECIPE = Path(sys.executable).with_name("recipe")
DOCS = Path(__file__).parents[1] / "docs/screenshots"
IN_README = ("recipe", "report", "playground")
THEMES = ("light", "dark")
SIZES = {"": (1280, 900), "-narrow": (400, 860)}
FILES = {title: file for files in PAGES.values() for file, (title, _) in files.items()}
ANSWER_SECONDS = 180  # a model is loaded first
DRAWING = 2500  # milliseconds until charts are drawn


def main(into: Path, steps: int, folder: Path) -> None:
    runs = made(folder, steps)
    into.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        server = Server(folder, [str(RECIPE)], os.environ).start()
        try:
            for theme in THEMES:
                for suffix, (width, height) in SIZES.items():
                    size = {"width": width, "height": height}
                    one = window(browser, server.url, color_scheme=theme, viewport=size)
                    one.page.set_default_timeout(ANSWER_SECONDS * 1000)
                    one.click("legal.json")
                    one.page.wait_for_url("**draft=*")
                    for title in FILES:
                        show(one, server, title, runs)
                        name = f"{title.lower()}{suffix}-{theme}.png"
                        one.page.screenshot(path=into / name)
                        print(into / name)
                    one.page.context.close()
        finally:
            server.end()
    for page in IN_README:
        shutil.copyfile(into / f"{page}-light.png", DOCS / f"{page}.png")


def show(one: Window, server: Server, title: str, runs: list[str]) -> None:
    """The page as a user sees it in the middle of the work: by its address, as a reload does."""
    of_a_run = f"run={runs[-1]}"
    about = {"Data": "view=Profile", "Run": of_a_run, "Report": of_a_run, "Playground": of_a_run}
    draft = one.page.url.partition("draft=")[2].partition("&")[0]
    page = "" if title == "Home" else FILES[title]
    one.page.goto(f"{server.url}/{page}?draft={draft}&{about.get(title, '')}")
    one.until("tag => document.querySelector(tag)?.textContent", "h1")
    one.settled()
    if title == "Checklist":
        everything = one.page.get_by_role("button", name="Check everything")
        if everything.is_visible():
            everything.click()
        one.sees("Mend what can be mended")
    if title == "Playground":
        one.click("Ask a test question")
        one.sees("a second")  # how fast the last of the answers came
        one.sees_no_more("Stop")
    one.page.wait_for_timeout(DRAWING)


def made(folder: Path, steps: int) -> list[str]:
    """The example in `folder`, and the names of its runs, oldest first."""
    if not (folder / "legal.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(RECIPES / "legal", folder / "legal")
        shutil.copyfile(RECIPES / "legal.json", folder / "legal.json")
    for rank in (8, 16):
        runs = sorted(path.parent.name for path in folder.glob("runs/*/report.json"))
        if len(runs) < 1 + (rank == 16):
            command = [RECIPE, "run", "legal.json", "--max-steps", str(steps)]
            subprocess.run([*command, "--set", f"method.rank={rank}"], cwd=folder, check=False)
    return sorted(path.parent.name for path in folder.glob("runs/*/report.json"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--into", type=Path, default=Path("build/screenshots"))
    parser.add_argument("--steps", type=int, default=12)
    folder = Path(tempfile.gettempdir()) / "recipe-screenshots"
    parser.add_argument("--folder", type=Path, default=folder)
    given = parser.parse_args()
    main(given.into, given.steps, given.folder)

"""What the app asks for: recipes at hand, a draft judged, its plan as text; and the server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dsl.errors import InvalidRecipe, RunError
from dsl.source import MAX_BYTES, decode, parse
from runner.probe import Surroundings
from runner.read import Read, judge, planned
from runner.reasons import reasons
from runner.show import plan_lines, problem_lines

RUNS = "RECIPE_RUNS"  # the variable by which the server's pages learn the folder of the runs
SUFFIXES = (".json", ".yaml", ".yml")
# the names by which a browser may call it: another site's name, pointed here, is refused
HOSTS = ("127.0.0.1", "localhost")
SETTINGS = {
    "server.address": "127.0.0.1",
    "server.enableXsrfProtection": "true",
    "server.enableStaticServing": "false",
    "server.fileWatcherType": "none",
    "server.maxUploadSize": "1",
    "server.showEmailPrompt": "false",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "viewer",
    "client.showErrorDetails": "none",
    "client.showErrorLinks": "false",
}


def serve(port: int, runs: Path) -> int:
    """Serves the app on 127.0.0.1 until it is stopped. Returns the exit status of the server.

    Without a display no browser is opened: that is Streamlit's own rule. Raises RunError.
    """
    page = Path(__file__).resolve().parent.parent / "app.py"
    if not page.is_file():
        raise RunError(f"{page} is missing", "install the package again")
    command = [sys.executable, "-m", "streamlit", "run", str(page), f"--server.port={port}"]
    command += [f"--{name}={value}" for name, value in SETTINGS.items()]
    command += [f"--server.allowedHosts={host}" for host in HOSTS]
    server = subprocess.Popen(command, env=os.environ | {RUNS: str(runs.absolute())})
    try:
        return server.wait()
    except KeyboardInterrupt:
        # Ctrl-C reached the server too: it closes its connections and ends
        server.wait()
        return 0


def runs_folder() -> Path:
    """The folder of the runs that the pages show."""
    return Path(os.environ.get(RUNS, "runs"))


def recipes(folder: Path) -> list[Path]:
    """Files in `folder` and one level below that name both a model and data, sorted."""
    found = (p for pattern in ("*", "*/*") for p in folder.glob(pattern) if p.suffix in SUFFIXES)
    return sorted(path for path in found if path.is_file() and _is_recipe(path))


def text_of(path: Path) -> str:
    """The text of a recipe file. Raises InvalidRecipe."""
    return decode(path.read_bytes(), path.name)


def draft(text: str, name: str, folder: Path) -> Read:
    """A draft as 'recipe validate' sees a file of this name in `folder`.

    Raises InvalidRecipe where the text cannot be parsed.
    """
    return judge(parse(text, name), Surroundings(folder))


def plan_text(found: Read, runs: Path) -> str:
    """What 'recipe plan' prints, data checks included. Raises RecipeError."""
    from runner.data import checks

    with planned(found.valid()) as made:
        lines = list(plan_lines(made.plan, reasons(made, runs)))
        if noted := [f for f in made.prepared.findings if f.state in ("warn", "error")]:
            lines += ["", "data checks", *(f"  {line}" for line in checks.describe(noted))]
        if made.problems:
            lines += ["", *problem_lines(made.problems, found.source.name)]
    return "\n".join(lines)


def _is_recipe(path: Path) -> bool:
    try:
        if path.stat().st_size > MAX_BYTES:  # a data file may be of any size
            return False
        values = parse(text_of(path), path.name).values
    except (InvalidRecipe, OSError):
        return False
    return "model" in values and "data" in values

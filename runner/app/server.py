"""The server of the app: Streamlit on 127.0.0.1, as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from dsl.errors import RunError

PAGE = Path(__file__).resolve().parents[2] / "app.py"
RUNS = "RECIPE_RUNS"  # the variable by which the server's pages learn the folder of the runs
UPLOAD_MB = 200
SETTINGS: dict[str, str | int | bool] = {
    "server.address": "127.0.0.1",
    "server.enableXsrfProtection": True,
    "server.enableCORS": True,
    "server.enableAgentApi": False,
    "server.enableStaticServing": False,
    "server.fileWatcherType": "none",
    "server.maxUploadSize": UPLOAD_MB,
    "server.showEmailPrompt": False,
    "browser.gatherUsageStats": False,
    "client.toolbarMode": "viewer",
    "client.showErrorDetails": "none",
    "client.showErrorLinks": False,
}


def serve(port: int, runs: Path) -> int:
    """Serves the app on 127.0.0.1 until it is stopped. Returns the exit status of the server.

    Without a display no browser is opened. Raises RunError.
    """
    if not PAGE.is_file():
        raise RunError(f"{PAGE} is missing", "install the package again")
    # -P and the folder: nothing that lies in the user's folder may stand in for the app's own
    command = [sys.executable, "-P", "-m", "runner.app.site", str(port), str(Path.cwd())]
    environment = os.environ | {RUNS: str(runs.absolute())}
    server = subprocess.Popen(command, cwd=PAGE.parent, env=environment)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    try:
        return server.wait()
    except KeyboardInterrupt:
        # Ctrl-C reached the server too: it closes its connections and ends
        server.wait()
        return 0


def runs_folder() -> Path:
    """The folder of the runs that the pages show."""
    return Path(os.environ.get(RUNS, "runs"))

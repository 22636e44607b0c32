"""The server of the app: Streamlit on 127.0.0.1, as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from dsl.errors import RunError
from runner.app import theme

RUNS = "RECIPE_RUNS"  # the variable by which the server's pages learn the folder of the runs
# the names by which a browser may call it: another site's name, pointed here, is refused
HOSTS = ("127.0.0.1", "localhost")
SETTINGS = {
    "server.address": "127.0.0.1",
    "server.enableXsrfProtection": "true",
    "server.enableStaticServing": "false",
    "server.fileWatcherType": "none",
    "server.maxUploadSize": "200",
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
    page = Path(__file__).resolve().parents[2] / "app.py"
    if not page.is_file():
        raise RunError(f"{page} is missing", "install the package again")
    command = [sys.executable, "-m", "streamlit", "run", str(page), f"--server.port={port}"]
    command += [f"--{name}={value}" for name, value in SETTINGS.items()]
    command += [f"--server.allowedHosts={host}" for host in HOSTS]
    command += theme.options()
    server = subprocess.Popen(command, env=os.environ | {RUNS: str(runs.absolute())})
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

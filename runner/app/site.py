"""The process that serves the app: `python -P -m runner.app.site PORT FOLDER`.

Streamlit takes settings, secrets and modules from the folder in which it starts. The user's folder
may come from anybody: so it starts elsewhere, and goes there once they are read.
"""

from __future__ import annotations

import asyncio
import os
import sys
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from runner.app.guard import Guard
from runner.app.server import PAGE, SETTINGS
from runner.app.theme import options

OPENING_SECONDS = 0.3  # until the server listens


def main(port: int, folder: Path) -> None:
    """Serves until it is stopped."""
    import streamlit as st
    from starlette.middleware import Middleware

    @asynccontextmanager
    async def standing(_: object) -> AsyncIterator[None]:
        os.chdir(folder)
        if not st.get_option("server.headless"):
            url = f"http://{SETTINGS['server.address']}:{port}"
            asyncio.get_running_loop().call_later(OPENING_SECONDS, webbrowser.open, url)
        yield

    sys.argv = [str(PAGE)]  # Streamlit looks for modules beside what was started
    app = st.App(PAGE, middleware=[Middleware(Guard)], lifespan=standing)
    with suppress(KeyboardInterrupt):  # told once more when all connections are closed
        app.run(config={**SETTINGS, **options(), "server.port": port})


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))

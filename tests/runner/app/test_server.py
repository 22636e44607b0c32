"""The server of the app: where it listens, and how it ends; which files it takes for recipes."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

from dsl.source import MAX_BYTES
from runner.app.recipes import recipes


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_server_listens_on_this_machine_alone_and_ends_on_interrupt(tmp_path: Path) -> None:
    port = free_port()
    code = (
        "import sys, pathlib, runner.app.server as a; sys.exit(a.serve({}, pathlib.Path('runs')))"
    )
    environment = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    process = subprocess.Popen(
        [sys.executable, "-c", code.format(port)],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert answer(f"http://127.0.0.1:{port}/_stcore/health") == "ok"
        assert listening(port) == {"0100007F"}
        # a name that another site points here must not open the app's connection
        assert handshake(port, f"127.0.0.1:{port}") == 101
        assert handshake(port, f"elsewhere.example:{port}") == 403
    finally:
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in said


def answer(url: str) -> str:
    for _ in range(300):
        with suppress(OSError), urllib.request.urlopen(url, timeout=5) as response:
            return str(response.read().decode())
        time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


def handshake(port: int, host: str) -> int:
    """Status of the answer to a websocket handshake that names this host."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Host": host, "Origin": f"http://{host}", "Connection": "Upgrade"}
    headers |= {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    headers |= {"Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode()}
    connection.request("GET", "/_stcore/stream", headers=headers)
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def listening(port: int) -> set[str]:
    """Addresses, in the kernel's notation, on which something listens at this port."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, _, number = local.partition(":")
            if state == "0A" and int(number, 16) == port:
                found.add(address)
    return found


def test_recipes_are_told_from_other_files(tmp_path: Path) -> None:
    valid = '{"name": "x", "model": {"base": "x"}, "data": {}}'
    (tmp_path / "below").mkdir()
    for name, text in {
        "a.json": valid,
        "below/b.json": valid,
        "below/c.yaml": "model: {}\ndata: {}\n",
        "list.json": "[1]",
        "broken.json": "{",
        "other.json": "{}",
        "data.jsonl": valid,
        "large.json": valid + " " * MAX_BYTES,
    }.items():
        (tmp_path / name).write_text(text, "utf-8")
    found = [str(path.relative_to(tmp_path)) for path in recipes(tmp_path)]
    assert found == ["a.json", "below/b.json", "below/c.yaml"]

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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

from dsl.source import MAX_BYTES
from runner.app.recipes import recipes


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(folder: Path) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """The app standing in `folder`: its port, and the process to be ended by who asks."""
    port = free_port()
    code = "import sys, pathlib, runner.app.server as a; sys.exit(a.serve({}, pathlib.Path('r')))"
    environment = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", code.format(port)],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert answer(f"http://127.0.0.1:{port}/_stcore/health") == "ok"
        yield port, process
    finally:
        os.killpg(process.pid, signal.SIGINT)


def test_the_server_listens_on_this_machine_alone_and_ends_on_interrupt(tmp_path: Path) -> None:
    with served(tmp_path) as (port, process):
        assert listening(port) == {"0100007F"}
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in said


def test_the_folder_of_the_user_changes_nothing_of_the_server(tmp_path: Path) -> None:
    """It may be anybody's: what Python and Streamlit would take from it is not taken."""
    for name in ("streamlit", "click", "uvicorn", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("open('executed', 'w')\n", "utf-8")
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit/config.toml").write_text(
        '[server]\nenableCORS = false\nallowedHosts = ["*"]\nenableAgentApi = true\n'
        'address = "0.0.0.0"\n[theme]\nfont = "Elsewhere:https://elsewhere.example/a.css"\n'
    )
    with served(tmp_path) as (port, process):
        here = f"127.0.0.1:{port}"
        assert handshake(port, here, f"http://{here}") == 101
        assert handshake(port, here, "https://elsewhere.example") == 403
        assert handshake(port, here, f"http://127.0.0.1:{free_port()}") == 403
        assert (
            handshake(port, f"elsewhere.example:{port}", f"http://elsewhere.example:{port}") == 403
        )
        assert asked(port, "/", here).status == 200
        for path in ("/", "/_stcore/health", "/_stcore/upload_file/a/b", "/media/a"):
            assert asked(port, path, f"elsewhere.example:{port}").status == 403, path
        agent = asked(port, "/_stcore/agent/interact", here, "POST")
        assert b"does not serve the agent API" in agent.read()
        policy = asked(port, "/", here).headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert listening(port) == {"0100007F"}
    assert "elsewhere" not in process.communicate(timeout=60)[0]
    assert not (tmp_path / "executed").exists()


def answer(url: str) -> str:
    for _ in range(300):
        with suppress(OSError), urllib.request.urlopen(url, timeout=5) as response:
            return str(response.read().decode())
        time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


def asked(port: int, path: str, host: str, method: str = "GET") -> HTTPResponse:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    body = b"{}" if method == "POST" else None
    headers = {"Host": host, "Content-Type": "application/json"}
    connection.request(method, path, body, headers)
    return connection.getresponse()


def handshake(port: int, host: str, origin: str) -> int:
    """Status of the answer to a websocket handshake that names this host and origin."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Host": host, "Origin": origin, "Connection": "Upgrade"}
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
        "slip.json": valid.rstrip("}"),
        "other.json": "{}",
        "data.jsonl": valid,
        "large.json": valid + " " * MAX_BYTES,
    }.items():
        (tmp_path / name).write_text(text, "utf-8")
    found = [str(path.relative_to(tmp_path)) for path in recipes(tmp_path)]
    assert found == ["a.json", "below/b.json", "below/c.yaml", "slip.json"]

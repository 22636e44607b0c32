"""Datasets of the hub: fetched once, kept by commit, and every failure told in one line."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import dsl
from dsl.errors import DataError
from runner.data.files import records, sniff
from runner.data.hub import fetch

ROOT = Path(dsl.__file__).parents[1]
ROWS = [{"prompt": f"q {n}", "completion": "ü"} for n in range(3)]
FIRST, SECOND = "1" * 40, "2" * 40  # the rows there are, and the commit that has them
ASKED: list[str] = []


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECIPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder laid out as a dataset."""
    path = tmp_path / "dataset"
    path.mkdir()
    (path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (path / "test.jsonl").write_text(json.dumps(ROWS[0]) + "\n")
    return path


def rows(path: Path) -> list[dict[str, object] | None]:
    return [row for _, row, _ in records(sniff(path, path.name))]


def test_folder_is_kept_by_its_content(folder: Path, cache: Path) -> None:
    path, commit = fetch(str(folder), None, "train", None)
    assert rows(path) == ROWS
    assert path.is_relative_to(cache)
    written = path.stat().st_mtime_ns
    assert fetch(str(folder), None, "train", None) == (path, commit)
    assert path.stat().st_mtime_ns == written
    assert rows(fetch(str(folder), None, "test", None)[0]) == ROWS[:1]
    (folder / "train.jsonl").write_text(json.dumps(ROWS[2]) + "\n")
    changed, other = fetch(str(folder), None, "train", None)
    assert other != commit and rows(changed) == ROWS[2:]
    assert {path.name for path in changed.parent.iterdir()} == {
        "commit", f"{commit}.parquet", f"{other}.parquet",
    }  # fmt: skip


WRONG: dict[str, tuple[str | None, str, str]] = {
    "split": (None, "dev", "Unknown split"),
    "config": ("other", "train", "'other' not found"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_in_the_dataset(case: str, folder: Path, cache: Path) -> None:
    config, split, words = WRONG[case]
    with pytest.raises(DataError, match=words) as caught:
        fetch(str(folder), config, split, None)
    assert "\n" not in caught.value.message and caught.value.message.startswith(str(folder))
    assert not list(cache.rglob("*.parquet"))


def test_code_of_a_dataset_is_not_run(folder: Path) -> None:
    (folder / "train.jsonl").unlink()
    (folder / "test.jsonl").unlink()
    (folder / "dataset.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")
    with pytest.raises(DataError, match="scripts are no longer supported"):
        fetch(str(folder), None, "train", None)
    assert not (folder / "ran").exists()


def test_token_is_looked_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_TOKEN", raising=False)
    with pytest.raises(DataError, match="SOME_TOKEN holds no token"):
        fetch(str(folder), None, "train", None, "SOME_TOKEN")
    monkeypatch.setenv("SOME_TOKEN", "AKIA-of-another-service")
    with pytest.raises(DataError, match="SOME_TOKEN holds is no token of the hub") as error:
        fetch(str(folder), None, "train", None, "SOME_TOKEN")
    assert "AKIA" not in f"{error.value.message}{error.value.hint}"
    monkeypatch.setenv("SOME_TOKEN", "hf_secret")
    assert rows(fetch(str(folder), None, "train", None, "SOME_TOKEN")[0]) == ROWS


# ---------------------------------------------------------------- the hub itself, in a process


class Hub(BaseHTTPRequestHandler):
    """Answers as the hub: org/rows has the file train.jsonl, whose commit can move."""

    commit = FIRST

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        ASKED.append(f"{self.headers.get('Authorization')} {path}")
        commit = next((commit for commit in (FIRST, SECOND) if commit in path), self.commit)
        lines = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS[: int(commit[0])])
        files = [{"type": "file", "path": "train.jsonl", "size": len(lines), "oid": "a" * 40}]
        info = {"id": "org/rows", "sha": commit, "private": False, "tags": [],
                "siblings": [{"rfilename": "train.jsonl"}]}  # fmt: skip
        if "org/rows" not in path:
            self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif "/revision/no" in path:
            self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif path.endswith("/train.jsonl"):
            self.answer(200, lines, {"X-Repo-Commit": commit, "ETag": f'"{commit}"'})
        elif "/resolve/" in path:
            self.answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        elif "/tree/" in path or "/paths-info/" in path:
            self.answer(200, json.dumps(files).encode())
        else:
            self.answer(200, json.dumps(info).encode())

    do_POST = do_GET

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    Hub.commit = FIRST
    ASKED.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def in_process(tmp_path: Path, *calls: str, **environ: str) -> list[str]:
    """What fetch(...) gives for each call: the endpoint is read at import, so in a process."""
    code = (
        "import json, sys\n"
        "from dsl.errors import DataError\n"
        "from runner.data.files import records, sniff\n"
        "from runner.data.hub import fetch\n"
        "for call in sys.argv[1:]:\n"
        "    try:\n"
        "        path, commit = fetch(*json.loads(call))\n"
        "        print(commit, len(list(records(sniff(path, path.name)))))\n"
        "    except DataError as error:\n"
        "        print('DataError', error.message, '|', error.hint)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path / "hf"),
                   "NO_PROXY": "127.0.0.1", **environ}  # fmt: skip
    if "HF_HUB_OFFLINE" not in environ:
        environment.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run(
        [sys.executable, "-c", code, *calls],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def call(dataset: str, revision: str | None = None, token: str | None = None) -> str:
    return json.dumps([dataset, None, "train", revision, token])


def test_hub(endpoint: str, tmp_path: Path) -> None:
    rows, pinned = call("org/rows"), call("org/rows", FIRST)
    said = in_process(
        tmp_path, rows, rows, call("org/rows", "main", "SOME_TOKEN"), call("org/none"),
        call("org/rows", "no"), call("not a name"), HF_ENDPOINT=endpoint, SOME_TOKEN="hf_secret",
    )  # fmt: skip
    assert said[:3] == [f"{FIRST} 1"] * 3
    assert "the hub has no dataset org/none" in said[3] and "token" in said[3]
    assert "org/rows has no revision no" in said[4]
    assert "not a name is no name of a hub dataset" in said[5]
    assert any(asked.startswith("Bearer hf_secret ") for asked in ASKED)
    Hub.commit = SECOND
    assert in_process(tmp_path, pinned, rows, HF_ENDPOINT=endpoint) == [
        f"{FIRST} 1", f"{SECOND} 2",
    ]  # fmt: skip
    offline = in_process(tmp_path, rows, pinned, call("org/other"), HF_HUB_OFFLINE="1")
    assert offline[:2] == [f"{SECOND} 2", f"{FIRST} 1"]
    assert offline[2].startswith("DataError org/other is not on this machine and the hub cannot")


def test_no_network_is_told(tmp_path: Path) -> None:
    with socket.socket() as bound:  # a port that nobody listens on
        bound.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{bound.getsockname()[1]}"
        (said,) = in_process(tmp_path, call("org/rows"), HF_ENDPOINT=endpoint)
    assert said.startswith("DataError org/rows is not on this machine and the hub cannot be")

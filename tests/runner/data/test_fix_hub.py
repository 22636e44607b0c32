"""--fix of a dataset of the hub: the cleaned copy stands by itself, without the hub."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from runner.data.checks import CHECKS
from runner.data.fix import CHANGES

ON = ("malformed", "missing", "duplicates", "leakage")
COMMIT, TOKEN = "1" * 40, "hf_of-a-private-one"


def words(rng: random.Random, number: int) -> str:
    return " ".join("".join(rng.choices("bcdfglmnprstaeiou", k=7)) for _ in range(number))


def rows(seed: int, count: int) -> list[dict[str, str]]:
    rng = random.Random(seed)
    return [{"prompt": words(rng, 6), "completion": words(rng, 9)} for _ in range(count)]


TRAIN, TEST = rows(1, 60), rows(2, 9)
# a row of the split train stands twice, one has no answer, one asks what the split test asks
SPLITS = {
    "train.jsonl": [*TRAIN, TRAIN[3], {"prompt": "Why?", "completion": " "}, TEST[4]],
    "test.jsonl": TEST,
}
FILES = {
    name: b"".join(json.dumps(row).encode() + b"\n" for row in split)
    for name, split in SPLITS.items()
}


class Hub(BaseHTTPRequestHandler):
    """Answers as the hub that has the dataset org/rows alone, for who brings the token."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        name = path.rpartition("/")[2]
        if self.headers.get("Authorization") != f"Bearer {TOKEN}" or "org/rows" not in path:
            self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif "/resolve/" in path and name in FILES:
            self.answer(200, FILES[name], {"ETag": f'"{name}"', "X-Repo-Commit": COMMIT})
        elif "/resolve/" in path:
            self.answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        elif "/tree/" in path or "/paths-info/" in path:
            listed = [
                {"type": "file", "path": name, "size": len(content), "oid": "a" * 40}
                for name, content in FILES.items()
            ]
            self.answer(200, json.dumps(listed).encode())
        else:
            siblings = [{"rfilename": name} for name in FILES]
            info = {"id": "org/rows", "sha": COMMIT, "private": True, "tags": []}
            self.answer(200, json.dumps({**info, "siblings": siblings}).encode())

    do_HEAD = do_POST = do_GET

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def read_rows(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_dataset_of_the_hub_is_cleaned_into_files(
    endpoint: str, recipe: Callable[..., Any], tmp_path: Path
) -> None:
    source = {
        "type": "hub", "dataset": "org/rows", "revision": "main", "token": {"env": "SOME_TOKEN"},
        "columns": {"prompt": "prompt"},
    }  # fmt: skip
    data = {
        "train": [source],
        "test": [{**source, "split": "test"}],
        "checks": {check: "off" for check in CHECKS if check not in ON},
    }
    values = {"name": "tiny", "model": {"base": "smollm2-135m-instruct"}, "data": data}
    (tmp_path / "tiny.json").write_text(json.dumps(values))
    online = {"HF_ENDPOINT": endpoint, "NO_PROXY": "127.0.0.1", "HF_HUB_OFFLINE": "0",
              "HF_HOME": str(tmp_path / "hf"), "SOME_TOKEN": TOKEN}  # fmt: skip

    told = recipe("check", "tiny.json", "--json", cwd=tmp_path, **online)
    counts = {found["check"]: found["count"] for found in told.json["findings"]}
    assert {check: counts[check] for check in ON} == {
        "malformed": 0, "missing": 1, "duplicates": 2, "leakage": 1,
    }  # fmt: skip

    fixed = recipe("check", "tiny.json", "--fix", cwd=tmp_path, **online)
    assert fixed.code == 0, fixed.err
    assert "wrote tiny-clean/tiny.json" in fixed.out
    clean = tmp_path / "tiny-clean"
    made = json.loads((clean / "tiny.json").read_text())
    assert made["data"]["train"] == [
        {"columns": {"prompt": "prompt"}, "path": "org/rows/train.jsonl"}
    ]
    assert made["data"]["test"] == [
        {"columns": {"prompt": "prompt"}, "path": "org/rows/test.jsonl"}
    ]
    assert made | {"data": None} == values | {"data": None}
    assert read_rows(clean / "org" / "rows" / "train.jsonl") == TRAIN
    assert read_rows(clean / "org" / "rows" / "test.jsonl") == TEST
    changes = read_rows(clean / CHANGES)
    assert [(change["source"], change["line"], change["row"]) for change in changes] == [
        ("org/rows/train", line, SPLITS["train.jsonl"][line - 1]) for line in (61, 62, 63)
    ]
    assert not any(TOKEN in path.read_text() for path in clean.rglob("*") if path.is_file())

    # nothing listens there any more
    again = recipe("check", "tiny.json", "--fix", cwd=clean, HF_ENDPOINT="http://127.0.0.1:9")
    assert again.code == 0, again.err
    assert again.out.splitlines()[-1].startswith("nothing to fix")

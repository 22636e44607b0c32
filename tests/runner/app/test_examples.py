"""An example brought into the folder of the app: once, and never over what is there."""

from __future__ import annotations

import json
from pathlib import Path

from runner.app.examples import bring


def test_an_example_is_brought_once(tmp_path: Path) -> None:
    brought = bring("legal", tmp_path)
    assert brought.fresh and brought.path == tmp_path / "legal.json"
    source = json.loads(brought.path.read_text("utf-8"))["data"]["train"][0]["path"]
    assert (tmp_path / source).is_file()
    brought.path.write_text('{"mine": true}', "utf-8")
    again = bring("legal", tmp_path)
    assert again.path == brought.path and not again.fresh
    assert again.path.read_text("utf-8") == '{"mine": true}'


def test_data_of_the_same_name_are_left_alone(tmp_path: Path) -> None:
    source = json.loads(bring("legal", tmp_path / "other").path.read_text("utf-8"))
    mine = tmp_path / source["data"]["train"][0]["path"]
    mine.parent.mkdir(parents=True)
    mine.write_text("mine", "utf-8")
    brought = bring("legal", tmp_path)
    assert brought.fresh and brought.path == tmp_path / "example-legal" / "legal.json"
    assert mine.read_text("utf-8") == "mine"
    assert bring("legal", tmp_path) == type(brought)(brought.path, False)

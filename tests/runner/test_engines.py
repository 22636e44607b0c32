"""The local engine: what a step's process is, and what it is not."""

from __future__ import annotations

import subprocess
from pathlib import Path

from runner.engines.local import command


def test_a_module_of_the_users_folder_stands_in_for_none_of_ours(tmp_path: Path) -> None:
    for name in ("json", "runner", "torch", "signal"):
        (tmp_path / f"{name}.py").write_text("open('executed', 'w')\n", "utf-8")
    words = command(tmp_path / "no-run", "train", 1)
    assert subprocess.run(words, cwd=tmp_path, capture_output=True).returncode
    assert not (tmp_path / "executed").exists()
    words.remove("-P")
    subprocess.run(words, cwd=tmp_path, capture_output=True)
    assert (tmp_path / "executed").exists()

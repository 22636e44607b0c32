"""A checkpoint counts when its manifest and every hash in it say so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.train.checkpoints import damage, in_order, latest, prune, seal


def checkpoint(folder: Path, step: int) -> Path:
    made = folder / f"checkpoint-{step}"
    (made / "deeper").mkdir(parents=True)
    (made / "weights.bin").write_bytes(bytes([step % 256]) * 1000)
    (made / "deeper" / "state.json").write_text("{}")
    seal(made)
    return made


def flip(folder: Path) -> None:
    content = bytearray((folder / "weights.bin").read_bytes())
    content[500] ^= 1
    (folder / "weights.bin").write_bytes(content)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit": (flip, "weights.bin is damaged"),
    "a torn file": (lambda f: (f / "weights.bin").write_bytes(b"x"), "weights.bin is damaged"),
    "a missing file": (
        lambda f: (f / "deeper/state.json").unlink(),
        "deeper/state.json is missing",
    ),
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "it was not finished"),
    "a torn manifest": (lambda f: (f / "manifest.json").write_text('{"fi'), "it was not finished"),
    "another manifest": (lambda f: (f / "manifest.json").write_text("{}"), "it was not finished"),
}


@pytest.mark.parametrize(("harm", "reason"), DAMAGES.values(), ids=DAMAGES)
def test_damage_is_found_and_passed_over(
    harm: Callable[[Path], object], reason: str, tmp_path: Path
) -> None:
    older, newer = checkpoint(tmp_path, 9), checkpoint(tmp_path, 10)
    assert latest([tmp_path]) == (newer, [])
    harm(newer)
    assert damage(newer) == reason
    assert latest([tmp_path]) == (older, [f"checkpoint-10 is passed over: {reason}"])


def test_nothing_whole_is_nothing(tmp_path: Path) -> None:
    assert latest([tmp_path]) == (None, [])
    flip(checkpoint(tmp_path, 3))
    found, passed = latest([tmp_path])
    assert found is None
    assert len(passed) == 1


def test_the_furthest_step_counts_over_all_attempts(tmp_path: Path) -> None:
    first, second = tmp_path / "001", tmp_path / "002"
    checkpoint(first, 8)
    furthest = checkpoint(first, 100)
    checkpoint(second, 20)
    (first / "checkpoint-next").mkdir()
    (first / "checkpoint-999").write_text("a file")
    assert [p.name for p in in_order([first, second])] == [
        "checkpoint-8",
        "checkpoint-20",
        "checkpoint-100",
    ]
    assert latest([first, second, tmp_path / "none"]) == (furthest, [])


@pytest.mark.parametrize(
    ("keep", "best", "left"),
    [(1, None, {4}), (2, None, {3, 4}), (1, "checkpoint-2", {2, 4}), (9, None, {1, 2, 3, 4})],
)
def test_prune_spares_the_newest_and_the_best(
    keep: int, best: str | None, left: set[int], tmp_path: Path
) -> None:
    for step in (1, 2, 3, 4):
        checkpoint(tmp_path, step)
    prune(tmp_path, keep, best and f"somewhere/else/{best}")
    assert {p.name for p in tmp_path.iterdir()} == {f"checkpoint-{step}" for step in left}

"""Training inside the tests' own process: torch and TRL are imported once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pyarrow import Table

from dsl.compile import compile as compile_plan
from dsl.facts import Facts, Hardware, PartFacts
from dsl.recipe import Recipe
from dsl.recipe import read as read_recipe
from runner.bases import chat_format, locate, tokenizer
from runner.data.prepare import prepare
from runner.data.tokens import read_tokens, tokenise
from runner.runs.events import EventLog, read_events

Tokens = dict[str, Table]


@dataclass(frozen=True)
class Trained:
    """What a training left behind."""

    finished: bool
    output: Path
    checkpoints: Path
    events: list[dict[str, Any]]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    @property
    def losses(self) -> list[float]:
        return [event["loss"] for event in self.of("train")]


Training = Callable[..., Trained]


@contextmanager
def own_threads() -> Iterator[None]:
    """Threads and determinism are of the whole process: they are put back."""
    import torch

    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="session")
def compiled(tiny_recipe: Callable[..., dict[str, Any]]) -> Callable[..., Recipe]:
    """A recipe with every value that the passes derive, for a CPU of one thread."""

    def made(**sections: Any) -> Recipe:
        recipe, origins = read_recipe(tiny_recipe(**sections))
        base = locate(recipe.model.base, None, Path())
        facts = Facts(
            model=base.model,
            parts={"train": PartFacts(63, 63, 2000, 2000), "validation": PartFacts(9, 9, 300, 300)},
            hardware=Hardware("cpu", "a CPU", 8 << 30, 1, False),
        )
        return compile_plan(recipe, origins, facts).recipe

    return made


@pytest.fixture(scope="session")
def tokens(
    tmp_path_factory: pytest.TempPathFactory,
    compiled: Callable[..., Recipe],
    write_recipe: Callable[..., Path],
    tiny_model: Path,
) -> Tokens:
    folder = tmp_path_factory.mktemp("tokens")
    write_recipe(folder)
    recipe = compiled()
    prepared = prepare(recipe, folder)
    prepared.write(folder / "data")
    prepared.close()
    names = ("train", "validation")
    parts = {name: folder / "data" / f"{name}.parquet" for name in names}
    chat, words = chat_format(tiny_model, "2026-01-01"), tokenizer(tiny_model)
    tokenise(recipe, chat, words, parts, folder / "tokens")
    return {name: read_tokens(folder / "tokens" / f"{name}.parquet") for name in names}


@pytest.fixture
def training(
    tmp_path: Path, compiled: Callable[..., Recipe], tokens: Tokens, tiny_model: Path
) -> Training:
    """training(name, stop=..., resume=..., tokens=..., **sections) → Trained."""
    from runner.train.job import TrainJob
    from runner.train.load import prepare_process
    from runner.train.loop import train

    def run(
        name: str = "run",
        stop: Callable[[], bool] = lambda: False,
        resume: Path | None = None,
        tokens: Tokens = tokens,
        **sections: Any,
    ) -> Trained:
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        recipe = compiled(**sections)
        job = TrainJob(
            recipe=recipe,
            base=tiny_model,
            tokens=tokens,
            root=root,
            checkpoints=Path("attempts/001/checkpoints"),
            output=root / "output",
            resume=resume,
            stop=stop,
            events=EventLog(root / "events.jsonl", "train", 1),
        )
        (root / "attempts/001").mkdir(parents=True, exist_ok=True)
        with own_threads():
            prepare_process(recipe)
            finished = train(job)
        events = read_events(root / "events.jsonl")
        return Trained(finished, job.output, root / job.checkpoints, events)

    return run


__all__ = ["Tokens", "Trained", "Training", "replace"]

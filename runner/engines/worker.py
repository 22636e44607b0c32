"""What a child executes: python -m runner.engines.worker RUN STEP ATTEMPT.

A child reads only the run directory (and the cache), works one step, and tells what happened by
events and its exit status: 0 done, 1 failed (the reason is an event), 143 stopped on request.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsl.errors import Interrupted, RecipeError
from dsl.recipe import Recipe, build
from runner.runs.events import EventLog
from runner.runs.process import Heartbeat
from runner.runs.store import RunFolder, read_json

STOPPED = 143


@dataclass(frozen=True, slots=True)
class Job:
    """One step of one run."""

    run: RunFolder
    plan: dict[str, Any]
    recipe: Recipe
    attempt: int
    events: EventLog
    stop: Callable[[], bool]

    @property
    def facts(self) -> dict[str, Any]:
        """What the supervisor recorded for its children."""
        return read_json(self.run.attempt(self.attempt) / "job.json")

    @property
    def base(self) -> Path:
        return Path(self.facts["base"])

    def fingerprint(self, step: str) -> str:
        return next(str(s["fingerprint"]) for s in self.plan["steps"] if s["name"] == step)


def main(arguments: list[str]) -> int:
    folder, step, attempt = arguments
    run, number = RunFolder(Path(folder)), int(attempt)
    events = EventLog(run.events, step, number)
    try:
        plan = read_json(run.plan)
        recipe = build(plan["recipe"])
        with Heartbeat(run, step, number) as heart:
            quiet()
            job = Job(run, plan, recipe, number, events, heart.stopping)
            return 0 if STEPS[step](job) else STOPPED
    except (Interrupted, KeyboardInterrupt):
        return STOPPED
    except RecipeError as error:
        events("failed", message=error.message, hint=error.hint)
    except OSError as error:
        traceback.print_exc()
        where = f": {error.filename}" if error.filename else ""
        events("failed", message=f"{error.strerror or error}{where}", hint=None)
    except MemoryError:
        hint = "halve training.micro_batch_size, or shorten training.max_length"
        events("failed", message="out of memory", hint=hint)
    except Exception as error:  # the last resort: told in one line, kept whole in log.txt
        traceback.print_exc()
        hint = "this is not the recipe's fault: log.txt holds the whole story"
        events("failed", message=f"{type(error).__name__}: {error}", hint=hint)
    return 1


def quiet() -> None:
    """No progress bars and no telemetry from the libraries; nothing is fetched in a step."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS", "DISABLE_TELEMETRY"):
        os.environ[name] = "1"


def fetch_model(job: Job) -> bool:
    from runner.bases import locate
    from runner.bases.fetch import fetch

    model, folder = job.recipe.model, Path(job.facts["recipe_folder"])
    fetch(
        locate(model.base, model.revision, folder),
        offline=job.facts["offline"],
        progress=lambda text: job.events("message", level="info", text=text),
    )
    return True


def train_model(job: Job) -> bool:
    from dsl.methods import info
    from runner.data.tokens import read_tokens
    from runner.train.checkpoints import latest
    from runner.train.load import prepare_process
    from runner.train.loop import TrainJob, train

    os.environ["HF_HUB_OFFLINE"] = "1"
    prepare_process(job.recipe)
    folders = [folder / "checkpoints" for folder in job.run.attempts()]
    resume, passed = latest(folders)
    for sentence in passed:
        job.events("message", level="warning", text=sentence)
    if resume:
        resume = resume.relative_to(job.run.path)
        job.events("resumed", path=str(resume))
    parts = {part: job.run.tokens / f"{part}.parquet" for part in ("train", "validation")}
    return train(
        TrainJob(
            recipe=job.recipe,
            base=job.base,
            tokens={part: read_tokens(path) for part, path in parts.items() if path.exists()},
            root=job.run.path,
            checkpoints=job.run.checkpoints(job.attempt).relative_to(job.run.path),
            output=job.run.adapter if info(job.recipe.method).adapter else job.run.model,
            resume=resume,
            trainable=(job.plan.get("targets") or {}).get("trainable_parameters"),
            stop=job.stop,
            events=job.events,
        )
    )


def evaluate(job: Job) -> bool:
    from runner.evals.compare import compare
    from runner.train.load import prepare_process

    os.environ["HF_HUB_OFFLINE"] = "1"
    prepare_process(job.recipe)
    compare(job)
    return True


def export_merged(job: Job) -> bool:
    from runner.release.exporters import merge

    os.environ["HF_HUB_OFFLINE"] = "1"
    merge(job.recipe, job.base, job.run.adapter, job.run.exports / "merged")
    return True


STEPS: dict[str, Callable[[Job], bool]] = {
    "model": fetch_model,
    "train": train_model,
    "evaluate": evaluate,
    "export-merged": export_merged,
}

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""What a child executes: python -m runner.engines.worker RUN STEP ATTEMPT.

A child reads only the run directory (and the cache), works one step, and tells what happened by
events and its exit status: 0 done, 1 failed (the reason is an event), 143 stopped on request.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from dsl.errors import Interrupted, RecipeError
from dsl.recipe import build
from runner.engines.task import Task
from runner.runs.events import EventLog
from runner.runs.process import Heartbeat
from runner.runs.store import RunFolder, read_json

STOPPED = 143
# errors of libraries that are no OSError carry its text: no space, over quota, too large a file
DISK_FULL = ("(os error 28)", "(os error 122)", "(os error 27)", "No space left")


def main(arguments: list[str]) -> int:
    folder, step, attempt = arguments
    run, number = RunFolder(Path(folder)), int(attempt)
    events = EventLog(run.events, step, number)
    try:
        plan = read_json(run.plan)
        recipe = build(plan["recipe"])
        with Heartbeat(run, step, number) as heart:
            quiet()
            task = Task(run, plan, recipe, number, events, heart.stopping)
            return 0 if STEPS[step](task) else STOPPED
    except (Interrupted, KeyboardInterrupt):
        return STOPPED
    except RecipeError as error:
        events("failed", message=error.message, hint=error.hint)
    except OSError as error:
        traceback.print_exc()
        where = f": {error.filename}" if error.filename else ""
        events("failed", message=f"{error.strerror or error}{where}", hint=_hint(str(error)))
    except MemoryError:
        hint = "halve training.micro_batch_size, or shorten training.max_length"
        events("failed", message="out of memory", hint=hint)
    except Exception as error:  # the last resort: told in one line, kept whole in log.txt
        traceback.print_exc()
        hint = _hint(str(error)) or "this is not the recipe's fault: log.txt holds the whole story"
        events("failed", message=f"{type(error).__name__}: {error}", hint=hint)
    return 1


def _hint(said: str) -> str | None:
    full = any(mark in said for mark in DISK_FULL)
    return "make room on the disk, then go on with: recipe run --resume last" if full else None


def quiet() -> None:
    """No progress bars and no telemetry from the libraries; nothing is fetched in a step."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS", "DISABLE_TELEMETRY"):
        os.environ[name] = "1"


def fetch_model(task: Task) -> bool:
    from runner.bases import locate
    from runner.bases.fetch import fetch

    model, folder = task.recipe.model, Path(task.facts["recipe_folder"])
    fetch(
        locate(model.base, model.revision, folder),
        offline=task.facts["offline"],
        progress=lambda text: task.events("message", level="info", text=text),
    )
    return True


def train_model(task: Task) -> bool:
    from dsl.methods import info
    from runner.data.tokens import read_tokens
    from runner.train.checkpoints import latest
    from runner.train.job import TrainJob
    from runner.train.load import prepare_process
    from runner.train.loop import train

    os.environ["HF_HUB_OFFLINE"] = "1"
    prepare_process(task.recipe)
    folders = [folder / "checkpoints" for folder in task.run.attempts()]
    resume, passed = latest(folders)
    for sentence in passed:
        task.events("message", level="warning", text=sentence)
    if resume:
        resume = resume.relative_to(task.run.path)
        task.events("resumed", path=str(resume))
    parts = {part: task.run.tokens / f"{part}.parquet" for part in ("train", "validation")}
    return train(
        TrainJob(
            recipe=task.recipe,
            base=task.base,
            tokens={part: read_tokens(path) for part, path in parts.items() if path.exists()},
            root=task.run.path,
            checkpoints=task.run.checkpoints(task.attempt).relative_to(task.run.path),
            output=task.run.adapter if info(task.recipe.method).adapter else task.run.model,
            resume=resume,
            trainable=(task.plan.get("targets") or {}).get("trainable_parameters"),
            stop=task.stop,
            events=task.events,
        )
    )


def evaluate(task: Task) -> bool:
    from runner.evals.compare import compare
    from runner.train.load import prepare_process

    os.environ["HF_HUB_OFFLINE"] = "1"
    prepare_process(task.recipe)
    compare(task)
    return True


def export_merged(task: Task) -> bool:
    from runner.release.exporters import merge

    os.environ["HF_HUB_OFFLINE"] = "1"
    merge(task.recipe, task.base, task.run.adapter, task.run.exports / "merged")
    return True


STEPS: dict[str, Callable[[Task], bool]] = {
    "model": fetch_model,
    "train": train_model,
    "evaluate": evaluate,
    "export-merged": export_merged,
}

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

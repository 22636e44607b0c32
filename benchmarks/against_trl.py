"""A finished run against a plain TRL script on its own rows: the same training, test and judge.

    python benchmarks/against_trl.py runs/<id>

Trains TRL's defaults (with the run's batch, max_length, rate, LoRA and epochs) on the run's
training rows, then lets the run's evaluation judge that adapter. Prints loss and ROUGE-L of base,
script and run with their intervals, and the training times.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"


def main(run_path: Path) -> None:
    from dsl.recipe import build
    from runner.data.prepare import read_examples
    from runner.engines.local import command
    from runner.runs.store import RunFolder, read_json

    run = RunFolder(run_path)
    plan = read_json(run.plan)
    recipe = build(plan["recipe"])
    attempt = len(run.attempts())
    base = Path(read_json(run.attempt(attempt) / "job.json")["base"])
    script = RunFolder(run.path.with_name(f"{run.id}-script"))
    shutil.rmtree(script.path, ignore_errors=True)
    ignored = shutil.ignore_patterns(
        "checkpoints", "adapter", "evals", "exports", "report.*", "result*"
    )
    shutil.copytree(run.path, script.path, ignore=ignored)
    seconds = train(recipe, base, read_examples(run.part("train")), script)
    subprocess.run(command(script.path, "evaluate", attempt), check=True)
    mark = next(s["fingerprint"] for s in plan["steps"] if s["name"] == "evaluate")
    ours = read_json(run.evaluation(mark) / "metrics.json")["suites"]
    theirs = read_json(script.evaluation(mark) / "metrics.json")["suites"]
    for suite, measured in ours.items():
        print(f"\n{suite}: {measured['n']} examples in {measured['clusters']} groups")
        for metric in ("loss", "rouge_l"):
            if metric not in measured["metrics"]:
                continue
            a, b = measured["metrics"][metric], theirs[suite]["metrics"][metric]
            arms = f"base {span(a['base'])}  script {span(b['tuned'])}  ours {span(a['tuned'])}"
            print(f"  {metric:<8} {arms}")
    trained = read_json(run.result)["seconds"].get("train")
    said = "process start included, ours with validation"
    print(f"\ntraining: script {seconds:.0f} s, ours {trained} s ({said})")


def train(recipe: Any, base: Path, examples: Any, script: Any) -> float:
    """Seconds from process start to the saved adapter, as a script's user waits for it."""
    folder = script.path / "script"
    folder.mkdir()
    began = time.monotonic()
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import against_trl as a; "
    )
    code += f"a.work({str(script.path)!r}, {str(base)!r})"
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.monotonic() - began


def work(run_path: str, base: str) -> None:
    """The plain script itself."""
    import torch
    from training_speed import plain_trainer

    from dsl.recipe import build
    from runner.data.prepare import read_examples
    from runner.runs.store import RunFolder, read_json

    run = RunFolder(Path(run_path))
    recipe = build(read_json(run.plan)["recipe"])
    torch.set_num_threads(recipe.compute.threads)
    rows = read_examples(run.part("train"))
    trainer = plain_trainer(recipe, Path(base), rows, run.path / "script")
    trainer.train()
    trainer.save_model(str(run.adapter))


def span(arm: dict[str, Any]) -> str:
    return f"{arm['value']:.3f} [{arm['low']:.3f}, {arm['high']:.3f}]"


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""The examples, run for real: the default model from its package, the others on a tiny one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import dsl

RECIPES = Path(dsl.__file__).parents[1] / "recipes"
OTHERS = sorted(path.stem for path in RECIPES.glob("*.json") if path.stem != "legal")
SHORT = (
    "data.split.validation=0.01",
    "training.global_batch_size=2",
    "training.max_length=256",
    "training.eval_steps=8",
    "data.checks.truncation=off",
    "eval.generation.max_new_tokens=16",
    "eval.suites.domain.limit=8",
)


def loss_of(run: Path) -> dict[str, float]:
    report = json.loads((run / "report.json").read_text("utf-8"))
    metrics = [metric for suite in report["suites"] for metric in suite["metrics"]]
    loss = next(metric for metric in metrics if metric["name"] == "loss")
    return {arm: loss[arm]["value"] for arm in ("base", "tuned")}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the examples in an empty place."""
    folder = tmp_path_factory.mktemp("home")
    shutil.copytree(RECIPES, folder, dirs_exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def legal(home: Path, recipe: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Eight steps of the first example, from nothing: its model is downloaded and converted."""
    sets = [word for text in SHORT for word in ("--set", text)]
    cache = tmp_path_factory.mktemp("empty cache")
    ended = recipe(
        "run", "legal.json", "--json", "--max-steps", "8", *sets, cwd=home, RECIPE_CACHE=str(cache)
    )
    return ended, home / ended.json["directory"], cache


def test_the_default_model_learns_within_eight_steps(legal: Any) -> None:
    ended, run, _ = legal
    assert ended.json["exit"] == ended.code
    assert ended.code in (0, 4, 5), ended.out + ended.err
    loss = loss_of(run)
    assert loss["tuned"] < loss["base"]


def test_its_report_stands_alone(legal: Any) -> None:
    _, run, _ = legal
    page = (run / "report.html").read_text("utf-8")
    report = json.loads((run / "report.json").read_text("utf-8"))
    assert report["verdict"]["headline"].split(":")[0] in page
    assert "http://" not in page.replace("http://www.w3.org/", "")
    assert "src=" not in page
    assert len(report["examples"]["items"]) > 0


def test_its_adapter_loads_with_peft(legal: Any) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    _, run, cache = legal
    job = json.loads((run / "attempts/001/job.json").read_text("utf-8"))
    assert Path(job["base"]).is_relative_to(cache)
    base = AutoModelForCausalLM.from_pretrained(job["base"], dtype=torch.bfloat16)
    model = PeftModel.from_pretrained(base, str(run / "exports/adapter"))
    trained = sum(p.numel() for name, p in model.named_parameters() if "lora_" in name)
    assert trained == 4_884_480
    ids = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        tuned = model(ids).logits
        with model.disable_adapter():
            assert not torch.equal(tuned, model(ids).logits)


@pytest.mark.parametrize("name", OTHERS)
def test_the_other_examples_run(name: str, home: Path, tiny_model: Path, recipe: Any) -> None:
    """Two steps on a tiny model: method, formats and metrics as the recipe has them."""
    suites = json.loads((home / f"{name}.json").read_text("utf-8"))["eval"]["suites"]
    sets = [
        f"model.base={tiny_model}",
        "eval.generation.max_new_tokens=4",
        "training.max_length=500",
        *(f"eval.suites.{suite}.limit=4" for suite in suites),
        "data.checks.truncation=off",
    ]
    words = [word for text in sets for word in ("--set", text)]
    ended = recipe("run", f"{name}.json", "--json", "--max-steps", "2", *words, cwd=home)
    assert ended.code in (0, 4, 5), ended.out + ended.err
    run = home / ended.json["directory"]
    report = json.loads((run / "report.json").read_text("utf-8"))
    assert report["verdict"]["outcome"] in ("pass", "fail", "inconclusive", "measured")
    assert all(step["state"] in ("done", "cached") for step in report["steps"])
    assert all(value > 0 for value in loss_of(run).values())

"""The evaluate step: one load, base first, then tuned, on the same prompts and batches."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsl.errors import Interrupted
from dsl.methods import info
from dsl.plan import fingerprint
from dsl.recipe import Suite
from dsl.rows import Example
from dsl.templates import prompt_of
from runner.bases import cache, chat_format, tokenizer
from runner.data.prepare import read_examples
from runner.data.tokens import Encoded, encode_examples
from runner.evals.generate import predict
from runner.evals.metrics import Prediction
from runner.evals.suites import Answers, needs_generation, write_evaluation
from runner.runs.store import read_json, write_bytes
from runner.train.load import load_model, load_tokenizer

if TYPE_CHECKING:
    from runner.engines.task import Task


def compare(task: Task) -> None:
    """Answers every suite with base and tuned and writes evals/<fingerprint>/."""
    recipe = task.recipe
    questions = {name: ask(task, suite) for name, suite in recipe.eval.suites.items()}
    words = load_tokenizer(task.base)
    stops = stop_tokens(task.base, words, chat_format(task.base, _date(task)).eos)

    def answer(model: Any, arm: str) -> dict[str, list[Prediction]]:
        return {
            name: predict(
                model,
                words,
                [encoded.prompt for encoded in asked],
                [encoded.target for encoded in asked],
                recipe.eval.generation,
                stops,
                answers=needs_generation(recipe.eval.suites[name]),
                seed=recipe.training.seed,
                progress=partial(_progress, task, f"{name}, {arm}"),
            )
            for name, asked in questions.items()
        }

    model = None
    stored = base_answers_file(task)
    base = _read_answers(stored)
    if base is None:
        # on the untouched base, before anything is wrapped: exact for every method
        model = load_model(recipe, task.base, training=False)
        base = answer(model, "base")
        _write_answers(stored, base)
    else:
        task.events("message", level="info", text="answers of the base are served from the cache")
    if not info(recipe.method).adapter:
        model = None  # two whole models need not be in memory at once
    tuned = answer(_tuned(task, model), "tuned")
    write_evaluation(
        task.run.evaluation(task.fingerprint("evaluate")),
        [
            Answers(
                name,
                [a.example for a in asked],
                [a.text for a in asked],
                base[name],
                tuned[name],
            )
            for name, asked in questions.items()
        ],
        recipe.eval,
        recipe.data.split.seed,
    )


def _progress(task: Task, what: str, done: int, total: int) -> None:
    """Tells how far it is; the place where a wish to stop is granted."""
    if task.stop():
        raise Interrupted("stopped during the evaluation")
    task.events("progress", what=what, done=done, total=total)


@dataclass(frozen=True, slots=True)
class Question:
    """One example as it is asked: the rendered prompt, its ids, and those of prompt and answer."""

    example: Example
    text: str
    prompt: Sequence[int]
    target: Encoded


def ask(task: Task, suite: Suite) -> list[Question]:
    """The questions of a suite. The whole answer is judged, however long: only training cuts."""
    chat, tokens, template = (
        chat_format(task.base, _date(task)),
        tokenizer(task.base),
        task.recipe.template,
    )
    context = task.plan["model"]["context"]
    room = max(1, context - task.recipe.eval.generation.max_new_tokens)
    # parts are written in random order: the first of one are a sample
    examples = read_examples(task.run.part(suite.data), suite.limit)
    targets = encode_examples(examples, template, chat, "last", tokens, max_length=context)
    found = []
    for example, target in zip(examples, targets, strict=True):
        text = prompt_of(example, template, chat)
        prompt = tokens.encode(text, add_special_tokens=False).ids
        found.append(Question(example, text, prompt[-room:], target))
    return found


def _tuned(task: Task, model: Any) -> Any:
    if not info(task.recipe.method).adapter:
        return load_model(task.recipe, task.run.model, training=False)
    from peft import PeftModel

    model = model or load_model(task.recipe, task.base, training=False)
    return PeftModel.from_pretrained(model, str(task.run.adapter))


def stop_tokens(folder: Path, words: Any, eos: str) -> list[int]:
    """Ids that end an answer: the chat template's end of turn and the model's own."""
    ids = {words.eos_token_id, words.convert_tokens_to_ids(eos) if eos else None}
    config = folder / "generation_config.json"
    if config.is_file():
        given = json.loads(config.read_text("utf-8")).get("eos_token_id")
        ids |= set(given if isinstance(given, list) else [given])
    return sorted(token for token in ids if token is not None)


def base_answers_file(task: Task) -> Path:
    """Where the base's answers are cached. The key covers all that they depend on, not training."""
    recipe = task.plan["recipe"]
    inputs = next(s["inputs"] for s in task.plan["steps"] if s["name"] == "evaluate")
    key = fingerprint(
        {
            "inputs": inputs,
            "data": task.fingerprint("data"),
            "base": task.fingerprint("model"),
            "model": recipe["model"],
            "seed": recipe["training"]["seed"],
            "compute": recipe["compute"],
            "date": _date(task),
            "versions": read_json(task.run.lock)["versions"],
        }
    )
    return cache.root() / "answers" / f"{key}.json"


def _read_answers(path: Path) -> dict[str, list[Prediction]] | None:
    try:
        plain = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return {
        name: [Prediction(**{**p, "tokens": _tokens(p["tokens"])}) for p in predictions]
        for name, predictions in plain.items()
    }


def _write_answers(path: Path, answers: dict[str, list[Prediction]]) -> None:
    plain = {name: [asdict(p) for p in predictions] for name, predictions in answers.items()}
    write_bytes(path, json.dumps(plain, ensure_ascii=False).encode())


def _tokens(tokens: list[int] | None) -> tuple[int, ...] | None:
    return None if tokens is None else tuple(tokens)


def _date(task: Task) -> str:
    return str(read_json(task.run.lock)["date"])

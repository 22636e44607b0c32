"""A small run directory, made by hand, as complete as a run that passed its gates."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Json = dict[str, Any]
# id, group, prompt, reference, base answer, tuned answer, base and tuned rouge_l
Row = tuple[str, str, str, str, str, str, float, float]
Predict = Callable[..., None]
FINGERPRINT = "9f2c41d07be3a518"

RECIPE: Json = {
    "version": 1,
    "name": "legal",
    "description": "Contract clauses in plain English",
    "model": {"base": "smollm2-135m-instruct"},
    "data": {
        "train": [
            {"path": "legal/clauses.jsonl", "columns": {"input": "clause", "output": "plain"}}
        ],
        "split": {"validation": 0.05, "test": 0.15, "group_by": "document", "seed": 17},
    },
    "method": {"type": "lora", "rank": 16, "alpha": 32, "target_modules": "all-linear"},
    "training": {"epochs": 1, "learning_rate": 0.0005, "global_batch_size": 8},
}

GATES: list[Json] = [
    {
        "metric": "domain.loss",
        "condition": "better than the base model",
        "verdict": "pass",
        "required": True,
        "reason": "domain.loss passes: the tuned model has 2.287 against 3.412 for the base model, "
        "1.125 better; with 95% confidence it is better by at least 1.064; the gate asks for more "
        "than 0 better.",
    },
    {
        "metric": "domain.rouge_l",
        "condition": "at most 0.02 worse than the base model",
        "verdict": "pass",
        "required": True,
        "reason": "domain.rouge_l passes: the tuned model has 0.412 against 0.287 for the base "
        "model, 0.125 better; with 95% confidence it is at worst 0.096 better; the gate allows "
        "0.02 worse.",
    },
    {
        "metric": "domain.loop_rate",
        "condition": "at most 2%",
        "verdict": "inconclusive",
        "required": False,
        "reason": "domain.loop_rate is inconclusive: 0 of 90 answers looped; 90 examples can only "
        "show a rate under 3.3%; 2% takes at least 149 examples.",
    },
]

# name → better, unit, description, base, tuned, difference, p, (wins, ties, losses)
METRICS: list[tuple[Any, ...]] = [
    ("loss", "lower", "nats per token", "Mean negative log-likelihood of the target tokens.",
     (3.412, 3.318, 3.511), (2.287, 2.214, 2.363), (-1.125, -1.198, -1.052), 0.0005, (88, 0, 2)),
    ("perplexity", "lower", "choices per token",
     "exp(loss): among how many equally likely tokens the model hesitates.",
     (30.33, 27.6, 33.48), (9.845, 9.152, 10.62), (-20.48, -23.31, -18.04), 0.0005, (88, 0, 2)),
    ("rouge_l", "higher", "F1, 0 to 1",
     "Longest sequence of words in common with the reference, mean over examples.",
     (0.287, 0.262, 0.313), (0.412, 0.381, 0.444), (0.125, 0.091, 0.16), 0.0005, (68, 3, 19)),
    ("chrf", "higher", "0 to 100",
     "F2 of one to six characters, over the whole corpus; fit for every script.",
     (38.12, 36.4, 39.9), (43.77, 41.2, 46.1), (5.65, 2.9, 8.5), 0.001, (62, 0, 28)),
    ("exact_match", "higher", "share of answers",
     "Answers equal to the reference but for case, punctuation, articles and spaces.",
     (0.0, 0.0, 0.0402), (0.0222, 0.0027, 0.078), (0.0222, 0.0, 0.0556), 0.5, (2, 88, 0)),
    ("loop_rate", "lower", "share of answers", "Answers that end in repeating themselves.",
     (0.0667, 0.0249, 0.1395), (0.0, 0.0, 0.0402), (-0.0667, -0.1222, -0.0222), 0.031, (6, 84, 0)),
    ("truncated_rate", "lower", "share of answers",
     "Answers that reached the token limit before their end.",
     (0.3111, 0.2177, 0.4174), (0.3667, 0.2675, 0.4749), (0.0556, 0.011, 0.111), 0.04, (3, 79, 8)),
    ("length_ratio", "neither", "words per reference word",
     "Length of all answers over the length of all references.",
     (1.84, 1.69, 2.0), (1.08, 1.01, 1.16), (-0.76, -0.9, -0.63), None, (None, None, None)),
]  # fmt: skip

HOSTILE = "<script>alert('x')</script> \u202egnirts\u202c \x1b[31mred\x07 & \"quoted\""

EXAMPLES: list[Row] = [
    (
        "legal/clauses.jsonl:118", "Lease, Harbour Street",
        "Rewrite plainly:\n\nThe Lessee shall not assign, transfer, mortgage or otherwise encumber "
        "its interest hereunder, in whole or in part, without the prior written consent of the "
        "Lessor, such consent not to be unreasonably withheld, conditioned or delayed.",
        "You may not hand over your lease or use it as security unless the landlord agrees in "
        "writing first. The landlord must have a good reason to refuse and must not delay.",
        "The lessee cannot give the lease to another person or use it as security without the "
        "landlord agreeing in writing first. The landlord must not refuse without good reason.",
        "You may not sell the building without the landlord.", 0.53, 0.21,
    ),
    (
        "legal/clauses.jsonl:342", "Supply agreement, Northway",
        "Rewrite plainly:\n\nNeither Party shall be liable for any failure or delay in performing "
        "its obligations where such failure or delay results from Force Majeure.",
        "Neither side is responsible for being late or failing because of something outside its "
        "control.",
        "Neither party is responsible for failing or being late because of events outside its "
        "control, for example a flood or a strike.",
        "You are not responsible if something goes wrong.", 0.62, 0.35,
    ),
    (
        "legal/clauses.jsonl:87", "Employment contract, Weaver",
        "Rewrite plainly:\n\nThis Agreement may be terminated by either party upon not less than "
        "thirty (30) days' prior written notice to the other.",
        "Either of us can end this agreement by giving the other at least 30 days' written notice.",
        "Here is a plain rewriting of the clause you have asked for. The clause that you have "
        "provided is about termination. Termination is when an agreement is terminated. " * 4,
        "Either of us can end this agreement by giving 30 days' written notice.", 0.12, 0.88,
    ),
    (
        "legal/clauses.jsonl:205", "Loan agreement, Birch",
        "Rewrite plainly:\n\nInterest shall accrue on any overdue sum at the rate of four per "
        "centum (4%) per annum above the base rate.",
        "If you pay late, we add interest of 4% a year on top of the base rate.",
        "Interest shall accrue on any overdue sum at the rate of four per centum.",
        "If you pay late, we charge interest at 4% a year above the base rate.", 0.24, 0.76,
    ),
    (
        "legal/clauses.jsonl:411", "عقد إيجار",
        "Rewrite plainly:\n\nيلتزم المستأجر بسداد الأجرة في موعدها.",
        "You must pay the rent on time. يجب دفع الإيجار في موعده.",
        HOSTILE,
        "You must pay the rent on time.", 0.05, 0.61,
    ),
    (
        "legal/clauses.jsonl:9", "Services agreement, Adler",
        "Rewrite plainly:\n\nTime shall be of the essence.",
        "Deadlines in this contract are strict.", "", "Deadlines are strict.", 0.0, 0.67,
    ),
]  # fmt: skip

CHECKS: list[Json] = [
    {"check": "malformed", "state": "pass", "definition": "Lines that are not one JSON object.",
     "threshold": "error above 0", "count": 0, "total": 600, "share": 0.0, "rows": [],
     "how": "exact", "message": "Every line could be read.", "hint": None},
    {"check": "duplicates", "state": "warn",
     "definition": "Rows whose prompt and answer stand in an earlier row.",
     "threshold": "warning above 0, error above 1%", "count": 3, "total": 600, "share": 0.005,
     "rows": [{"id": f"legal/clauses.jsonl:{n}", "line": n, "source": "legal/clauses.jsonl"}
              for n in (77, 310, 311)],
     "how": "exact", "message": "3 of 600 rows repeat an earlier one.",
     "hint": "remove them: what stands twice is learned twice"},
    {"check": "leakage", "state": "pass",
     "definition": "Held-out rows whose prompt stands in the training data.",
     "threshold": "error above 0", "count": 0, "total": 120, "share": 0.0, "rows": [],
     "how": "exact", "message": "No held-out prompt stands in the training data.", "hint": None},
    {"check": "truncation", "state": "not_run",
     "definition": "Rows that lose part of their answer at max_length.",
     "threshold": "error above 1%", "count": None, "total": None, "share": None, "rows": [],
     "how": None, "message": "Tokens are not counted yet.", "hint": None},
]  # fmt: skip

STEPS = [
    ("data", "read, split and check the data", 0.42, False),
    ("model", "fetch smollm2-135m-instruct", 0.0, True),
    ("tokens", "render the template and tokenise", 1.31, False),
    ("train", "train (lora, rank 16)", 412.6, False),
    ("evaluate", "evaluate base and tuned", 188.2, False),
    ("export-adapter", "export adapter", 0.9, False),
    ("report", "gates and report", None, False),
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run."""
    return make_run(tmp_path / "legal-20261122-101500-3fa9")


@pytest.fixture
def gates() -> list[Json]:
    """Its gates, judged."""
    return json.loads(json.dumps(GATES))


@pytest.fixture
def rows() -> list[Row]:
    """Its predictions."""
    return EXAMPLES


@pytest.fixture
def hostile() -> str:
    """A text that tries to be markup, to steer a terminal and to turn its neighbours round."""
    return HOSTILE


@pytest.fixture
def predict(run: Path) -> Predict:
    """Replaces the predictions of the run."""
    path = run / "evals" / FINGERPRINT / "predictions.parquet"
    return lambda rows, scored=True: write_predictions(path, rows, scored)


def make_run(run: Path) -> Path:
    """Writes every artifact of a finished run below `run`."""
    (run / "data").mkdir(parents=True)
    (run / "evals" / FINGERPRINT).mkdir(parents=True)
    _write(
        run / "run.json",
        {"id": run.name, "name": "legal", "created": "2026-11-22T10:15:00+00:00",
         "recipe_sha256": "5b1f" * 16, "tags": ["first"]},
    )  # fmt: skip
    (run / "recipe.json").write_text(json.dumps(RECIPE, indent=2) + "\n")
    _write(run / "plan.json", plan())
    _write(run / "recipe.lock.json", lock())
    _write(
        run / "result.json",
        {"status": "done", "exit": 0, "reason": None, "hint": None, "attempt": 1,
         "seconds": {name: seconds for name, _, seconds, _ in STEPS if seconds},
         "ended": "2026-11-22T10:25:09+00:00"},
    )  # fmt: skip
    _write(run / "data" / "checks.json", {"findings": CHECKS})
    (run / "events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events()))
    _write(
        run / "evals" / FINGERPRINT / "metrics.json",
        {"suites": {"domain": {"data": "test", "n": 90, "clusters": 14, "metrics": metrics()}}},
    )
    write_predictions(run / "evals" / FINGERPRINT / "predictions.parquet", EXAMPLES, True)
    return run


def _write(path: Path, values: Json) -> None:
    path.write_text(json.dumps({"schema_version": 1, **values}))


def metrics() -> Json:
    def interval(ends: tuple[float, float, float]) -> Json:
        return dict(zip(("value", "low", "high"), ends, strict=True))

    return {
        name: {
            "better": better, "unit": unit, "description": description, "base": interval(base),
            "tuned": interval(tuned), "difference": interval(difference), "p_value": p,
            "wins": wins, "ties": ties, "losses": losses, "n": 90, "n_missing": 0, "notes": [],
        }
        for name, better, unit, description, base, tuned, difference, p, (wins, ties, losses)
        in METRICS
    }  # fmt: skip


def events() -> list[Json]:
    found: list[Json] = []

    def add(step: str, type: str, **values: Any) -> None:
        time = f"2026-11-22T10:15:{len(found) % 60:02d}+00:00"
        found.append({"time": time, "step": step, "attempt": 1, "type": type, **values})

    for name, _, seconds, cached in STEPS:
        if seconds is None:
            continue
        add(name, "started")
        if name == "train":
            for at in range(1, 61):
                wobble = 0.16 * math.sin(at * 2.1) + 0.1 * math.sin(at * 5.3)
                loss = 2.25 + 1.35 * math.exp(-at / 13) + wobble
                add(name, "train", at=at, steps=60, epoch=at / 60, loss=loss, learning_rate=5e-4,
                    grad_norm=1.1, tokens=at * 1310, tokens_per_second=190.0 + at % 7,
                    seconds_left=7.0 * (60 - at))  # fmt: skip
                if at % 12 == 0:
                    validation = 2.34 + 1.3 * math.exp(-at / 14) + (0.05 if at == 60 else 0)
                    add(name, "validation", at=at, loss=validation)
                    add(name, "checkpoint", at=at, path=f"checkpoint-{at}", best=at <= 48)
        add(name, "ended", seconds=seconds, cached=cached, reason=None)
    return found


def plan() -> Json:
    origins = {
        "/method/rank": {"kind": "given", "by": "", "why": ""},
        "/training/warmup_steps": {
            "kind": "derived", "by": "schedule_steps", "why": "warmup_ratio of the steps",
        },
        "/eval/resamples": {"kind": "default", "by": "", "why": ""},
    }  # fmt: skip
    recipe = json.loads(json.dumps(RECIPE))
    recipe["objective"] = {"type": "sft", "loss_on": "assistant"}
    recipe["training"] |= {"warmup_steps": 2, "max_length": 512}
    recipe["model"]["dtype"] = "float32"
    recipe["eval"] = {
        "resamples": 2000,
        "generation": {"max_new_tokens": 64, "temperature": 0},
        "gates": [],
    }
    part = {"groups": 14, "prompt_characters": 30000, "completion_characters": 12000}
    memory = {
        "weights": 538_060_032, "trainable": 78_151_680, "activations": 401_000_000,
        "logits": 220_000_000, "workspace": 0, "process": 966_367_641, "total": 2_240_000_000,
    }  # fmt: skip
    return {
        "name": "legal", "recipe": recipe, "origins": origins,
        "model": {"name": "smollm2-135m-instruct", "family": "llama", "licence": "apache-2.0",
                  "parameters": 134_515_008, "layers": 30, "hidden_size": 576, "context": 8192},
        "targets": {"modules": {name: 30 for name in ("q_proj", "k_proj", "v_proj", "o_proj",
                                                      "gate_proj", "up_proj", "down_proj")},
                    "trainable_parameters": 4_884_480, "total_parameters": 134_515_008,
                    "share": 0.03631},
        "parts": {"train": {"rows": 480, **part}, "validation": {"rows": 30, **part},
                  "test": {"rows": 90, **part}},
        "tokens": {"total": 78600, "trained": 21400, "how": "exact"},
        "schedule": {"steps": 60, "steps_an_epoch": 60, "warmup_steps": 2},
        "estimate": {"device": "CPU with 4 threads", "device_bytes": 8 * 2**30, "memory": memory,
                     "seconds": {"train": [260.0, 780.0], "evaluate": [95.0, 285.0]},
                     "how": "estimated", "fits": True, "total_seconds": [355.0, 1065.0]},
        "steps": [{"name": name, "title": title, "needs": [], "inputs": {},
                   "fingerprint": FINGERPRINT if name == "evaluate" else name, "cacheable": cached,
                   "child": False} for name, title, _, cached in STEPS],
    }  # fmt: skip


def lock() -> Json:
    return {
        "model": {"base": "smollm2-135m-instruct", "revision": "12fd25f77366fa6b3b4b768ec3050bf629",
                  "files": {"model.safetensors": "a1" * 32, "tokenizer.json": "b2" * 32}},
        "data": {"legal/clauses.jsonl": {"sha256": "c3" * 32, "rows": 600}},
        "template_sha256": "d4" * 32,
        "rows": {"train": 480, "validation": 30, "test": 90},
        "date": "2026-11-22",
        "versions": {"torch": "2.9.1", "transformers": "5.23.0", "peft": "0.19.0", "trl": "1.4.0"},
        "hardware": {"device": "cpu", "name": "CPU with 4 threads", "threads": 4},
        "seeds": {"split": 17, "training": 42, "evaluation": 7},
    }  # fmt: skip


def write_predictions(path: Path, rows: list[Row], scored: bool) -> None:
    """predictions.parquet of the suite 'domain'; `scored` with the columns of rouge_l."""
    import duckdb

    columns = 'suite, id, "group", prompt, reference, base_text, tuned_text'
    kinds = ", ".join(f"{name} VARCHAR" for name in columns.split(", "))
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE p ({kinds}, base_rouge_l DOUBLE, tuned_rouge_l DOUBLE)")
        for row in rows:
            marks = ", ".join("?" * 9)
            connection.execute(f"INSERT INTO p VALUES ({marks})", ("domain", *row))
        query = "FROM p" if scored else f"SELECT {columns} FROM p"
        connection.query(query).write_parquet(str(path))

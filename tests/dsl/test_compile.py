"""Golden plans from fixed facts. RECIPE_UPDATE_CASES=1 writes them anew."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.compile import PASSES, compile
from dsl.errors import InvalidRecipe
from dsl.facts import Facts, Hardware, Momentary, PartFacts, SourceFacts, TokenFacts
from dsl.models import find
from dsl.plan import Plan, fingerprint
from dsl.recipe import read, to_json
from dsl.rules import check

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "cases" / "plan"
LEGAL = json.loads((ROOT / "recipes" / "legal.json").read_text("utf-8"))
CPU = Hardware("cpu", "2 cores", 16 * 2**30, 2, bf16=True)
GPU = Hardware("cuda", "NVIDIA A10G", 24 * 2**30, 8, bf16=True)
PARTS = {
    "train": PartFacts(320, 40, 90_000, 40_000),
    "validation": PartFacts(20, 3, 5_600, 2_500),
    "test": PartFacts(60, 8, 17_000, 7_500),
}
SOURCE = SourceFacts(
    ("data", "train", 0), "a.jsonl", "train", "alpaca", ("clause", "plain", "document"), True,
    "ab" * 32, 400,
)  # fmt: skip
FACTS = Facts(
    model=find("smollm2-135m-instruct"),
    identity={"sha256": "cd" * 32},
    sources=(SOURCE,),
    parts=PARTS,
    hardware=CPU,
    versions={"torch": "2.13.0", "transformers": "5.23.0", "peft": "0.21.2", "trl": "1.16.0"},
    code="1",
)
SHORT: dict[str, Any] = {
    "name": "t",
    "model": {"base": "smollm2-135m-instruct"},
    "data": {"train": [{"path": "a.jsonl"}]},
}
GOLDEN: dict[str, tuple[dict[str, Any], Facts]] = {
    "shortest": (SHORT, FACTS),
    "lora": (LEGAL, FACTS),
    "qlora": (
        SHORT
        | {
            "model": {"base": "llama-3.1-8b-instruct"},
            "method": {"type": "qlora", "rank": 32},
            "export": [{"type": "adapter"}],
        },
        replace(FACTS, model=find("llama-3.1-8b-instruct"), hardware=GPU),
    ),
    "full": (
        SHORT | {"method": {"type": "full"}, "export": [{"type": "merged"}]},
        replace(FACTS, tokens=TokenFacts(60_000, 20_000, 500)),
    ),
    # conversations: the source of FACTS is one of questions and answers
    "chat": (
        SHORT
        | {
            "data": {"train": [{"path": "chats.jsonl", "format": "messages"}]},
            "template": {"system": "You help."},
            "objective": {"loss_on": "all"},
            "training": {"micro_batch_size": 3, "gradient_accumulation_steps": 4},
        },
        FACTS,
    ),
    "nothing known": (SHORT, Facts()),
}


def planned(values: Mapping[str, Any], facts: Facts) -> Plan:
    return compile(*read(values), facts)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_plan(name: str) -> None:
    path = CASES / f"{name.replace(' ', '_')}.json"
    found = json.loads(json.dumps(planned(*GOLDEN[name]).to_json()))
    if os.environ.get("RECIPE_UPDATE_CASES"):
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    assert found == json.loads(path.read_text("utf-8"))


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items: Any = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        items = enumerate(value)
    if not items:
        yield path
    for key, inner in items:
        yield from leaves(inner, (*path, key))


@pytest.mark.parametrize("name", GOLDEN)
def test_every_value_knows_its_origin(name: str) -> None:
    values, facts = GOLDEN[name]
    plan = planned(values, facts)
    assert set(leaves(to_json(plan.recipe))) == set(plan.origins) - {("$schema",)}
    passes = {step.__name__ for step in PASSES}
    for path, origin in plan.origins.items():
        if origin.kind == "derived":
            assert origin.by in passes, path
            value = to_json(plan.recipe)
            for part in path:
                value = value[part]
            assert bool(origin.why) or value is None, path


@pytest.mark.parametrize("name", GOLDEN)
def test_a_plan_breaks_no_rule_of_its_own(name: str) -> None:
    values, facts = GOLDEN[name]
    found = check(planned(values, facts).recipe, facts)
    # a plan holds the ratio and the steps that follow from it; a recipe gives one of them
    assert [p.path for p in found if p.path != ("training", "warmup_steps")] == []


@pytest.mark.parametrize("name", GOLDEN)
def test_the_same_input_gives_the_same_plan(name: str) -> None:
    values, facts = GOLDEN[name]
    before = json.dumps(values)
    assert planned(values, facts) == planned(json.loads(before), facts)
    assert json.dumps(values) == before, "the values are not changed"


def test_another_process_with_other_hashes_gives_the_same_text() -> None:
    values = LEGAL | {"eval": {"suites": {name: {} for name in ("b", "a", "domain", "z")}}}
    script = (
        "import json, sys; from dsl.compile import compile; from dsl.facts import Facts;"
        "from dsl.recipe import read;"
        "print(json.dumps(compile(*read(json.loads(sys.argv[1])), Facts()).to_json()))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", script, json.dumps(values)],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(texts) == 1


@given(st.none() | st.integers(0, 10**13), st.none() | st.integers(0, 10**13))
@settings(max_examples=25, deadline=None)
def test_the_moment_never_changes_a_plan(free_memory: int | None, free_disk: int | None) -> None:
    moment = Momentary(free_memory, free_disk)
    assert planned(LEGAL, replace(FACTS, momentary=moment)) == planned(LEGAL, FACTS)


@given(
    st.sampled_from(["lora", "qlora", "full"]),
    st.fixed_dictionaries(
        {},
        optional={
            "global_batch_size": st.integers(1, 64),
            "micro_batch_size": st.integers(1, 8),
            "gradient_accumulation_steps": st.integers(1, 8),
            "max_steps": st.integers(1, 500),
            "eval_steps": st.integers(1, 50),
            "epochs": st.floats(0.1, 5),
        },
    ),
    st.sampled_from([CPU, GPU, replace(CPU, total_memory_bytes=10**9)]),
)
@settings(max_examples=100, deadline=None)
def test_sizes_agree(method: str, training: dict[str, Any], hardware: Hardware) -> None:
    values = SHORT | {"method": {"type": method}, "training": training}
    facts = replace(FACTS, hardware=hardware)
    if any(p.severity == "error" for p in check(read(values)[0], facts)):
        return
    plan = planned(values, facts)
    found = plan.recipe.training
    assert found.micro_batch_size and found.gradient_accumulation_steps
    assert found.global_batch_size == found.micro_batch_size * found.gradient_accumulation_steps
    for name, value in training.items():
        assert getattr(found, name) == value, "what is given stays"
    assert plan.schedule and plan.estimate and plan.schedule.steps >= 1
    if "max_steps" in training:
        assert plan.schedule.steps == training["max_steps"]
    assert all(0 <= low <= high for low, high in plan.estimate.seconds.values())
    if not plan.estimate.fits and "micro_batch_size" not in training:
        assert found.activation_checkpointing


def test_a_small_device_gets_smaller_batches_and_then_checkpointing() -> None:
    sizes = []
    for total in (16e9, 3.2e9, 2.4e9, 1e8):
        hardware = replace(CPU, total_memory_bytes=int(total))
        plan = planned(SHORT, replace(FACTS, hardware=hardware))
        training = plan.recipe.training
        sizes.append((training.micro_batch_size, training.activation_checkpointing))
    assert sizes[0] == (2, False)
    assert sizes[-1] == (1, True)
    assert sizes == sorted(sizes, key=lambda size: (size[1] or False, -(size[0] or 0)))
    why = plan.origins[("training", "micro_batch_size")].why
    assert "even 1 is more than 2 cores holds" in why
    assert plan.estimate and not plan.estimate.fits


def test_qlora_is_lora_on_nf4() -> None:
    plan = planned(*GOLDEN["qlora"])
    assert (plan.recipe.method.type, plan.recipe.method.alpha) == ("lora", 64)  # type: ignore[union-attr]
    assert plan.recipe.model.quantization is not None
    assert plan.recipe.model.quantization.type == "nf4"
    kept = SHORT | {"method": {"type": "qlora"}, "model": {"base": SHORT["model"]["base"],
            "quantization": {"type": "nf4", "double": False}}}  # fmt: skip
    quantization = planned(kept, FACTS).recipe.model.quantization
    assert quantization is not None
    assert not quantization.double


def test_an_unknown_model_is_a_problem() -> None:
    with pytest.raises(InvalidRecipe) as caught:
        planned(SHORT | {"model": {"base": "a/b"}}, Facts())
    assert caught.value.problems[0].path == ("model", "base")


# which steps run again when one thing changes
AGAIN: list[tuple[str, Any, Any, set[str]]] = [
    ("name", {"name": "other"}, {}, set()),
    ("a gate", {"eval": LEGAL["eval"] | {"gates": []}}, {}, {"report"}),
    ("the template", {"template": {"system": "x"}}, {},
     {"tokens", "train", "evaluate", "export-adapter", "report"}),
    ("the rate", {"training": LEGAL["training"] | {"learning_rate": 1e-4}}, {},
     {"train", "evaluate", "export-adapter", "report"}),
    ("answers", {"eval": LEGAL["eval"] | {"generation": {"max_new_tokens": 9}}}, {},
     {"evaluate", "report"}),
    ("a data file", {}, {"sources": (replace(SOURCE, sha256="ef" * 32),)},
     {"data", "tokens", "train", "evaluate", "export-adapter", "report"}),
    ("the weights", {}, {"identity": {"sha256": "00"}},
     {"model", "tokens", "train", "evaluate", "export-adapter", "report"}),
    ("a library", {}, {"versions": {"torch": "2.14"}},
     {"train", "evaluate", "export-adapter", "report"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "facts", "again"), [pytest.param(*r[1:], id=r[0]) for r in AGAIN]
)
def test_a_change_runs_again_what_reads_it(
    change: dict[str, Any], facts: dict[str, Any], again: set[str]
) -> None:
    before, after = planned(LEGAL, FACTS), planned(LEGAL | change, replace(FACTS, **facts))
    marks = {step.name: step.fingerprint for step in before.steps}
    assert {s.name for s in after.steps if s.fingerprint != marks[s.name]} == again


def test_steps_come_after_what_they_need() -> None:
    done: set[str] = set()
    for step in planned(LEGAL, FACTS).steps:
        assert set(step.needs) <= done
        done.add(step.name)
    assert done == {"data", "model", "tokens", "train", "evaluate", "export-adapter", "report"}


def test_a_fingerprint_depends_on_values_alone() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})
    assert len(fingerprint(None)) == 16

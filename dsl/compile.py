"""compile(recipe, facts) → Plan. PASSES is the whole pipeline; each pass returns a new Plan.

Compilation is pure: the same recipe and facts give the same Plan.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dsl import memory as sizes
from dsl import models
from dsl.errors import InvalidRecipe
from dsl.facts import Facts, Hardware
from dsl.methods import info, trainable_parameters
from dsl.metrics import METRICS, expand_metrics
from dsl.plan import DEVICE_SHARE, Estimate, Plan, Schedule, Targets, Tokens
from dsl.problems import Path, Problem
from dsl.recipe import Lora, Qlora, Quantization, Recipe, get, with_value
from dsl.schema import Origin
from dsl.steps import order_steps

GLOBAL_BATCH = 16
# the most examples in memory at once: more does not run faster on the device
LARGEST_MICRO_BATCH = {"cpu": 2, "cuda": 16}
CHARACTERS_A_TOKEN = 4.2  # English prose under 32k to 256k byte-level vocabularies: 4.0 to 4.6
TOKENS_A_TURN = 5  # role marks and separators of a chat template
VALIDATIONS_A_RUN = 5

Pass = Callable[[Plan, Facts], Plan]


def compile(recipe: Recipe, origins: Mapping[Path, Origin], facts: Facts) -> Plan:
    """Recipe and Facts → Plan. Raises InvalidRecipe where the model is not known."""
    model = facts.model or models.find(recipe.model.base)
    if model is None:
        message = f"the dimensions of {recipe.model.base} are not known"
        raise InvalidRecipe([Problem(("model", "base"), message)])
    plan = Plan(recipe, dict(origins), describe(model))
    for step in PASSES:
        plan = step(plan, replace(facts, model=model))
    return plan


def describe(model: models.Model) -> dict[str, Any]:
    """What a plan and a report say of the base."""
    return {
        "name": model.name or model.hub,
        "family": model.family,
        "licence": model.licence,
        "parameters": model.parameters,
        "layers": model.num_hidden_layers,
        "hidden_size": model.hidden_size,
        "context": model.max_position_embeddings,
    }


def _derive(plan: Plan, path: Path, value: Any, by: str, why: str) -> Plan:
    """Sets a value that the recipe left open; a given one stays."""
    if get(plan.recipe, path) is not None:
        return plan
    origins = {**plan.origins, path: Origin("derived", by, why)}
    return replace(plan, recipe=with_value(plan.recipe, path, value), origins=origins)


# ---------------------------------------------------------------- passes


def desugar(plan: Plan, facts: Facts) -> Plan:
    """qlora → lora on nf4; alpha and learning_rate from rank and method."""
    method = plan.recipe.method
    origins = dict(plan.origins)
    if isinstance(method, Qlora):
        fields = {name: getattr(method, name) for name in Lora.__dataclass_fields__}
        recipe = replace(plan.recipe, method=Lora(**fields | {"type": "lora"}))
        origins[("method", "type")] = Origin("derived", "desugar", "qlora is lora on a 4-bit base")
        if recipe.model.quantization is None:
            recipe = with_value(recipe, ("model", "quantization"), Quantization("nf4", True))
            why = "qlora holds the base in nf4 with double quantisation"
            origins.pop(("model", "quantization"), None)
            for field in ("type", "double"):
                origins[("model", "quantization", field)] = Origin("derived", "desugar", why)
        plan = replace(plan, recipe=recipe, origins=origins)
    if isinstance(plan.recipe.method, Lora):
        rank = plan.recipe.method.rank
        why = "twice the rank: the update keeps its size when rank changes"
        plan = _derive(plan, ("method", "alpha"), 2 * rank, "desugar", why)
    facts_of = info(plan.recipe.method)
    rate = ("training", "learning_rate")
    return _derive(plan, rate, facts_of.learning_rate, "desugar", facts_of.why_rate)


def choose_dtype(plan: Plan, facts: Facts) -> Plan:
    """model.dtype auto → bfloat16 where the device multiplies it faster."""
    if plan.recipe.model.dtype != "auto" or facts.hardware is None:
        return plan
    dtype = "bfloat16" if facts.hardware.bf16 else "float32"
    why = f"{facts.hardware.name} {'is' if facts.hardware.bf16 else 'is not'} faster in bfloat16"
    path = ("model", "dtype")
    recipe = with_value(plan.recipe, path, dtype)
    return replace(
        plan, recipe=recipe, origins={**plan.origins, path: Origin("derived", "choose_dtype", why)}
    )


def resolve_targets(plan: Plan, facts: Facts) -> Plan:
    """target_modules → layers; the exact count of trainable parameters."""
    model, method = _model(facts), plan.recipe.method
    if isinstance(method, Lora):
        linears = models.resolve_targets(model, method.target_modules)
    else:
        linears = models.modules(model)
    count = trainable_parameters(method, model, linears)
    names = Counter(linear.name for linear in linears)
    return replace(plan, targets=Targets(dict(names), count, model.parameters))


def count_tokens(plan: Plan, facts: Facts) -> Plan:
    """Rows of every part; tokens of one epoch: exact where they were counted, else estimated."""
    train = facts.parts.get("train")
    plan = replace(plan, parts=dict(facts.parts))
    if facts.tokens:
        return replace(plan, tokens=Tokens(facts.tokens.total, facts.tokens.trained, "exact"))
    if train is None:
        return plan
    template = plan.recipe.template
    frame = len(getattr(template, "system", None) or "") + len(template.prompt or "")
    overhead = train.rows * (frame / CHARACTERS_A_TOKEN + 3 * TOKENS_A_TURN)
    trained = train.completion_characters / CHARACTERS_A_TOKEN + train.rows
    total = train.prompt_characters / CHARACTERS_A_TOKEN + trained + overhead
    total = min(total, train.rows * plan.recipe.training.max_length)
    if plan.recipe.objective.loss_on == "all":
        trained = total
    return replace(plan, tokens=Tokens(round(total), round(min(trained, total)), "estimated"))


def size_batches(plan: Plan, facts: Facts) -> Plan:
    """global = micro x accumulation; the largest micro-batch that fits the device."""
    by, hardware, training = "size_batches", facts.hardware, plan.recipe.training
    if hardware:
        why = "every core of this machine"
        plan = _derive(plan, ("compute", "threads"), hardware.threads, by, why)
    micro, steps = training.micro_batch_size, training.gradient_accumulation_steps
    if micro and steps:
        whole, why = micro * steps, "micro_batch_size x gradient_accumulation_steps"
    else:
        part = micro or steps or 1
        whole = part * max(1, GLOBAL_BATCH // part)
        why = f"about {GLOBAL_BATCH} examples an update are a good start"
    plan = _derive(plan, ("training", "global_batch_size"), whole, by, why)
    whole = plan.recipe.training.global_batch_size or whole
    if micro is None and steps is not None:
        micro = max(1, whole // steps)
    fit = _fit(plan, facts, whole, micro)
    why = "global_batch_size / gradient_accumulation_steps" if steps else fit.why_micro
    plan = _derive(plan, ("training", "micro_batch_size"), fit.micro, by, why)
    path = ("training", "gradient_accumulation_steps")
    steps = max(1, whole // fit.micro)
    plan = _derive(plan, path, steps, by, "global_batch_size / micro_batch_size")
    path = ("training", "activation_checkpointing")
    return _derive(plan, path, fit.checkpointing, by, fit.why_checkpointing)


@dataclass(frozen=True, slots=True)
class _Fit:
    micro: int
    checkpointing: bool
    why_micro: str
    why_checkpointing: str


def _fit(plan: Plan, facts: Facts, whole: int, micro: int | None) -> _Fit:
    """The largest micro-batch that fits, without activation checkpointing if possible."""
    hardware, given = facts.hardware, plan.recipe.training.activation_checkpointing
    if hardware is None:
        return _Fit(micro or 1, False, "the device is not known", "the device is not known")
    largest = min(LARGEST_MICRO_BATCH[hardware.device], whole)
    dividing = [size for size in range(largest, 0, -1) if whole % size == 0]
    room = DEVICE_SHARE * hardware.total_memory_bytes
    for checkpointing in (False, True) if given is None else (given,):
        for size in [micro] if micro else dividing:
            if sizes.memory(_workload(plan, facts, size, checkpointing), hardware).total <= room:
                return _Fit(
                    size,
                    checkpointing,
                    f"fits {hardware.name}; more would not run faster"
                    if size == largest
                    else f"the largest that fits {hardware.name}",
                    "it does not fit without" if checkpointing else "not needed: it fits without",
                )
    why = f"more than {hardware.name} holds, by the estimate"
    return _Fit(micro or 1, True, f"even 1 is {why}", f"the least memory, and still {why}")


def schedule_steps(plan: Plan, facts: Facts) -> Plan:
    """Optimizer steps, warm-up, and how often to validate and save."""
    by, training = "schedule_steps", plan.recipe.training
    rows = facts.parts["train"].rows if "train" in facts.parts else None
    warmup_given = training.warmup_steps is not None
    if not warmup_given:
        path = ("training", "warmup_ratio")
        plan = _derive(plan, path, 0.03, by, "a short rise keeps the first steps stable")
    if rows is None:
        return plan
    an_epoch = max(1, math.ceil(rows / (training.global_batch_size or GLOBAL_BATCH)))
    steps = training.max_steps or max(1, math.ceil(training.epochs * an_epoch))
    if not warmup_given:
        warmup = math.ceil((plan.recipe.training.warmup_ratio or 0) * steps)
        why = "warmup_ratio of the steps"
        plan = _derive(plan, ("training", "warmup_steps"), warmup, by, why)
    every = max(1, math.ceil(steps / VALIDATIONS_A_RUN))
    path = ("training", "eval_steps")
    plan = _derive(plan, path, training.save_steps or every, by, f"{VALIDATIONS_A_RUN} times a run")
    evaluate = plan.recipe.training.eval_steps
    why = "with every validation, so that the best checkpoint is on disk"
    plan = _derive(plan, ("training", "save_steps"), evaluate, by, why)
    warmup_steps = plan.recipe.training.warmup_steps or 0
    return replace(plan, schedule=Schedule(steps, an_epoch, warmup_steps))


def estimate(plan: Plan, facts: Facts) -> Plan:
    """Memory at the peak of training and time of every phase, against the device found."""
    train = plan.parts.get("train")
    if not (facts.hardware and plan.tokens and plan.schedule and train and train.rows):
        return plan
    hardware, training = facts.hardware, plan.recipe.training
    micro = training.micro_batch_size or 1
    load = _workload(plan, facts, micro, bool(training.activation_checkpointing))
    epochs = plan.schedule.steps * (training.global_batch_size or 1) / train.rows
    seconds = {
        "train": sizes.training_seconds(load, round(plan.tokens.total * epochs), hardware),
        "evaluate": _evaluation_seconds(plan, load, hardware),
    }
    low, high = sizes.SPREAD
    return replace(
        plan,
        estimate=Estimate(
            hardware.name,
            hardware.total_memory_bytes,
            sizes.memory(load, hardware),
            {phase: (low * value, high * value) for phase, value in seconds.items()},
        ),
    )


def _evaluation_seconds(plan: Plan, load: sizes.Workload, hardware: Hardware) -> float:
    """Base and tuned both answer every example of the suites that have a metric on answers."""
    generation, answers = plan.recipe.eval.generation, 0
    for suite in plan.recipe.eval.suites.values():
        rows = plan.parts[suite.data].rows if suite.data in plan.parts else 0
        if any(METRICS[name].needs == "generation" for name in expand_metrics(suite.metrics)):
            answers += min(rows, suite.limit or rows)
    tokens = 2 * answers * generation.max_new_tokens
    return sizes.generation_seconds(load.model, tokens, generation.batch_size, hardware, load.bf16)


PASSES: tuple[Pass, ...] = (
    desugar,
    choose_dtype,
    resolve_targets,
    count_tokens,
    size_batches,
    schedule_steps,
    estimate,
    order_steps,
)


def _workload(plan: Plan, facts: Facts, micro: int, checkpointing: bool) -> sizes.Workload:
    recipe, tokens, train = plan.recipe, plan.tokens, plan.parts.get("train")
    quantization = recipe.model.quantization
    longest = facts.tokens.longest if facts.tokens else recipe.training.max_length
    share = tokens.trained / max(1, tokens.total) if tokens and train else 0.3
    if recipe.objective.loss_on == "all":
        share = 1.0
    return sizes.Workload(
        model=_model(facts),
        trainable=plan.targets.trainable_parameters if plan.targets else 0,
        trains_base=info(recipe.method).trains_base,
        quantized=(quantization.type, quantization.double) if quantization else None,
        bf16=recipe.model.dtype == "bfloat16",
        micro_tokens=micro * min(longest, recipe.training.max_length),
        trained_share=share,
        checkpointing=checkpointing,
        states=2 if recipe.training.optimizer == "adamw" else 0,
    )


def _model(facts: Facts) -> models.Model:
    assert facts.model is not None  # compile() saw to it
    return facts.model

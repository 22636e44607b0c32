"""compile(recipe, facts) → Plan. PASSES is the whole pipeline; each pass returns a new Plan.

Compilation is pure: the same recipe and facts give the same Plan.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from dsl import memory as sizes
from dsl import models
from dsl.errors import InvalidRecipe
from dsl.facts import Facts
from dsl.methods import info, trainable_parameters
from dsl.plan import Estimate, Plan, Schedule, Step, Targets, Tokens, fingerprint
from dsl.problems import Path, Problem
from dsl.recipe import Lora, Qlora, Quantization, Recipe, build, get, to_json, with_value
from dsl.schema import Origin, fill

GLOBAL_BATCH = 16
# the most examples in memory at once: more does not run faster on the device
LARGEST_MICRO_BATCH = {"cpu": 4, "cuda": 16}
CHARACTERS_A_TOKEN = 4.2  # English prose under 32k to 256k byte-level vocabularies: 4.0 to 4.6
TOKENS_A_TURN = 5  # role marks and separators of a chat template
VALIDATIONS_A_RUN = 5
MEMORY_SHARE = 0.92  # of the device that a plan may fill

Pass = Callable[[Plan, Facts], Plan]


def read(values: Mapping[str, Any]) -> tuple[Recipe, Mapping[Path, Origin]]:
    """Valid values → Recipe with defaults, and where every value comes from."""
    filled, origins = fill(values)
    return build(filled), origins


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
        origins = dict(plan.origins)
        if origins.get(path) is None or origins[path].kind == "derived":
            origins[path] = Origin("derived", by, why)
        return replace(plan, origins=origins)
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
            origins[("model", "quantization")] = Origin("derived", "desugar", why)
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
        linears = models.resolve_targets(model, _plain(method.target_modules))
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
        exact = Tokens(facts.tokens.total, facts.tokens.trained, "exact")
        return replace(plan, tokens=exact)
    if train is None:
        return plan
    template = plan.recipe.template
    frame = len(getattr(template, "system", None) or "") + len(template.prompt or "")
    overhead = train.rows * (frame / CHARACTERS_A_TOKEN + 3 * TOKENS_A_TURN)
    trained = train.completion_characters / CHARACTERS_A_TOKEN + train.rows
    total = train.prompt_characters / CHARACTERS_A_TOKEN + trained + overhead
    total = min(total, train.rows * plan.recipe.training.max_length)
    return replace(plan, tokens=Tokens(round(total), round(min(trained, total)), "estimated"))


def size_batches(plan: Plan, facts: Facts) -> Plan:
    """global = micro x accumulation; the largest micro-batch that fits the device."""
    by = "size_batches"
    hardware, training = facts.hardware, plan.recipe.training
    if hardware and plan.recipe.compute.threads is None:
        path = ("compute", "threads")
        plan = _derive(plan, path, hardware.threads, by, "every core of this machine")
    micro, steps = training.micro_batch_size, training.gradient_accumulation_steps
    whole = training.global_batch_size or (micro * steps if micro and steps else None)
    why = f"{GLOBAL_BATCH} examples an update is a good start"
    if whole is None:
        whole = (micro or 1) * max(1, GLOBAL_BATCH // (micro or 1)) if micro else GLOBAL_BATCH
        whole = steps * max(1, GLOBAL_BATCH // steps) if steps else whole
    elif training.global_batch_size is None:
        why = "micro_batch_size x gradient_accumulation_steps"
    plan = _derive(plan, ("training", "global_batch_size"), whole, by, why)
    ckpt, checkpointing_why = False, "not needed: it fits without"
    if micro is None and steps is not None:
        micro = max(1, whole // steps)
    elif micro is None:
        micro, ckpt = _largest_micro_batch(plan, facts, whole)
    if ckpt:
        checkpointing_why = "without it even one example does not fit"
    path = ("training", "micro_batch_size")
    device = hardware.name if hardware else "the device"
    plan = _derive(plan, path, micro, by, f"fits {device}; more would not run faster")
    path = ("training", "gradient_accumulation_steps")
    plan = _derive(plan, path, max(1, whole // micro), by, "global_batch_size / micro_batch_size")
    path = ("training", "activation_checkpointing")
    return _derive(plan, path, ckpt, by, checkpointing_why)


def _largest_micro_batch(plan: Plan, facts: Facts, whole: int) -> tuple[int, bool]:
    """(micro-batch, activation checkpointing): the first that fits, or 1 with checkpointing."""
    if facts.hardware is None:
        return 1, False
    largest = LARGEST_MICRO_BATCH[facts.hardware.device]
    given = plan.recipe.training.activation_checkpointing
    for ckpt in (False, True) if given is None else (given,):
        for micro in range(min(largest, whole), 0, -1):
            if whole % micro:
                continue
            needed = sizes.memory(_workload(plan, facts, micro, ckpt), facts.hardware).total
            if needed <= MEMORY_SHARE * facts.hardware.total_memory_bytes:
                return micro, ckpt
    return 1, True


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
    if not (facts.hardware and plan.tokens and plan.schedule and plan.parts.get("train")):
        return plan
    recipe, hardware, model = plan.recipe, facts.hardware, _model(facts)
    training = recipe.training
    load = _workload(plan, facts, training.micro_batch_size or 1, _checkpointing(plan))
    rows = plan.parts["train"].rows
    epochs = plan.schedule.steps * (training.global_batch_size or 1) / max(1, rows)
    seconds = {"train": sizes.training_seconds(load, round(plan.tokens.total * epochs), hardware)}
    generation, bf16 = recipe.eval.generation, load.bf16
    answered = sum(_suite_rows(plan, suite) for suite in recipe.eval.suites)
    new_tokens = 2 * answered * generation.max_new_tokens
    seconds["evaluate"] = sizes.generation_seconds(
        model, new_tokens, generation.batch_size, hardware, bf16
    )
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


def order_steps(plan: Plan, facts: Facts) -> Plan:
    """The steps with their fingerprints, in the order in which they run."""
    recipe = plan.recipe
    plain = to_json(recipe)
    files = {known.name: known.sha256 for known in facts.sources}
    torch = {name: facts.versions.get(name) for name in ("torch", "transformers", "peft", "trl")}
    code = {"code": facts.code}
    text = {"template": plain["template"], "objective": plain["objective"]}
    training = plain["training"]
    rendered = text | {"max_length": training["max_length"]}
    data = {key: plain["data"][key] for key in ("train", "validation", "test", "mix", "split")}
    model = {"identity": dict(facts.identity), "base": plain["model"]["base"]}
    loaded = {key: plain["model"][key] for key in ("dtype", "attention", "quantization")}
    device = {"device": facts.hardware.device if facts.hardware else None} | plain["compute"]
    rows: list[tuple[str, str, tuple[str, ...], dict[str, Any], bool, bool]] = [
        ("data", "read, split and check the data", (), code | {"files": files, "data": data}, False, False),
        ("model", f"fetch {recipe.model.base}", (), code | model, True, True),
        ("tokens", "render the template and tokenise", ("data", "model"), code | rendered, True, False),
        ("train", f"train ({_method_name(plan)})", ("tokens", "model"),
         code | {"model": loaded, "method": plain["method"], "training": training,
                 "compute": device, "versions": torch}, False, True),
        ("evaluate", "evaluate base and tuned", ("train", "data"),
         code | text | {"generation": plain["eval"]["generation"], "suites": plain["eval"]["suites"],
                        "resamples": plain["eval"]["resamples"]}, False, True),
        *((f"export-{export.type}", f"export {export.type}", ("train",), code, False, export.type == "merged")
          for export in recipe.export),
        ("report", "gates and report", ("evaluate",), {"gates": plain["eval"]["gates"]}, False, False),
    ]  # fmt: skip
    steps: dict[str, Step] = {}
    for name, title, needs, inputs, cacheable, child in rows:
        upstream = {need: steps[need].fingerprint for need in needs}
        mark = fingerprint({"step": name, "inputs": inputs, "needs": upstream})
        steps[name] = Step(name, title, needs, inputs, mark, cacheable, child)
    return replace(plan, steps=tuple(steps.values()))


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


def _plain(targets: str | tuple[str, ...]) -> str | list[str]:
    return targets if isinstance(targets, str) else list(targets)


def _checkpointing(plan: Plan) -> bool:
    return bool(plan.recipe.training.activation_checkpointing)


def _suite_rows(plan: Plan, name: str) -> int:
    suite = plan.recipe.eval.suites[name]
    part = plan.parts.get(suite.data)
    rows = part.rows if part else 0
    return min(rows, suite.limit) if suite.limit else rows


def _method_name(plan: Plan) -> str:
    method = plan.recipe.method
    if not isinstance(method, Lora):
        return method.type
    four_bit = plan.recipe.model.quantization
    return f"lora, rank {method.rank}{f', {four_bit.type} base' if four_bit else ''}"

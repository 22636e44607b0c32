"""Number formats, devices, threads and disk."""

from __future__ import annotations

from dsl import models
from dsl.facts import Facts
from dsl.problems import Problem, remove, set_value
from dsl.recipe import Qlora, Recipe
from dsl.rules.common import Found


def four_bits_need_an_adapter(recipe: Recipe, facts: Facts) -> Found:
    if recipe.model.quantization and recipe.method.type == "full":
        yield Problem(
            ("model", "quantization"),
            "weights held in four bits cannot be trained themselves",
            "set method to lora, which trains small matrices beside them; "
            "or remove model.quantization",
            (set_value(("method",), {"type": "lora"}),),
        )


def qlora_is_nf4(recipe: Recipe, facts: Facts) -> Found:
    quantization = recipe.model.quantization
    if isinstance(recipe.method, Qlora) and quantization and quantization.type != "nf4":
        yield Problem(
            ("model", "quantization", "type"),
            f"qlora means nf4, the recipe says {quantization.type}",
            "remove model.quantization, or write method.type lora",
            (remove(("model", "quantization")),),
        )


def full_not_in_float16(recipe: Recipe, facts: Facts) -> Found:
    if recipe.method.type == "full" and recipe.model.dtype == "float16":
        yield Problem(
            ("model", "dtype"),
            "full fine-tuning of float16 weights loses small updates and overflows",
            "set model.dtype to bfloat16",
            (set_value(("model", "dtype"), "bfloat16"),),
        )


def dtype_on_device(recipe: Recipe, facts: Facts) -> Found:
    hardware, dtype = facts.hardware, recipe.model.dtype
    if hardware is None:
        return
    if dtype == "float16" and hardware.device == "cpu":
        yield Problem(
            ("model", "dtype"),
            "a CPU does not train in float16",
            "set model.dtype to auto",
            (set_value(("model", "dtype"), "auto"),),
        )
    elif dtype == "bfloat16" and not hardware.bf16:
        yield Problem(
            ("model", "dtype"),
            f"{hardware.name} has no bfloat16 arithmetic: it would be much slower than float32",
            "set model.dtype to auto",
            (set_value(("model", "dtype"), "auto"),),
            severity="error" if hardware.device == "cuda" else "warning",
        )


def device_exists(recipe: Recipe, facts: Facts) -> Found:
    if facts.hardware and recipe.compute.device == "cuda" and facts.hardware.device == "cpu":
        yield Problem(
            ("compute", "device"),
            "this machine has no CUDA device",
            "set compute.device to auto",
            (set_value(("compute", "device"), "auto"),),
        )


def threads_exist(recipe: Recipe, facts: Facts) -> Found:
    threads = recipe.compute.threads
    if facts.hardware and threads and threads > facts.hardware.threads:
        yield Problem(
            ("compute", "threads"),
            f"{threads} threads on {facts.hardware.threads} cores wait for each other",
            f"set it to {facts.hardware.threads}",
            (set_value(("compute", "threads"), facts.hardware.threads),),
            severity="warning",
        )


def flash_attention_needs_cuda(recipe: Recipe, facts: Facts) -> Found:
    on_cpu = recipe.compute.device == "cpu" or (facts.hardware and facts.hardware.device == "cpu")
    if recipe.model.attention == "flash_attention_2" and on_cpu:
        yield Problem(
            ("model", "attention"),
            "flash_attention_2 runs on CUDA only",
            "set model.attention to sdpa",
            (set_value(("model", "attention"), "sdpa"),),
        )


def disk_is_free(recipe: Recipe, facts: Facts) -> Found:
    # a warning: a plan may be read on a machine too small for it; starting a run refuses
    free, model = facts.momentary.free_disk_bytes, facts.model or models.find(recipe.model.base)
    if free is None or model is None:
        return
    copies = 1 + (3 * recipe.training.keep_checkpoints if recipe.method.type == "full" else 0)
    copies += any(export.type == "merged" for export in recipe.export)
    needed = 2 * model.parameters * copies + 500_000_000
    if free < needed:
        yield Problem(
            ("model", "base"),
            f"{free / 1e9:.1f} GB are free on the disk, about {needed / 1e9:.1f} GB are needed",
            "free some, or put the runs (--runs) and the cache (RECIPE_CACHE) on another disk",
            severity="warning",
        )

"""Batches, steps, rates and checkpoints."""

from __future__ import annotations

from dsl.facts import Facts
from dsl.methods import info
from dsl.problems import Path, Problem, remove, set_value
from dsl.recipe import Lora, Recipe
from dsl.rules.common import Found, has_part


def batch_sizes_agree(recipe: Recipe, facts: Facts) -> Found:
    training = recipe.training
    whole, micro = training.global_batch_size, training.micro_batch_size
    steps = training.gradient_accumulation_steps
    if whole and micro and steps and whole != micro * steps:
        path: Path = ("training", "gradient_accumulation_steps")
        right, hint = whole // micro, f"set it to {whole // micro}"
        if whole % micro:
            path = ("training", "global_batch_size")
            right, hint = micro * steps, f"set it to {micro * steps}, or remove one of the three"
        yield Problem(
            path,
            f"micro_batch_size {micro} x gradient_accumulation_steps {steps} "
            f"is not global_batch_size {whole}",
            hint,
            (set_value(path, right),),
        )
    for name, part in (("micro_batch_size", micro), ("gradient_accumulation_steps", steps)):
        if whole and part and not (micro and steps) and whole % part:
            path = ("training", name)
            yield Problem(
                path,
                f"global_batch_size {whole} cannot be divided by {name} {part}",
                f"remove {name}, or make global_batch_size a multiple of it",
                (remove(path),),
            )


def one_warmup(recipe: Recipe, facts: Facts) -> Found:
    training = recipe.training
    if training.warmup_steps is not None and training.warmup_ratio is not None:
        path: Path = ("training", "warmup_steps")
        message = "warmup_steps and warmup_ratio both say how long the warm-up is"
        yield Problem(path, message, "remove one of them", (remove(path),))


def early_stopping_needs_validation(recipe: Recipe, facts: Facts) -> Found:
    if recipe.training.early_stopping and not has_part(recipe, "validation"):
        yield Problem(
            ("training", "early_stopping"),
            "early stopping needs a validation part, and there is none",
            "set data.split.validation to 0.05",
            (set_value(("data", "split", "validation"), 0.05),),
        )


def eval_steps_need_validation(recipe: Recipe, facts: Facts) -> Found:
    if recipe.training.eval_steps and not has_part(recipe, "validation"):
        path: Path = ("training", "eval_steps")
        message = "eval_steps without a validation part: there is nothing to validate on"
        yield Problem(path, message, "remove it", (remove(path),))


def best_checkpoint_is_saved(recipe: Recipe, facts: Facts) -> Found:
    training = recipe.training
    save, evaluate = training.save_steps, training.eval_steps
    if save and evaluate and save % evaluate and has_part(recipe, "validation"):
        path: Path = ("training", "save_steps")
        better = max(1, round(save / evaluate)) * evaluate
        yield Problem(
            path,
            f"save_steps {save} is no multiple of eval_steps {evaluate}: "
            "the best checkpoint would not be on disk",
            f"set it to {better}",
            (set_value(path, better),),
        )


def validation_is_reached(recipe: Recipe, facts: Facts) -> Found:
    training = recipe.training
    if training.max_steps and training.eval_steps and training.eval_steps > training.max_steps:
        path: Path = ("training", "eval_steps")
        yield Problem(
            path,
            f"training ends after {training.max_steps} steps, before the first validation",
            f"set it to {training.max_steps}",
            (set_value(path, training.max_steps),),
            severity="error" if training.early_stopping else "warning",
        )


def learning_rate_is_usual(recipe: Recipe, facts: Facts) -> Found:
    rate, method = recipe.training.learning_rate, info(recipe.method)
    if rate is None or recipe.training.optimizer == "sgd":
        return
    path: Path = ("training", "learning_rate")
    if rate > method.highest_learning_rate:
        far = rate > 10 * method.highest_learning_rate
        yield Problem(
            path,
            f"learning_rate {rate:g} is {'far ' if far else ''}above the rates at which "
            f"{recipe.method.type} training stays stable",
            f"set it to {method.learning_rate:g}: {method.why_rate}",
            (set_value(path, method.learning_rate),),
            severity="error" if far else "warning",
        )
    elif rate < 1e-7:
        yield Problem(
            path,
            f"learning_rate {rate:g} is so small that nothing is learned",
            f"set it to {method.learning_rate:g}",
            (set_value(path, method.learning_rate),),
            severity="warning",
        )


def alpha_is_usual(recipe: Recipe, facts: Facts) -> Found:
    method = recipe.method
    if isinstance(method, Lora) and method.alpha and not method.use_rslora:
        ratio = method.alpha / method.rank
        if not 0.25 <= ratio <= 8:
            path: Path = ("method", "alpha")
            yield Problem(
                path,
                f"alpha / rank is {ratio:g}; 1 or 2 is usual",
                f"set alpha to {2 * method.rank}",
                (set_value(path, 2 * method.rank),),
                severity="warning",
            )


def epochs_are_usual(recipe: Recipe, facts: Facts) -> Found:
    training = recipe.training
    if training.epochs > 5 and not training.early_stopping and training.max_steps is None:
        stops = has_part(recipe, "validation")
        patch = (
            set_value(("training", "early_stopping"), {"patience": 2})
            if stops
            else set_value(("training", "epochs"), 3)
        )
        yield Problem(
            ("training", "epochs"),
            f"after {training.epochs:g} epochs a model usually knows the training rows by heart",
            "add early_stopping, or take 1 to 3 epochs" if stops else "take 1 to 3 epochs",
            (patch,),
            severity="warning",
        )


def packing_keeps_examples_apart(recipe: Recipe, facts: Facts) -> Found:
    training = recipe.training
    row = (training.micro_batch_size or 1) * training.max_length
    if training.packing and row > 16384 and recipe.model.attention != "flash_attention_2":
        path: Path = ("training", "packing")
        yield Problem(
            path,
            f"packed rows of {row} tokens: the cost of {recipe.model.attention} attention "
            "grows with the square of the row",
            "set packing to false, or lower micro_batch_size or max_length",
            (set_value(path, False),),
        )

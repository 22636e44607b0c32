"""The base model and what an adapter needs of it."""

from __future__ import annotations

from dsl import models
from dsl.facts import Facts
from dsl.problems import Path, Problem, closest, remove, set_value
from dsl.recipe import Lora, Recipe
from dsl.rules.common import Found


def known_base(recipe: Recipe, facts: Facts) -> Found:
    base = recipe.model.base
    if "/" in base or base.endswith(".gguf") or models.find(base):
        return
    close = models.suggest(base)
    guess = f"did you mean {close[0]}? " if close else ""
    yield Problem(
        ("model", "base"),
        f"no model '{base}' in the registry",
        f"{guess}'recipe models' lists them; a folder begins with ./, "
        "a hub model is organisation/name",
        (set_value(("model", "base"), close[0]),) if close else (),
    )


def revision_of_hub_model(recipe: Recipe, facts: Facts) -> Found:
    base, revision = recipe.model.base, recipe.model.revision
    if is_local(base) and revision:
        yield Problem(
            ("model", "revision"),
            "a local model has no revision",
            "remove it",
            (remove(("model", "revision")),),
        )
    elif "/" in base and not is_local(base) and revision is None:
        yield Problem(
            ("model", "base"),
            f"{base} without a revision may be another model at the next run",
            "set model.revision to a commit of the hub",
            severity="warning",
        )


def targets_exist(recipe: Recipe, facts: Facts) -> Found:
    model = facts.model or models.find(recipe.model.base)
    if model is None or not isinstance(recipe.method, Lora):
        return
    targets = recipe.method.target_modules
    path: Path = ("method", "target_modules")
    names = models.module_names(model)
    for entry in models.unmatched(model, targets):
        alone = isinstance(targets, str)
        where: Path = path if alone else (*path, targets.index(entry))
        right = closest(entry, [*names, models.ALL_LINEAR] if alone else names)
        if right is None and alone:
            right = models.ALL_LINEAR
        hint = f"write {right}; " if right else ""
        yield Problem(
            where,
            f"'{entry}' matches no linear layer of {recipe.model.base}",
            f"{hint}its layers: {', '.join(names)}",
            (set_value(where, right),) if right else (),
        )


def rank_fits_layers(recipe: Recipe, facts: Facts) -> Found:
    model = facts.model or models.find(recipe.model.base)
    if model is None or not isinstance(recipe.method, Lora):
        return
    targets = models.resolve_targets(model, recipe.method.target_modules)
    smallest = min((min(t.in_features, t.out_features) for t in targets), default=None)
    if smallest is not None and recipe.method.rank > smallest:
        yield Problem(
            ("method", "rank"),
            f"rank {recipe.method.rank} is above {smallest}, the smaller side of the smallest "
            "adapted layer: more adds cost and nothing else",
            f"set it to at most {smallest}",
            (set_value(("method", "rank"), smallest),),
        )


def length_fits_context(recipe: Recipe, facts: Facts) -> Found:
    model = facts.model or models.find(recipe.model.base)
    longest = recipe.training.max_length
    if model and longest > model.max_position_embeddings:
        yield Problem(
            ("training", "max_length"),
            f"max_length {longest} is above the {model.max_position_embeddings} tokens "
            f"that {recipe.model.base} can read",
            f"set it to {model.max_position_embeddings}",
            (set_value(("training", "max_length"), model.max_position_embeddings),),
        )


def remote_code_is_confirmed(recipe: Recipe, facts: Facts) -> Found:
    if recipe.model.trust_remote_code and not facts.trust_remote_code:
        yield Problem(
            ("model", "trust_remote_code"),
            "the recipe asks to run code that comes with the model",
            "repeat it on the command line: --trust-remote-code",
        )


def chat_template_exists(recipe: Recipe, facts: Facts) -> Found:
    model = facts.model or models.find(recipe.model.base)
    # of a model outside the registry nothing is known before its tokenizer is read
    if model and model.name and model.chat is None and recipe.template.type == "chat":
        yield Problem(
            ("template", "type"),
            f"{model.name} is a plain base model: it has no chat template",
            "set template.type to chatml, or choose a model that ends in -instruct",
            (set_value(("template", "type"), "chatml"),),
        )


def is_local(base: str) -> bool:
    """Whether model.base names a folder or a file of this machine."""
    return base.startswith(("./", "../", "/")) or base.endswith(".gguf")

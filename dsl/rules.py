"""RULES: cross-field checks. Each takes a Recipe and what is known of the world, gives Problems.

A rule says nothing where the facts it needs were not asked. Every message names the smallest fix,
and a patch stands beside it where one exists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from dsl import models
from dsl.facts import Facts
from dsl.methods import info
from dsl.metrics import FAMILIES, METRICS, expand_metrics
from dsl.problems import Path, Problem, did_you_mean, one_of, remove, set_value
from dsl.recipe import ChatTemplate, JinjaTemplate, Lora, Qlora, Recipe
from dsl.rows import ALPACA_PROMPT, FORMATS, OPTIONAL

Found = Iterator[Problem]
Rule = Callable[[Recipe, Facts], Found]


def check(recipe: Recipe, facts: Facts) -> list[Problem]:
    """All Problems of all rules."""
    return [problem for rule in RULES for problem in rule(recipe, facts)]


# ---------------------------------------------------------------- model


def known_base(recipe: Recipe, facts: Facts) -> Found:
    base = recipe.model.base
    if "/" in base or base.endswith(".gguf") or models.find(base):
        return
    close = models.suggest(base)
    hint = f"did you mean {close[0]}? " if close else ""
    yield Problem(
        ("model", "base"),
        f"no model '{base}' in the registry",
        f"{hint}'recipe models' lists them; a folder begins with ./, a hub model is organisation/name",
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
            "a hub model without a revision can change between two runs",
            "set model.revision to a commit",
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
        close = did_you_mean(entry, names)
        right = close.removeprefix("did you mean ").removesuffix("?") if close else None
        where: Path = path if isinstance(targets, str) else (*path, targets.index(entry))
        fixed = "all-linear" if isinstance(targets, str) else right
        yield Problem(
            where,
            f"'{entry}' matches no linear layer of {recipe.model.base}",
            close or f"its layers: {', '.join(names)}; or write \"all-linear\"",
            (set_value(where, fixed),) if fixed else (),
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
            f"rank {recipe.method.rank} is above the smallest layer side ({smallest}): "
            "it cannot add anything",
            f"set rank to at most {smallest}",
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


# ---------------------------------------------------------------- precision and device


def four_bits_need_an_adapter(recipe: Recipe, facts: Facts) -> Found:
    if recipe.model.quantization and recipe.method.type == "full":
        yield Problem(
            ("model", "quantization"),
            "the weights of a four-bit base cannot be trained",
            "set method.type to lora, or remove model.quantization",
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


# ---------------------------------------------------------------- data


def paths_stay_inside(recipe: Recipe, facts: Facts) -> Found:
    for path, _, source in recipe.data.sources():
        file = PurePosixPath(source.path)
        if ".." in file.parts:
            yield Problem(
                (*path, "path"),
                f"'{source.path}' leaves the recipe's folder",
                "put the file beside the recipe, or give its absolute path and --allow its folder",
            )
        elif file.is_absolute() and not any(file.is_relative_to(top) for top in facts.allowed):
            yield Problem(
                (*path, "path"),
                f"'{source.path}' lies outside the recipe's folder",
                f"allow it on the command line: --allow {file.parent}",
            )


def source_not_on_both_sides(recipe: Recipe, facts: Facts) -> Found:
    seen: dict[str, str] = {}
    for path, part, source in recipe.data.sources():
        where = seen.setdefault(str(PurePosixPath(source.path)), part)
        if where != part:
            yield Problem(
                (*path, "path"),
                f"'{source.path}' stands in data.{where} and in data.{part}",
                "a file belongs to one part: remove one of the two",
                (remove(path),),
            )


def columns_fit_format(recipe: Recipe, facts: Facts) -> Found:
    for path, _, source in recipe.data.sources():
        if source.format == "auto":
            continue
        allowed = {*FORMATS[source.format], *OPTIONAL[source.format]}  # type: ignore[index]
        for role in source.columns.given():
            if role not in allowed:
                yield Problem(
                    (*path, "columns", role),
                    f"format {source.format} has no '{role}'",
                    f"its parts: {', '.join(sorted(allowed))}",
                    (remove((*path, "columns", role)),),
                )


def mapped_columns_exist(recipe: Recipe, facts: Facts) -> Found:
    by_path = {known.path: known for known in facts.sources}
    for path, _, source in recipe.data.sources():
        known = by_path.get(path)
        if known is None or not known.columns:
            continue
        for role, column in source.columns.given().items():
            if column not in known.columns:
                yield _no_column((*path, "columns", role), column, known.columns, known.complete)


def group_column_exists(recipe: Recipe, facts: Facts) -> Found:
    column = recipe.data.split.group_by
    for known in facts.sources:
        if column and known.part == "train" and known.columns and column not in known.columns:
            path: Path = ("data", "split", "group_by")
            yield _no_column(path, column, known.columns, known.complete)
            return


def template_columns_exist(recipe: Recipe, facts: Facts) -> Found:
    template = recipe.template
    texts = {"prompt": template.prompt}
    if isinstance(template, JinjaTemplate):
        texts["completion"] = template.completion
    by_path = {known.path: known for known in facts.sources}
    for field, text in texts.items():
        for name in _template_names(text or ""):
            for path, part, source in recipe.data.sources():
                known = by_path.get(path)
                if part == "mix" or known is None or not known.columns:
                    continue
                columns = {*known.columns, *source.columns.given(), "prompt", "completion"}
                if source.format in ("auto", "alpaca"):
                    columns |= {*ALPACA_PROMPT, "output"}
                if known.format == "messages":
                    columns.add("messages")
                if name not in columns:
                    yield _no_column(("template", field), name, tuple(columns), known.complete)
                    break


def template_fits_rows(recipe: Recipe, facts: Facts) -> Found:
    declared = {path: source.format for path, _, source in recipe.data.sources()}
    formats = declared | {known.path: known.format or "auto" for known in facts.sources}
    for path, format in formats.items():
        if format == "messages" and recipe.template.type == "alpaca":
            yield Problem(
                ("template", "type"),
                f"{_dotted(path)} holds conversations; the alpaca template holds one question",
                "set template.type to chat",
                (set_value(("template", "type"), "chat"),),
            )
            return


def template_parses(recipe: Recipe, facts: Facts) -> Found:
    template = recipe.template
    texts = {"prompt": template.prompt}
    if isinstance(template, JinjaTemplate):
        texts["completion"] = template.completion
    for field, text in texts.items():
        if text and (message := _syntax_error(text)):
            path: Path = ("template", field)
            yield Problem(path, f"the template cannot be read: {message}", "{{ name }} inserts a column")


def mix_leaves_room(recipe: Recipe, facts: Facts) -> Found:
    total = sum(source.share for source in recipe.data.mix)
    if total >= 0.95:
        yield Problem(
            ("data", "mix"),
            f"the shares of data.mix add up to {total:g}: nothing is left for the task",
            "5 to 20 percent of general data keep a model from forgetting",
        )
    elif total > 0.5:
        yield Problem(
            ("data", "mix"),
            f"{total:.0%} of the training rows are general data",
            "5 to 20 percent is usual",
            severity="warning",
        )


def split_leaves_training(recipe: Recipe, facts: Facts) -> Found:
    split = recipe.data.split
    validation = 0 if recipe.data.validation else split.validation
    test = 0 if recipe.data.test else split.test
    if validation + test > 0.6:
        path: Path = ("data", "split")
        yield Problem(
            path,
            f"validation and test take {validation + test:.0%} of the rows",
            "0.05 and 0.15 leave enough to learn from",
            (set_value((*path, "validation"), 0.05), set_value((*path, "test"), 0.15)),
        )


# ---------------------------------------------------------------- method and training


def batch_sizes_agree(recipe: Recipe, facts: Facts) -> Found:
    training = recipe.training
    whole, micro = training.global_batch_size, training.micro_batch_size
    steps = training.gradient_accumulation_steps
    if whole and micro and steps and whole != micro * steps:
        path: Path = ("training", "gradient_accumulation_steps")
        patch = set_value(path, whole // micro) if whole % micro == 0 else remove(path)
        yield Problem(
            path,
            f"{micro} x {steps} is not global_batch_size {whole}",
            f"set it to {whole // micro}" if whole % micro == 0 else "remove one of the three",
            (patch,),
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
        yield Problem(path, "warmup_steps and warmup_ratio say it twice", "remove one", (remove(path),))


def early_stopping_needs_validation(recipe: Recipe, facts: Facts) -> Found:
    if recipe.training.early_stopping and not _has(recipe, "validation"):
        yield Problem(
            ("training", "early_stopping"),
            "early stopping needs a validation part, and there is none",
            "set data.split.validation to 0.05",
            (set_value(("data", "split", "validation"), 0.05),),
        )


def eval_steps_need_validation(recipe: Recipe, facts: Facts) -> Found:
    if recipe.training.eval_steps and not _has(recipe, "validation"):
        path: Path = ("training", "eval_steps")
        yield Problem(
            path, "eval_steps without a validation part", "remove it", (remove(path),)
        )


def best_checkpoint_is_saved(recipe: Recipe, facts: Facts) -> Found:
    training = recipe.training
    save, evaluate = training.save_steps, training.eval_steps
    if save and evaluate and save % evaluate and _has(recipe, "validation"):
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
            f"learning_rate {rate:g} is {'far ' if far else ''}above what {recipe.method.type} "
            "training survives",
            f"set it to {method.learning_rate:g}: {method.why_rate}",
            (set_value(path, method.learning_rate),),
            severity="error" if far else "warning",
        )
    elif rate < 1e-7:
        yield Problem(
            path,
            f"learning_rate {rate:g} changes nothing",
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
    if recipe.training.epochs > 5 and not recipe.training.early_stopping:
        yield Problem(
            ("training", "epochs"),
            f"{recipe.training.epochs:g} epochs usually learn the training rows by heart",
            "1 to 3 epochs, or add early_stopping",
            (set_value(("training", "early_stopping"), {"patience": 2}),),
            severity="warning",
        )


def packing_keeps_examples_apart(recipe: Recipe, facts: Facts) -> Found:
    training = recipe.training
    if training.packing and (training.micro_batch_size or 1) * training.max_length > 16384:
        path: Path = ("training", "packing")
        if recipe.model.attention != "flash_attention_2":
            yield Problem(
                path,
                f"packed rows of {(training.micro_batch_size or 1) * training.max_length} tokens: "
                f"{recipe.model.attention} attention pays the square of the row",
                "set packing to false, or lower micro_batch_size",
                (set_value(path, False),),
            )


# ---------------------------------------------------------------- evaluation and export


def suites_have_data(recipe: Recipe, facts: Facts) -> Found:
    for name, suite in recipe.eval.suites.items():
        if not _has(recipe, suite.data):
            yield Problem(
                ("eval", "suites", name, "data"),
                f"suite '{name}' uses the {suite.data} part, and there is none",
                f"set data.split.{suite.data} to 0.15",
                (set_value(("data", "split", suite.data), 0.15),),
            )


def gates_have_metrics(recipe: Recipe, facts: Facts) -> Found:
    suites = recipe.eval.suites
    for index, gate in enumerate(recipe.eval.gates):
        path: Path = ("eval", "gates", index, "metric")
        name, _, metric = gate.metric.partition(".")
        if name not in suites:
            close = did_you_mean(name, suites)
            fixed = f"{next(iter(suites))}.{metric}" if len(suites) == 1 else None
            yield Problem(
                path,
                f"no suite '{name}'",
                close or f"the suites: {', '.join(suites)}",
                (set_value(path, fixed),) if fixed else (),
            )
            continue
        computed = expand_metrics(suites[name].metrics)
        if metric in FAMILIES:
            yield Problem(
                path,
                f"'{metric}' stands for several metrics",
                f"choose {one_of(FAMILIES[metric])}",
                (set_value(path, f"{name}.{FAMILIES[metric][-1]}"),),
            )
        elif metric not in METRICS:
            close = did_you_mean(metric, METRICS)
            yield Problem(path, f"no metric '{metric}'", close or f"known: {', '.join(METRICS)}")
        elif metric not in computed:
            where: Path = ("eval", "suites", name, "metrics")
            yield Problem(
                path,
                f"suite '{name}' does not compute '{metric}'",
                f"add it to {_dotted(where)}",
                (set_value(where, [*suites[name].metrics, metric]),),
            )


def gates_are_complete(recipe: Recipe, facts: Facts) -> Found:
    for index, gate in enumerate(recipe.eval.gates):
        path: Path = ("eval", "gates", index)
        compares = gate.improve_by is not None or gate.drop_at_most is not None
        if gate.min is None and gate.max is None and not compares:
            yield Problem(
                path,
                "a gate without a condition",
                "add min, max, improve_by or drop_at_most",
                (set_value((*path, "against"), "base"), set_value((*path, "improve_by"), 0)),
            )
        if compares and gate.against is None:
            yield Problem(
                path,
                "improve_by and drop_at_most need something to compare with",
                "set against to base",
                (set_value((*path, "against"), "base"),),
            )
        if gate.improve_by is not None and gate.drop_at_most is not None:
            yield Problem(
                (*path, "drop_at_most"),
                "improve_by and drop_at_most ask for two different things",
                "remove one",
                (remove((*path, "drop_at_most")),),
            )
        if gate.min is not None and gate.max is not None and gate.min > gate.max:
            yield Problem((*path, "min"), f"min {gate.min:g} is above max {gate.max:g}", "swap them")
        metric = METRICS.get(gate.metric.partition(".")[2])
        if metric and metric.better == "neither" and compares:
            yield Problem(
                (*path, "metric"),
                f"neither direction of {metric.name} is better",
                "use min and max",
            )


def validation_does_not_judge(recipe: Recipe, facts: Facts) -> Found:
    for index, gate in enumerate(recipe.eval.gates):
        suite = recipe.eval.suites.get(gate.metric.partition(".")[0])
        if suite and suite.data == "validation":
            yield Problem(
                ("eval", "gates", index, "metric"),
                "this gate judges on the validation part, which already chose the checkpoint",
                "use a suite on the test part",
                severity="warning",
            )


def sampling_blurs_comparison(recipe: Recipe, facts: Facts) -> Found:
    if recipe.eval.generation.temperature > 0:
        path: Path = ("eval", "generation", "temperature")
        yield Problem(
            path,
            "answers drawn at random blur the comparison of base and tuned",
            "set temperature to 0",
            (set_value(path, 0),),
            severity="warning",
        )


def exports_fit_method(recipe: Recipe, facts: Facts) -> Found:
    method = info(recipe.method)
    four_bit = recipe.model.quantization is not None or isinstance(recipe.method, Qlora)
    for index, export in enumerate(recipe.export):
        path: Path = ("export", index, "type")
        if export.type == "adapter" and not method.adapter:
            yield Problem(
                path,
                f"{recipe.method.type} training makes no adapter",
                "set it to merged",
                (set_value(path, "merged"),),
            )
        if export.type == "merged" and method.adapter and four_bit:
            yield Problem(
                path,
                "an adapter cannot be merged into a four-bit base without loss",
                "set it to adapter",
                (set_value(path, "adapter"),),
            )


# ---------------------------------------------------------------- the moment


def disk_is_free(recipe: Recipe, facts: Facts) -> Found:
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
            "free some, or point --runs and RECIPE_CACHE to another disk",
        )


RULES: tuple[Rule, ...] = (
    known_base,
    revision_of_hub_model,
    targets_exist,
    rank_fits_layers,
    length_fits_context,
    remote_code_is_confirmed,
    four_bits_need_an_adapter,
    qlora_is_nf4,
    full_not_in_float16,
    dtype_on_device,
    device_exists,
    threads_exist,
    flash_attention_needs_cuda,
    paths_stay_inside,
    source_not_on_both_sides,
    columns_fit_format,
    mapped_columns_exist,
    group_column_exists,
    template_parses,
    template_columns_exist,
    template_fits_rows,
    mix_leaves_room,
    split_leaves_training,
    batch_sizes_agree,
    one_warmup,
    early_stopping_needs_validation,
    eval_steps_need_validation,
    best_checkpoint_is_saved,
    validation_is_reached,
    learning_rate_is_usual,
    alpha_is_usual,
    epochs_are_usual,
    packing_keeps_examples_apart,
    suites_have_data,
    gates_have_metrics,
    gates_are_complete,
    validation_does_not_judge,
    sampling_blurs_comparison,
    exports_fit_method,
    disk_is_free,
)


def is_local(base: str) -> bool:
    """Whether model.base names a folder or a file of this machine."""
    return base.startswith(("./", "../", "/")) or base.endswith(".gguf")


def _has(recipe: Recipe, part: str) -> bool:
    return bool(getattr(recipe.data, part)) or getattr(recipe.data.split, part) > 0


def _dotted(path: Path) -> str:
    from dsl.problems import dotted

    return dotted(path)


def _no_column(path: Path, column: str, known: tuple[str, ...], complete: bool) -> Problem:
    return Problem(
        path,
        f"no column '{column}' in the data" + ("" if complete else " (first rows)"),
        did_you_mean(column, known) or f"the columns: {', '.join(sorted(known)[:20])}",
        severity="error" if complete else "warning",
    )


def _template_names(text: str) -> list[str]:
    """The columns a template reads. Only text with tags pays for the import of jinja2."""
    if "{" not in text or _syntax_error(text):
        return []
    simple = re.findall(r"\{\{-?\s*([A-Za-z_]\w*)\s*-?\}\}", text)
    if "{%" not in text and len(simple) == text.count("{{"):
        return list(dict.fromkeys(simple))
    from dsl.templates import undeclared

    return undeclared(text)


def _syntax_error(text: str) -> str | None:
    stripped = re.sub(r"\{\{-?\s*[A-Za-z_]\w*\s*-?\}\}", "", text)
    if not re.search(r"\{[{%#]", stripped):
        return None
    from dsl.templates import syntax_error

    return syntax_error(text)


__all__ = ["RULES", "ChatTemplate", "check", "is_local"]

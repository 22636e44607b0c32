"""Suites, gates and exports."""

from __future__ import annotations

from dsl.facts import Facts
from dsl.methods import info
from dsl.metrics import FAMILIES, METRICS, expand_metrics
from dsl.problems import Path, Problem, closest, dotted, one_of, remove, set_value
from dsl.recipe import Qlora, Recipe
from dsl.rules.common import Found, has_part


def suites_have_data(recipe: Recipe, facts: Facts) -> Found:
    for name, suite in recipe.eval.suites.items():
        if not has_part(recipe, suite.data):
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
            right = next(iter(suites)) if len(suites) == 1 else closest(name, suites)
            yield Problem(
                path,
                f"no suite '{name}'",
                f"write {right}.{metric}" if right else f"the suites: {', '.join(suites)}",
                (set_value(path, f"{right}.{metric}"),) if right else (),
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
            right = closest(metric, METRICS)
            yield Problem(
                path,
                f"no metric '{metric}'",
                f"did you mean {name}.{right}?" if right else f"known: {', '.join(METRICS)}",
                (set_value(path, f"{name}.{right}"),) if right else (),
            )
        elif metric not in computed:
            where: Path = ("eval", "suites", name, "metrics")
            yield Problem(
                path,
                f"suite '{name}' does not compute '{metric}'",
                f"add it to {dotted(where)}",
                (set_value(where, [*suites[name].metrics, metric]),),
            )


def gates_are_complete(recipe: Recipe, facts: Facts) -> Found:
    for index, gate in enumerate(recipe.eval.gates):
        path: Path = ("eval", "gates", index)
        metric = METRICS.get(gate.metric.partition(".")[2])
        directed = metric is None or metric.better != "neither"
        compares = gate.improve_by is not None or gate.drop_at_most is not None
        bounded = gate.min is not None or gate.max is not None
        if not bounded and not compares:
            patch = (set_value((*path, "against"), "base"), set_value((*path, "improve_by"), 0))
            yield Problem(
                path,
                f"the gate on {gate.metric} asks for nothing",
                "add improve_by, drop_at_most, min or max" if directed else "add min or max",
                patch if directed else (),
            )
        if bounded and not compares and gate.against is not None:
            yield Problem(
                (*path, "against"),
                "against has no effect beside min and max alone",
                "remove it, or add improve_by or drop_at_most",
                (remove((*path, "against")),),
                severity="warning",
            )
        if compares and gate.against is None:
            yield Problem(
                path,
                "improve_by and drop_at_most need a model to compare with",
                "set against to base: the model before training",
                (set_value((*path, "against"), "base"),),
            )
        if gate.improve_by is not None and gate.drop_at_most is not None:
            yield Problem(
                (*path, "drop_at_most"),
                "improve_by asks for better, drop_at_most allows worse: a gate takes one of them",
                "remove one of them",
                (remove((*path, "drop_at_most")),),
            )
        if gate.min is not None and gate.max is not None and gate.min > gate.max:
            yield Problem(
                (*path, "min"),
                f"min {gate.min:g} is above max {gate.max:g}: nothing can pass",
                "swap them",
                (set_value((*path, "min"), gate.max), set_value((*path, "max"), gate.min)),
            )
        if metric and compares and not directed:
            yield Problem(
                (*path, "metric"),
                f"{metric.name} has no better direction: it cannot improve or drop",
                "use min and max instead",
            )


def validation_does_not_judge(recipe: Recipe, facts: Facts) -> Found:
    for index, gate in enumerate(recipe.eval.gates):
        suite = recipe.eval.suites.get(gate.metric.partition(".")[0])
        if suite and suite.data == "validation":
            yield Problem(
                ("eval", "gates", index, "metric"),
                "this gate judges on the validation part, which already chose the checkpoint: "
                "its result looks better than it is",
                f"set eval.suites.{gate.metric.partition('.')[0]}.data to test",
                (set_value(("eval", "suites", gate.metric.partition(".")[0], "data"), "test"),),
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
                "an adapter cannot be merged into a four-bit base without loss: "
                "the merged model would answer differently",
                "set it to adapter",
                (set_value(path, "adapter"),),
            )

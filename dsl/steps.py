"""The steps of a plan: what each reads of recipe and world, and its fingerprint."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dsl.facts import Facts
from dsl.plan import Plan, Step, fingerprint
from dsl.recipe import Lora, to_json

# whose version may change what training computes
LIBRARIES = ("torch", "transformers", "peft", "trl")


def order_steps(plan: Plan, facts: Facts) -> Plan:
    """The steps with their fingerprints, in the order in which they run."""
    steps: dict[str, Step] = {}
    for draft in _drafts(plan, facts):
        upstream = {need: steps[need].fingerprint for need in draft.needs}
        inputs = {"step": draft.name, "inputs": draft.inputs, "needs": upstream}
        steps[draft.name] = replace(draft, fingerprint=fingerprint(inputs))
    return replace(plan, steps=tuple(steps.values()))


def _drafts(plan: Plan, facts: Facts) -> list[Step]:
    """Every step with what it reads of recipe and world. What it does not read it must not name:
    a change there would run it again."""
    recipe, plain = plan.recipe, to_json(plan.recipe)
    model, training, judged = plain["model"], plain["training"], plain["eval"]
    code = {"code": facts.code}
    text = code | {"template": plain["template"], "objective": plain["objective"]}
    read = ("train", "validation", "test", "mix", "split")
    data = code | {
        "files": {
            known.name: {"sha256": known.sha256, "rows": known.rows} for known in facts.sources
        },
        "data": {key: plain["data"][key] for key in read},
    }
    weights = code | {"identity": dict(facts.identity), "base": model["base"]}
    trained = code | {
        "model": {key: model[key] for key in ("dtype", "attention", "quantization")},
        "method": plain["method"],
        "training": training,
        "compute": {"device": facts.hardware.device if facts.hardware else None} | plain["compute"],
        "versions": {name: facts.versions.get(name) for name in LIBRARIES},
    }
    answered = text | {key: judged[key] for key in ("generation", "suites", "resamples")}
    title = f"train ({_method_name(plan)})"
    return [
        _draft("data", "read, split and check the data", (), data),
        _draft("model", f"fetch {recipe.model.base}", (), weights, cacheable=True, child=True),
        _draft(
            "tokens",
            "render the template and tokenise",
            ("data", "model"),
            text | {"max_length": training["max_length"]},
            cacheable=True,
        ),
        _draft("train", title, ("tokens", "model"), trained, child=True),
        _draft("evaluate", "evaluate base and tuned", ("train", "data"), answered, child=True),
        *(
            _draft(
                f"export-{export.type}",
                f"export {export.type}",
                ("train",),
                code,
                child=export.type == "merged",
            )
            for export in recipe.export
        ),
        _draft("report", "gates and report", ("evaluate",), {"gates": judged["gates"]}),
    ]


def _draft(
    name: str,
    title: str,
    needs: tuple[str, ...],
    inputs: dict[str, Any],
    cacheable: bool = False,
    child: bool = False,
) -> Step:
    return Step(name, title, needs, inputs, "", cacheable, child)


def _method_name(plan: Plan) -> str:
    method = plan.recipe.method
    if not isinstance(method, Lora):
        return method.type
    four_bit = plan.recipe.model.quantization
    return f"lora, rank {method.rank}{f', {four_bit.type} base' if four_bit else ''}"

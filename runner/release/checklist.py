"""The production list: what should hold before a tuned model is used, as far as it can be judged.

Every item tells its evidence. What nothing here can judge is told as not run, never as passed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from dsl.errors import RecipeError
from dsl.plan import Plan
from dsl.problems import Change, set_value
from runner.data.checks import Finding
from runner.lock import differences
from runner.runs.events import read_events
from runner.runs.store import RunFolder, list_runs, read_json

State = Literal["pass", "warn", "error", "not_run"]
PATIENCE = 3
PEAK = 10.0  # times the median: a gradient that large is a jump, not noise


@dataclass(frozen=True, slots=True)
class Item:
    """One item. `patch`: of the recipe, where a setting mends it."""

    name: str
    question: str
    state: State
    evidence: str
    patch: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What items are judged by. `run`: the last run of this recipe, if there is one."""

    plan: Plan
    findings: Mapping[str, Finding]
    run: RunFolder | None


def production_list(plan: Plan, findings: Sequence[Finding], runs: Path) -> list[Item]:
    """All items for a plan, the findings of its data, and its last run in the folder `runs`."""
    known = Known(plan, {one.check: one for one in findings}, last_run(runs, plan.recipe.name))
    return [judge(known) for judge in ITEMS]


def last_run(runs: Path, name: str) -> RunFolder | None:
    for run in reversed(list_runs(runs)):
        try:
            if read_json(run.run).get("name") == name:
                return run
        except RecipeError:  # damaged: the page of the runs tells it
            continue
    return None


def _held_out(known: Known) -> Item:
    name, question = "held_out_set", "Is there a test set that was never trained on?"
    part, leak = known.findings.get("test_part"), known.findings.get("leakage")
    if part is None or leak is None or "not_run" in (part.state, leak.state):
        return Item(name, question, "not_run", "the data have not been checked")
    states = [part.state, leak.state]
    state: State = "error" if "error" in states else "warn" if "warn" in states else "pass"
    return Item(name, question, state, f"test: {part.message}. Leakage: {leak.message}")


def _clean(known: Known) -> Item:
    name, question = "clean_data", "Are copies, contradictions and broken rows out of the data?"
    checks = ("malformed", "missing", "duplicates", "near_duplicates", "contradictions")
    found = [known.findings[check] for check in checks if check in known.findings]
    bad = [one for one in found if one.state in ("warn", "error")]
    if bad:
        state: State = "error" if any(one.state == "error" for one in bad) else "warn"
        return Item(name, question, state, "; ".join(f"{b.check}: {b.message}" for b in bad))
    skipped = [one.check for one in found if one.state in ("not_run", "off")]
    if skipped or not found:
        return Item(name, question, "not_run", f"not looked at: {', '.join(skipped) or 'all'}")
    return Item(name, question, "pass", f"{', '.join(one.check for one in found)} passed")


def _licence(known: Known) -> Item:
    name, question = "licence", "Is the licence of the base model known?"
    licence = known.plan.model["licence"]
    if not licence:
        return Item(name, question, "warn", "unknown: read it where the model comes from")
    return Item(name, question, "pass", f"{licence}; whether your use keeps to it, you judge")


def _memory(known: Known) -> Item:
    name, question = "memory", "Does the training fit this machine's memory?"
    estimate = known.plan.estimate
    if estimate is None:
        return Item(name, question, "not_run", "not estimated: there are no rows, or no device")
    share = estimate.memory.total / estimate.device_bytes
    said = f"{share:.0%} of {estimate.device} (estimated)"
    return Item(name, question, "pass" if estimate.fits else "error", said)


def _checkpoints(known: Known) -> Item:
    name, question = "checkpoints", "Is the training saved on the way?"
    schedule, every = known.plan.schedule, known.plan.recipe.training.save_steps
    if schedule is None or every is None:
        return Item(name, question, "not_run", "the number of steps is not known")
    if every < schedule.steps:
        return Item(name, question, "pass", f"every {every} of {schedule.steps} steps")
    patch = (set_value(("training", "save_steps"), max(1, schedule.steps // 5)),)
    return Item(name, question, "warn", f"only at the end of {schedule.steps} steps", patch)


def _early_stopping(known: Known) -> Item:
    name, question = "early_stopping", "Does the training end when it no longer improves?"
    stopping = known.plan.recipe.training.early_stopping
    if stopping is None:
        patch = (set_value(("training", "early_stopping"), {"patience": PATIENCE}),)
        return Item(name, question, "warn", "no: all epochs are trained in any case", patch)
    part = known.plan.parts.get("validation")
    if part is not None and not part.rows:
        return Item(name, question, "warn", "yes, but there are no validation rows to see it by")
    said = f"after {stopping.patience} validations without improvement"
    return Item(name, question, "pass", said)


def _gradient_norm(known: Known) -> Item:
    name, question = "gradient_norm", "Were the gradients of the last run calm?"
    if known.run is None:
        return Item(name, question, "not_run", "there is no run of this recipe yet")
    norms = _series(known.run, "train", "grad_norm")
    if not norms:
        return Item(name, question, "not_run", f"{known.run.id} has not trained")
    if not all(map(math.isfinite, norms)):
        return Item(name, question, "error", f"infinite or not a number in {known.run.id}")
    usual, most = median(norms), max(norms)
    state: State = "warn" if most > PEAK * usual else "pass"
    return Item(name, question, state, f"median {usual:.3g}, largest {most:.3g} in {known.run.id}")


def _losses(known: Known) -> Item:
    name, question = "validation", "Did the validation loss fall in the last run?"
    if known.run is None:
        return Item(name, question, "not_run", "there is no run of this recipe yet")
    losses = _series(known.run, "validation", "loss")
    if len(losses) < 2:
        return Item(name, question, "not_run", f"{len(losses)} validations in {known.run.id}")
    state: State = "pass" if min(losses[1:]) < losses[0] else "warn"
    return Item(name, question, state, f"{losses[0]:.3f}, at best {min(losses):.3f} afterwards")


def _versions(known: Known) -> Item:
    name, question = "versions", "Are the library versions those of the last run?"
    if known.run is None or not known.run.lock.exists():
        return Item(name, question, "not_run", "there is no finished run to compare with")
    try:
        before = read_json(known.run.lock)["versions"]
    except (RecipeError, KeyError):
        return Item(name, question, "not_run", f"the lock of {known.run.id} cannot be read")
    from runner.probe import versions

    now = versions()
    changed = [f"{path} {was} -> {new}" for path, was, new in differences(before, now)]
    if changed:
        return Item(name, question, "warn", f"changed since {known.run.id}: {'; '.join(changed)}")
    return Item(name, question, "pass", f"all {len(now)} as in {known.run.id}")


def _verdict(known: Known) -> Item:
    name, question = "gates", "Did the last run meet its conditions?"
    if not known.plan.recipe.eval.gates:
        return Item(name, question, "warn", "the recipe has no gates: nothing would fail it")
    result = _read(known.run.result) if known.run and known.run.result.exists() else {}
    if not result:
        return Item(name, question, "not_run", "there is no finished run of this recipe yet")
    states: dict[str, State] = {"done": "pass", "gate_failed": "error", "inconclusive": "warn"}
    status = str(result.get("status"))
    assert known.run is not None
    return Item(name, question, states.get(status, "not_run"), f"{known.run.id}: {status}")


def _not_judged(name: str, question: str) -> Callable[[Known], Item]:
    return lambda _: Item(name, question, "not_run", "not judged by this version: do it yourself")


def _series(run: RunFolder, type: str, field: str) -> list[float]:
    """A number of the run's events of one type, in their order."""
    events = (event for event in read_events(run.events) if event.get("type") == type)
    return [float(event[field]) for event in events if event.get(field) is not None]


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except RecipeError:
        return {}


# in the order of the work
ITEMS: tuple[Callable[[Known], Item], ...] = (
    _held_out,
    _clean,
    _licence,
    _memory,
    _checkpoints,
    _early_stopping,
    _gradient_norm,
    _losses,
    _versions,
    _verdict,
    _not_judged("general_ability", "Can the tuned model still do what the base could?"),
    _not_judged("safety", "Does it still refuse what is harmful?"),
    _not_judged("rollback", "Is written down how to go back to the model in use?"),
)

"""The verdict of a report in a few sentences that need no statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from runner.report.words import Direction, Json, direction, label, notation, plural

OUTCOMES: dict[str, str] = {
    "pass": "Passed",
    "fail": "Did not pass",
    "inconclusive": "Inconclusive",
    "measured": "Measured",
    "failed": "The run failed",
    "interrupted": "The run was interrupted",
    "unfinished": "The run has not ended",
}

_HEADLINES: dict[Direction, str] = {
    "better": "The tuned model is better {on}",
    "worse": "The tuned model is worse {on}",
    "unclear": "No clear difference between the tuned and the base model {on}",
    "equal": "The tuned and the base model score the same {on}",
    "described": "The tuned model was measured {on}",
    "unknown": "The tuned model could not be compared {on}",
}
_COUNTED: dict[Direction, str] = {
    "better": "{} better",
    "worse": "{} worse",
    "unclear": "{} without a clear difference",
    "equal": "{} equal",
    "unknown": "{} not measured",
}
_HELD_OUT = {"test": "the held-out test examples", "validation": "the validation examples"}
_PREFERRED = ("loss", "bits_per_byte", "accuracy", "preference_accuracy", "rouge_l")


def verdict_of(report: Json, verdict: str | None) -> Json:
    """outcome, label, headline and details, from a report that lacks only them."""
    outcome = _outcome(report, verdict)
    known = primary(report)
    details = list(_details(report)) if report["suites"] else []
    if outcome in ("failed", "interrupted", "unfinished") or known is None:
        headline, story = _ended(report, outcome)
        details = [*story, *details]
    else:
        headline = _compared(*known)
    return {
        "outcome": outcome,
        "label": OUTCOMES[outcome],
        "headline": headline,
        "details": details,
        "metric": f"{known[0]['name']}.{known[1]['name']}" if known else None,
    }


def primary(report: Json) -> tuple[Json, Json] | None:
    """(suite, metric) that the headline speaks of: the first gate's that compares, else loss."""
    measured = {
        f"{suite['name']}.{metric['name']}": (suite, metric)
        for suite in report["suites"]
        for metric in suite["metrics"]
    }
    gated = [g["metric"] for g in report["gates"] if g["required"] and g["metric"] in measured]
    preferred = [key for name in _PREFERRED for key in measured if key.endswith(f".{name}")]
    ranked = [*gated, *preferred, *measured]
    clear = [key for key in ranked if measured[key][1]["better"] != "neither"]
    return measured[(clear or ranked)[0]] if ranked else None


def _outcome(report: Json, verdict: str | None) -> str:
    status = report["result"]["status"]
    if status in ("failed", "interrupted"):
        return str(status)
    if verdict in ("pass", "fail", "inconclusive"):
        return verdict
    named = {"gate_failed": "fail", "inconclusive": "inconclusive", "done": "measured"}
    return named.get(status) or ("measured" if report["suites"] else "unfinished")


def _compared(suite: Json, metric: Json) -> str:
    write = notation(metric)
    on = f"on {_HELD_OUT.get(suite['data'], 'the examples of ' + suite['name'])}"
    base, tuned = (write.value(metric[arm]["value"]) for arm in ("base", "tuned"))
    better = f", {metric['better']} is better" if metric["better"] != "neither" else ""
    name = label(metric["name"])
    name = name.lower() if name.capitalize() == name else name
    return f"{_HEADLINES[direction(metric)].format(on=on)}: {name} {base} → {tuned}{better}."


def _details(report: Json) -> Iterator[str]:
    yield from _gates(report["gates"])
    states = Counter(direction(m) for suite in report["suites"] for m in suite["metrics"])
    parts = [words.format(states[state]) for state, words in _COUNTED.items() if states[state]]
    judged = sum(number for state, number in states.items() if state != "described")
    if parts:
        yield f"Of {plural(judged, 'metric')}: {', '.join(parts)}."
    for suite in report["suites"]:
        if suite["n"]:
            yield _sample(suite, report["method"]["group_by"])


def _gates(gates: list[Json]) -> Iterator[str]:
    required = [gate for gate in gates if gate["required"]]
    if required:
        passed = sum(gate["verdict"] == "pass" for gate in required)
        yield f"{passed} of {plural(len(required), 'required gate')} passed."
    elif not gates:
        yield "No gates were set, so nothing was to be passed or failed."
    for gate in gates:
        if gate["verdict"] != "pass":
            kind = "" if gate["required"] else " (not required)"
            word = "failed" if gate["verdict"] == "fail" else "is inconclusive"
            name = label(gate["metric"].rpartition(".")[2])
            yield f"The gate '{name}: {gate['condition'] or gate['metric']}'{kind} {word}."


def _sample(suite: Json, group_by: str | None) -> str:
    text = f"Judged on {plural(suite['n'], 'example')}"
    if suite["clusters"] and suite["clusters"] != suite["n"]:
        text += f" from {plural(suite['clusters'], group_by or 'group')}"
    return f"{text}{', held out of the training' if suite['data'] == 'test' else ''}."


def _ended(report: Json, outcome: str) -> tuple[str, list[str]]:
    """What happened to a run that has no comparison to show."""
    result, steps = report["result"], report["steps"]
    where = f" during the step '{result['stopped_in']}'" if result["stopped_in"] else ""
    reason = (result["reason"] or "").rstrip(".")
    headline = {
        "failed": f"The run failed{where}{': ' + reason if reason else ''}.",
        "interrupted": f"The run was interrupted{where}.",
        "unfinished": f"The run has not ended{', it was last seen' + where if where else ''}.",
    }.get(outcome, "The run ended without a comparison of the two models.")
    story = []
    if reason and outcome != "failed":
        story.append(f"{reason}.")
    if result["hint"]:
        story.append(f"What helps: {result['hint'].rstrip('.')}.")
    done = [step for step in steps if step["state"] in ("done", "cached")]
    if steps:
        story.append(f"{len(done)} of {plural(len(steps), 'step')} were done.")
    training = report["training"]
    if training and training["steps"] and training["at"] < training["steps"]:
        story.append(f"Training reached step {training['at']:,} of {training['steps']:,}.")
    if not report["suites"]:
        story.append("The models were not compared, so nothing is known of the tuned model.")
    return headline, story

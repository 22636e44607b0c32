"""What a run has shown, for the page of its report: report.json, and its answers one by one."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dsl.errors import RunError
from dsl.metrics import METRICS
from runner.app.curves import Curve
from runner.app.database import reading
from runner.report.collect import evaluation_of
from runner.report.words import finite
from runner.runs.store import RunFolder, read_json

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Json = dict[str, Any]
Outcome = Literal["loss", "tie", "win", "unknown"]
Order = Literal["worst first", "best first", "as in the data"]

RANKED_BY = ("rouge_l", "token_f1", "exact_match", "loss")  # what tells most of one answer
ORDERS: dict[Order, str] = {
    "worst first": "gain nulls last, ",
    "best first": "gain desc nulls last, ",
    "as in the data": "",
}
REBUILD = "build it again: recipe report {}"
TEXTS = ("id", '"group"', "prompt", "reference", "base_text", "tuned_text")
_TURN = re.compile(r"<\|im_start\|>(\w+)\n(.*?)(?:<\|im_end\|>\n?|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Answer:
    """One question with both answers, and what a metric says of each."""

    id: str
    group: str | None
    prompt: str
    reference: str
    base: str
    tuned: str
    base_score: float | None
    tuned_score: float | None
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Question:
    """Which answers are asked for: of a suite, judged by a metric, those that hold a text."""

    suite: str
    metric: str | None
    text: str = ""
    outcomes: tuple[Outcome, ...] = ()
    order: Order = "worst first"


@dataclass(frozen=True, slots=True)
class Answers:
    """predictions.parquet of a run. `suites`: name → metrics that score each of its answers, the
    most telling one first. Its methods raise RunError where the file is gone or damaged."""

    path: Path
    suites: Mapping[str, tuple[str, ...]]

    def counts(self, asked: Question) -> dict[Outcome, int]:
        """How many of the answers end how, whatever outcome is asked for."""
        query = f"select outcome, count(*) from ({_judged(asked.metric)}) group by outcome"
        with _answers(self.path) as connection:
            return dict(connection.execute(query, [asked.suite, asked.text]).fetchall())

    def page(self, asked: Question, first: int, size: int) -> list[Answer]:
        query = f"""
            select {", ".join(TEXTS)}, base, tuned, outcome from ({_judged(asked.metric)})
            where len($3) = 0 or list_contains($3, outcome)
            order by {ORDERS[asked.order]} place limit $4 offset $5
        """
        values = [asked.suite, asked.text, list(asked.outcomes), size, first]
        with _answers(self.path) as connection:
            found = connection.execute(query, values).fetchall()
        return [
            Answer(str(row[0]), row[1], *_texts(row[2:6]), finite(row[6]), finite(row[7]), row[8])
            for row in found
        ]


def report_of(run: RunFolder) -> Json | None:
    """report.json, as its schema has it; None where there is none. Raises RunError."""
    from jsonschema import Draft202012Validator

    if not run.report.is_file():
        return None
    try:
        report = read_json(run.report)
    except RunError as unreadable:
        raise RunError(unreadable.message, REBUILD.format(run.id)) from None
    schema = resources.files("schemas").joinpath("report.schema.json").read_text("utf-8")
    errors = Draft202012Validator(json.loads(schema)).iter_errors(report)
    if (error := next(errors, None)) is not None:
        place = error.json_path.removeprefix("$").lstrip(".") or "the whole"
        raise RunError(f"{run.report} is no report: {place} is not as it should be",
                       REBUILD.format(run.id))  # fmt: skip
    return report


def answers_of(run: RunFolder) -> Answers | None:
    """The answers of a run's evaluation; None where there are none. Raises RunError."""
    plan = read_json(run.plan) if run.plan.is_file() else {}
    evaluation = evaluation_of(run.path, plan)
    if evaluation is None or not (path := evaluation / "predictions.parquet").is_file():
        return None
    with _answers(path) as connection:
        return Answers(path, _suites(connection))


def rebuild(run: RunFolder) -> None:
    """Writes report.json and report.html anew, as 'recipe report' does. Raises RecipeError."""
    from dsl.recipe import build
    from runner.execute import write_report

    try:
        write_report(run, build(read_json(run.plan)["recipe"]))
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise RunError(f"no report can be made of {run.id}: its other files are damaged",
                       f"what was met first: {error!r}") from None  # fmt: skip


def curve(points: list[list[float]]) -> Curve:
    """A curve of the report, [step, value] each, as charts take it."""
    made = Curve()
    for at, value in points:
        made.add(at, value)
    return made


def unmeasured(report: Json) -> list[str]:
    """Suites of the recipe that have no results."""
    measured = {suite["name"] for suite in report["suites"]}
    paths = (setting["path"].split(".") for setting in report["settings"])
    named = dict.fromkeys(path[2] for path in paths if path[:2] == ["eval", "suites"] and path[2:])
    return [name for name in named if name not in measured]


def turns(prompt: str) -> list[tuple[str, str]]:
    """(role, text) of a prompt in ChatML; of any other the whole as it is, without a role."""
    found = _TURN.findall(prompt)
    told = [(role, text.strip()) for role, text in found if text.strip()]
    # nothing may be lost: what is between the turns counts too
    whole = not _TURN.sub("", prompt).strip()
    return told if told and whole else [("", prompt)]


def _texts(texts: Sequence[str | None]) -> tuple[str, str, str, str]:
    prompt, reference, base, tuned = (text or "" for text in texts)
    return prompt, reference, base, tuned


def _suites(connection: DuckDBPyConnection) -> dict[str, tuple[str, ...]]:
    described = connection.execute("describe answers").fetchall()
    columns = {name for name, *_ in described}
    known = [
        name
        for name, metric in METRICS.items()
        if {f"base_{name}", f"tuned_{name}"} <= columns and metric.better != "neither"
    ]
    ranked = [*(n for n in RANKED_BY if n in known), *(n for n in known if n not in RANKED_BY)]
    scored = "".join(f", count(base_{name}) and count(tuned_{name})" for name in ranked)
    rows = connection.execute(
        f"select suite, min(place){scored} from answers group by suite order by 2"
    ).fetchall()
    return {
        suite: tuple(name for name, any_score in zip(ranked, scores, strict=True) if any_score)
        for suite, _, *scores in rows
    }


def _judged(metric: str | None) -> str:
    """The answers of suite $1 that hold the text $2, each with its outcome and its gain.

    A win is what the evaluation counts as one: strictly better; what is no number is neither.
    """
    if metric is None:
        scores = "null::double as base, null::double as tuned, 1 as sign"
    else:
        sign = -1 if METRICS[metric].better == "lower" else 1
        scores = f"base_{metric} as base, tuned_{metric} as tuned, {sign} as sign"
    texts = "concat_ws(' ', id, \"group\", prompt, reference, base_text, tuned_text)"
    return f"""
        select *, case
            when base is null or tuned is null or isnan(base) or isnan(tuned) then 'unknown'
            when base = tuned then 'tie'
            when sign * base < sign * tuned then 'win'
            else 'loss' end as outcome,
            case outcome when 'unknown' then null when 'tie' then 0.0
            else sign * (tuned - base) end as gain
        from (select *, {scores} from answers
              where suite = $1 and contains(lower({texts}), lower($2)))
    """


@contextmanager
def _answers(path: Path) -> Iterator[DuckDBPyConnection]:
    """Its rows as the view 'answers', numbered as they lie. Raises RunError."""
    import duckdb

    try:
        with reading(path.parent) as connection:
            connection.read_parquet(glob.escape(str(path))).create_view("parquet")
            connection.execute(
                "create temp view answers as select *, row_number() over () as place from parquet"
            )
            yield connection
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path} cannot be read: {reason}", "it is damaged or gone") from None

"""What a run has shown: its report, and its answers counted, found, sorted."""

from __future__ import annotations

import json
import math
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dsl.errors import RunError
from runner.app.results import Answers, Question, answers_of, report_of, turns, unmeasured
from runner.report.collect import collect
from runner.report.html import write
from runner.runs.store import RunFolder

HAND_MADE = runpy.run_path(str(Path(__file__).parents[1] / "report/conftest.py"))
MakeAnswers = Callable[..., Answers]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A finished run with six answers, in a folder whose name is no pattern."""
    path: Path = HAND_MADE["make_run"](tmp_path / "runs [a*b]" / "legal-1")
    write(path, collect(path, HAND_MADE["GATES"], "pass"))
    return RunFolder(path)


@pytest.fixture
def answers(tmp_path: Path) -> MakeAnswers:
    """(base score, tuned score) of each answer → predictions.parquet with ids a, b, c ..."""

    def make(*scores: tuple[float | None, float | None], metric: str = "rouge_l") -> Answers:
        path = tmp_path / "predictions.parquet"
        with duckdb.connect() as connection:
            connection.execute(
                'create table p (suite varchar, id varchar, "group" varchar, prompt varchar, '
                "reference varchar, base_text varchar, tuned_text varchar, "
                f"base_{metric} double, tuned_{metric} double)"
            )
            for place, (base, tuned) in enumerate(scores):
                values = ["domain", chr(97 + place), None, "Say it", "it", "base", "tuned"]
                connection.execute("insert into p values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                                   [*values, base, tuned])  # fmt: skip
            connection.query("from p").write_parquet(str(path))
        return Answers(path, {"domain": (metric,)})

    return make


def ids(found: Answers, **asked: Any) -> str:
    question = Question("domain", found.suites["domain"][0], **asked)
    return "".join(answer.id for answer in found.page(question, 0, 99))


# The report --------------------------------------------------------------------------------------


def test_a_report_is_read(run: RunFolder) -> None:
    report = report_of(run)
    assert report is not None and report["verdict"]["outcome"] == "pass"
    run.report.unlink()
    assert report_of(run) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:100],
        lambda text: "[]",
        lambda text: "{}",
        lambda text: text.replace('"outcome": "pass"', '"outcome": "great"'),
        lambda text: json.dumps(json.loads(text) | {"suites": [3]}),
    ],
)
def test_a_damaged_report_is_told_in_words(run: RunFolder, change: Callable[[str], str]) -> None:
    run.report.write_text(change(run.report.read_text("utf-8")), "utf-8")
    with pytest.raises(RunError) as caught:
        report_of(run)
    assert "report.json" in caught.value.message and caught.value.hint


def test_suites_that_were_not_evaluated_are_named() -> None:
    paths = ("eval.suites.domain.data", "eval.suites.general.data", "eval.suites.general.limit",
             "eval.resamples")  # fmt: skip
    settings = [{"path": path} for path in paths]
    assert unmeasured({"settings": settings, "suites": [{"name": "domain"}]}) == ["general"]


# The answers -------------------------------------------------------------------------------------


def test_the_answers_of_a_run(run: RunFolder) -> None:
    found = answers_of(run)
    assert found is not None and found.suites == {"domain": ("rouge_l",)}
    asked = Question("domain", "rouge_l")
    assert found.counts(asked) == {"loss": 2, "win": 4}
    first, *_ = found.page(asked, 0, 2)
    assert (first.id, first.outcome) == ("legal/clauses.jsonl:118", "loss")
    assert (first.base_score, first.tuned_score) == (0.53, 0.21)
    assert first.reference.startswith("You may not hand over")


def test_answers_without_scores_are_shown_all_the_same(run: RunFolder) -> None:
    (path,) = run.path.glob("evals/*/predictions.parquet")
    HAND_MADE["write_predictions"](path, HAND_MADE["EXAMPLES"], False)
    found = answers_of(run)
    assert found is not None and found.suites == {"domain": ()}
    asked = Question("domain", None)
    assert found.counts(asked) == {"unknown": 6} and len(found.page(asked, 0, 99)) == 6


def test_no_answers_and_damaged_ones(run: RunFolder) -> None:
    (path,) = run.path.glob("evals/*/predictions.parquet")
    path.write_bytes(b"PAR1 no more")
    with pytest.raises(RunError, match="cannot be read"):
        answers_of(run)
    path.unlink()
    assert answers_of(run) is None


def test_answers_that_go_while_they_are_looked_at(run: RunFolder) -> None:
    found = answers_of(run)
    assert found is not None
    found.path.unlink()
    for ask in (found.counts, lambda asked: found.page(asked, 0, 8)):
        with pytest.raises(RunError, match="cannot be read"):
            ask(Question("domain", "rouge_l"))


NAN, INF = math.nan, math.inf
SCORES = [(0.1, 0.2), (0.3, 0.3), (0.5, 0.1), (None, 0.4), (0.4, NAN), (INF, INF), (0.9, 0.8)]


def test_outcomes_are_counted_as_the_evaluation_counts_them(answers: MakeAnswers) -> None:
    higher, lower = (Question("domain", metric) for metric in ("rouge_l", "loss"))
    assert answers(*SCORES).counts(higher) == {"win": 1, "tie": 2, "loss": 2, "unknown": 2}
    low = answers(*SCORES, metric="loss")
    assert low.counts(lower) == {"win": 2, "tie": 2, "loss": 1, "unknown": 2}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "cgbfade"),
        ({"order": "best first"}, "abfgcde"),
        ({"order": "as in the data"}, "abcdefg"),
        ({"outcomes": ("loss",)}, "cg"),
        ({"outcomes": ("win", "tie")}, "bfa"),
        ({"text": "SAY IT"}, "cgbfade"),
        ({"text": "%"}, ""),
        ({"text": "'; drop view answers; --"}, ""),
    ],
)
def test_answers_are_found_and_sorted(
    answers: MakeAnswers, asked: dict[str, Any], expected: str
) -> None:
    assert ids(answers(*SCORES), **asked) == expected


def test_pages_are_all_of_the_answers(answers: MakeAnswers) -> None:
    found = answers(*[(0.5, 0.5)] * 20)
    asked = Question("domain", "rouge_l")
    pages = [found.page(asked, first, 8) for first in (0, 8, 16)]
    assert "".join(a.id for page in pages for a in page) == "abcdefghijklmnopqrst"


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi\nyou<|im_end|>\n"
            "<|im_start|>assistant\n",
            [("system", "Be brief."), ("user", "Hi\nyou")],
        ),
        ("### Instruction:\nDo it", [("", "### Instruction:\nDo it")]),
        # what is between the turns may not be lost
        ("note <|im_start|>user\nHi<|im_end|>", [("", "note <|im_start|>user\nHi<|im_end|>")]),
        ("", [("", "")]),
    ],
)
def test_a_prompt_in_turns(prompt: str, expected: list[tuple[str, str]]) -> None:
    assert turns(prompt) == expected

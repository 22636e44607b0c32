"""'recipe advise': by options, by questions on a terminal, as JSON; and a recipe begun from it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dsl.advise import advise
from dsl.approach import Answers
from dsl.errors import RecipeError
from dsl.memory import GIB
from dsl.models import MODELS
from dsl.source import parse
from dsl.validate import check_schema
from runner.advising import about, begun, device, known_base, lines, sets, words_of
from runner.choices import BASE, choices
from runner.cli import main
from runner.data.measure import Measures


def said(*words: str) -> Any:
    return CliRunner().invoke(main, ["advise", *words])


def test_the_ranking_with_reasons_and_the_settings() -> None:
    ended = said("--need", "style", "--rows", "800", "--memory", "8GB", "--base",
                 "qwen2.5-7b-instruct")  # fmt: skip
    assert ended.exit_code == 0
    order = [line for line in ended.output.splitlines() if line[:2] in ("1.", "2.", "3.")]
    assert [line[3:10] for line in order] == ["Fine-tu", "A bette", "Retriev"]
    assert "  qlora    fits: " in ended.output and "  lora     does not fit: " in ended.output
    assert "rank 8: 20,185,088 of 7,615,616,512 weights (0.27%, exact)" in ended.output
    assert "--set model.base=qwen2.5-7b-instruct --set method.type=qlora" in ended.output
    assert "not built yet: " in ended.output


def test_json_has_the_same() -> None:
    told = json.loads(said("--need", "facts", "--rows", "30", "--cite", "--json").output)
    assert [one["approach"] for one in told["approaches"]] == ["retrieve", "prompt", "tune"]
    assert told["answers"]["cite"] and told["advisable"] and told["base"] == BASE
    assert {one["path"]: one["value"] for one in told["settings"]}["method.rank"] == 8
    assert {one["method"] for one in told["methods"]} == {"lora", "qlora", "full"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "say --need and --rows"),
        (["--need", "style"], "say --need and --rows"),
        (["--need", "mood", "--rows", "5"], "'mood' is not one of"),
        (["--need", "style", "--rows", "-1"], "-1 is not in the range"),
        (["--need", "style", "--rows", "5", "--memory", "lots"], "no size of a memory"),
        (["--need", "style", "--rows", "5", "--memory", "0"], "no size of a memory"),
        (["--need", "style", "--rows", "5", "--base", "qwen3-8x"], "did you mean qwen3-"),
    ],
)
def test_wrong_words_are_told(words: list[str], told: str) -> None:
    ended = said(*words)
    assert ended.exit_code in (1, 2) and told in ended.output
    assert "Traceback" not in ended.output


def test_it_asks_on_a_terminal(
    recipe_command: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*recipe_command, "advise"], cwd=tmp_path, env=environment,
                               stdin=theirs, stdout=subprocess.PIPE, text=True)  # fmt: skip
    os.write(ours, b"facts\n30\ny\ny\nn\nn\n")
    out, _ = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0
    assert "facts are missing" in out and "Must an answer show where it is from?" in out
    assert "1. Retrieval" in out and "52 times" in out


def test_the_app_and_the_command_line_say_the_same() -> None:
    answers = Answers("skill", 2_000, cite=True, private=True)
    base = "mistral-7b-instruct-v0.3"
    advice = advise(answers, base, MODELS()[base], device("24GB"), 64)
    words = words_of(advice, "24GB")
    assert words[:2] == ["recipe", "advise"] and words[-2:] == ["--rank", "64"]
    assert said(*words[2:]).output.splitlines() == list(lines(advice))


def test_a_recipe_begun_from_advice_is_valid_but_for_its_data() -> None:
    advice = advise(Answers("style", 800), BASE, MODELS()[BASE], device("8 GB"))
    values = parse(begun(advice), "my-recipe.json").values
    assert check_schema(values) == []
    assert values["method"] == {"type": "lora", "rank": 8}
    assert sets(advice)[1] == "method.type=lora"


def test_a_recipe_from_data_and_the_advisor_agree() -> None:
    for rows in (100, 5_000, 60_000):
        measures = Measures((), rows, 0, (400, 400), 200, ())
        made = {name: values for name, values, _ in choices("classification", measures)}
        advice = advise(Answers("classes", rows), BASE, MODELS()[BASE], device("8GB"))
        values = {one.path: one.value for one in advice.choices}
        assert made["method"]["rank"] == values["method.rank"]
        assert made["training"]["epochs"] == values["training.epochs"]
        assert made["method"].get("dropout") == values.get("method.dropout")


def test_devices_and_bases() -> None:
    assert device("8GB").total_memory_bytes == device(" 8 ").total_memory_bytes == 8 * GIB
    assert device(None).total_memory_bytes > 0
    assert known_base(None) == BASE
    with pytest.raises(RecipeError, match="is no size"):
        device("8 TB")


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (3, 8, "3 to 8 s"), (50, 100, "50 s to 1.7 min"), (2600, 7700, "43 min to 2.1 h"),
        (1e6, 3e6, "12 to 35 days"),
    ],
)  # fmt: skip
def test_spans_are_no_finer_than_estimates(low: float, high: float, words: str) -> None:
    assert about(low, high) == words

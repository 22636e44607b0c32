"""The profile against plain counting in Python, and against its schema."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from dsl.chat import CHATML
from dsl.recipe import build
from dsl.schema import fill, load
from runner.data import profile
from runner.data.checks import CHECKS
from runner.data.checks.tokens import Encoder

See = Callable[..., Any]
Row = dict[str, Any]
OFF = dict.fromkeys(CHECKS, "off")
NO_SPLIT = {"test": 0, "validation": 0}
VALIDATOR = jsonschema.Draft202012Validator(load("profile"))


def valid(seen: Any) -> dict[str, Any]:
    """The profile as it is written, which keeps to its schema."""
    plain: dict[str, Any] = json.loads(json.dumps(seen.prepared.profile))
    assert not [error.message for error in VALIDATOR.iter_errors(plain)]
    return plain


def is_distribution_of(told: dict[str, Any], values: Sequence[int], unit: str) -> None:
    assert (told["unit"], told["count"]) == (unit, len(values))
    assert (told["min"], told["max"]) == (min(values), max(values))
    assert told["mean"] == pytest.approx(sum(values) / len(values), abs=0.006)
    for name, value in told["quantiles"].items():
        expected = np.quantile(values, int(name[1:]) / 100)
        assert value == pytest.approx(expected, abs=0.006), name
    bins = told["histogram"]
    assert bins[0]["from"] == min(values) and bins[-1]["to"] > max(values)
    assert all(one["to"] == other["from"] for one, other in pairwise(bins))
    for one in bins:
        assert one["count"] == sum(one["from"] <= value < one["to"] for value in values)
    assert len(bins) <= profile.BINS


texts = st.text(alphabet="ab é🎨\n", max_size=30)
lengths = st.lists(
    st.tuples(texts, texts) | st.tuples(texts, texts.map(lambda text: text * 400)),
    min_size=1, max_size=60,
)  # fmt: skip


@settings(max_examples=10, deadline=None)
@given(lengths)
def test_lengths(see: See, drawn: list[tuple[str, str]]) -> None:
    rows = [{"prompt": prompt, "completion": answer} for prompt, answer in drawn]
    found = valid(see({"train": rows}, "full", checks=OFF, split=NO_SPLIT))["lengths"]
    is_distribution_of(found["prompt"], [len(p) for p, _ in drawn], "characters")
    is_distribution_of(found["completion"], [len(a) for _, a in drawn], "characters")
    is_distribution_of(found["total"], [len(p) + len(a) for p, a in drawn], "characters")
    is_distribution_of(found["turns"], [2] * len(drawn), "turns")


def test_turns_are_those_of_the_conversations(see: See) -> None:
    drawn = random.Random(3)
    sizes = [2 * drawn.randrange(1, 6) for _ in range(80)]
    roles = ("user", "assistant")
    rows = [
        {"messages": [{"role": roles[n % 2], "content": f"{n}"} for n in range(size)]}
        for size in sizes
    ]
    found = valid(see({"train": rows}, "full", checks=OFF))
    is_distribution_of(found["lengths"]["turns"], sizes, "turns")


def test_sources_and_columns(see: See) -> None:
    lines = [
        {"prompt": f"p {n}", "completion": 3 if n == 7 else f"c {n}", "extra": None}
        for n in range(1_200)
    ]
    lines[1_150]["late"] = True
    train = "".join(json.dumps(line) + "\n" for line in lines) + "\n?\n"
    test = [{"instruction": "i", "output": None}, {"instruction": "j", "output": "k"}]
    found = valid(see({"train": train.encode(), "test": test}, "full", checks=OFF))
    assert [(s["part"], s["name"], s["format"], s["rows"], s["refused"], s["blank"])
            for s in found["sources"]] == [
        ("train", "train.jsonl", "prompt_completion", 1_200, 1, 1),
        ("test", "test.jsonl", "alpaca", 2, 0, 0),
    ]  # fmt: skip
    assert found["sources"][0]["bytes"] == len(train.encode())
    columns = {(c["source"][:-6], c["name"]): c for c in found["columns"]}
    assert {key: (c["role"], c["rows"], c["types"], c["first_line"])
            for key, c in columns.items()} == {
        ("train", "prompt"): ("prompt", 1_200, {"string": 1_200}, None),
        ("train", "completion"): ("completion", 1_200, {"string": 1_199, "number": 1}, None),
        ("train", "extra"): (None, 1_200, {}, None),
        ("train", "late"): (None, 1, {}, 1_151),
        ("test", "instruction"): ("instruction", 2, {"string": 2}, None),
        ("test", "output"): ("output", 2, {"string": 1, "null": 1}, None),
    }  # fmt: skip


def test_groups_and_labels(see: See) -> None:
    drawn = random.Random(9)
    rows = [
        {"text": f"text {n}", "label": drawn.choice("aaab"), "doc": f"d{drawn.randrange(40)}"}
        for n in range(500)
    ]
    seen = see({"train": rows}, "full", checks=OFF, split={"group_by": "doc"})
    found = valid(seen)
    labels = Counter(str(row["label"]) for row in rows)
    assert found["labels"] == [
        {"name": name, "rows": count, "share": count / 500} for name, count in labels.most_common()
    ]
    groups = Counter(str(row["doc"]) for row in rows)
    assert (found["groups"]["column"], found["groups"]["count"]) == ("doc", len(groups))
    listed = sorted(groups.items(), key=lambda item: (-item[1], item[0]))[: profile.LISTED]
    assert [(one["name"], one["rows"]) for one in found["groups"]["largest"]] == listed
    counted = {part: len(ids) for part, ids in seen.parts.items()}
    assert {part: one["rows"] for part, one in found["parts"].items()} == counted
    doc = {f"train.jsonl:{n}": row["doc"] for n, row in enumerate(rows, 1)}
    for part, ids in seen.parts.items():
        assert found["parts"][part]["groups"] == len({doc[id] for id in ids})


def test_wanted_and_unwanted_answers_are_labels_too(see: See) -> None:
    rows = [{"prompt": f"q {n}", "completion": "a", "label": n % 4 == 0} for n in range(40)]
    found = valid(see({"train": rows}, "full", checks=OFF))
    assert [(one["name"], one["rows"]) for one in found["labels"]] == [("false", 30), ("true", 10)]


def test_parts_and_general_data(see: See) -> None:
    rows = [{"prompt": f"é {n}", "completion": "cc"} for n in range(90)]
    general = [{"prompt": "gg", "completion": "🎨"} for _ in range(30)]
    found = valid(
        see({"train": rows, "mix": general}, "full", checks=OFF, split=NO_SPLIT,
            more={"mix": {"share": 0.1}})
    )  # fmt: skip
    assert found["parts"]["train"] == {
        "rows": 100, "general": 10, "groups": 100,
        "characters": sum(len(row["prompt"]) + 2 for row in rows) + 10 * 3,
    }  # fmt: skip
    assert found["parts"]["test"] == {"rows": 0, "general": 0, "groups": 0, "characters": 0}
    assert found["lengths"]["prompt"]["count"] == 90


def test_duplicates_are_those_of_the_checks(see: See) -> None:
    rows = [{"prompt": f"question {n} of the set", "completion": f"the answer is {n}"}
            for n in range(60)]  # fmt: skip
    rows += [rows[0], rows[0], {**rows[1], "prompt": "QUESTION 1  of the set"}]
    seen = see({"train": rows}, "full")
    found = valid(seen)["duplicates"]
    assert (found["exact"], found["normalised"]) == (2, 3)
    assert found["near"] == seen.findings["near_duplicates"].count
    found = valid(see({"train": rows}, "full", checks=OFF))["duplicates"]
    assert found == {"exact": 2, "normalised": None, "near": None}


def encoder(max_length: int) -> Encoder:
    values = {
        "name": "t", "model": {"base": "b"}, "data": {"train": [{"path": "a.jsonl"}]},
        "training": {"max_length": max_length},
    }  # fmt: skip
    words = Tokenizer(WordLevel({"[UNK]": 0}, "[UNK]"))
    words.pre_tokenizer = Whitespace()
    return Encoder(build(fill(values)[0]), CHATML, words)


def test_tokens(see: See, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = random.Random(5)
    sizes = [(drawn.randrange(1, 20), drawn.randrange(1, 20)) for _ in range(200)]
    rows = [{"prompt": "w " * p, "completion": " ".join("v" * a)} for p, a in sizes]
    base = encoder(40)
    # the words of the template stand around those of the row: <| im_start |> user ... <| im_end |>
    found = valid(see({"train": rows}, "full", encoder=base, checks=OFF))["tokens"]
    whole = [len(base.tokenizer.encode(
        f"<|im_start|>user\n{row['prompt']}<|im_end|>\n<|im_start|>assistant\n"
        f"{row['completion']}<|im_end|>\n"
    ).ids) for row in rows]  # fmt: skip
    trained = [answer + 3 for _, answer in sizes]  # with its end of turn
    assert (found["how"], found["sample"], found["max_length"]) == ("exact", 200, 40)
    is_distribution_of(found["total"], whole, "tokens")
    is_distribution_of(found["completion"], trained, "tokens")
    prompts = [n - t for n, t in zip(whole, trained, strict=True)]
    is_distribution_of(found["prompt"], prompts, "tokens")
    assert found["trained_share"] == pytest.approx(sum(trained) / sum(whole))
    assert found["over_max_length"] == sum(n > 40 for n in whole)

    monkeypatch.setattr(profile, "TOKEN_ROWS", 50)
    sampled = valid(see({"train": rows[:-1]}, "full", encoder=base, checks=OFF))["tokens"]
    assert (sampled["how"], sampled["sample"]) == ("sampled", 50)


def test_a_profile_that_is_wrong_does_not_keep_to_the_schema(see: See) -> None:
    rows = [{"prompt": "p", "completion": "c"}] * 3
    found = valid(see({"train": rows}, "full", checks=OFF))
    found["lengths"]["prompt"]["unit"] = "words"
    found["more"] = 1
    del found["parts"]["test"]
    assert len(list(VALIDATOR.iter_errors(found))) == 3


def test_without_rows_there_is_nothing_to_tell(see: See) -> None:
    found = valid(see({"train": b"prompt,completion\n"}, "full", kind="csv"))
    assert found["lengths"] == {"prompt": None, "completion": None, "turns": None, "total": None}
    assert found["labels"] == [] and found["tokens"] is None and found["languages"] is None

"""A recipe out of a data file: what it says, why, and that it is valid."""

from __future__ import annotations

import csv
import json
import random
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.errors import DataError, RecipeError
from dsl.models import MODELS
from dsl.problems import errors
from dsl.source import parse
from runner.choices import BASE, choices, power_of_two
from runner.data.look import Asked
from runner.data.measure import Measures, looks_like_group
from runner.new import begin
from runner.probe import Surroundings
from runner.propose import Proposal, home, propose, written
from runner.read import holds_recipe, judge


def words(rng: random.Random, number: int) -> str:
    return " ".join("".join(rng.choices("bcdfglmnprstaeiou", k=6)) for _ in range(number))


def rows_of(make: Any, count: int = 60) -> list[dict[str, Any]]:
    rng = random.Random(3)
    return [make(n, words(rng, 6), words(rng, 12)) for n in range(count)]


def turns(asked: str, answer: str, who: str = "role") -> list[dict[str, str]]:
    names = ("user", "assistant") if who == "role" else ("human", "gpt")
    said = "content" if who == "role" else "value"
    return [{who: names[0], said: asked}, {who: names[1], said: answer}]


def written_rows(folder: Path, rows: Sequence[dict[str, Any]], name: str = "rows.jsonl") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def proposed(folder: Path, rows: Sequence[dict[str, Any]], **columns: str) -> Proposal:
    return propose(written_rows(folder, rows), folder, Asked(columns=columns))


def problems(proposal: Proposal, folder: Path) -> list[str]:
    found = judge(parse(proposal.text, "made.json"), Surroundings(folder))
    return [problem.message for problem in errors(found.problems)]


# format → one row, and what its source says beside the path
SHAPES: dict[str, tuple[Any, dict[str, Any]]] = {
    "messages": (lambda n, a, b: {"messages": turns(a, b)}, {}),
    "sharegpt": (
        lambda n, a, b: {"dialog": turns(a, b, "from")},
        {"columns": {"conversations": "dialog"}},
    ),
    "prompt_completion": (
        lambda n, a, b: {"question": a, "answer": b},
        {"columns": {"prompt": "question", "completion": "answer"}},
    ),
    "alpaca": (lambda n, a, b: {"instruction": a, "input": "", "output": b}, {}),
    "classification": (
        lambda n, a, b: {"text": a + b, "label": "yes" if n % 2 else "no"},
        {"columns": {"prompt": "text", "completion": "label"}},
    ),
    "text": (lambda n, a, b: {"text": b}, {}),
    "preference": (lambda n, a, b: {"prompt": a, "chosen": b, "rejected": a}, {}),
    "kto": (lambda n, a, b: {"prompt": a, "completion": b, "label": n % 2 == 0}, {}),
}
NOT_BUILT = {"text": "pretraining", "preference": "dpo or reward", "kto": "kto"}


@pytest.mark.parametrize("format", SHAPES)
def test_every_format(format: str, tmp_path: Path) -> None:
    make, says = SHAPES[format]
    proposal = proposed(tmp_path, rows_of(make))
    assert proposal.recipe["data"]["train"] == [{"path": "rows.jsonl", **says}]
    assert f"rows.jsonl: {format}: column" in proposal.evidence[0]
    found = problems(proposal, tmp_path)
    if format in NOT_BUILT:
        assert list(proposal.recipe) == ["name", "model", "data"]
        assert f"the objective {NOT_BUILT[format]}, which is not built" in str(proposal.missing)
        assert len(found) == 1
        assert "learns to answer a prompt" in found[0]
    else:
        assert proposal.missing is None
        assert found == []
        template = ["template"] if format == "alpaca" else []
        assert list(proposal.recipe) == [
            "name", "model", "data", *template, "method", "training", "eval"
        ]  # fmt: skip


def test_every_choice_has_its_reason(tmp_path: Path) -> None:
    rows = rows_of(lambda n, a, b: {"instruction": a, "output": b, "doc": f"d{n // 4}"})
    proposal = proposed(tmp_path, rows)
    told = [path for path, _ in proposal.reasons]
    assert set(told) >= {
        "model.base", "data", "data.split.group_by", "template.type", "method.rank",
        "training.epochs", "training.max_length", "eval.generation.max_new_tokens",
        "eval.suites.domain.metrics",
    }  # fmt: skip
    assert all(why for _, why in proposal.reasons)
    assert proposal.recipe["data"]["split"] == {"group_by": "doc"}


@pytest.mark.parametrize(
    ("column", "value", "group", "why"),
    [
        ("document", lambda n: f"d{n // 4}", "document", "15 values"),
        ("sourceUrl", lambda n: n // 3, "sourceUrl", "20 values"),
        ("conversation_id", lambda n: n, None, None),  # every row its own
        ("document", lambda n: "one", None, None),
        ("document", lambda n: f"d{n % 3}", None, "too few to split by"),
        ("document", lambda n: f"d{max(0, n - 40) // 2}", None, "too few to split by"),
        ("colour", lambda n: f"d{n // 4}", None, None),
    ],
)
def test_group_by(
    column: str, value: Any, group: str | None, why: str | None, tmp_path: Path
) -> None:
    rows = rows_of(lambda n, a, b: {"prompt": a, "completion": b, column: value(n)})
    proposal = proposed(tmp_path, rows)
    assert proposal.recipe["data"].get("split") == ({"group_by": group} if group else None)
    said = dict(proposal.reasons).get("data.split.group_by")
    assert (said is None) == (why is None)
    assert why is None or why in str(said)
    assert problems(proposal, tmp_path) == []


@pytest.mark.parametrize(
    ("column", "is_group"),
    [
        ("doc", True), ("document_id", True), ("docId", True), ("Conversation ID", True),
        ("user_name", True), ("parent_doc", True), ("source", True), ("topic", True),
        ("doctor", False), ("id", False), ("resource", False), ("text", False), ("books", False),
    ],
)  # fmt: skip
def test_names_of_groups(column: str, is_group: bool) -> None:
    assert (looks_like_group(column) is not None) == is_group


def measured(rows: int, size: int = 400, answer: int = 200) -> Measures:
    return Measures((), rows, 0, (size, size), answer, ())


@pytest.mark.parametrize(
    ("format", "rows", "rank", "epochs"),
    [
        ("messages", 100, 8, 3),
        ("messages", 500, 16, 2),
        ("messages", 49_999, 16, 2),
        ("messages", 50_000, 32, 1),
        ("classification", 20_000, 8, 2),
    ],
)
def test_rank_and_epochs_by_rows_and_task(format: Any, rows: int, rank: int, epochs: int) -> None:
    sections = {name: values for name, values, _ in choices(format, measured(rows))}
    assert sections["method"]["rank"] == rank
    assert sections["training"]["epochs"] == epochs
    assert sections["method"].get("dropout") == (0 if rows >= 50_000 else None)


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 10**7))
def test_lengths_are_powers_of_two_within_the_context(usual: int, more: int, answer: int) -> None:
    measures = Measures((), 900, 0, (usual, usual + more), answer, ())
    sections = {name: values for name, values, _ in choices("messages", measures)}
    length = sections["training"]["max_length"]
    assert power_of_two(length) == length
    assert 128 <= length <= MODELS()[BASE].max_position_embeddings
    assert length >= min(usual / 3.5, MODELS()[BASE].max_position_embeddings)
    most = sections["eval"]["generation"]["max_new_tokens"]
    assert power_of_two(most) == most
    assert 16 <= most <= 512


@given(st.integers(0, 2**40))
def test_power_of_two(number: int) -> None:
    power = power_of_two(number)
    assert power.bit_count() == 1
    assert power / 2 < max(number, 1) <= power


def test_short_answers_are_right_or_wrong(tmp_path: Path) -> None:
    rows = rows_of(lambda n, a, b: {"prompt": a, "completion": str(n)})
    suite = proposed(tmp_path, rows).recipe["eval"]["suites"]["domain"]
    assert suite["metrics"] == ["loss", "exact_match", "token_f1"]


# Where data lies -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("rows.jsonl", "rows"),
        ("Fragen & Antworten ß.jsonl", "fragen-antworten"),
        ("__x__.v2.jsonl", "x"),
        ("日本.jsonl", "recipe"),
        ("a" * 90 + ".jsonl", "a" * 64),
    ],
)
def test_names(name: str, called: str, tmp_path: Path) -> None:
    rows = rows_of(lambda n, a, b: {"prompt": a, "completion": b})
    data = written_rows(tmp_path / "my dätä", rows, name)
    proposal = propose(data, home(data))
    assert proposal.name == called
    assert proposal.recipe["data"]["train"][0]["path"] == name
    assert problems(proposal, home(data)) == []


def test_a_folder_gives_its_parts_by_their_names(tmp_path: Path) -> None:
    rows = rows_of(lambda n, a, b: {"prompt": a, "completion": b}, 90)
    folder = tmp_path / "set"
    for name, some in (("train.jsonl", rows[:60]), ("my-dev.jsonl", rows[60:70]),
                       ("test.jsonl", rows[70:])):  # fmt: skip
        written_rows(folder, some, name)
    proposal = propose(folder, tmp_path)
    assert proposal.name == "set"
    assert proposal.recipe["data"] == {
        "train": [{"path": "set/train.jsonl"}],
        "validation": [{"path": "set/my-dev.jsonl"}],
        "test": [{"path": "set/test.jsonl"}],
    }
    assert problems(proposal, tmp_path) == []
    # names that only hold such words are none, and without anything to train on nothing is held out
    for name in ("contest.jsonl", "latest.jsonl", "device.jsonl"):
        written_rows(tmp_path / "other", rows[:30], name)
    assert propose(tmp_path / "other", tmp_path).recipe["data"] == {"train": [{"path": "other"}]}
    written_rows(tmp_path / "only", rows, "test.jsonl")
    assert list(propose(tmp_path / "only", tmp_path).recipe["data"]) == ["train"]


def test_files_that_differ_become_a_source_each(tmp_path: Path) -> None:
    written_rows(tmp_path / "s", rows_of(lambda n, a, b: {"prompt": a, "completion": b}), "a.jsonl")
    written_rows(tmp_path / "s", rows_of(lambda n, a, b: {"messages": turns(a, b)}), "b.jsonl")
    proposal = propose(tmp_path / "s" / "*.jsonl", tmp_path / "s")
    assert proposal.recipe["data"]["train"] == [{"path": "a.jsonl"}, {"path": "b.jsonl"}]
    assert len(proposal.evidence) == 2


def test_a_pattern_does_not_take_in_its_recipe(tmp_path: Path) -> None:
    rows = rows_of(lambda n, a, b: {"prompt": a, "completion": b})
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a.json").write_text(json.dumps(rows[:30]))
    (tmp_path / "s" / "b.json").write_text(json.dumps(rows[30:]))
    begun = begin(tmp_path / "s" / "*.json", None, Asked())
    assert begun.path == tmp_path / "s" / "s.json"
    assert begun.proposal.recipe["data"]["train"] == [{"path": "a.json"}, {"path": "b.json"}]


def test_a_database_with_one_table_needs_no_query(tmp_path: Path) -> None:
    rows = rows_of(lambda n, a, b: {"question": a, "answer": b})
    database = sqlite3.connect(tmp_path / "d.db")
    database.execute('create table "q a" (question text, answer text)')
    database.executemany('insert into "q a" values (:question, :answer)', rows)
    database.commit()
    proposal = propose(tmp_path / "d.db", tmp_path)
    assert proposal.recipe["data"]["train"] == [
        {
            "type": "database",
            "path": "d.db",
            "query": 'select * from "q a"',
            "columns": {"prompt": "question", "completion": "answer"},
        }
    ]
    assert problems(proposal, tmp_path) == []
    database.execute("create table other (x text)")
    database.commit()
    database.close()
    with pytest.raises(DataError, match="2 tables") as caught:
        propose(tmp_path / "d.db", tmp_path)
    assert "--query 'select * from" in str(caught.value.hint)
    asked = Asked('select question as prompt, answer as completion from "q a"')
    assert propose(tmp_path / "d.db", tmp_path, asked).recipe["name"] == "d"


def test_csv_columns_are_mapped_as_asked(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["frage, kurz", "antwort", "n"])
        writer.writerows([f"Was ist {n}?", f"{n}, eben", n] for n in range(60))
    with pytest.raises(DataError, match="make no known format") as caught:
        propose(path, tmp_path)
    hint = str(caught.value.hint)
    assert '"Was ist 0?"' in hint
    assert "--column 'prompt=frage, kurz' --column completion=antwort" in hint
    asked = Asked(columns={"prompt": "frage, kurz", "completion": "antwort"})
    proposal = propose(path, tmp_path, asked)
    assert proposal.recipe["data"]["train"][0]["columns"] == asked.columns
    assert problems(proposal, tmp_path) == []


# What may go wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "error", "said"),
    [
        ({"promt": "a"}, RecipeError, "did you mean prompt?"),
        ({"prompt": "xyz"}, DataError, "the columns: a, b"),
        ({"prompt": "a"}, DataError, "say which column plays which part"),
    ],
)
def test_wrong_mappings(
    columns: dict[str, str], error: type[RecipeError], said: str, tmp_path: Path
) -> None:
    rows = rows_of(lambda n, a, b: {"a": a, "b": b})
    with pytest.raises(error) as caught:
        proposed(tmp_path, rows, **columns)
    assert said in str(caught.value.hint)


def test_unread_texts_of_a_corpus_are_told(tmp_path: Path) -> None:
    rows = rows_of(lambda n, a, b: {"text": b, "frage": a, "antwort": b})
    said = dict(proposed(tmp_path, rows).reasons)["data.train[0].columns"]
    assert "not read: 'frage', 'antwort'" in said
    assert "--column prompt=frage --column completion=antwort" in said


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    rows = rows_of(lambda n, a, b: {"prompt": a, "completion": b})
    data = tmp_path / "rows.json"
    data.write_text(json.dumps(rows))
    begun = begin(data, None, Asked())
    assert begun.path == tmp_path / "rows-recipe.json"  # the data has its name
    assert begun.path.read_text() == begun.proposal.text
    before = data.read_bytes(), begun.path.read_bytes()
    for into in (None, begun.path, data):
        with pytest.raises(RecipeError, match="is there already"):
            begin(data, into, Asked())
    assert (data.read_bytes(), begun.path.read_bytes()) == before
    with pytest.raises(RecipeError, match="is a recipe, not data"):
        begin(begun.path, None, Asked())


def test_data_elsewhere_must_be_allowed(tmp_path: Path) -> None:
    data = written_rows(tmp_path / "data", rows_of(lambda n, a, b: {"prompt": a, "completion": b}))
    into = tmp_path / "recipes" / "mine.json"
    with pytest.raises(RecipeError, match="lies outside"):
        begin(data, into, Asked())
    assert not into.parent.exists()
    begun = begin(data, into, Asked(), (str(data.parent),))
    assert json.loads(into.read_text())["data"]["train"] == [{"path": str(data)}]
    assert begun.next_verbs()[0].endswith(f"--allow {data.parent}")


# A recipe or rows ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "is_recipe"),
    [
        ("a.json", '{"name": "a", "model": {"base": "b"}, "data": {"train": []}}', True),
        ("a.txt", '{"model": {}}', True),
        ("a.json", '{"name": "a",\n "model": }', True),
        ("a.json", '{\n  "data": {"train": [}\n}', True),
        ("a.yaml", "name: a\n", True),
        ("a.json", '{"data": [{"prompt": "a", "completion": "b"}]}', False),
        ("a.json", '{"data": [{"prompt": "a", "completion": }]}', False),
        ("a.json", '[{"model": {}}]', False),
        ("a.json", '{"prompt": "a", "model": "x"}', False),
        ("a.jsonl", '{"model": {}}\n{"model": {}}\n', False),
        ("a.jsonl", '{"model": \n{"model": {}}\n', False),
        ("a.yaml", '{"prompt": "a"}\n{"prompt": "b"}\n', False),
        ("a.json", "", False),
        ("a.csv", "model,data\n", False),
    ],
)
def test_holds_recipe(name: str, text: str, is_recipe: bool, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert holds_recipe(path) == is_recipe
    assert not holds_recipe(tmp_path)
    assert not holds_recipe(tmp_path / "none.json")


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


@given(st.dictionaries(st.text(), JSONS, max_size=5))
def test_written_text_holds_the_values(values: dict[str, Any]) -> None:
    assert json.loads(written(values)) == values

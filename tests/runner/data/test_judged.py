"""What was judged is remembered by content: of data, recipe, tokenizer and our own code."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from dsl.chat import CHATML, ChatFormat
from dsl.recipe import Recipe
from runner import probe
from runner.data.checks import CHECKS
from runner.data.checks.tokens import Encoder
from runner.data.prepare import Prepared, prepare

Make = Callable[..., Recipe]
Judge = Callable[..., Prepared]
ROWS = [
    {"prompt": f"q {n % 15}", "completion": f"a {n % 17}", "doc": f"{n % 9}"} for n in range(40)
]
MARK = "told by an earlier look"
ON = ("malformed", "duplicates", "contradictions", "placeholders", "truncation")
OFF = {check: "off" for check in CHECKS if check not in ON}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECIPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "checks"


@pytest.fixture
def judge(tmp_path: Path, recipe_with: Make, store: Path) -> Iterator[Judge]:
    """judge(folder, rows, encoder=None, **data) → what prepare makes of rows.jsonl there."""
    made = []

    def judged(
        folder: str, rows: list[dict[str, str]] = ROWS, encoder: Any = None, **data: Any
    ) -> Prepared:
        path = tmp_path / folder / "rows.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        data["checks"] = OFF | data.get("checks", {})
        recipe = recipe_with(**{"train": [{"path": "rows.jsonl"}], **data})
        made.append(prepare(recipe, path.parent, "full", encoder))
        return made[-1]

    yield judged
    for prepared in made:
        prepared.close()


def mark(store: Path) -> None:
    """Makes the answers that are remembered known again."""
    for entry in store.iterdir():
        known = json.loads((entry / "judged.json").read_text("utf-8"))
        known["findings"][0]["message"] = MARK
        (entry / "judged.json").write_text(json.dumps(known), "utf-8")


def remembered(prepared: Prepared) -> bool:
    return prepared.findings[0].message == MARK


def found(prepared: Prepared) -> list[Any]:
    rows: list[Any] = prepared.connection.execute("select * from found order by rowid").fetchall()
    return rows


def test_the_same_content_in_another_folder_is_remembered(judge: Judge, store: Path) -> None:
    first = judge("one")
    assert found(first)
    again = judge("two")
    assert (again.findings, again.profile) == (first.findings, first.profile)
    mark(store)
    second = judge("three")
    assert remembered(second)
    assert (second.findings[1:], second.profile) == (first.findings[1:], first.profile)
    assert found(second) == found(first)
    assert len(list(store.iterdir())) == 1


CHANGES: dict[str, dict[str, Any]] = {
    "a byte": {"rows": [*ROWS[:-1], {**ROWS[-1], "completion": "a!"}]},
    "the order": {"rows": ROWS[::-1]},
    "a threshold": {"checks": {"duplicates": {"warn_above": 0.5}}},
    "the seed": {"split": {"seed": 5}},
    "the groups": {"split": {"group_by": "doc"}},
    "a role": {"train": [{"path": "rows.jsonl", "columns": {"id": "doc"}}]},
    "a tokenizer": {"encoder": "words"},
}


def encoder(recipe_with: Make, max_length: int = 0, more: str = "") -> Encoder:
    from dataclasses import replace

    recipe = recipe_with(train=[{"path": "rows.jsonl"}])
    if max_length:
        recipe = replace(recipe, training=replace(recipe.training, max_length=max_length))
    words = Tokenizer(WordLevel({"[UNK]": 0, "q": 1, **({more: 2} if more else {})}, "[UNK]"))
    words.pre_tokenizer = Whitespace()
    return Encoder(recipe, CHATML, words)


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_the_answer_is_judged_anew(
    change: str, judge: Judge, store: Path, recipe_with: Make
) -> None:
    changed = dict(CHANGES[change])
    if "encoder" in changed:
        changed["encoder"] = encoder(recipe_with)
    judge("one")
    mark(store)
    assert not remembered(judge("one", **changed))
    assert remembered(judge("one"))


def test_what_tokens_depend_on_is_part_of_the_content(
    judge: Judge, store: Path, recipe_with: Make
) -> None:
    base = encoder(recipe_with)
    judge("one", encoder=base)
    mark(store)
    chat = ChatFormat(str(CHATML.template) + " ", "", "<|im_end|>")
    for other in (
        encoder(recipe_with, max_length=33), encoder(recipe_with, more="a"),
        Encoder(base.recipe, chat, base.tokenizer),
    ):  # fmt: skip
        assert not remembered(judge("one", encoder=other))
    assert remembered(judge("one", encoder=encoder(recipe_with)))


def test_other_code_judges_anew(judge: Judge, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge("one")
    mark(store)
    monkeypatch.setattr(probe, "code", lambda: "another version")
    assert not remembered(judge("one"))


def test_a_file_of_another_name_is_judged_anew(
    judge: Judge, store: Path, tmp_path: Path, recipe_with: Make
) -> None:
    """Findings name their files."""
    judge("one")
    mark(store)
    (tmp_path / "one" / "rows.jsonl").rename(tmp_path / "one" / "other.jsonl")
    prepared = prepare(
        recipe_with(train=[{"path": "other.jsonl"}], checks=OFF), tmp_path / "one", "full"
    )
    assert not remembered(prepared)
    assert all(row[3] == "other.jsonl" for row in found(prepared))
    prepared.close()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no answer": lambda entry: (entry / "judged.json").unlink(),
    "answer cut off": lambda entry: cut(entry / "judged.json"),
    "answer of another shape": lambda entry: (entry / "judged.json").write_text(
        '{"findings": [3]}'
    ),
    "no rows": lambda entry: (entry / "found.parquet").unlink(),
    "rows cut off": lambda entry: cut(entry / "found.parquet"),
    "rows that are none": lambda entry: (entry / "found.parquet").write_text("PAR1"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_store_is_judged_anew_and_mended(damage: str, judge: Judge, store: Path) -> None:
    first = judge("one")
    (entry,) = store.iterdir()
    mark(store)
    DAMAGES[damage](entry)
    second = judge("one")
    assert (second.findings, second.profile) == (first.findings, first.profile)
    assert found(second) == found(first)
    mark(store)
    assert remembered(judge("one"))


def test_a_cache_that_cannot_be_written_costs_only_time(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = judge("one")
    (tmp_path / "file").touch()
    monkeypatch.setenv("RECIPE_CACHE", str(tmp_path / "file"))
    assert judge("one").findings == first.findings


def test_a_quick_look_is_not_remembered(
    judge: Judge, store: Path, tmp_path: Path, recipe_with: Make
) -> None:
    judge("one").close()
    mark(store)
    prepared = prepare(recipe_with(train=[{"path": "rows.jsonl"}], checks=OFF), tmp_path / "one")
    assert not remembered(prepared) and prepared.profile is None
    prepared.close()

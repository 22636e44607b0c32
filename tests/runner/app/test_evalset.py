"""Questions that are kept: how they are written, what is refused, how they become test data."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsl.edit import apply
from dsl.errors import DataError, RecipeError
from dsl.recipe import Recipe, read
from runner.app import evalset
from runner.chat.protocol import Turn
from runner.data.prepare import prepare, read_examples
from runner.runs.store import RunFolder, write_json

LEGAL = {"path": "rows.jsonl", "columns": {"input": "clause", "output": "plain"}}
THROUGH = {"type": "chat", "prompt": "Rewrite: {{ input }}"}
ASKED = Turn("user", fields={"input": "The Lessee shall."})


def recipe(template: dict[str, Any], source: dict[str, Any] | None = None) -> Recipe:
    return read(values(template, source))[0]


def values(template: dict[str, Any], source: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "name": "legal",
        "model": {"base": "smollm2-135m-instruct"},
        "data": {"train": [source or {"path": "rows.jsonl"}]},
        "template": template,
        "method": {"type": "lora"},
    }


# template, source, whether the examples are conversations, what was asked → the row
ROWS: list[tuple[dict[str, Any], dict[str, Any] | None, bool, list[Turn], dict[str, Any]]] = [
    (THROUGH, LEGAL, False, [ASKED], {"clause": "The Lessee shall.", "plain": "You must."}),
    ({"type": "chat"}, None, False, [Turn("user", "Why?")],
     {"prompt": "Why?", "completion": "You must."}),
    ({"type": "chat"}, None, True, [Turn("user", "A"), Turn("assistant", "B"), Turn("user", "C")],
     {"messages": [{"role": "user", "content": "A"}, {"role": "assistant", "content": "B"},
                   {"role": "user", "content": "C"},
                   {"role": "assistant", "content": "You must."}]}),
    ({"type": "alpaca"}, None, True, [Turn("user", fields={"instruction": "Why?", "input": ""})],
     {"instruction": "Why?", "input": "", "completion": "You must."}),
    ({"type": "jinja", "prompt": "Q: {{ q }}", "completion": "{{ a }}"},
     {"path": "rows.jsonl", "columns": {"prompt": "q", "completion": "a"}}, False,
     [Turn("user", fields={"q": "Why?"})], {"q": "Why?", "a": "You must."}),
]  # fmt: skip


@pytest.mark.parametrize("template, source, conversations, turns, expected", ROWS)
def test_a_row_has_the_shape_of_the_recipes_own(
    template: dict[str, Any],
    source: dict[str, Any] | None,
    conversations: bool,
    turns: list[Turn],
    expected: dict[str, Any],
    tmp_path: Path,
) -> None:
    of = recipe(template, source)
    shape = evalset.shape(of, conversations)
    row = evalset.row(shape, turns, " You must. ", "run-1", of)
    assert row == expected | {"run": "run-1"}
    # and the data engine reads it as test data of that recipe
    path = Path("legal.eval.jsonl")
    assert evalset.add(tmp_path, path, shape, row) == 1
    own = {**expected, **({"completion": "other"} if "completion" in expected else {})}
    (tmp_path / "rows.jsonl").write_text(json.dumps(own) + "\n", "utf-8")
    text = json.dumps(values(template, source))
    patch = evalset.as_test_data(shape, Path("legal.json"), path)
    changed = apply(text, "json", patch)
    assert not evalset.listed(text, "legal.json", Path("legal.json"), path)
    assert evalset.listed(changed, "legal.json", Path("legal.json"), path)
    assert evalset.has_test_data(changed, "legal.json")
    prepared = prepare(read(json.loads(changed))[0], tmp_path)
    try:
        (test,) = read_examples(prepared.write(tmp_path / "out")["test"])
    finally:
        prepared.close()
    assert test.reference == "You must."
    last = test.messages[-2].content if test.messages else test.prompt
    assert last == (turns[-1].text or next(iter((turns[-1].fields or {}).values())))


@pytest.mark.parametrize(
    "turns, expected, why",
    [
        ([ASKED], "  ", "expected answer is empty"),
        ([Turn("user", fields={"input": " "})], "Yes", "input: empty"),
        ([Turn("user", "plainly")], "Yes", "without the recipe's template"),
        ([ASKED, Turn("assistant", "B"), ASKED], "Yes", "one question each"),
    ],
)
def test_what_the_eval_set_cannot_hold_is_refused(
    turns: list[Turn], expected: str, why: str
) -> None:
    of = recipe(THROUGH, LEGAL)
    with pytest.raises(DataError, match=why):
        evalset.row(evalset.shape(of, False), turns, expected, "run-1", of)


def test_a_question_is_kept_once(tmp_path: Path) -> None:
    path, shape = Path("legal.eval.jsonl"), evalset.shape(recipe(THROUGH, LEGAL), False)
    first = {"clause": "The Lessee\nshall.", "plain": "You must.", "run": "a"}
    assert evalset.add(tmp_path, path, shape, first) == 1
    again = {"clause": " The  Lessee shall.", "plain": "Another", "run": "b"}
    with pytest.raises(DataError, match="already, as number 1"):
        evalset.add(tmp_path, path, shape, again)
    assert evalset.add(tmp_path, path, shape, first | {"clause": "Other"}) == 2
    assert [row["clause"] for row in evalset.rows(tmp_path, path)] == [first["clause"], "Other"]


def test_what_others_wrote_into_the_file_stays(tmp_path: Path) -> None:
    path, shape = Path("legal.eval.jsonl"), evalset.shape(recipe({"type": "chat"}), False)
    before = b'{"prompt": "A", "completion": "B"}\nnot JSON\n[1]\n{"prompt": "C"}'
    (tmp_path / path).write_bytes(before)  # its last line is not ended
    assert evalset.add(tmp_path, path, shape, {"prompt": "\u00c4", "completion": "\u00df"}) == 3
    after = (tmp_path / path).read_bytes()
    assert after == before + '\n{"prompt": "Ä", "completion": "ß"}\n'.encode()
    with pytest.raises(DataError, match="half a character"):
        evalset.add(tmp_path, path, shape, {"prompt": "\ud800", "completion": "B"})
    assert (tmp_path / path).read_bytes() == after


def test_two_windows_add_at_the_same_time(tmp_path: Path) -> None:
    path, shape = Path("legal.eval.jsonl"), evalset.shape(recipe({"type": "chat"}), False)
    refused: list[DataError] = []

    def add(name: int) -> None:
        for n in range(20):
            try:
                evalset.add(tmp_path, path, shape, {"prompt": f"{n}", "completion": f"{name}"})
            except DataError as error:
                refused.append(error)

    threads = [threading.Thread(target=add, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asked = [row["prompt"] for row in evalset.rows(tmp_path, path)]
    assert sorted(asked, key=int) == [str(n) for n in range(20)]
    assert len(refused) == 40


Made = Callable[[Path], RunFolder]


@pytest.mark.parametrize(
    "written, expected",
    [
        ("{folder}/deep/contract.json", "deep/contract.eval.jsonl"),
        ("{folder}/contract.yaml", "contract.eval.jsonl"),
        ("/elsewhere/contract.json", "legal.eval.jsonl"),
        ("{folder}/../contract.json", "legal.eval.jsonl"),
    ],
)
def test_the_file_lies_beside_the_recipe_and_in_the_folder(
    written: str, expected: str, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "runs/legal-1")
    write_json(run.run, {"recipe": written.format(folder=tmp_path)})
    found = evalset.place(tmp_path, run, recipe(THROUGH, LEGAL))
    assert found == Path(expected)


def test_a_link_does_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    run = RunFolder(folder / "runs/legal-1")
    write_json(run.run, {"recipe": str(folder / "legal.json")})
    (tmp_path / "secret").write_text("kept", "utf-8")
    (folder / "legal.eval.jsonl").symlink_to(tmp_path / "secret")
    with pytest.raises(RecipeError, match="outside of the folder"):
        evalset.place(folder, run, recipe(THROUGH, LEGAL))
    with pytest.raises(RecipeError, match="outside of the folder"):
        evalset.rows(folder, Path("legal.eval.jsonl"))

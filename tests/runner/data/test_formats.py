"""Which format columns make, and the canonical row of each."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsl.recipe import Columns
from runner.data.formats import (
    CANONICAL,
    Misfit,
    Peek,
    Refused,
    detect_format,
    keys,
    normalised,
    peek,
    roles_of,
)


def mapping(**given: str) -> Columns:
    roles = ("id", "instruction", "input", "output", "system", "prompt", "completion", "messages")
    return Columns(**{role: given.get(role) for role in roles})


DETECTED: list[tuple[str, dict[str, str], str, str | None]] = [
    # columns, mapped, declared, format or None
    ("instruction input output", {}, "auto", "alpaca"),
    ("instruction output", {}, "auto", "alpaca"),
    ("input output", {}, "auto", "alpaca"),
    ("output", {}, "auto", None),
    ("prompt completion", {}, "auto", "prompt_completion"),
    ("prompt completion messages", {}, "auto", "messages"),
    ("prompt completion messages", {}, "prompt_completion", "prompt_completion"),
    ("prompt completion messages", {"prompt": "prompt"}, "auto", "prompt_completion"),
    ("clause plain", {"input": "clause", "output": "plain"}, "auto", "alpaca"),
    ("clause plain", {"prompt": "clause", "completion": "plain"}, "auto", "prompt_completion"),
    ("clause plain", {"prompt": "clause", "output": "plain"}, "auto", None),
    ("clause plain", {"prompt": "clause", "output": "plain"}, "alpaca", None),
    ("chat", {"messages": "chat"}, "auto", "messages"),
    ("prompt completion", {}, "messages", None),
    # a column given to one role does not play another by its name
    ("input question", {"instruction": "question", "output": "input"}, "auto", "alpaca"),
    ("input", {"output": "input"}, "auto", None),
    ("text", {}, "auto", None),
    ("", {}, "auto", None),
]


@pytest.mark.parametrize(("columns", "mapped", "declared", "expected"), DETECTED)
def test_detect(columns: str, mapped: dict[str, str], declared: str, expected: str | None) -> None:
    found = detect_format(tuple(columns.split()), mapping(**mapped), declared)
    if expected is None:
        assert isinstance(found, Misfit) and found.message and found.hint
    else:
        assert found == expected


def canonical(format: Any, row: dict[str, Any], **mapped: str) -> dict[str, Any]:
    return CANONICAL[format](row, roles_of(format, mapped))


def test_alpaca_joins_instruction_and_input() -> None:
    row = {"instruction": "Sum up.", "input": "A text.", "output": "Short."}
    made = canonical("alpaca", row)
    assert (made["prompt"], made["completion"]) == ("Sum up.\n\nA text.", "Short.")
    assert canonical("alpaca", {**row, "input": ""})["prompt"] == "Sum up."
    assert canonical("alpaca", {**row, "instruction": None})["prompt"] == "A text."
    assert canonical("alpaca", {"output": 42})["completion"] == "42"
    assert canonical("alpaca", {**row, "system": "Be brief."})["system"] == "Be brief."


def test_mapped_roles_stand_beside_raw_columns() -> None:
    made = canonical("alpaca", {"clause": "c", "plain": "p"}, input="clause", output="plain")
    assert made["texts"] == {"instruction": "", "input": "c", "output": "p", "system": ""}


def turns(*pairs: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role, content in pairs]


def test_single_question_is_the_same_in_every_format() -> None:
    talk = turns(("system", "s"), ("user", "q"), ("assistant", "a"))
    made = canonical("messages", {"messages": talk})
    other = canonical("prompt_completion", {"prompt": "q", "completion": "a", "system": "s"})
    assert all(made[key] == other[key] for key in ("system", "prompt", "completion"))
    assert made["messages"] == talk
    assert canonical("messages", {"messages": json.dumps(talk)}) == made


def test_conversation_is_all_turns_before_the_last_answer() -> None:
    talk = turns(("user", "q"), ("assistant", "a"), ("user", "r"), ("assistant", "b"))
    made = canonical("messages", {"messages": talk})
    assert made["prompt"] == "user: q\n\nassistant: a\n\nuser: r"
    assert made["completion"] == "b"


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("alpaca", {"output": ["a"]}, "'output' is a list, not a text"),
    ("prompt_completion", {"prompt": {}, "completion": "b"}, "'prompt' is an object"),
    ("messages", {}, "'messages' is null"),
    ("messages", {"messages": []}, "'messages' is an empty list"),
    ("messages", {"messages": "hello"}, "not JSON"),
    ("messages", {"messages": {"role": "user"}}, "an object"),
    ("messages", {"messages": ["hello"]}, "turn 1 is a text"),
    ("messages", {"messages": turns(("tool", "x"))}, "turn 1 has no role"),
    ("messages", {"messages": [{"content": "x"}]}, "turn 1 has no role"),
    ("messages", {"messages": turns(("user", [{"type": "text"}]))}, "content of turn 1 is a list"),
    ("messages", {"messages": turns(("user", "q"), ("assistant", None))}, "turn 2 is null"),
    ("messages", {"messages": turns(("user", "q"))}, "no assistant turn"),
    ("messages", {"messages": turns(("assistant", "a"), ("user", "q"))}, "the last turn"),
    ("messages", {"messages": [{"role": ["user"], "content": "x"}]}, "turn 1 has no role"),
]


@pytest.mark.parametrize(("format", "row", "words"), REFUSED)
def test_refused(format: str, row: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        canonical(format, row)


SAME = [
    ("Hello  World", "hello\u00a0world\n"),
    ("caf\u00e9", "cafe\u0301"),
    ("\u2003a\u2028b\x0bc", "a b c"),
]


@pytest.mark.parametrize(("left", "right"), SAME)
def test_normalised_and_keys(left: str, right: str) -> None:
    assert normalised(left) == normalised(right)
    assert keys(None, left, "x") == keys("", right, " X ")


def test_keys_tell_apart_what_differs() -> None:
    assert keys(None, "ab", "c") != keys(None, "a", "bc")
    assert keys(None, "a", "b")[0] == keys("s", "a", "c")[0]
    assert keys(None, "a", "b")[1] != keys("s", "a", "b")[1]
    # without a prompt the answer tells rows apart, and never equals a prompt
    assert keys(None, " ", "b")[0] != keys(None, "", "c")[0]
    assert keys(None, "", "b")[0] != keys(None, "b", "")[0]


def test_peek_of_every_kind(
    kind: str, tmp_path: Path, write_rows: Callable[[Path, Any], None]
) -> None:
    path = tmp_path / f"a.{kind}"
    write_rows(path, [{"prompt": "p", "completion": "c"}])
    assert peek(path) == Peek(("prompt", "completion"), True)


PEEKED: dict[str, tuple[str, bytes, Peek]] = {
    "late column": (
        "a.jsonl",
        b'{"a": 1}\n' * 1000 + b'{"b": 1}\n',
        Peek(("a",), False),
    ),
    "last column in time": ("a.jsonl", b'{"a": 1}\n' * 999 + b'{"b": 1}\n', Peek(("a", "b"), True)),
    "broken lines": ("a.jsonl", b'{"a": 1}\nnonsense\n{"b": 2}\n', Peek(("a", "b"), True)),
    "large array": ("a.json", b'[{"a": "' + b"x" * (1 << 20) + b'"}]', Peek((), False)),
    "broken array": ("a.json", b'[{"a": 1},', Peek((), False)),
    "empty": ("a.jsonl", b"", Peek((), False)),
    "binary": ("a.csv", b"\0\1\2", Peek((), False)),
    "broken Parquet": ("a.parquet", b"PAR1", Peek((), False)),
}


@pytest.mark.parametrize("case", PEEKED)
def test_peek(case: str, tmp_path: Path) -> None:
    name, content, expected = PEEKED[case]
    path = tmp_path / name
    path.write_bytes(content)
    assert peek(path) == expected


def test_peek_of_nothing(tmp_path: Path) -> None:
    assert peek(tmp_path / "a.jsonl") == Peek((), False)


def test_peek_leaves_duckdb_unloaded(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n')
    (tmp_path / "a.csv").write_text("a\n1\n")
    code = (
        "import sys; from pathlib import Path; from runner.data.formats import peek;"
        "folder = Path(sys.argv[1]);"
        "print(peek(folder / 'a.jsonl').columns, peek(folder / 'a.csv').columns,"
        " {'duckdb', 'numpy', 'torch'} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "('a',) ('a',) set()"

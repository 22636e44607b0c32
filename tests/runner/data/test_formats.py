"""Which format rows make, and canonical rows: SQL against a plain reading in Python."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from unicodedata import normalize

import duckdb
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from orjson import JSONDecodeError, dumps, loads

from dsl.rows import FORMATS, OPTIONAL, ROLES, SPEAKERS, Format
from runner.data.formats import (
    CANONICAL_COLUMNS,
    NOT_JSON,
    Detected,
    Misfit,
    blank_sql,
    canonical,
    detect,
    no_column,
    normalised,
    with_normalised,
)
from runner.data.formats.names import NAMES
from runner.data.formats.shapes import SHAPES

Row = dict[str, Any]


@dataclass(frozen=True)
class Mapped:
    """A recipe's `columns`."""

    roles: Mapping[str, str] = field(default_factory=dict)

    def given(self) -> dict[str, str]:
        return dict(self.roles)


def relation(lines: Sequence[tuple[str | None, str | None]]) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(
        "create table lines as select unnest(?::bigint[]) as line, unnest(?::varchar[]) as raw,"
        " unnest(?::varchar[]) as reason",
        [list(range(1, len(lines) + 1)), [raw for raw, _ in lines], [why for _, why in lines]],
    ).fetchall()
    return connection


def read(
    format: Format, roles: Mapping[str, str], rows: Sequence[Any], **own: str | None
) -> list[Row]:
    """The canonical rows; a row that is a text is a line as it stands."""
    lines = [(row if isinstance(row, str) else dumps(row).decode(), None) for row in rows]
    with relation(lines) as connection:
        found = connection.execute(canonical(format, roles, "lines", **own) + " order by line")
        return [dict(zip(CANONICAL_COLUMNS, row, strict=True)) for row in found.fetchall()]


def automatic(rows: Sequence[Row], **mapped: str) -> list[Row]:
    found = detect(rows, Mapped(mapped))
    assert isinstance(found, Detected), found
    return read(found.format, found.roles, rows)


def user(content: Any) -> Row:
    return {"role": "user", "content": content}


def answer(content: Any, **more: Any) -> Row:
    return {"role": "assistant", "content": content, **more}


def system(content: Any) -> Row:
    return {"role": "system", "content": content}


def call(name: str, arguments: Any, id: str | None = None) -> Row:
    made = {"type": "function", "function": {"name": name, "arguments": arguments}}
    return {"id": id, **made} if id else made


# ---------------------------------------------------------------- tables


def test_every_format_is_known_everywhere() -> None:
    assert set(FORMATS) == set(OPTIONAL) == set(NAMES) == set(SHAPES)
    for format in FORMATS:
        assert {*FORMATS[format], *OPTIONAL[format]} <= set(ROLES)
        assert set(NAMES[format]) <= {*FORMATS[format], *OPTIONAL[format]}


@pytest.mark.parametrize("format", FORMATS)
def test_columns_come_in_order_with_their_types(format: Format) -> None:
    roles = {role: role for role in (*FORMATS[format], *OPTIONAL[format]) if role != "id"}
    with relation([]) as connection:
        described = connection.execute("describe " + canonical(format, roles, "lines")).fetchall()
    assert {name: kind.lower() for name, kind, *_ in described} == CANONICAL_COLUMNS
    assert [name for name, *_ in described] == list(CANONICAL_COLUMNS)


# ---------------------------------------------------------------- detection

# columns, mapped, declared, format or None; of a header, without rows
HEADERS: list[tuple[str, dict[str, str], str, str | None]] = [
    ("instruction input output", {}, "auto", "alpaca"),
    ("instruction output", {}, "auto", "alpaca"),
    ("instruction context response", {}, "auto", "alpaca"),
    ("Instruction INPUT Output", {}, "auto", "alpaca"),
    ("input output", {}, "auto", "alpaca"),
    ("instruction input output text", {}, "auto", "alpaca"),
    ("output", {}, "auto", None),
    ("prompt completion", {}, "auto", "prompt_completion"),
    ("question answer", {}, "auto", "prompt_completion"),
    ("query response", {}, "auto", "prompt_completion"),
    ("prompt response", {}, "auto", "prompt_completion"),
    ("Question Answer", {}, "auto", "prompt_completion"),
    ("prompt completion messages", {}, "auto", "messages"),
    ("prompt completion messages", {}, "prompt_completion", "prompt_completion"),
    ("prompt completion messages", {"prompt": "prompt"}, "auto", "prompt_completion"),
    ("conversations tools", {}, "auto", "sharegpt"),
    ("clause plain", {}, "auto", None),
    ("clause plain", {"input": "clause", "output": "plain"}, "auto", "alpaca"),
    ("clause plain", {"prompt": "clause", "completion": "plain"}, "auto", "prompt_completion"),
    ("clause plain", {"prompt": "clause", "output": "plain"}, "auto", None),
    ("clause plain", {"prompt": "clause", "output": "plain"}, "alpaca", None),
    ("talk", {"messages": "talk"}, "auto", "messages"),
    ("talk", {"conversations": "talk"}, "auto", "sharegpt"),
    ("prompt completion", {}, "messages", None),
    # a column given to one role does not play another by its name
    ("input question", {"instruction": "question", "output": "input"}, "auto", "alpaca"),
    ("input", {"output": "input"}, "auto", None),
    ("text", {}, "auto", "text"),
    ("text label", {}, "auto", "classification"),
    ("sentence label idx", {}, "auto", "classification"),
    ("chosen rejected", {}, "auto", "preference"),
    ("prompt chosen rejected label", {}, "auto", "preference"),
    ("prompt completion label", {}, "auto", "kto"),
    ("", {}, "auto", None),
]


@pytest.mark.parametrize(("columns", "mapped", "declared", "expected"), HEADERS)
def test_detect_by_header(
    columns: str, mapped: dict[str, str], declared: str, expected: str | None
) -> None:
    found = detect((), Mapped(mapped), declared, tuple(columns.split()))
    if expected is None:
        assert isinstance(found, Misfit) and found.message and found.hint
        return
    assert isinstance(found, Detected) and found.format == expected
    assert mapped.items() <= found.roles.items()
    assert found.evidence.startswith("the column")


TURNS = [user("q"), answer("a")]
SPOKEN = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
# row → format, roles of columns with other names
CONTENTS: list[tuple[Row, str, dict[str, str]]] = [
    ({"messages": TURNS}, "messages", {}),
    ({"messages": SPOKEN}, "sharegpt", {"conversations": "messages"}),
    ({"conversations": TURNS}, "messages", {"messages": "conversations"}),
    ({"conversations": SPOKEN, "tools": "[]"}, "sharegpt", {}),
    ({"dialog": TURNS, "topic": "x"}, "messages", {"messages": "dialog"}),
    ({"anything": SPOKEN, "topic": "x"}, "sharegpt", {"conversations": "anything"}),
    ({"messages": json.dumps(TURNS)}, "messages", {}),
    ({"Conversations": json.dumps(SPOKEN)}, "sharegpt", {"conversations": "Conversations"}),
    ({"prompt": "p", "chosen": "c", "rejected": "r"}, "preference", {}),
    ({"chosen": TURNS, "rejected": TURNS, "score": 1}, "preference", {}),
    ({"question": "p", "chosen": "c", "rejected": "r"}, "preference", {"prompt": "question"}),
    ({"conversations": SPOKEN[:1], "chosen": SPOKEN[1], "rejected": SPOKEN[1]}, "preference", {}),
    ({"prompt": "p", "completion": "c", "label": True}, "kto", {}),
    ({"prompt": "p", "completion": "c", "label": "good"}, "prompt_completion", {}),
    ({"messages": TURNS, "label": False}, "kto", {}),
    ({"conversations": SPOKEN, "kto_tag": True}, "kto", {"label": "kto_tag"}),
    ({"messages": TURNS, "label": "law"}, "messages", {}),
    ({"text": "t", "label": 1}, "classification", {}),
    ({"sentence": "t", "label": "good"}, "classification", {"text": "sentence"}),
    ({"text": "t", "date": "today"}, "text", {}),
    ({"instruction": "i", "input": "", "output": "o", "history": [["a", "b"]]}, "alpaca", {}),
    # what begins with a bracket may be a text
    ({"prompt": "[1] says?", "completion": "{x}"}, "prompt_completion", {}),
    ({"prompt": 1, "completion": 2.5}, "prompt_completion", {}),
]


@pytest.mark.parametrize(("row", "format", "roles"), CONTENTS)
def test_detect_by_content(row: Row, format: str, roles: dict[str, str]) -> None:
    found = detect([row, {**row}], Mapped())
    assert isinstance(found, Detected) and found.format == format
    assert roles.items() <= found.roles.items()
    assert "2 of 2 rows" in found.evidence
    assert set(found.typed) == set(found.roles.values())


def test_evidence_counts_what_is_meant() -> None:
    rows = [{"conversations": SPOKEN}] * 9 + [{"conversations": "lost"}]
    found = detect(rows, Mapped())
    assert isinstance(found, Detected)
    assert found.evidence == "column 'conversations' holds lists of {from, value} in 9 of 10 rows"


def test_what_holds_nothing_fitting_is_taken_by_name() -> None:
    found = detect([{"messages": "hello"}, {"messages": None}], Mapped())
    assert isinstance(found, Detected) and found.format == "messages"
    found = detect([{"note": [1]}], Mapped())
    assert isinstance(found, Misfit) and "note" in found.hint


def test_alternatives_are_told() -> None:
    found = detect([{"messages": TURNS, "prompt": "p", "completion": "c"}], Mapped())
    assert isinstance(found, Detected)
    assert (found.format, found.alternatives) == ("messages", ("prompt_completion",))


def test_a_late_column_is_read() -> None:
    rows = [{"instruction": "i", "output": "o"}]
    found = detect(rows, Mapped())
    assert isinstance(found, Detected) and found.roles["input"] == "input"
    late = {"instruction": "i", "input": "x", "output": "o", "system": "s"}
    made = read(found.format, found.roles, [*rows, late])
    assert [(row["prompt"], row["system"]) for row in made] == [("i", None), ("i\n\nx", "s")]


@pytest.mark.parametrize(
    ("columns", "declared", "mapped", "words"),
    [
        ("prompt", "prompt_completion", {}, "format prompt_completion lacks a column for comple"),
        ("output", "alpaca", {}, "lacks a column for instruction or input"),
        ("a b", "auto", {}, "the columns a, b make no known format"),
        ("a b", "text", {"prompt": "a"}, "the mapped columns are not those of format text"),
    ],
)
def test_misfit(columns: str, declared: str, mapped: dict[str, str], words: str) -> None:
    found = detect((), Mapped(mapped), declared, columns.split())
    assert isinstance(found, Misfit) and words in found.message


def test_no_column_says_what_was_meant() -> None:
    assert no_column("promt", ["prompt", "x"]) == "did you mean prompt? the columns: prompt, x"


def test_detection_loads_neither_duckdb_nor_numpy() -> None:
    code = (
        "import sys; from runner.data.formats import canonical, detect\n"
        "class Columns:\n    def given(self): return {}\n"
        "print(detect([{'prompt': 'p', 'completion': 'c'}], Columns()).format,"
        " {'duckdb', 'numpy', 'pyarrow', 'torch'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "prompt_completion set()"


# ---------------------------------------------------------------- every row


def test_lines_that_are_no_rows() -> None:
    lines: list[tuple[str | None, str | None]] = [
        ('{"text": "a"}', None),
        (None, None),
        (None, "not UTF-8"),
        ("{broken", None),
        ('{"text": "\\ud800"}', None),
        ("[1]", None),
        ("[]", None),
        ("true", None),
        ('"a"', None),
        ("5", None),
        ("null", None),
        ("{}", None),
    ]
    with relation(lines) as connection:
        found = connection.execute(
            "select line, blank, refusal, completion, keys, raw from"
            f" ({canonical('text', {'text': 'text'}, 'lines')}) order by line"
        ).fetchall()
    assert [line for line, *_ in found] == list(range(1, len(lines) + 1))
    assert [line for line, blank, *_ in found if blank] == [2]
    assert [refusal for _, _, refusal, *_ in found] == [
        None, None, "not UTF-8", NOT_JSON, NOT_JSON, "a list, not an object",
        "an empty list, not an object", "true, not an object", "a text, not an object",
        "a number, not an object", "null, not an object", None,
    ]  # fmt: skip
    assert found[0][3:] == ("a", ["text"], '{"text":"a"}')
    assert found[3][4:] == (None, None)


def test_lines_may_be_a_subquery() -> None:
    with relation([('{"text": "a"}', None), ('{"text": "b"}', None)]) as connection:
        some = canonical("text", {"text": "text"}, "(select * from lines where line = 2)")
        assert connection.execute(f"select line, completion from ({some})").fetchall() == [(2, "b")]


def test_own_id_group_keys_and_types() -> None:
    rows = [
        {"text": "a", "uid": " x1 ", "doc": "d"},
        {"text": 5, "uid": 7, "doc": 12, "text2": None},
        {"text": None, "uid": None, "doc": " \n"},
        {"uid": ""},
        '{"text": "a", "text": "a"}',
    ]
    made = read("text", {"text": "text"}, rows, id_column="uid", group_by="doc")
    assert [row["own_id"] for row in made] == ["x1", "7", None, None, None]
    assert [row["grp"] for row in made] == ["d", "12", None, None, None]
    assert [row["types"] for row in made] == [
        ["VARCHAR"], ["UBIGINT"], ["NULL"], [None], ["VARCHAR"],
    ]  # fmt: skip
    assert made[1]["keys"] == ["text", "uid", "doc", "text2"]
    assert made[4]["keys"] == ["text", "text"]
    assert json.loads(made[1]["raw"]) == rows[1]


ODD_NAMES = ["a/b", "~", "~1", "0", "", "$.a", "*", 'x"y', "it's", "é", "a b", "line", "raw", "m"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_column_names(name: str) -> None:
    decoys = {"a": {"b": "no"}, "other": "no"}
    row = {**decoys, name: "yes"}
    assert read("text", {"text": name}, [row])[0]["completion"] == "yes"
    (made,) = read("messages", {"messages": name}, [{**decoys, name: TURNS}])
    assert (made["prompt"], made["completion"]) == ("q", "a")


def test_names_that_differ_in_case_alone() -> None:
    row = {"Text": "a", "text": "b", "doc": "x", "DOC": "y"}
    (made,) = read("prompt_completion", {"prompt": "Text", "completion": "text"}, [row])
    assert (made["prompt"], made["completion"]) == ("a", "b")
    (made,) = read("text", {"text": "text"}, [row], id_column="doc", group_by="DOC")
    assert (made["own_id"], made["grp"]) == ("x", "y")


# ---------------------------------------------------------------- flat rows


def text_of(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else dumps(value).decode()


def words_of(value: Any) -> str:
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "an object"
    return "a text" if isinstance(value, str) else "a number"


def is_blank(text: str) -> bool:
    return normalised(text) == ""


def flat_oracle(format: Format, roles: Mapping[str, str], row: Row) -> Row:
    refusal = next(
        (
            f"'{column}' is {words_of(row[column])}, not a text"
            for column in roles.values()
            if isinstance(row.get(column), list | dict)
        ),
        None,
    )
    texts = {role: text_of(row.get(column)) for role, column in roles.items()}
    asked = [texts.get(role, "") for role in ("instruction", "input")]
    prompt, completion = {
        "alpaca": ("\n\n".join(part for part in asked if not is_blank(part)), texts.get("output")),
        "prompt_completion": (texts.get("prompt"), texts.get("completion")),
        "classification": (texts.get("text"), texts.get("label")),
        "text": ("", texts.get("text")),
    }[format]
    return {
        "refusal": refusal,
        "system": texts.get("system") or None,
        "prompt": prompt,
        "completion": completion,
        "label": texts["label"] if format == "classification" else None,
        "turns": 1 if format == "text" else 2,
        "texts": texts,
    }


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["", " ", "\n\t", "\u3000", "q", "[1]", '{"role": "user"}', "é", "\x00", "#", "'"]
)
scalars = (
    texts
    | st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.integers(-(10**6), 10**6).map(lambda number: number / 64)
)
cells = scalars | st.lists(scalars, max_size=2) | st.dictionaries(texts, scalars, max_size=2)

FLAT: dict[Format, dict[str, str]] = {
    "alpaca": {"output": "out", "instruction": "ask", "input": "it's", "system": "sys"},
    "prompt_completion": {"prompt": "p", "completion": "c", "system": "s"},
    "classification": {"text": "t", "label": "l"},
    "text": {"text": "t"},
}


@pytest.mark.parametrize("format", FLAT)
def test_flat_rows_are_read_as_python_reads_them(format: Format) -> None:
    roles = FLAT[format]
    row = st.fixed_dictionaries({}, optional=dict.fromkeys(roles.values(), cells))

    @settings(max_examples=6, deadline=None, database=None)
    @given(st.lists(row, min_size=30, max_size=50))
    def judge(rows: list[Row]) -> None:
        for raw, made in zip(rows, read(format, roles, rows), strict=True):
            expected = flat_oracle(format, roles, raw)
            if expected["refusal"] is None:
                assert json.loads(made["texts"]) == expected["texts"]
                assert {key: made[key] for key in expected if key != "texts"} == {
                    key: value for key, value in expected.items() if key != "texts"
                }
            assert made["refusal"] == expected["refusal"]
            assert made["messages"] is made["roles"] is made["calls"] is None

    judge()


# ---------------------------------------------------------------- conversations


def shaped(held: Any) -> list[Any] | None:
    """Calls or functions in OpenAI's shape."""
    if isinstance(held, str):
        try:
            held = loads(held)
        except JSONDecodeError:
            return None
    items = held if isinstance(held, list) else [held] if isinstance(held, dict) else []
    return [
        item
        if not isinstance(item, dict) or "function" in item
        else {"type": "function", "function": item}
        for item in items
    ] or None


def parts_of(held: Any) -> str | None:
    """Multimodal content that is all text."""
    if not isinstance(held, list) or not held:
        return None
    for part in held:
        if not isinstance(part, dict) or not isinstance(part.get("text"), str):
            return None
        if part.get("type") not in (None, "text"):
            return None
    return "\n".join(part["text"] for part in held)


def turn_of(turn: Any, number: int) -> Row:
    turn = turn if isinstance(turn, dict) else {}
    said = turn.get("role") if turn.get("role") is not None else turn.get("from")
    said = None if said is None else text_of(said)
    held = turn.get("content") if turn.get("content") is not None else turn.get("value")
    role = SPEAKERS.get(said or "")
    if said == "function_call":
        calls = shaped(held)
    else:
        tool_calls = turn.get("tool_calls")
        calls = shaped(turn.get("function_call") if tool_calls is None else tool_calls)
    content: str | None = None
    if said == "function_call" and calls:
        content = ""
    elif held is None:
        content = "" if calls else None
    elif isinstance(held, str):
        content = held
    elif parts_of(held) is not None:
        content = parts_of(held)
    elif role == "tool" or said == "function_call":
        content = dumps(held).decode()
    fault = None
    if role is None:
        fault = f"turn {number} has no role of system, user, assistant or tool"
        fault += f": '{said[:60]}'" if said is not None else ""
    elif content is None:
        odd = [
            text_of(part["type"])
            for part in (held if isinstance(held, list) else [])
            if isinstance(part, dict) and part.get("type") not in (None, "text")
        ]
        fault = f"the content of turn {number} "
        fault += (
            f"has a part of type {odd[0]}, not text" if odd else f"is {words_of(held)}, not a text"
        )
    return {
        "said": said, "role": role, "content": content, "calls": calls, "fault": fault,
        "call_id": turn.get("tool_call_id"), "name": turn.get("name"),
    }  # fmt: skip


def order_of(turns: Sequence[Row]) -> str | None:
    """What is wrong with the order, found turn by turn."""
    names = [turn["role"] for turn in turns]
    pairs = list(enumerate(pairwise(names), 1))
    if None in names:
        return next(turn["fault"] for turn in turns if turn["role"] is None)
    for number, name in enumerate(names, 1):
        if name == "system" and number > 1:
            return f"turn {number} is the system's, not first"
    asked = names[1:] if names[:1] == ["system"] else names
    if asked[:1] == ["assistant"]:
        return f"turn {len(names) - len(asked) + 1} is the assistant's, before any of the user's"
    for role in ("user", "assistant"):
        for number, pair in pairs:
            if pair == (role, role):
                return f"turns {number} and {number + 1} are both the {role}'s"
    for number, turn in enumerate(turns, 1):
        before = turns[number - 2] if number > 1 else None
        calling = before is not None and (
            before["role"] == "tool"
            or (before["role"] == "assistant" and before["calls"])
            or before["said"] == "function_call"
        )
        if turn["role"] == "tool" and not calling:
            return f"turn {number} is a tool's result without a call before"
    return unanswered(turns)


def unanswered(turns: Sequence[Row]) -> str | None:
    if not any(turn["role"] == "assistant" for turn in turns):
        return "no assistant turn"
    return None if turns[-1]["role"] == "assistant" else "the last turn is not the assistant's"


def spoken(turn: Row) -> str | None:
    if turn["content"]:
        return str(turn["content"])
    return dumps(turn["calls"]).decode() if turn["calls"] else turn["content"]


def told(turns: Sequence[Row]) -> str:
    kept = [turn for turn in turns if turn["role"] != "system"]
    if len(kept) == 1 and kept[0]["role"] == "user":
        return str(kept[0]["content"])
    return "\n\n".join(f"{turn['role']}: {spoken(turn)}" for turn in kept)


def message_of(turn: Row) -> Row:
    made = {"role": turn["role"], "content": turn["content"]}
    more = {"tool_calls": turn["calls"], "tool_call_id": turn["call_id"], "name": turn["name"]}
    return made | {key: value for key, value in more.items() if value is not None}


def conversation_oracle(column: str, row: Row) -> Row:
    value = row.get(column)
    try:
        listed = loads(value) if isinstance(value, str) else value
    except JSONDecodeError:
        return {"refusal": f"'{column}' is a text that is not JSON"}
    if not isinstance(listed, list) or not listed:
        return {"refusal": f"'{column}' is {words_of(listed)}, not a list of turns"}
    turns = [turn_of(turn, number) for number, turn in enumerate(listed, 1)]
    faults = [number for number, turn in enumerate(turns) if turn["fault"]]
    if faults and not isinstance(listed[faults[0]], dict):
        what = words_of(listed[faults[0]])
        return {"refusal": f"turn {faults[0] + 1} is {what}, not an object"}
    if faults:
        return {"refusal": turns[faults[0]]["fault"], "roles": order_of(turns)}
    own = [turn["content"] for turn in turns if turn["role"] == "system"]
    cell = text_of(row.get("system"))
    added = "" if own or is_blank(cell) else cell
    listed_system = [{"role": "system", "content": added}] if added else []
    return {
        "refusal": unanswered(turns),
        "roles": order_of(turns),
        "system": "\n\n".join(own) or added or None,
        "prompt": told(turns[:-1]),
        "completion": spoken(turns[-1]),
        "turns": sum(turn["role"] != "system" for turn in turns),
        "messages": listed_system + [message_of(turn) for turn in turns],
        "tools": shaped(row.get("tools")),
    }


def assert_equal(made: Row, expected: Row) -> None:
    seen = {key: made[key] for key in expected}
    for key in ("messages", "tools"):
        if seen.get(key) is not None:
            seen[key] = json.loads(seen[key])
    assert seen == expected


functions = st.fixed_dictionaries(
    {"name": st.sampled_from(["f", "g"])},
    optional={"arguments": st.sampled_from(["{}", "{x", {}, {"a": 1}])},
)
made_calls = st.builds(lambda function: {"type": "function", "function": function}, functions)
call_lists = st.lists(functions | made_calls, max_size=2)
speakers = st.sampled_from([*SPEAKERS, "narrator", None]) | st.sampled_from(
    ["user", "assistant", "human", "gpt"]
)
# a list may come back as JSON, where DuckDB escapes control characters in capitals: \u000F
without_controls = texts.map(lambda text: re.sub("[\0-\x1f]", " ", text))
part = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "text", "text", "image_url"])},
    optional={"text": without_controls},
)
said = st.sampled_from(["q", "a", "b\n", "é"]) | texts
contents = said | said | said | st.none() | st.lists(part, max_size=2) | st.just({"a": [1]})
contents |= call_lists.map(lambda calls: dumps(calls).decode()) | functions
odd_turns = st.fixed_dictionaries(
    {"role": speakers, "content": contents},
    optional={
        "tool_calls": call_lists | call_lists.map(lambda calls: dumps(calls).decode()),
        "function_call": functions,
        "tool_call_id": st.sampled_from(["1", "2"]),
        "name": st.just("f"),
    },
)
plain_turns = st.builds(
    lambda keys, role, content: {keys[0]: role, keys[1]: content},
    st.sampled_from([("role", "content"), ("from", "value")]),
    st.sampled_from(["user", "assistant", "assistant", "human", "gpt", "tool", "system"]),
    said,
)
turn_lists = (
    st.lists(plain_turns, min_size=1, max_size=5).map(lambda turns: [*turns, answer("end")])
    | st.lists(plain_turns | odd_turns, max_size=5)
    | st.lists(plain_turns | odd_turns | scalars, max_size=3)
)
# DuckDB takes Inf and NaN for numbers
as_column = turn_lists | turn_lists.map(lambda turns: dumps(turns).decode())
as_column |= scalars.filter(lambda cell: not isinstance(cell, str) or cell[:1] not in "INin+-")


@pytest.mark.parametrize("format", ["messages", "sharegpt"])
def test_conversations_are_read_as_python_reads_them(format: Format) -> None:
    role = FORMATS[format][0]
    row = st.fixed_dictionaries(
        {"talk": as_column}, optional={"system": scalars, "tools": call_lists | texts}
    )

    # a smaller failing example is not worth minutes of search
    @settings(max_examples=8, deadline=None, database=None, phases=[Phase.generate])
    @given(st.lists(row, min_size=40, max_size=60))
    def judge(rows: list[Row]) -> None:
        roles = {role: "talk", "system": "system", "tools": "tools"}
        for raw, made in zip(rows, read(format, roles, rows), strict=True):
            assert_equal(made, conversation_oracle("talk", raw))

    judge()


def test_one_question_is_the_same_in_every_format() -> None:
    parts = ("system", "prompt", "completion")
    (talk,) = automatic([{"messages": [system("s"), *TURNS]}])
    (spoken_,) = automatic([{"conversations": SPOKEN, "system": "s"}])
    (flat,) = automatic([{"prompt": "q", "completion": "a", "system": "s"}])
    (asked,) = automatic([{"instruction": "q", "input": "", "output": "a", "system": "s"}])
    (chosen,) = automatic([{"prompt": "q", "chosen": "a", "rejected": "r", "system": "s"}])
    (wanted,) = automatic([{"messages": [system("s"), *TURNS], "label": True}])
    rows = [talk, spoken_, flat, asked, chosen, wanted]
    assert [[row[key] for key in parts] for row in rows] == [["s", "q", "a"]] * 6
    assert [row["turns"] for row in rows] == [2] * 6
    assert json.loads(talk["messages"]) == json.loads(spoken_["messages"])


ORDERS: list[tuple[list[Row], str | None]] = [
    ([user("q"), answer("a")], None),
    ([system("s"), user("q"), answer("a"), user("r"), answer("b")], None),
    ([user("q"), answer("", tool_calls=[call("f", {})]), {"role": "tool", "content": "1"},
      {"role": "tool", "content": "2"}, answer("a")], None),
    ([user("q"), system("s"), answer("a")], "turn 2 is the system's, not first"),
    ([system("s"), system("s"), user("q"), answer("a")], "turn 2 is the system's, not first"),
    ([answer("a"), user("q"), answer("b")], "turn 1 is the assistant's, before any of the user's"),
    ([user("q"), user("q"), answer("a")], "turns 1 and 2 are both the user's"),
    ([user("q"), answer("a"), answer("b")], "turns 2 and 3 are both the assistant's"),
    ([user("q"), {"role": "tool", "content": "1"}, answer("a")],
     "turn 2 is a tool's result without a call before"),
]  # fmt: skip


def test_order_of_turns() -> None:
    made = automatic([{"messages": turns} for turns, _ in ORDERS])
    assert [row["roles"] for row in made] == [words for _, words in ORDERS]
    assert {row["refusal"] for row in made} == {None}


REFUSED: list[tuple[Format, Row, str]] = [
    ("alpaca", {"output": ["a"]}, "'output' is a list, not a text"),
    ("prompt_completion", {"prompt": {}, "completion": "b"}, "'prompt' is an object, not a text"),
    ("messages", {}, "'messages' is null, not a list of turns"),
    ("messages", {"messages": []}, "'messages' is an empty list, not a list of turns"),
    ("messages", {"messages": "hello"}, "'messages' is a text that is not JSON"),
    ("messages", {"messages": user("q")}, "'messages' is an object, not a list of turns"),
    ("messages", {"messages": ["hello"]}, "turn 1 is a text, not an object"),
    ("messages", {"messages": [{"role": "robot", "content": "x"}]},
     "turn 1 has no role of system, user, assistant or tool: 'robot'"),
    ("messages", {"messages": [user([{"type": "image_url"}]), answer("a")]},
     "the content of turn 1 has a part of type image_url, not text"),
    ("messages", {"messages": [user("q"), answer(None)]},
     "the content of turn 2 is null, not a text"),
    ("messages", {"messages": [user("q")]}, "no assistant turn"),
    ("messages", {"messages": [answer("a"), user("q")]}, "the last turn is not the assistant's"),
    ("kto", {"completion": "a", "label": "maybe"}, "'label' is maybe, not true or false"),
    ("kto", {"completion": "a"}, "'label' is null, not true or false"),
    ("kto", {"label": True, "messages": [user("q")]}, "no assistant turn"),
    ("preference", {"chosen": [user("q")], "rejected": "r"},
     "the last turn of 'chosen' is not the assistant's"),
    ("preference", {"chosen": "c", "rejected": {"role": "robot", "content": "x"}},
     "'rejected': turn 1 has no role of system, user, assistant or tool: 'robot'"),
    ("preference", {"chosen": "c", "rejected": {"text": "x"}},
     "'rejected': turn 1 has no role of system, user, assistant or tool"),
    ("alpaca", {"instruction": "i", "output": "o", "history": "x"},
     "'history' is a text, not a list of [question, answer]"),
    ("alpaca", {"instruction": "i", "output": "o", "history": [["a"]]},
     "'history' is a list, not a list of [question, answer]"),
]  # fmt: skip


@pytest.mark.parametrize("format", dict.fromkeys(format for format, _, _ in REFUSED))
def test_refused(format: Format) -> None:
    roles = {role: role for role in (*FORMATS[format], *OPTIONAL[format]) if role != "id"}
    cases = [(row, words) for other, row, words in REFUSED if other == format]
    made = read(format, roles, [row for row, _ in cases])
    assert [row["refusal"] for row in made] == [words for _, words in cases]


def called(*turns: Row, tools: Any = None) -> Row:
    return {"messages": [user("q"), *turns, answer("end")], "tools": tools}


def result(content: str = "1", **more: Any) -> Row:
    return {"role": "tool", "content": content, **more}


F = [{"name": "f", "parameters": {}}]
CALLS: list[tuple[Row, str | None]] = [
    (called(answer(None, tool_calls=[call("f", "{}")]), result(), tools=F), None),
    (called(answer(None, tool_calls=[call("f", {})]), result(), tools=json.dumps(F)), None),
    (called(answer(None, function_call={"name": "f", "arguments": "{}"}),
            {"role": "function", "name": "f", "content": "1"}, tools=F), None),
    (called(answer(None, tool_calls=[call("f", "{", "1")]), result(tool_call_id="1")),
     "the arguments of a call in turn 2 are not JSON"),
    (called(answer(None, tool_calls=[call("g", "{}")]), result()), None),
    (called(answer(None, tool_calls=[call("g", "{}")]), result(), tools=F),
     "turn 2 calls 'g', which tools does not define"),
    (called(answer(None, tool_calls=[call("g", "{}")]), result(), tools="[]"),
     "turn 2 calls 'g', which tools does not define"),
    (called(answer(None, tool_calls=[{"type": "function", "function": {}}]), result()),
     "a call in turn 2 names no function"),
    (called(answer(None, tool_calls=[call("f", "{}", "1")]), result(tool_call_id="2")),
     "a call in turn 2 has no result"),
    (called(answer(None, tool_calls=[call("f", "{}", "1")]), result(tool_call_id="1"),
            result(tool_call_id="2")), "turn 4 answers a call '2' that was not made"),
    (called(answer(None, tool_calls=[call("f", "{}", "1"), call("f", "{}", "2")]),
            result(tool_call_id="1"), result(tool_call_id="2")), None),
    (called(answer(None, tool_calls=[call("f", "{}")]), user("r")),
     "a call in turn 2 has no result"),
    (called(answer("a"), user("r"), tools="f(x)"), "the tools are no list of functions in JSON"),
    # the last turn may call: its result is not there yet
    ({"messages": [user("q"), answer(None, tool_calls=[call("f", "{}", "1")])], "tools": F}, None),
]  # fmt: skip


def test_calls() -> None:
    made = automatic([row for row, _ in CALLS])
    assert [row["calls"] for row in made] == [words for _, words in CALLS]
    assert {row["refusal"] for row in made} == {None}


def test_calls_written_as_turns_of_their_own() -> None:
    def talk(said: str) -> list[Row]:
        return [
            {"from": "human", "value": "q"},
            {"from": "function_call", "value": said},
            {"from": "observation", "value": '{"x": 1}'},
            {"from": "gpt", "value": "a"},
        ]

    good, bad = '{"name": "f", "arguments": {"a": [1]}}', "f(1)"
    tools = '[{"name": "f", "parameters": {}}]'
    rows = [{"conversations": talk(said), "tools": tools} for said in (good, bad)]
    first, second = automatic(rows)
    assert json.loads(first["messages"]) == [
        user("q"),
        answer("", tool_calls=[call("f", {"a": [1]})]),
        {"role": "tool", "content": '{"x": 1}'},
        answer("a"),
    ]
    assert json.loads(first["tools"]) == [{"type": "function", "function": json.loads(tools)[0]}]
    assert first["prompt"].splitlines()[2].startswith('assistant: [{"type":"function"')
    assert (first["roles"], first["calls"], first["refusal"]) == (None, None, None)
    assert (second["roles"], second["calls"]) == (None, "the call in turn 2 is not JSON")


def test_an_answer_of_calls_alone_is_judged_as_json() -> None:
    (made,) = automatic([{"messages": [user("q"), answer(None, tool_calls=[call("f", "{}")])]}])
    assert (made["prompt"], json.loads(made["completion"])) == ("q", [call("f", "{}")])


# ---------------------------------------------------------------- answers kept apart

C, R = answer("c"), answer("r")
HUMAN, GPT_C, GPT_R = (
    {"from": who, "value": text} for who, text in (("human", "q"), ("gpt", "c"), ("gpt", "r"))
)
PREFERENCES: dict[str, Row] = {
    "texts": {"prompt": "q", "chosen": "c", "rejected": "r"},
    "turns": {"prompt": "q", "chosen": C, "rejected": R},
    "lists": {"prompt": [user("q")], "chosen": [C], "rejected": [R]},
    "shared beginning": {"chosen": [user("q"), C], "rejected": [user("q"), R]},
    "prompt said twice": {"prompt": "q", "chosen": [user("q"), C], "rejected": [user("q"), R]},
    "conversation": {"messages": [user("q")], "chosen": C, "rejected": R},
    "in the other spelling": {"conversations": [HUMAN], "chosen": GPT_C, "rejected": GPT_R},
    "JSON in texts": {
        "prompt": json.dumps([user("q")]), "chosen": json.dumps(C), "rejected": json.dumps([R])
    },
    "whole conversation beside": {
        "messages": [user("q"), C], "chosen": [user("q"), C], "rejected": [user("q"), R]
    },
    "nothing shared": {"chosen": [user("q"), C], "rejected": "r"},
}  # fmt: skip


@pytest.mark.parametrize("case", PREFERENCES)
def test_preference(case: str) -> None:
    (made,) = automatic([PREFERENCES[case]])
    assert [made[key] for key in ("prompt", "completion", "rejected")] == ["q", "c", "r"]
    assert (made["refusal"], made["roles"], made["turns"]) == (None, None, 2)
    if case == "texts":
        assert made["messages"] is None and json.loads(made["texts"])["chosen"] == "c"
    else:
        assert json.loads(made["messages"]) == [user("q"), C] and made["texts"] is None


def test_answers_that_go_on_for_turns() -> None:
    start = [system("s"), user("q"), answer("a")]
    row = {"chosen": [*start, user("v"), C], "rejected": [*start, user("w"), R]}
    (made,) = automatic([row])
    assert made["prompt"] == "user: q\n\nassistant: a"
    assert made["completion"] == "user: v\n\nassistant: c"
    assert made["rejected"] == "user: w\n\nassistant: r"
    assert (made["system"], made["roles"]) == ("s", None)


def test_equal_answers_stay_answers() -> None:
    (made,) = automatic([{"chosen": [user("q"), C], "rejected": [user("q"), C]}])
    assert [made[key] for key in ("prompt", "completion", "rejected")] == ["q", "c", "c"]


@settings(max_examples=4, deadline=None, database=None)
@given(st.lists(st.tuples(texts, texts, texts, texts), min_size=30, max_size=40))
def test_preferences_of_texts_and_lists_say_the_same(rows: list[tuple[str, ...]]) -> None:
    roles = {role: role for role in ("chosen", "rejected", "system", "prompt")}
    rows = [row for row in rows if not any(text[:1] in ("[", "{") for text in row)]
    flat = [dict(zip(("system", "prompt", "chosen", "rejected"), row, strict=True)) for row in rows]
    lists = [
        {
            "system": said,
            "chosen": [user(prompt), answer(chosen)],
            "rejected": [user(prompt), answer(rejected)],
        }
        for said, prompt, chosen, rejected in rows
    ]
    keys = ("prompt", "completion", "rejected", "refusal", "roles", "turns")
    left, right = read("preference", roles, flat), read("preference", roles, lists)
    for (_, prompt, chosen, rejected), one, other in zip(rows, left, right, strict=True):
        expected = [prompt, chosen, rejected, None, None, 2]
        assert [one[key] for key in keys] == expected
        assert [other[key] for key in keys] == expected


LABELS = [(True, True), (False, False), (1, True), (0, False), ("true", True), ("False", False)]
WANTED: list[Row] = [
    {"prompt": "q", "completion": "c"},
    {"prompt": [user("q")], "completion": [C]},
    {"messages": [user("q"), C]},
    {"conversations": [HUMAN, GPT_C]},
    {"messages": [user("q")], "completion": "c"},
]


@pytest.mark.parametrize("row", WANTED)
def test_kto(row: Row) -> None:
    made = automatic([{**row, "label": label} for label, _ in LABELS])
    assert [row["desirable"] for row in made] == [desirable for _, desirable in LABELS]
    said = {(row["prompt"], row["completion"], row["turns"]) for row in made}
    assert said == {("q", "c", 2)}
    assert {(row["refusal"], row["roles"]) for row in made} == {(None, None)}


def test_kto_without_a_question() -> None:
    (made,) = automatic([{"completion": "c", "label": True}])
    assert (made["prompt"], made["completion"], made["turns"]) == ("", "c", 1)
    assert (made["roles"], made["refusal"]) == (None, None)


def test_alpaca_with_a_history_is_a_conversation() -> None:
    rows = [
        {"instruction": "i", "input": "x", "output": "o", "history": [["a", "b"], ["c", "d"]]},
        {"instruction": "i", "input": "", "output": "o", "history": []},
        {"instruction": "i", "input": "", "output": "o", "history": None},
        {"instruction": "i", "input": "", "output": "o", "history": '[["a", "b"]]'},
    ]
    long, empty, none, text = automatic(rows)
    assert long["prompt"] == "user: a\n\nassistant: b\n\nuser: c\n\nassistant: d\n\nuser: i\n\nx"
    assert json.loads(long["messages"])[-2:] == [user("i\n\nx"), answer("o")]
    for row in (empty, none):
        assert (row["prompt"], row["messages"], row["turns"]) == ("i", None, 2)
        assert json.loads(row["texts"])["instruction"] == "i"
    assert (text["turns"], text["refusal"]) == (4, None)


# ---------------------------------------------------------------- normalised texts

SAME = [
    ("Hello  World", "hello\u00a0world\n"),
    ("caf\u00e9", "cafe\u0301"),
    ("\u2003a\u2028b c", "a b c"),
    ("\u0130\u03a3", "i\u03c3"),
    ("a" + " " * 200 + "b", "A\t\r\nb"),
]


@pytest.mark.parametrize(("left", "right"), SAME)
def test_normalised(left: str, right: str) -> None:
    assert normalised(left) == normalised(right)


def normalised_by_sql(given: Sequence[str]) -> list[tuple[str, bool]]:
    with duckdb.connect() as connection:
        return connection.execute(
            f"select made, {blank_sql('held')} from"
            f" ({with_normalised('select unnest(?::varchar[]) as held', 'held', 'made')})",
            [list(given)],
        ).fetchall()


blanks = st.sampled_from([" ", "  ", "\n", "\t", "\r\n", "\u00a0", "\u3000", "\x0b", "   \n  "])
pieces = blanks | st.sampled_from(["a", "É", "e\u0301", "\u0323\u0307s", "ΑΣ", "İ", "'"]) | texts


@settings(max_examples=15, deadline=None, database=None)
@given(st.lists(st.lists(pieces, max_size=6).map("".join), min_size=1, max_size=60))
def test_sql_normalises_as_python_does(given: list[str]) -> None:
    for text, (made, blank) in zip(given, normalised_by_sql(given), strict=True):
        assert made == normalised(text)
        assert blank == (normalised(text) == "")


def test_sql_normalises_every_character_as_python_does() -> None:
    every = [f"a{chr(code)}b" for code in range(0x20000) if not 0xD800 <= code < 0xE000]
    every += [chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000]
    made = normalised_by_sql(every)
    wrong = [text for text, (said, _) in zip(every, made, strict=True) if said != normalised(text)]
    assert wrong == []


def test_sql_joins_every_letter_that_is_written_apart() -> None:
    every = [chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000]
    apart = [text for letter in every if (text := normalize("NFD", letter)) != letter]
    assert len(apart) > 10_000  # Hangul among them
    made = normalised_by_sql(apart)
    assert [said for said, _ in made] == [normalised(text) for text in apart]


def test_null_stays_null() -> None:
    with duckdb.connect() as connection:
        rows = with_normalised("select null::varchar as held", "held", "made")
        query = f"select made, {blank_sql('held')} from ({rows})"
        assert connection.execute(query).fetchall() == [(None, True)]

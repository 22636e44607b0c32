"""Every bad text is refused with words and a place; every good one keeps where its values stand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dsl.errors import InvalidRecipe
from dsl.problems import Problem
from dsl.source import MAX_DEPTH, Node, decode, parse

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=20
)
OBJECTS = st.dictionaries(TEXTS, VALUES)


def refused(text: str | bytes, name: str = "recipe.json") -> Problem:
    with pytest.raises(InvalidRecipe) as caught:
        parse(decode(text, name) if isinstance(text, bytes) else text, name)
    (problem,) = caught.value.problems
    return problem


# text, words of the message, line, column
BAD_JSON = [
    ('{"a": 1, "b": 2, "a": 3}', "'a' stands twice in one object, first in line 1", 1, 18),
    ('{\n"a": {"x": 1,\n"x": 2}}', "'x' stands twice", 3, 1),
    ('{"a": 1, "\\u0061": 3}', "'a' stands twice", 1, 10),
    ('{"a": 1,\n}', "a comma after the last item", 1, 8),
    ('{"a": [1, 2,]}', "a comma after the last item", 1, 12),
    ('{"a": [1,,2]}', "a value is missing before ','", 1, 10),
    ('{\n// why\n"a": 1}', "JSON has no comments", 2, 1),
    ('{"a": 1 /* why */}', "JSON has no comments", 1, 9),
    ('# why\n{"a": 1}', "JSON has no comments", 1, 1),
    ('{"a": 1', "no '}' closes what begins here", 1, 1),
    ('{"a": [1, 2}', "a comma is missing", 1, 12),
    ('{"a": "x', 'the closing " is missing', 1, 7),
    ('{"a": "x\n"}', "a line break or control character", 1, 7),
    ('{"a": "\\x41"}', "a wrong escape", 1, 8),
    ('{"a": "C:\\data"}', "a wrong escape", 1, 10),
    ('{"a": "\\ud800"}', "half of a surrogate pair", 1, 7),
    ('{"a": "\\u0000"}', "a NUL character", 1, 7),
    ('{"a": NaN}', "'NaN' is not JSON", 1, 7),
    ('{"a": -Infinity}', "'-' cannot begin a value", 1, 7),
    ('{"a": True}', "'True' is not JSON", 1, 7),
    ('{"a": lora}', "'lora' is not JSON", 1, 7),
    ('{"a": 01}', "'01' is not a number", 1, 7),
    ('{"a": 1.}', "'1.' is not a number", 1, 7),
    ('{"a": .5}', "'.' cannot begin a value", 1, 7),
    ('{"a": +1}', "'+' cannot begin a value", 1, 7),
    ('{"a": 1e999}', "a number too large", 1, 7),
    ('{"a": ' + "9" * 5000 + "}", "a number too large", 1, 7),
    ("{'a': 1}", "a key must stand in double quotes", 1, 2),
    ("{a: 1}", "a key must stand in double quotes, found a", 1, 2),
    ("{\"a\": 'x'}", "a text in single quotes", 1, 7),
    ('{"a" 1}', "a colon is missing", 1, 6),
    ('{"a": 1 "b": 2}', "a comma is missing", 1, 9),
    ('{"a": }', "a value is missing before '}'", 1, 7),
    ('{"a": 1} {"b": 2}', "text after the end", 1, 10),
    ('{"a": \u00a01}', "cannot begin a value", 1, 7),
    ("[1, 2]", "a recipe is an object, this is a list", None, None),
    ('"text"', "this is a single value", None, None),
    ('{"a": ' + "[" * 100_000, f"nested more than {MAX_DEPTH} deep", 1, None),
    ('{"a": [' + "0," * 100_000 + "0]}", "more than 50000 values", 1, None),
]


@pytest.mark.parametrize(("text", "message", "line", "column"), BAD_JSON)
def test_bad_json_is_refused_at_its_place(
    text: str, message: str, line: int | None, column: int | None
) -> None:
    problem = refused(text)
    assert message in problem.message
    assert problem.line == line
    if column is not None:
        assert problem.column == column


BAD_BYTES = [
    (b"", "is empty", None),
    (b" \n\t", "is empty", None),
    ('{"a": 1}'.encode("utf-16"), "is UTF-16", None),
    ('{"a": 1}'.encode("utf-16-be"), "is not a text file", None),
    ('{\n"a": "Straße"}'.encode("latin-1"), "is not UTF-8: byte 0xdf", 2),
    (b'{"a": "\0"}', "is not a text file", None),
    (b'{"a": "' + b"x" * 50_000_000 + b'"}', "has 50.0 MB", None),
    (b"PAR1\x15\x04\x15", "'PAR1' is not JSON", 1),
]


@pytest.mark.parametrize(("raw", "message", "line"), BAD_BYTES, ids=range(len(BAD_BYTES)))
def test_bad_bytes_are_refused(raw: bytes, message: str, line: int | None) -> None:
    problem = refused(raw)
    assert message in problem.message
    assert problem.line == line


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert parse(decode(b'\xef\xbb\xbf{"a": 1}', "r.json"), "r.json").values == {"a": 1}


@given(OBJECTS)
@example({"a": [], "b": {}, "": {"": [{}]}, "\U0001f600": 1})
def test_json_reads_as_the_standard_library_does(values: dict[str, Any]) -> None:
    for indent in (None, 2, "\t"):
        for ascii_only in (True, False):
            text = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
            assert same(parse(text, "r.json").values, values)


@given(OBJECTS)
def test_the_span_of_every_node_reads_as_its_value(values: dict[str, Any]) -> None:
    source = parse(json.dumps(values, indent=1, ensure_ascii=False), "r.json")

    def check(node: Node) -> None:
        assert same(json.loads(source.text[node.start : node.end]), node.value)
        for key, child in node.children.items():
            if child.key_start is not None:
                assert json.JSONDecoder().raw_decode(source.text, child.key_start)[0] == key
            assert same(child.value, node.value[key])
            check(child)

    check(source.root)


@given(st.text(max_size=60) | st.text('{}[]",:\\ \n0123456789.eE+-truefalsn/#', max_size=60))
@settings(max_examples=300)
def test_any_text_is_read_as_the_standard_library_reads_it_or_refused(text: str) -> None:
    try:
        values = parse(text, "r.json").values
    except InvalidRecipe as error:
        assert error.problems[0].message
    else:
        assert same(values, json.loads(text))


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    for name in ("r.json", "r.yaml"):
        try:
            assert isinstance(parse(decode(raw, name), name).values, dict)
        except InvalidRecipe as error:
            assert error.problems[0].message


def same(left: Any, right: Any) -> bool:
    """Equal in type too: 1, 1.0 and true are three things, as are 0.0 and -0.0."""
    return repr(left) == repr(right)


def test_places_count_from_one_and_fall_back_to_the_parent() -> None:
    source = parse('{\n  "a": {"b": [10,\n 20]}\n}', "r.json")
    assert source.place(("a",)) == (2, 3)
    assert source.place(("a", "b", 1)) == (3, 2)
    assert source.place(("a", "b", 7)) == (2, 9)
    assert source.place(("a", "missing", "deeper")) == (2, 3)
    assert source.place(()) == (1, 1)
    assert source.node(("a", "b", 0)) is not None
    assert source.node(("a", "x", 0)) is None


# ---------------------------------------------------------------- YAML

# text → value by the core schema of YAML 1.2 (section 10.3)
YAML_SCALARS = [
    ("2e-4", 2e-4),
    ("1e5", 1e5),
    (".5", 0.5),
    ("1.", 1.0),
    ("-3", -3),
    ("+3", 3),
    ("010", 10),
    ("0o17", 15),
    ("0x1F", 31),
    ("no", "no"),
    ("off", "off"),
    ("y", "y"),
    ("True", True),
    ("false", False),
    ("~", None),
    ("null", None),
    ("", None),
    ("1_000", "1_000"),
    ("0b11", "0b11"),
    ("1:30", "1:30"),
    ("2001-01-01", "2001-01-01"),
    ("'5'", "5"),
    ('"no"', "no"),
    ("a b # a comment", "a b"),
]


@pytest.mark.parametrize(("text", "value"), YAML_SCALARS)
def test_yaml_scalars_are_those_of_the_core_schema(text: str, value: Any) -> None:
    assert same(parse(f"a: {text}\n", "r.yaml").values, {"a": value})


BOMB = "a0: &a0 [1, 1]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 20)
)
BAD_YAML = [
    ("a: 1\na: 2\n", "'a' stands twice", 2),
    ("a: {b: 1, b: 2}", "'b' stands twice", 1),
    (BOMB, "more than 50000 values", None),
    ("a: &a [*a]", f"nested more than {MAX_DEPTH} deep", 1),
    ("a: " + "[" * 3000, f"nested more than {MAX_DEPTH} deep", None),
    ("a: *nowhere", "undefined alias", 1),
    ("a: !!python/object/apply:os.system [true]", "has no place in a recipe", 1),
    ("a: !env HOME", "the tag !env has no place", 1),
    ("a: !!set {x, y}", "has no place in a recipe", 1),
    ("a: !!binary aGk=", "has no place in a recipe", 1),
    ("%YAML 1.1\n---\na: no\n", "YAML directives", 1),
    ("a: .nan", "no number a recipe can hold", 1),
    ("a: -.inf", "no number a recipe can hold", 1),
    ("a: 1e999", "a number too large", 1),
    ("a: " + "9" * 5000, "a number too large", 1),
    ('a: "\\ud800"', "half of a surrogate pair", 1),
    ('a: "\\0"', "a NUL character", 1),
    ('a: "\\UFFFFFFFF"', "YAML cannot be read", None),
    ("a: \x07", "YAML cannot be read", None),
    ("a: 1\n\tb: 2", "YAML:", 2),
    ("a: 'x", "YAML:", 1),
    ("a: 1\n---\nb: 2", "another document", 2),
    ("? [1, 2]\n: 3", "a key must be a text", 1),
    ("- 1\n- 2", "this is a list", None),
    ("# nothing", "empty", None),
]


@pytest.mark.parametrize(("text", "message", "line"), BAD_YAML, ids=range(len(BAD_YAML)))
def test_bad_yaml_is_refused(text: str, message: str, line: int | None) -> None:
    problem = refused(text, "recipe.yaml")
    assert message in problem.message
    if line is not None:
        assert problem.line == line


PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E))


@given(st.dictionaries(PRINTABLE, st.lists(PRINTABLE | NUMBERS | st.booleans() | st.none())))
@settings(max_examples=40, deadline=None)
def test_json_is_yaml(values: dict[str, Any]) -> None:
    assert parse(json.dumps(values), "r.yml").values == values


def test_yaml_keeps_places() -> None:
    source = parse("a:\n  b:\n  - 1\n  - two\n", "r.yaml")
    assert source.language == "yaml"
    assert source.place(("a", "b")) == (2, 3)
    assert source.place(("a", "b", 1)) == (4, 5)

"""A patch applied to the text is the patch applied to the values; the rest keeps its bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.edit import EditError, apply, assign, patched
from dsl.errors import InvalidRecipe, RecipeError
from dsl.problems import Change, pointer, remove, set_value
from dsl.source import Node, parse

LEGAL = (Path(__file__).parents[2] / "recipes" / "legal.json").read_text("utf-8")
PRETTY = """{
  "name": "t",
  "method": {"type": "lora", "rank": 8},
  "training": {
    "epochs": 1,
    "seed": 3
  },
  "export": [
    {"type": "adapter"}
  ],
  "eval": {}
}
"""
CASES = [
    ("set a value", [set_value(("method", "rank"), 32)], ('"rank": 8', '"rank": 32')),
    ("set it to what it is", [set_value(("method", "rank"), 8)], ("", "")),
    (
        "set a new key on one line",
        [set_value(("method", "alpha"), 16)],
        ('"rank": 8}', '"rank": 8, "alpha": 16}'),
    ),
    (
        "set a new key on a line of its own",
        [set_value(("training", "packing"), True)],
        ('"seed": 3\n', '"seed": 3,\n    "packing": true\n'),
    ),
    (
        "create the parents",
        [set_value(("eval", "generation", "temperature"), 0)],
        ('"eval": {}', '"eval": {"generation": {"temperature": 0}}'),
    ),
    (
        "create a section",
        [set_value(("data", "train", 0, "path"), "a.jsonl")],
        ('"eval": {}\n', '"eval": {},\n  "data": {"train": [{"path": "a.jsonl"}]}\n'),
    ),
    (
        "append to a list",
        [set_value(("export", 1, "type"), "merged")],
        ('{"type": "adapter"}\n', '{"type": "adapter"},\n    {"type": "merged"}\n'),
    ),
    ("remove the first", [remove(("method", "type"))], ('"type": "lora", ', "")),
    ("remove the last", [remove(("method", "rank"))], (', "rank": 8', "")),
    ("remove a line", [remove(("training", "epochs"))], ('"epochs": 1,\n    ', "")),
    ("remove the last line", [remove(("training", "seed"))], (',\n    "seed": 3', "")),
    ("remove the only one", [remove(("export", 0))], ('[\n    {"type": "adapter"}\n  ]', "[]")),
    ("remove what is not there", [remove(("method", "alpha")), remove(("x", "y", 0))], ("", "")),
    (
        "two changes in order",
        [remove(("method", "rank")), set_value(("method", "r/~"), "ä\n")],
        ('"rank": 8', '"r/~": "ä\\n"'),
    ),
]


@pytest.mark.parametrize(("patch", "replaced"), [pytest.param(*c[1:], id=c[0]) for c in CASES])
def test_layout_is_kept(patch: list[Change], replaced: tuple[str, str]) -> None:
    assert apply(PRETTY, "json", patch) == PRETTY.replace(*replaced, 1)


def test_a_long_value_is_written_over_lines_as_indented_as_its_place() -> None:
    value = {f"key_{index}": "a text of some length" for index in range(6)}
    text = apply(PRETTY, "json", [set_value(("training", "seed"), value)])
    assert '    "seed": {\n      "key_0": "a text' in text
    assert '"\n    }\n  },\n' in text
    windows = apply(PRETTY.replace("\n", "\r\n"), "json", [set_value(("training", "seed"), value)])
    assert windows == text.replace("\n", "\r\n")


def test_a_minified_text_stays_so() -> None:
    text = '{"a":1,"b":[]}'
    assert apply(text, "json", [set_value(("b", 0), {"c": [1, 2]})]) == '{"a":1,"b":[{"c":[1,2]}]}'
    assert apply(text, "json", [set_value(("d",), "x y")]) == '{"a":1,"b":[],"d":"x y"}'


def test_off_and_null_give_way_to_an_object() -> None:
    text = '{"a": "off", "b": null, "c": 3}'
    assert apply(text, "json", [set_value(("a", "x"), 1), set_value(("b", "y"), 2)]) == (
        '{"a": {"x": 1}, "b": {"y": 2}, "c": 3}'
    )
    with pytest.raises(EditError, match="c is a single value"):
        apply(text, "json", [set_value(("c", "x"), 1)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_value(("export", 2), {}), "a list of 1 items: it has no '2'"),
        (set_value(("export", "x"), {}), "a list of 1 items: it has no 'x'"),
        (remove(()), "cannot be removed"),
        (set_value(("name",), float("nan")), "cannot be written as JSON"),
        (set_value(("name",), "\ud800"), "half of a surrogate pair"),
        (set_value(("name",), "\0"), "a NUL character"),
        (set_value(("name",), 10**400), "a number too large"),
    ],
)
def test_what_cannot_be_written_is_refused(change: Change, message: str) -> None:
    with pytest.raises(EditError, match=message) as caught:
        apply(PRETTY, "json", [change])
    assert caught.value.exit_status == 2


def test_yaml_is_never_written() -> None:
    with pytest.raises(RecipeError, match="YAML is never written"):
        apply("a: 1", "yaml", [])


def test_bad_text_is_refused() -> None:
    with pytest.raises(InvalidRecipe):
        apply('{"a": 1,}', "json", [remove(("a",))])


# ---------------------------------------------------------------- properties

NAMES = st.sampled_from(["a", "b", "c/d", "e~f", "", 'g"', "0"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(-1, 1)
    | st.text('x{}[],:" \n', max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=5)
STEPS = st.lists(NAMES | st.integers(0, 2), min_size=1, max_size=4).map(tuple)
LAYOUTS = st.sampled_from(
    [
        {"indent": 2},
        {"indent": "\t"},
        {"indent": None},
        {"separators": (",", ":")},
        {"indent": 0, "separators": (" , ", "  :  ")},
    ]
)


@st.composite
def changes(draw: st.DrawFn, values: Any) -> Change:
    """A change at a place that exists, beside one, or anywhere."""
    path: tuple[str | int, ...] = ()
    here = values
    while isinstance(here, dict | list) and here and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(list(here) if isinstance(here, dict) else range(len(here))))
        path, here = (*path, key), here[key]
    if draw(st.booleans()) or not path:
        path = (*path, *draw(STEPS))
    if draw(st.booleans()):
        return Change("remove", pointer(path))
    return Change("set", pointer(path), draw(VALUES))


@given(st.data(), OBJECTS, LAYOUTS)
@settings(max_examples=400, deadline=None)
def test_the_text_says_what_the_values_say(
    data: st.DataObject, values: dict[str, Any], layout: dict[str, Any]
) -> None:
    text = json.dumps(values, **layout)
    patch = [data.draw(changes(values)) for _ in range(data.draw(st.integers(1, 2)))]
    try:
        expected = patched(values, patch)
    except EditError as refused:
        with pytest.raises(EditError) as caught:
            apply(text, "json", patch)
        assert caught.value.message == refused.message
        return
    written = apply(text, "json", patch)
    assert repr(parse(written, "r.json").values) == repr(expected)


@given(st.data(), OBJECTS, LAYOUTS)
@settings(max_examples=200, deadline=None)
def test_what_is_not_touched_keeps_its_bytes(
    data: st.DataObject, values: dict[str, Any], layout: dict[str, Any]
) -> None:
    text = json.dumps(values, **layout)
    change = data.draw(changes(values))
    try:
        written = apply(text, "json", [change])
    except EditError:
        return
    before, after = parse(text, "r.json").root, parse(written, "r.json").root
    top = change.path.split("/")[1].replace("~1", "/").replace("~0", "~")
    for key, node in before.children.items():
        if key != top:
            assert _bytes(written, after.children[key]) == _bytes(text, node)


def _bytes(text: str, node: Node) -> str:
    assert node.key_start is not None
    return text[node.key_start : node.end]


def test_patched_does_not_change_what_it_is_given() -> None:
    values = {"a": {"b": [1]}}
    inner: dict[str, Any] = {"x": []}
    made = patched(values, [set_value(("a", "b", 1), inner), set_value(("a", "b", 1, "x", 0), 7)])
    assert made == {"a": {"b": [1, {"x": [7]}]}}
    assert values == {"a": {"b": [1]}}
    assert inner == {"x": []}


def test_edits_of_a_real_recipe_touch_one_line() -> None:
    text = apply(LEGAL, "json", [set_value(("training", "epochs"), 3)])
    changed = [
        (old, new)
        for old, new in zip(LEGAL.splitlines(), text.splitlines(), strict=True)
        if old != new
    ]
    assert changed == [('    "epochs": 1,', '    "epochs": 3,')]


# ---------------------------------------------------------------- assignments

VALUES_OF = {"name": "t", "method": {"type": "lora"}}


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("method.rank=32", ("method", "rank"), 32),
        ("training.learning_rate=2e-4", ("training", "learning_rate"), 2e-4),
        ("training.packing=true", ("training", "packing"), True),
        ("data.train[0].path=b.jsonl", ("data", "train", 0, "path"), "b.jsonl"),
        ("data.split.group_by=null", ("data", "split", "group_by"), None),
        ("name=7", ("name",), "7"),
        ("name=true", ("name",), "true"),
        ("model.revision=1234", ("model", "revision"), "1234"),
        ("model.base=a=b", ("model", "base"), "a=b"),
        ('method.target_modules=["q_proj"]', ("method", "target_modules"), ["q_proj"]),
        ("method.target_modules=q_proj", ("method", "target_modules"), "q_proj"),
        ("data.checks.size=off", ("data", "checks", "size"), "off"),
        ("template.prompt={{ input }}", ("template", "prompt"), "{{ input }}"),
        ("export=[]", ("export",), []),
        ("description=", ("description",), ""),
        ("method.rnak=8", ("method", "rnak"), 8),
        ("training.seed=08", ("training", "seed"), "08"),
    ],
)
def test_assign(text: str, path: tuple[str | int, ...], value: Any) -> None:
    assert assign(VALUES_OF, text) == set_value(path, value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method.rank", "is not an assignment"),
        ("=3", "is not an assignment"),
        ("a..b=3", "is not an assignment"),
        ("export=[{]", "the value of export: a key must stand"),
        ('method={"rank": 8,}', "the value of method: a comma after the last item"),
    ],
)
def test_what_is_no_assignment_is_refused(text: str, message: str) -> None:
    with pytest.raises(EditError, match=message.replace("[", r"\[")):
        assign(VALUES_OF, text)

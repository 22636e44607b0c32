"""A patch applied to values, and to the text of a recipe with its layout kept.

What a change does not touch stays as it is, byte for byte. Removing what is not there changes
nothing; setting creates the parents that are missing.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dsl import json_text
from dsl import schema as schemas
from dsl.errors import InvalidRecipe, RecipeError
from dsl.nodes import Node
from dsl.problems import Change, Path, dotted, from_dotted, from_pointer, set_value

WIDTH = 100
APPEND = "-"  # the index behind the last item, as in RFC 6902
_COLON = re.compile(r"\s*:\s*\Z")


class EditError(RecipeError):
    """A change that cannot be made."""

    exit_status = 2


def assign(values: Mapping[str, Any], text: str) -> Change:
    """'method.rank=32' → the Change. The value is read as JSON, else taken as text.

    `values` are the recipe's: what the schema calls a text there stays one, as in name=7.
    """
    left, equals, right = text.partition("=")
    try:
        path = from_dotted(left.strip())
    except ValueError:
        equals = ""
    if not equals:
        raise EditError(f"'{text}' is not an assignment", "write it as method.rank=32")
    kinds = (schemas.at(path, values) or {}).get("type", ())
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    try:
        value = json_text.parse(right).value
    except InvalidRecipe as error:
        if right.lstrip()[:1] in ("{", "[", '"') and "string" not in kinds:
            fault = error.problems[0]
            raise EditError(f"the value of {left.strip()}: {fault.message}", fault.hint) from None
        value = right
    if kinds <= {"string", "null"} and kinds and not isinstance(value, str | None):
        value = right
    return set_value(path, value)


def patched(values: Any, patch: Sequence[Change]) -> Any:
    """A copy of the values with every change made, in order. Raises EditError."""
    values = copy.deepcopy(values)
    for change in patch:
        path = from_pointer(change.path)
        if change.op == "set":
            values = _set_in(values, path, (), copy.deepcopy(change.value))
        else:
            _remove_from(values, path)
    return values


def apply(text: str, language: str, patch: Sequence[Change]) -> str:
    """The text with every change made, in order. Raises EditError, InvalidRecipe for bad text."""
    if language != "json":
        raise EditError(
            "YAML is never written", "make the change by hand, or convert the recipe to JSON"
        )
    for change in patch:
        root, path = json_text.parse(text), from_pointer(change.path)
        if change.op == "set":
            text = _set(text, root, path, change.value)
        else:
            text = _remove(text, root, path)
    return text


# ---------------------------------------------------------------- values


def _set_in(holder: Any, path: Path, done: Path, value: Any) -> Any:
    if not path:
        return value
    head, rest = _key(holder, path[0], done), path[1:]
    if holder is None or holder == "off":
        return _nested(path, value)
    if isinstance(holder, list) and head == len(holder):
        return [*holder, _nested(rest, value)]
    if isinstance(holder, dict) and head not in holder:
        return {**holder, head: _nested(rest, value)}
    holder[head] = _set_in(holder[head], rest, (*done, head), value)
    return holder


def _remove_from(holder: Any, path: Path) -> None:
    if not path:
        raise EditError("a recipe cannot be removed from its own text")
    done: Path = ()
    for part in path:
        if not isinstance(holder, dict | list):
            return
        head = _key(holder, part, done)
        if not (head in holder if isinstance(holder, dict) else head < len(holder)):
            return
        parent, holder, done = holder, holder[head], (*done, head)
    del parent[head]


def _key(holder: Any, part: str | int, done: Path) -> Any:
    """The key or index that `part` means in this container: '0' may be either in a pointer."""
    where = dotted(done) or "the recipe"
    if isinstance(holder, list):
        index = len(holder) if part == APPEND else part
        if not isinstance(index, int) or index > len(holder):
            raise EditError(f"{where} is a list of {len(holder)} items: it has no '{part}'")
        return index
    if isinstance(holder, dict) or holder is None or holder == "off":
        return str(part)
    raise EditError(f"{where} is a single value: it has no '{part}'", f"set {where} as a whole")


def _nested(path: Path, value: Any) -> Any:
    """The value inside the parents that `path` names: ('a', 0) → {"a": [value]}."""
    for part in reversed(path):
        value = [value] if part in (0, APPEND) else {str(part): value}
    return value


# ---------------------------------------------------------------- text


def _set(text: str, root: Node, path: Path, value: Any) -> str:
    node, rest = root, path
    done: Path = ()
    while rest and isinstance(node.value, dict | list):
        head, rest = _key(node.value, rest[0], done), rest[1:]
        if head not in node.children:
            return _insert(text, node, head, _nested(rest, value))
        node, done = node.children[head], (*done, head)
    if rest:
        _key(node.value, rest[0], done)  # refuses single values
    value = _nested(rest, value)
    if _dump(value) == _dump(node.value):
        return text
    return text[: node.start] + _written(text, node.start, value) + text[node.end :]


def _insert(text: str, parent: Node, key: str | int, value: Any) -> str:
    """A new last child, set apart and indented as the last one is."""
    if not parent.children:
        whole = [value] if isinstance(key, int) else {key: value}
        return text[: parent.start] + _written(text, parent.start, whole) + text[parent.end :]
    last = list(parent.children.values())[-1]
    space = _space_before(text, _begin(last))
    if len(parent.children) == 1 and not space and not _is_minified(text):
        space = " "  # the only child stands right behind its bracket
    name = ""
    if last.key_start is not None:
        colon = _COLON.search(text, last.key_start, last.start)
        name = _dump(key) + (colon.group() if colon else ": ")
    head = f"{text[: last.end]},{space}{name}"
    return head + _written(head, len(head), value) + text[last.end :]


def _remove(text: str, root: Node, path: Path) -> str:
    if not path:
        raise EditError("a recipe cannot be removed from its own text")
    parent, node = root, root
    done: Path = ()
    for part in path:
        parent = node
        if not isinstance(parent.value, dict | list):
            return text
        head = _key(parent.value, part, done)
        if head not in parent.children:
            return text
        node, done = parent.children[head], (*done, head)
    siblings = list(parent.children.values())
    index = next(i for i, sibling in enumerate(siblings) if sibling is node)
    if len(siblings) == 1:
        return text[: parent.start + 1] + text[parent.end - 1 :]
    if index == len(siblings) - 1:
        return text[: siblings[index - 1].end] + text[node.end :]
    return text[: _begin(node)] + text[_begin(siblings[index + 1]) :]


def _begin(node: Node) -> int:
    return node.start if node.key_start is None else node.key_start


def _written(text: str, at: int, value: Any) -> str:
    """The value as JSON for this place: on one line where it fits, else indented as the text is."""
    if _is_minified(text):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    line = text[text.rfind("\n", 0, at) + 1 : at]
    one_line = _dump(value)
    if len(line) + len(one_line) <= WIDTH or not isinstance(value, dict | list) or not value:
        return one_line
    margin = line[: len(line) - len(line.lstrip())]
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2).split("\n")
    return f"{newline}{margin}".join(lines)


def _is_minified(text: str) -> bool:
    return "\n" not in text.strip() and not re.search(r"[:,]\s", text)


def _space_before(text: str, at: int) -> str:
    return text[len(text[:at].rstrip(" \t\r\n")) : at]


def _dump(value: Any) -> str:
    """JSON on one line. Raises EditError for what a recipe cannot hold."""
    try:
        written = json.dumps(value, ensure_ascii=False, allow_nan=False)
        json_text.parse(written)
    except (TypeError, ValueError):
        raise EditError("this value cannot be written as JSON") from None
    except InvalidRecipe as error:
        raise EditError(f"this value cannot be written: {error.problems[0].message}") from None
    return written

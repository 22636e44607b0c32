"""YAML 1.2 → Nodes, through ruamel.yaml, with the scalars of the core schema and JSON's limits."""

from __future__ import annotations

import re
from typing import Any

from dsl.errors import InvalidRecipe
from dsl.nodes import MAX_DEPTH, MAX_NODES, Node, forbidden, integer, line_column, refuse

# scalars of YAML 1.2's core schema (section 10.3.2)
_YAML_TAG = "tag:yaml.org,2002:"
_YAML_CONTAINERS = (f"{_YAML_TAG}map", f"{_YAML_TAG}seq")
_CORE_INTEGER = re.compile(r"[-+]?[0-9]+")
_CORE_BASED = re.compile(r"0o[0-7]{1,60}|0x[0-9a-fA-F]{1,60}")
_CORE_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def parse(text: str) -> Node:
    """The root of a YAML text. Raises InvalidRecipe."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if directive := re.match(r"(?:\s*(?:#.*)?\n)*%", text):
        first = line_column(text, directive.end() - 1)[0]
        raise refuse("YAML directives have no place in a recipe", "remove the line", first)
    try:
        reader = YAML(typ="safe", pure=True)
        root = reader.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
        hint = "indent with spaces" if "\\t" in str(error.problem) else None
        raise refuse(f"YAML: {error.problem or error.context}", hint, line, column) from None
    except RecursionError:
        raise refuse(f"nested more than {MAX_DEPTH} deep", "a recipe needs five levels") from None
    except (YAMLError, ValueError, OverflowError) as error:
        raise refuse(f"YAML cannot be read: {str(error).splitlines()[0]}", None) from None
    if root is None:
        raise refuse("the recipe is empty", "start with 'recipe new --example legal'")
    return _YamlNodes().convert(root, 0)


class _YamlNodes:
    """Composed YAML nodes → Nodes, with the same limits and refusals as JSON."""

    def __init__(self) -> None:
        self.count = 0

    def convert(self, node: Any, depth: int) -> Node:
        mark = node.start_mark
        self.count += 1
        if depth > MAX_DEPTH:
            raise refuse(
                f"nested more than {MAX_DEPTH} deep", "a recipe needs five levels", mark.line + 1
            )
        if self.count > MAX_NODES:  # an alias counts whenever it is used
            raise refuse(f"more than {MAX_NODES} values", "is this the data file?", mark.line + 1)
        start, end = mark.index, node.end_mark.index
        if node.id == "scalar":
            return Node(self.scalar(node), start, end)
        if (kind := str(getattr(node.tag, "value", node.tag))) not in _YAML_CONTAINERS:
            raise _tagged(kind, mark.line + 1)
        children: dict[str | int, Node] = {}
        if node.id == "sequence":
            for index, item in enumerate(node.value):
                children[index] = self.convert(item, depth + 1)
            return Node([n.value for n in children.values()], start, end, None, children)
        for key_node, value_node in node.value:
            key, line = key_node.value, key_node.start_mark.line + 1
            if key_node.id != "scalar" or not isinstance(key, str):
                raise refuse("a key must be a text", None, line)
            if fault := forbidden(key):
                raise refuse(fault, "remove the escape", line)
            if key in children:
                raise refuse(f"'{key}' stands twice in one object", "keep one of them", line)
            child = self.convert(value_node, depth + 1)
            key_start = key_node.start_mark.index
            children[key] = Node(child.value, child.start, child.end, key_start, child.children)
        return Node({k: n.value for k, n in children.items()}, start, end, None, children)

    def scalar(self, node: Any) -> Any:
        kind = str(getattr(node.tag, "value", node.tag))
        text, mark = node.value, node.start_mark
        match kind.removeprefix(_YAML_TAG):
            case "null":
                return None
            case "bool" if text.lower() in ("true", "false"):
                return text.lower() == "true"
            case "int" | "float" if _INFINITE.fullmatch(text):
                raise refuse(f"'{text}' is no number a recipe can hold", None, mark.line + 1)
            case "int" | "float":
                return self.number(text, mark.line + 1)
            case "str" | "timestamp":
                if fault := forbidden(text):
                    raise refuse(fault, "remove the escape", mark.line + 1)
                return text
        raise _tagged(kind, mark.line + 1)

    def number(self, text: str, line: int) -> int | float | str:
        """A number of the core schema; other spellings (1_000, 0b1) are texts there."""
        number: int | float | None
        if _CORE_INTEGER.fullmatch(text):
            number = integer(text)
        elif _CORE_BASED.fullmatch(text):
            number = int(text, 0)
        elif _CORE_FLOAT.fullmatch(text):
            number = float(text)
        else:
            return text
        if number is None or abs(number) == float("inf"):
            raise refuse("a number too large", None, line)
        return number


def _tagged(kind: str, line: int) -> InvalidRecipe:
    return refuse(f"the tag {kind} has no place in a recipe", "remove it", line)

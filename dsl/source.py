"""Text of a recipe → values, with the place of every path. Duplicate keys are refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dsl import json_text, yaml_text
from dsl.nodes import MAX_BYTES, MAX_DEPTH, MAX_NODES, Node, line_column, refuse
from dsl.problems import Path


@dataclass(frozen=True, slots=True)
class Source:
    """A recipe's text with its values. `name` is the file's name as the user gave it."""

    text: str
    name: str
    root: Node
    language: str  # "json" or "yaml"

    @property
    def values(self) -> Any:
        return self.root.value

    def node(self, path: Path) -> Node | None:
        node: Node | None = self.root
        for part in path:
            node = node.children.get(part) if node else None
        return node

    def place(self, path: Path) -> tuple[int, int]:
        """Line and column (from 1) of the value at `path`, or of its nearest parent that exists."""
        node = self.root
        for part in path:
            if part not in node.children:
                break
            node = node.children[part]
        return line_column(self.text, node.start if node.key_start is None else node.key_start)


def decode(raw: bytes, name: str) -> str:
    """Bytes of a recipe → text. Raises InvalidRecipe for wrong encodings, an empty or huge file."""
    if len(raw) > MAX_BYTES:
        raise refuse(
            f"{name} has {len(raw) / 1e6:.1f} MB; a recipe has at most {MAX_BYTES // 10**6} MB",
            "is this the data file? name it in data.train[0].path of a recipe",
        )
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise refuse(f"{name} is UTF-16", "save it as UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise refuse(
            f"{name} is not UTF-8: byte 0x{raw[error.start]:02x}", "save it as UTF-8", line
        ) from None
    if "\0" in text:
        raise refuse(f"{name} is not a text file", "give a recipe in JSON or YAML")
    if not text.strip():
        raise refuse(f"{name} is empty", "start with 'recipe new --example legal'")
    return text


def parse(text: str, name: str) -> Source:
    """Text → Source. YAML where the name ends in .yaml or .yml, JSON otherwise."""
    if name.lower().endswith((".yaml", ".yml")):
        root, language = yaml_text.parse(text), "yaml"
    else:
        root, language = json_text.parse(text), "json"
    if not isinstance(root.value, dict):
        kind = "a list" if isinstance(root.value, list) else "a single value"
        raise refuse(f"a recipe is an object, this is {kind}", "begin with { and end with }")
    return Source(text, name, root, language)


__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_NODES", "Node", "Source", "decode", "parse"]

"""Imports go one way: app.py and ui → runner → dsl → schemas. Heavy ones wait until needed."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# who may import whom of the project itself
ALLOWED = {
    "schemas": {"schemas"},
    "recipes": {"recipes"},
    "dsl": {"dsl", "schemas"},
    "runner": {"runner", "dsl", "schemas", "recipes"},
    "ui": {"ui", "runner", "dsl", "schemas", "recipes"},
    "app": {"ui"},
}
HEAVY = {"torch", "transformers", "trl", "peft", "datasets", "evaluate", "bitsandbytes", "duckdb"}
LAZY_IN_DSL = {*HEAVY, "numpy", "jinja2", "jsonschema", "streamlit", "tokenizers"}
# torch and transformers may be named at all only here
COMPUTING = ("train", "engines", "bases", "release", "evals/generate.py", "evals/suites.py",
             "evals/compare.py", "evals/likelihood.py", "data/tokens.py", "probe.py",
             "chat/model.py")  # fmt: skip


def sources(package: str) -> list[Path]:
    if package == "app":
        return [path for path in [ROOT / "app.py"] if path.exists()]
    return sorted((ROOT / package).rglob("*.py"))


def imports(tree: ast.AST, inside: bool = False) -> Iterator[tuple[str, bool]]:
    """(top-level package, whether inside a function) of every import outside TYPE_CHECKING."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield (node.module or "").partition(".")[0], inside
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        else:
            function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports(node, inside or function)


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_one_way(package: str) -> None:
    own = set(ALLOWED)
    for path in sources(package):
        named = {name for name, _ in imports(ast.parse(path.read_text("utf-8")))}
        assert named & own <= ALLOWED[package], path.relative_to(ROOT)


@pytest.mark.parametrize("package", ["dsl", "runner"])
def test_heavy_imports_wait_inside_functions(package: str) -> None:
    heavy = LAZY_IN_DSL if package == "dsl" else HEAVY
    for path in sources(package):
        eager = {name for name, inside in imports(ast.parse(path.read_text("utf-8"))) if not inside}
        assert not eager & heavy, path.relative_to(ROOT)


def test_only_what_computes_names_torch() -> None:
    for path in sources("runner"):
        named = {name for name, _ in imports(ast.parse(path.read_text("utf-8")))}
        inner = str(path.relative_to(ROOT / "runner"))
        if named & {"torch", "transformers"}:
            assert inner.startswith(COMPUTING), inner


def test_the_reader_sees_a_breach() -> None:
    tree = ast.parse("import torch\ndef f():\n    from runner.x import y\n")
    assert list(imports(tree)) == [("torch", False), ("runner", True)]


def loaded_after(code: str) -> set[str]:
    script = f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "dsl").rglob("*.py")
)


def test_the_language_loads_nothing_heavy() -> None:
    loaded = loaded_after("\n".join(f"import {module}" for module in MODULES))
    assert "dsl" in loaded
    assert not loaded & LAZY_IN_DSL


def test_validating_and_planning_load_nothing_heavy() -> None:
    loaded = loaded_after(
        "from pathlib import Path\n"
        "from dsl.compile import compile\n"
        "from dsl.recipe import read\n"
        "from dsl.facts import Facts\n"
        "from dsl.rules import check\n"
        "from dsl.source import decode, parse\n"
        "from dsl.validate import check_schema, locate\n"
        "raw = Path('recipes/legal.json').read_bytes()\n"
        "source = parse(decode(raw, 'legal.json'), 'legal.json')\n"
        "assert locate(check_schema(source.values), source) == []\n"
        "recipe, origins = read(source.values)\n"
        "assert check(recipe, Facts()) == []\n"
        "assert compile(recipe, origins, Facts()).steps\n"
    )
    assert "jsonschema" in loaded
    assert not loaded & (HEAVY | {"numpy", "streamlit", "tokenizers", "jinja2", "ruamel"})

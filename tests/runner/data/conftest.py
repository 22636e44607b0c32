"""Recipes and files for the tests of the data engine."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dsl.recipe import Recipe, build
from dsl.schema import fill

Rows = Sequence[dict[str, Any]]


def _jsonl(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def _json(path: Path, rows: Rows) -> None:
    path.write_text(json.dumps(rows, indent=1), "utf-8")


def _csv(path: Path, rows: Rows) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(
            {k: v if isinstance(v, str) else json.dumps(v) for k, v in row.items()} for row in rows
        )


def _parquet(path: Path, rows: Rows) -> None:
    import duckdb

    _jsonl(path.with_suffix(".tmp"), rows)
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (from read_json('{path.with_suffix('.tmp')}', format='newline_delimited'))"
            f" to '{path}' (format parquet)"
        )


WRITERS = {"jsonl": _jsonl, "json": _json, "csv": _csv, "parquet": _parquet}


@pytest.fixture(params=list(WRITERS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def write_rows() -> Callable[[Path, Rows], None]:
    """Writes rows in the kind that the path's suffix names."""
    return lambda path, rows: WRITERS[path.suffix.removeprefix(".")](path, rows)


@pytest.fixture(scope="session")
def recipe_with() -> Callable[..., Recipe]:
    """A recipe with this data section and every default."""

    def make(**data: Any) -> Recipe:
        values = {"name": "t", "model": {"base": "smollm2-135m-instruct"}, "data": data}
        return build(fill(values)[0])

    return make

"""Recipes and files for the tests of the data engine."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dsl.recipe import Recipe, build
from dsl.schema import fill
from runner.data.checks import CHECKS, Finding
from runner.data.prepare import Prepared, prepare

Rows = Sequence[Mapping[str, Any]]


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


def _table(rows: Rows) -> Any:
    import pyarrow as pa

    columns = dict.fromkeys(key for row in rows for key in row)
    return pa.table({column: [row.get(column) for row in rows] for column in columns})


def _parquet(path: Path, rows: Rows) -> None:
    import pyarrow.parquet as pq

    pq.write_table(_table(rows), path)


def _arrow(path: Path, rows: Rows) -> None:
    import pyarrow.feather as feather

    feather.write_feather(_table(rows), path, compression="uncompressed")


def _packed(path: Path, rows: Rows) -> None:
    import pyarrow as pa

    _jsonl(path, rows)
    plain = path.read_bytes()
    with pa.output_stream(path, compression=COMPRESSIONS[path.suffix]) as stream:
        stream.write(plain)


COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
# what follows the name of a file → how it is written
WRITERS: dict[str, Callable[[Path, Rows], None]] = {
    "jsonl": _jsonl, "json": _json, "csv": _csv, "parquet": _parquet, "arrow": _arrow,
    "jsonl.gz": _packed, "jsonl.zst": _packed,
}  # fmt: skip


@pytest.fixture(params=list(WRITERS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def write_rows() -> Callable[[Path, Rows], None]:
    """Writes rows in the kind that the path's suffixes name."""
    return lambda path, rows: WRITERS[path.name.partition(".")[2]](path, rows)


@pytest.fixture(scope="session")
def recipe_with() -> Callable[..., Recipe]:
    """A recipe with this data section and every default."""

    def make(**data: Any) -> Recipe:
        values = {"name": "t", "model": {"base": "smollm2-135m-instruct"}, "data": data}
        return build(fill(values)[0])

    return make


@dataclass(frozen=True)
class Seen:
    """What prepare made of files; its connection is closed."""

    prepared: Prepared
    findings: dict[str, Finding]
    found: dict[str, list[tuple[str, str | None]]]  # check → id and note of every row, in order
    parts: dict[str, list[str]]  # part → ids, sorted

    def ids(self, check: str) -> list[str]:
        return [id for id, _ in self.found.get(check, [])]


@pytest.fixture(scope="session")
def see(recipe_with: Callable[..., Recipe], write_rows: Callable[..., None]) -> Callable[..., Seen]:
    """see({'train': rows or bytes, 'mix': ...}, depth, **data) → what is made of files of these.

    `more`: part → keys of its source. A mix has a share of a half unless told otherwise.
    `only`: the checks that are on, if not all; `checks` has the last word.
    """

    def look(
        parts: Mapping[str, Rows | bytes],
        depth: Any = "quick",
        *,
        kind: str = "jsonl",
        encoder: Any = None,
        more: Mapping[str, Mapping[str, Any]] = {},
        only: Collection[str] = CHECKS,
        **data: Any,
    ) -> Seen:
        off = {check: "off" for check in CHECKS if check not in only}
        data["checks"] = off | data.get("checks", {})
        for part in parts:
            share = {"share": 0.5} if part == "mix" else {}
            data[part] = [{"path": f"{part}.{kind}", **share, **more.get(part, {})}]
        with tempfile.TemporaryDirectory() as name:
            for part, rows in parts.items():
                path = Path(name) / f"{part}.{kind}"
                if isinstance(rows, bytes):
                    path.write_bytes(rows)
                else:
                    write_rows(path, rows)
            prepared = prepare(recipe_with(**data), Path(name), depth, encoder)
            try:
                return _seen(prepared)
            finally:
                prepared.close()

    return look


def _seen(prepared: Prepared) -> Seen:
    found: dict[str, list[tuple[str, str | None]]] = {}
    parts: dict[str, list[str]] = {}
    asked = prepared.connection.cursor()
    for check, id, note in asked.execute(
        "select check_name, id, note from found order by rowid"
    ).fetchall():
        found.setdefault(check, []).append((id, note))
    for part, id in asked.execute("select part, id from final order by all").fetchall():
        parts.setdefault(part, []).append(id)
    findings = {finding.check: finding for finding in prepared.findings}
    return Seen(prepared, findings, found, parts)

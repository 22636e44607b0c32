"""prepare(recipe, base) → Prepared: the pipeline of the data engine, and its artifacts.

connect → load → place → judge → write
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsl.facts import PartFacts
from dsl.recipe import Recipe
from dsl.rows import Example, Message
from runner.data import checks
from runner.data.checks import Finding, Read
from runner.data.load import SourceReport, load
from runner.data.notices import notices
from runner.data.split import Placed, place
from runner.data.tables import connect

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PARTS = ("train", "validation", "test")
WRITTEN = "id, source, line, grp, general, system, prompt, completion, messages, columns"


@dataclass(frozen=True, slots=True)
class Prepared:
    """Data that is read, split and checked, and not yet written. `close` frees its memory."""

    reports: tuple[SourceReport, ...]
    parts: Mapping[str, PartFacts]
    placed: Placed
    findings: tuple[Finding, ...]
    seed: int
    connection: DuckDBPyConnection = field(repr=False, compare=False)

    def write(self, folder: Path) -> dict[str, Path]:
        return write(self, folder)

    def close(self) -> None:
        self.connection.close()


def prepare(recipe: Recipe, base: Path) -> Prepared:
    """Reads, splits and checks the data of a recipe. `base`: the folder that paths are relative to.

    Raises DataError where a source cannot be read at all. What the checks find is no error here:
    see checks.failed.
    """
    data = recipe.data
    connection = connect()
    try:
        reports = load(connection, data.sources(), base, data.split.group_by)
        placed = place(connection, data)
        read = Read(connection, reports)
        parts = count_parts(connection)
        findings = checks.run_checks(read, data.checks) + notices(data, reports, placed, parts)
    except BaseException:
        connection.close()
        raise
    return Prepared(reports, parts, placed, findings, data.split.seed, connection)


def count_parts(connection: DuckDBPyConnection) -> dict[str, PartFacts]:
    """Every part, the empty ones too. A row without a group counts as a group of its own."""
    counted = connection.execute(
        "select part, count(*), count(distinct coalesce('group ' || grp, 'row ' || id)),"
        " sum(prompt_length), sum(completion_length) from final group by part"
    ).fetchall()
    found = {part: PartFacts(*map(int, numbers)) for part, *numbers in counted}
    return {part: found.get(part, PartFacts(0, 0, 0, 0)) for part in PARTS}


def write(prepared: Prepared, folder: Path) -> dict[str, Path]:
    """Writes train, validation and test.parquet, checks.json and findings.parquet into `folder`.

    Rows come in the order of a hash of seed and content, so the first n of a part are a random
    sample. Every file appears whole or not at all. Returns stem → path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[str, Path] = {}
    for part in PARTS:
        written[part] = folder / f"{part}.parquet"
        _copy(
            prepared.connection,
            f"select {WRITTEN} from final join texts using (source_row) where part = '{part}'"
            f" order by sha256('{prepared.seed}:' || pair_key), copy, source_index, line, id",
            written[part],
        )
    written["findings"] = folder / "findings.parquet"
    states = ", ".join(f"('{f.check}', '{f.state}')" for f in prepared.findings)
    _copy(
        prepared.connection,
        'select check_name as "check", state, id, line, source, note from found'
        f" join (values {states}) as states(check_name, state) using (check_name)"
        " order by found.rowid",
        written["findings"],
    )
    written["checks"] = folder / "checks.json"
    temporary = _temporary(written["checks"])
    text = json.dumps(checks.to_json(prepared.findings), ensure_ascii=False, indent=2)
    temporary.write_text(text + "\n", "utf-8")
    temporary.replace(written["checks"])
    return written


def read_examples(
    parquet: Path, limit: int | None = None, ids: Sequence[str] | None = None
) -> list[Example]:
    """Examples of a written part, in its order: the first `limit`, of those with `ids` if given."""
    import duckdb

    only = "" if ids is None else "where id in (select unnest(?::varchar[]))"
    values: list[Any] = [str(parquet)] if ids is None else [str(parquet), list(ids)]
    with duckdb.connect(":memory:") as connection:
        rows = connection.execute(
            f"select {WRITTEN} from (select *, file_row_number from read_parquet(?,"
            f" file_row_number=true, hive_partitioning=false)) {only}"
            " order by file_row_number" + ("" if limit is None else f" limit {int(limit)}"),
            values,
        ).fetchall()
    return [_example(*row) for row in rows]


def _example(
    id: str,
    source: str,
    line: int,
    group: str | None,
    general: bool,
    system: str | None,
    prompt: str,
    completion: str,
    messages: str | None,
    columns: str,
) -> Example:
    # a template would write null as 'None'
    raw = {name: "" if value is None else value for name, value in json.loads(columns).items()}
    if messages is None:
        return Example(id, source, group, general, (), prompt, completion, system, raw)
    turns = tuple(Message(turn["role"], turn["content"]) for turn in json.loads(messages))
    return Example(id, source, group, general, messages=turns, columns=raw)


def _copy(connection: DuckDBPyConnection, query: str, path: Path) -> None:
    temporary = _temporary(path)
    name = str(temporary).replace("'", "''")
    try:
        connection.execute(
            f"copy ({query}) to '{name}' (format parquet, compression zstd)"
        ).fetchall()
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")

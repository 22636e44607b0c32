"""prepare(recipe, base) → Prepared: the pipeline of the data engine, and its artifacts.

connect → scan → place → judge → write. What was judged is remembered by content.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsl.errors import DataError
from dsl.facts import PartFacts
from dsl.recipe import Recipe
from dsl.rows import Example, Message
from runner.data import checks
from runner.data.checks import Depth, Finding, Read
from runner.data.checks.tokens import Encoder
from runner.data.files import scanning
from runner.data.formats.texts import quoted_text
from runner.data.judged import judge
from runner.data.scan import Rows, SourceReport, Tell, scan, silent
from runner.data.split import Placed, place
from runner.data.tables import connect, one

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PARTS = ("train", "validation", "test")
TEXTS = (
    "system, prompt, completion, rejected, desirable, label, messages, tools, texts, raw as columns"
)
ROWS_AT_ONCE = 1_000
WRITTEN = "id, source, line, grp, general, " + TEXTS.replace("raw as columns", "columns")


@dataclass(frozen=True, slots=True)
class Prepared:
    """Data that is read, split and checked, and not yet written. `close` frees its memory."""

    reports: tuple[SourceReport, ...]
    parts: Mapping[str, PartFacts]
    placed: Placed
    findings: tuple[Finding, ...]
    profile: Mapping[str, Any] | None  # of a full look
    seed: int
    rows: Rows = field(repr=False, compare=False)
    connection: DuckDBPyConnection = field(repr=False, compare=False)

    def write(self, folder: Path) -> dict[str, Path]:
        return write(self, folder)

    def close(self) -> None:
        self.connection.close()


def prepare(
    recipe: Recipe,
    base: Path,
    depth: Depth = "quick",
    encoder: Encoder | None = None,
    tell: Tell = silent,
) -> Prepared:
    """Reads, splits and checks the data of a recipe. `base`: the folder that paths are relative to.
    `encoder`: for what is counted in tokens. `tell` hears what is being done.

    Raises DataError where a source cannot be read at all. What the checks find is no error here:
    see checks.failed.
    """
    data = recipe.data
    connection = connect()
    try:
        with scanning():
            rows, reports = scan(connection, data.sources(), base, data.split.group_by, tell)
            placed = place(connection, data, rows)
            parts = count_parts(connection)
            read = Read(connection, rows, reports, data, placed, parts, encoder, tell)
            findings, profile = judge(read, depth)
    except BaseException:
        connection.close()
        raise
    return Prepared(reports, parts, placed, findings, profile, data.split.seed, rows, connection)


def count_parts(connection: DuckDBPyConnection) -> dict[str, PartFacts]:
    """Every part, the empty ones too. A row without a group counts as a group of its own."""
    counted = connection.execute(
        "select part, count(*), count(distinct grp) + count(*) - count(grp),"
        " sum(prompt_length), sum(completion_length) from placed group by part"
    ).fetchall()
    found = {part: PartFacts(*map(int, numbers)) for part, *numbers in counted}
    return {part: found.get(part, PartFacts(0, 0, 0, 0)) for part in PARTS}


def write(prepared: Prepared, folder: Path) -> dict[str, Path]:
    """Writes train, validation and test.parquet, checks.json, profile.json (of
    a full look) and findings.parquet into `folder`.

    Rows come in the order of a hash of seed and content, so the first n of a part are a random
    sample. Every file appears whole or not at all. Returns stem → path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[str, Path] = {}
    texts = prepared.rows.select(TEXTS, "select source, line from placed")
    order = f"md5(concat_ws('|', '{prepared.seed}', hex(prompt_key), completion, system))"
    for part in PARTS:
        written[part] = folder / f"{part}.parquet"
        _copy(
            prepared.connection,
            f"select {WRITTEN.replace('source', 'name as source')}"
            " from (select source, line, id, name, grp, copy, general, prompt_key from final"
            f" where part = '{part}') as placed join ({texts}) using (source, line)"
            f" order by {order}, copy, placed.source, line",
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
    told = {"checks": checks.to_json(prepared.findings), "profile": prepared.profile}
    for stem, values in told.items():
        if values is not None:
            written[stem] = folder / f"{stem}.json"
            temporary = _temporary(written[stem])
            text = json.dumps(values, ensure_ascii=False, indent=2)
            temporary.write_text(text + "\n", "utf-8")
            temporary.replace(written[stem])
    return written


def read_examples(parquet: Path, limit: int | None = None) -> list[Example]:
    """Examples of a written part, in its order: the first `limit`, if given."""
    return list(stream_examples(parquet, limit))


def count_examples(parquet: Path) -> int:
    """Of a written part."""
    import duckdb

    with duckdb.connect(":memory:") as connection:
        return one(connection, "select count(*) from read_parquet(?)", [str(parquet)])


def stream_examples(parquet: Path, limit: int | None = None, skip: int = 0) -> Iterator[Example]:
    """As `read_examples`, a few at a time, behind the first `skip`."""
    import duckdb

    names = WRITTEN.split(", ")
    with duckdb.connect(":memory:") as connection:
        # a file is read in its order, and nothing of it is kept; a filter could change the order
        found = connection.execute(
            f"select {WRITTEN} from read_parquet(?, hive_partitioning=false)"
            + ("" if limit is None else f" limit {int(limit)}")
            + f" offset {int(skip)}",
            [str(parquet)],
        )
        while some := found.fetchmany(ROWS_AT_ONCE):
            for row in some:
                yield example_of(dict(zip(names, row, strict=True)))


def example_of(row: Mapping[str, Any]) -> Example:
    """One row of WRITTEN's columns. Raises DataError where its columns are nested too deeply."""
    try:
        return _example(row)
    except RecursionError as error:
        raise DataError(f"row {row['id']} is nested too deeply to be read", "remove it") from error


def _example(row: Mapping[str, Any]) -> Example:
    # a template would write null as 'None'
    raw = json.loads(row["columns"]) | json.loads(row["texts"] or "{}")
    columns = {name: "" if value is None else value for name, value in raw.items()}
    head = (row["id"], row["source"], row["grp"], row["general"])
    judged = {name: row[name] for name in ("rejected", "desirable", "label")}
    if row["messages"] is None:
        texts = (row["prompt"], row["completion"], row["system"])
        return Example(*head, (), *texts, columns, **judged)
    turns = tuple(_message(turn) for turn in json.loads(row["messages"]))
    tools = tuple(json.loads(row["tools"] or "[]"))
    answered = row["rejected"] is not None or row["desirable"] is not None
    answer = row["completion"] if answered else ""
    return Example(*head, turns, completion=answer, columns=columns, tools=tools, **judged)


def _message(turn: Mapping[str, Any]) -> Message:
    calls = tuple(turn.get("tool_calls") or ())
    return Message(
        turn["role"], turn["content"] or "", calls, turn.get("tool_call_id"), turn.get("name")
    )


def _copy(connection: DuckDBPyConnection, query: str, path: Path) -> None:
    temporary = _temporary(path)
    name = quoted_text(str(temporary))
    try:
        with scanning():
            connection.execute(
                f"copy ({query}) to {name} (format parquet, compression zstd)"
            ).fetchall()
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")

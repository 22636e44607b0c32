"""From rows in DuckDB to verified pairs: one pass over all rows, texts only of candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from runner.data.formats import with_normalised
from runner.data.near.blocks import TRAINING, Block, blocks
from runner.data.near.candidates import Candidates, candidates
from runner.data.near.ngrams import Overlap, hits, hold, overlaps
from runner.data.near.sketch import Sketches, joined, sketch, sketched
from runner.data.near.verify import Pair, verify
from runner.data.near.words import Indices

COLUMNS = "key, prompt, completion"
BATCH_ROWS = 1 << 13
KEYS = "near_keys"
TEXT_BYTES = 1 << 28  # of candidates, held at a time

Some = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Near:
    """pairs: in the order of the rows. how: 'estimated' where so many rows are so alike that not
    all were compared; every pair is verified in either case. crowded: those rows.
    candidates: the pairs compared."""

    pairs: tuple[Pair, ...]
    how: Literal["exact", "estimated"]
    crowded: int
    candidates: int


def near_duplicates(connection: Any, rows: str, threshold: float, some: Some | None = None) -> Near:
    """All pairs of `rows` (SQL of a relation: key BIGINT, prompt VARCHAR, completion VARCHAR) of
    which prompts and completions are at least `threshold` similar, from .8 on.

    `some` makes SQL of those rows alone whose keys a table has (key BIGINT); without it all rows
    are read again. Exact duplicates are for the caller to leave out. Makes and drops the table
    near_keys.
    """
    sketches = sketch(_batches(connection, f"select {COLUMNS} from ({rows})"))
    return _near(connection, some or _some_of(rows), threshold, sketches)


def look(
    connection: Any, rows: str, threshold: float, held_out: str, n: int, some: Some | None = None
) -> tuple[Near, tuple[Overlap, ...]]:
    """near_duplicates of `rows` and shared_ngrams of `held_out` with the training rows among
    them, for little more than the first alone: words are made once for both.

    `rows` has one column more: training BOOLEAN. held_out: SQL of the same columns as there.
    """
    held = hold(_batches(connection, f"select {COLUMNS} from ({held_out})"), n)
    sketches: list[Sketches] = []
    found: list[Indices] = []

    def read(block: Block) -> tuple[Sketches, Indices]:
        return sketched(block), hits(block, held)

    query = f"select {COLUMNS}, {TRAINING} from ({rows})"
    for block_sketches, block_hits in blocks(_batches(connection, query), read):
        sketches.append(block_sketches)
        found.append(np.unique(block_hits))
    shared = tuple(overlaps(held, found))
    near = _near(connection, some or _some_of(rows), threshold, joined(sketches))
    return near, shared


def _near(connection: Any, some: Some, threshold: float, sketches: Sketches) -> Near:
    found = candidates(sketches, threshold)
    pairs: list[Pair] = []
    for places in _portions(found, sketches):
        first, second = (sketches.keys[side] for side in places)
        texts = _texts(connection, some, np.unique(np.concatenate([first, second])))
        pairs += verify(texts, first, second, threshold)
    how: Literal["exact", "estimated"] = "estimated" if found.crowded else "exact"
    return Near(tuple(sorted(pairs, key=_place)), how, found.crowded, len(found.first))


def _portions(found: Candidates, sketches: Sketches) -> Iterator[tuple[Indices, Indices]]:
    """Candidates, if there are any, in as many portions as their texts ask for."""
    if not len(found.first):
        return
    rows = np.unique(np.concatenate([found.first, found.second]))
    portions = 1 + int(sketches.bytes[rows].sum(dtype=np.int64)) // TEXT_BYTES
    sides = (np.array_split(side, portions) for side in (found.first, found.second))
    yield from zip(*sides, strict=True)


def _texts(connection: Any, some: Some, keys: Indices) -> Any:
    """An Arrow table: key, and prompt and completion normalised."""
    import pyarrow as pa

    connection.register("near_keys_arrow", pa.table({"key": keys}))
    connection.execute(f"create or replace table {KEYS} as from near_keys_arrow").fetchall()
    connection.unregister("near_keys_arrow")
    plain = (
        "select key, coalesce(prompt, '') as asked, coalesce(completion, '') as answered"
        f" from ({some(KEYS)})"
    )
    query = with_normalised(with_normalised(plain, "asked", "prompt"), "answered", "completion")
    texts = connection.sql(f"select {COLUMNS} from ({query})").to_arrow_table()
    connection.execute(f"drop table {KEYS}").fetchall()
    return texts


def _some_of(rows: str) -> Some:
    return lambda keys: f"select {COLUMNS} from ({rows}) semi join {keys} using (key)"


def _batches(connection: Any, query: str) -> Iterator[Any]:
    yield from connection.sql(query).to_arrow_reader(BATCH_ROWS)


def _place(pair: Pair) -> tuple[int, int]:
    return pair.first, pair.second

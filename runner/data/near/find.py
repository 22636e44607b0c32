"""From rows in DuckDB to verified pairs: two passes over the rows, texts only of candidates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from runner.data.formats import normalised_sql
from runner.data.near.blocks import TRAINING, Block, blocks
from runner.data.near.candidates import candidates
from runner.data.near.ngrams import Overlap, hits, hold, overlaps
from runner.data.near.sketch import Sketches, joined, sketch, sketched
from runner.data.near.verify import Pair, verify
from runner.data.near.words import Indices

COLUMNS = "key, prompt, completion"
BATCH_ROWS = 1 << 13
CANDIDATES = "near_candidates"
TEXTS = "near_texts"


@dataclass(frozen=True, slots=True)
class Near:
    """pairs: in the order of the rows. how: 'estimated' where so many rows are so alike that not
    all were compared; every pair is verified in either case. crowded: those rows.
    candidates: the pairs compared."""

    pairs: tuple[Pair, ...]
    how: Literal["exact", "estimated"]
    crowded: int
    candidates: int


def near_duplicates(connection: Any, rows: str, threshold: float) -> Near:
    """All pairs of `rows` (SQL of a relation: key BIGINT, prompt VARCHAR, completion VARCHAR) of
    which prompts and completions are at least `threshold` similar, from .8 on.

    Exact duplicates are for the caller to leave out. Reads the relation twice, and makes and
    drops the temporary tables near_candidates and near_texts.
    """
    sketches = sketch(_batches(connection, f"select {COLUMNS} from ({rows})"))
    return _near(connection, rows, threshold, sketches)


def look(
    connection: Any, rows: str, threshold: float, held_out: str, n: int
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
    return _near(connection, rows, threshold, joined(sketches)), shared


def _near(connection: Any, rows: str, threshold: float, sketches: Sketches) -> Near:
    found = candidates(sketches)
    connection.register("near_candidates_arrow", found.table())
    connection.execute(f"create or replace temp table {CANDIDATES} as from near_candidates_arrow")
    connection.unregister("near_candidates_arrow")
    connection.execute(
        f"create or replace temp table {TEXTS} as select key, "
        f"coalesce({normalised_sql('prompt')}, '') as prompt, "
        f"coalesce({normalised_sql('completion')}, '') as completion from ({rows}) "
        f"where key in (select first from {CANDIDATES} union select second from {CANDIDATES})"
    )
    pairs = tuple(sorted(verify(_paired(connection), threshold), key=_place))
    connection.execute(f"drop table {TEXTS}; drop table {CANDIDATES}")
    how: Literal["exact", "estimated"] = "estimated" if found.crowded else "exact"
    return Near(pairs, how, found.crowded, len(found.first))


def _paired(connection: Any) -> Iterator[Any]:
    return _batches(
        connection,
        "select first, second, one.prompt as first_prompt, other.prompt as second_prompt, "
        "one.completion as first_completion, other.completion as second_completion "
        f"from {CANDIDATES} join {TEXTS} as one on one.key = first "
        f"join {TEXTS} as other on other.key = second",
    )


def _batches(connection: Any, query: str) -> Iterator[Any]:
    yield from connection.sql(query).to_arrow_reader(BATCH_ROWS)


def _place(pair: Pair) -> tuple[int, int]:
    return pair.first, pair.second

"""Candidates: pairs of rows that share rare shingles and enough of their sketches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from runner.data.near.blocks import SIDES, THREADS
from runner.data.near.likeness import (
    Lengths,
    alike,
    bits_of,
    counted,
    lengths,
    promising,
    sizes_of,
)
from runner.data.near.pairs import NO_PAIRS, distinct, lower_half, packed, rows_of
from runner.data.near.sketch import EMPTY, SLOTS, U32, Sketches
from runner.data.near.words import HALF, U8, U64, Indices

# A shingle pairs all rows that share it if they are no more than this: the first number with
# which the limit of pairs looked at is kept.
MOST_ROWS = (1024, 512, 256, 128, 64, 48, 32, 24, 20, 16, 14, 12, 10, 8)
PAIRS_LOOKED_AT = 4_000_000  # and for each row:
PAIRS_LOOKED_AT_A_ROW = 16

FEW_RARE = 4  # a row with fewer rare shingles may miss a partner ...
COMMON_SHARE = 0.4  # ... that is like it by such a share of common ones, on either side
NEIGHBOURS = 16  # that such a row is paired with, in each of the orders by min-hash
ODD = (np.uint32(0x9E3779B1), np.uint32(0x85EBCA77))

PART_ENTRIES = 1 << 25  # sorted at a time: 256 MB
SLICE_ENTRIES = 1 << 19
BLOCK_ENTRIES = 1 << 14
BLOCK_ROWS = 1 << 12
BLOCK_PAIRS = 1 << 13
LAST = np.uint32(0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Candidates:
    """first, second: (pairs,) places of rows in the sketches, each pair once, sorted. crowded: rows
    that are like more rows than were looked at, so that what follows from them is estimated."""

    first: Indices
    second: Indices
    crowded: int


@dataclass(frozen=True, slots=True)
class _Shared:
    """What a slice of the sorted shingles says: pairs of rows that share a rare one and are of
    like lengths, the row of every rare shingle, and the side of every common one
    (row * sides + side)."""

    pairs: U64
    rare: Indices
    common: Indices


def candidates(sketches: Sketches, threshold: float, limit: int | None = None) -> Candidates:
    """The pairs worth verifying; about `limit` pairs are looked at for them, by default in
    proportion to the rows.

    Rows look for partners by rare shingles, so that templates and boilerplate, which all rows
    share, cost nothing. Rows that consist of nearly nothing else are crowded: they are ordered
    by min-hashes, so that like rows come to stand together, and paired with their neighbours.
    """
    shingles = sketches.shingles
    if limit is None:
        limit = PAIRS_LOOKED_AT + PAIRS_LOOKED_AT_A_ROW * len(sketches)
    near = lengths(sketches, threshold)
    with ThreadPoolExecutor(THREADS) as pool:
        sizes = _by_rows(sizes_of, shingles, pool)
        pairs, crowded = _sharing(shingles, sizes, near, limit, pool)
        if len(crowded):
            for order in _by_rows(_least, shingles, pool).T:
                pairs += _neighbours(order, crowded, near)
        once = distinct(pairs)
        bits = _by_rows(bits_of, shingles, pool)
        counts = counted(bits)

        def worth(start: int) -> U64:
            some = promising(once[start : start + BLOCK_PAIRS], bits, counts)
            return alike(some, sketches, sizes, threshold)

        found = np.concatenate([NO_PAIRS, *pool.map(worth, range(0, len(once), BLOCK_PAIRS))])
    return Candidates(*rows_of(found), len(crowded))


# ---------------------------------------------------------------- rare shingles


def _sharing(
    shingles: U32, sizes: U8, near: Lengths, limit: int, pool: Executor
) -> tuple[list[U64], Indices]:
    """Pairs of rows that share rare shingles, once for each, and the crowded rows."""
    rare = np.zeros(len(shingles), np.uint8)
    common = np.zeros(sizes.size, np.uint8)
    found: list[U64] = []
    most = 0
    for entries, parts in _sorted_parts(shingles):
        most = most or _most_rows(entries, limit // parts)
        for result in pool.map(partial(_shared, most=most, near=near), _slices(entries)):
            found.append(result.pairs)
            np.add.at(rare, result.rare, np.uint8(1))
            np.add.at(common, result.common, np.uint8(1))
        del entries
    crowds = (common.reshape(sizes.shape) >= np.maximum(COMMON_SHARE * sizes, 1)) | (sizes == 0)
    crowded = np.flatnonzero((rare < FEW_RARE) & crowds.all(axis=1) & sizes.any(axis=1))
    return found, crowded


def _sorted_parts(shingles: U32) -> Iterator[tuple[U64, int]]:
    """The shingles, sorted, each as its value above its place in the flat array; in as many parts
    as memory asks for, equal shingles in one part. Each part with the number of parts."""
    flat = shingles.reshape(-1)
    parts = 1 << (flat.size // PART_ENTRIES).bit_length()
    for part in range(parts):
        entries = np.empty(flat.size, np.uint64)
        end = 0
        for start in range(0, len(flat), BLOCK_ENTRIES):
            block = flat[start : start + BLOCK_ENTRIES]
            places = np.flatnonzero((block != EMPTY) & ((block & np.uint32(parts - 1)) == part))
            values = block[places].astype(np.uint64)
            entries[end : end + len(places)] = values << HALF | (places + start).view(np.uint64)
            end += len(places)
        entries = entries[:end]  # what lies behind was never touched and takes no memory
        entries.sort()
        yield entries, parts


def _slices(entries: U64) -> Iterator[U64]:
    """Slices of sorted entries, equal shingles in one slice."""
    start = 0
    while start < len(entries):
        end = start + SLICE_ENTRIES
        if end < len(entries):
            end = int(np.searchsorted(entries, ((entries[end] >> HALF) + np.uint64(1)) << HALF))
        yield entries[start:end]
        start = end


def _most_rows(entries: U64, limit: int) -> int:
    """The greatest of MOST_ROWS within the limit, judged by a slice, which is a fair sample."""
    sample = next(_slices(entries), entries)
    _, counts = _runs(sample)
    pairs = counts * (counts - 1) // 2
    for most in MOST_ROWS:
        if pairs[counts <= most].sum() * (len(entries) / max(len(sample), 1)) <= limit:
            return most
    return MOST_ROWS[-1]


def _runs(entries: U64) -> tuple[Indices, Indices]:
    """Where each shingle begins in sorted entries, and how often it stands there."""
    values = entries.view(np.uint32)[1::2]
    begins = np.flatnonzero(values[1:] != values[:-1]) + 1
    begins = np.append(np.zeros(min(len(values), 1), np.int64), begins)
    return begins, np.diff(begins, append=len(values))


def _shared(entries: U64, most: int, near: Lengths) -> _Shared:
    begins, counts = _runs(entries)
    rare = (counts > 1) & (counts <= most)
    common = counts > most
    sides = lower_half(entries[_within(begins[common], counts[common])]) // SLOTS
    counts = counts[rare]
    row = lower_half(entries[_within(begins[rare], counts)]) // (SLOTS * len(SIDES))
    pairs = np.concatenate([NO_PAIRS, *_paired(row, counts, near)])
    return _Shared(pairs, row, sides)


def _within(begins: Indices, counts: Indices) -> Indices:
    """The places of runs, one after the other."""
    ends = np.cumsum(counts)
    return np.arange(counts.sum()) + np.repeat(begins - ends + counts, counts)


def _paired(row: Indices, counts: Indices, near: Lengths) -> Iterator[U64]:
    """All pairs within runs of so many rows, if their lengths permit."""
    of_row = near.of(row)
    left = np.repeat(np.cumsum(counts), counts) - np.arange(1, len(row) + 1)  # in the run
    at = np.flatnonzero(left)
    step = 1
    while len(at):
        kept = at[of_row.meet(at, at + step)]
        first, second = row[kept], row[kept + step]
        # One row can hold two shingles whose lower halves are equal.
        apart = first != second
        yield packed(first[apart], second[apart])
        step += 1
        at = at[left[at] >= step]


# ---------------------------------------------------------------- crowded rows


def _least(shingles: U32) -> U64:
    """(rows, orders): two min-hashes of each row's shingles, one above the other."""
    least = [np.where(shingles == EMPTY, LAST, shingles * odd).min(axis=1) for odd in ODD]
    hashes = np.stack(least, axis=1).astype(np.uint64)
    return (hashes << HALF) | np.roll(hashes, 1, axis=1)


def _neighbours(order: U64, crowded: Indices, near: Lengths) -> Iterator[U64]:
    """Crowded rows with the rows next to them in the order."""
    rows = np.argsort(order, kind="stable")
    places = np.empty_like(rows)
    places[rows] = np.arange(len(rows))
    at = places[crowded]
    for step in range(1, NEIGHBOURS + 1):
        for away in (step, -step):
            inside = (at + away >= 0) & (at + away < len(rows))
            first, second = crowded[inside], rows[at[inside] + away]
            kept = near.meet(first, second)
            yield packed(first[kept], second[kept])


def _by_rows(
    work: Callable[[Any], npt.NDArray[Any]], array: npt.NDArray[Any], pool: Executor
) -> npt.NDArray[Any]:
    """`work` on blocks of the array's rows, joined."""
    starts = range(0, max(len(array), 1), BLOCK_ROWS)
    blocks = pool.map(lambda start: work(array[start : start + BLOCK_ROWS]), starts)
    return np.concatenate(list(blocks))

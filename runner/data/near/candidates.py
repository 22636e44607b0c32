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

LEAST_BITS = np.uint8(7)  # one bit of so many must be common to two like rows ...
LEAST_COMMON = np.uint16(16)  # ... and one shingle of so many
FEW = 8  # shingles of a text so brief that a changed letter may leave none in common

PART_ENTRIES = 1 << 25  # sorted at a time: 256 MB
SLICE_ENTRIES = 1 << 19
BLOCK_ENTRIES = 1 << 17
BLOCK_ROWS = 1 << 12
BLOCK_PAIRS = 1 << 14
LAST = np.uint32(0xFFFFFFFF)
NO_PAIRS = np.empty(0, np.uint64)


@dataclass(frozen=True, slots=True)
class Candidates:
    """first, second: (pairs,) keys, each pair once. crowded: rows that are like more rows than
    were looked at, so that what follows from them is estimated, not exact."""

    first: Indices
    second: Indices
    crowded: int

    def table(self) -> Any:
        """An Arrow table with the columns first and second."""
        import pyarrow as pa

        return pa.table({"first": self.first, "second": self.second})


@dataclass(frozen=True, slots=True)
class _Shared:
    """What a slice of the sorted shingles says: pairs of rows that share a rare one, the row of
    every rare shingle, and the side of every common one (row * sides + side)."""

    pairs: U64
    rare: U32
    common: U32


def candidates(sketches: Sketches, limit: int | None = None) -> Candidates:
    """The pairs worth verifying; about `limit` pairs are looked at for them, by default in
    proportion to the rows.

    Rows look for partners by rare shingles, so that templates and boilerplate, which all rows
    share, cost nothing. Rows that consist of nearly nothing else are crowded: they are ordered
    by min-hashes, so that like rows come to stand together, and paired with their neighbours.
    """
    shingles = sketches.shingles
    if limit is None:
        limit = PAIRS_LOOKED_AT + PAIRS_LOOKED_AT_A_ROW * len(sketches)
    with ThreadPoolExecutor(THREADS) as pool:
        sizes = _by_rows(_sizes, shingles, pool)
        pairs, crowded = _sharing(shingles, sizes, limit, pool)
        if len(crowded):
            for order in _by_rows(_least, shingles, pool).T:
                pairs += _neighbours(order, crowded)
        bits = _by_rows(_bits, shingles, pool)
        counts = _counted(bits)
        distinct = _distinct(pairs)

        def alike(start: int) -> U64:
            near = _promising(distinct[start : start + BLOCK_PAIRS], bits, counts)
            return _alike(near, shingles, sizes)

        found = np.concatenate([NO_PAIRS, *pool.map(alike, range(0, len(distinct), BLOCK_PAIRS))])
    first, second = _rows(found)
    return Candidates(sketches.keys[first], sketches.keys[second], len(crowded))


# ---------------------------------------------------------------- rare shingles


def _sharing(shingles: U32, sizes: U8, limit: int, pool: Executor) -> tuple[list[U64], Indices]:
    """Pairs of rows that share rare shingles, once for each, and the crowded rows."""
    rare = np.zeros(len(shingles), np.uint8)
    common = np.zeros(sizes.size, np.uint8)
    found = [NO_PAIRS]
    most = 0
    for entries, parts in _sorted_parts(shingles):
        most = most or _most_rows(entries, limit // parts)
        for result in pool.map(partial(_shared, most=most), _slices(entries)):
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
    counts = _counts(sample >> HALF)
    pairs = counts * (counts - 1) // 2
    for most in MOST_ROWS:
        if pairs[counts <= most].sum() * (len(entries) / max(len(sample), 1)) <= limit:
            return most
    return MOST_ROWS[-1]


def _counts(values: U64) -> Indices:
    """How often each value stands in sorted ones."""
    edges = np.flatnonzero(values[1:] != values[:-1]) + 1
    return np.diff(edges, prepend=0, append=len(values))


def _shared(entries: U64, most: int) -> _Shared:
    values = entries >> HALF
    sides = _low(entries) // SLOTS
    counts = _counts(values)
    is_rare = np.repeat((counts > 1) & (counts <= most), counts)
    is_common = np.repeat(counts > most, counts)
    values, row = values[is_rare], sides[is_rare] // len(SIDES)
    pairs = np.concatenate([NO_PAIRS, *_paired(values, row)])
    return _Shared(pairs, row.astype(np.uint32), sides[is_common].astype(np.uint32))


def _paired(values: U64, row: Indices) -> Iterator[U64]:
    """All pairs of rows with equal values, which are sorted."""
    at = np.arange(len(values))
    step = 1
    while len(at):
        at = at[: np.searchsorted(at, len(values) - step)]
        at = at[values[at + step] == values[at]]
        yield _pack(row[at], row[at + step])
        step += 1


def _pack(first: Indices, second: Indices) -> U64:
    # One row can hold two shingles whose lower halves are equal.
    apart = np.flatnonzero(first != second)
    first, second = first[apart], second[apart]
    low, high = np.minimum(first, second), np.maximum(first, second)
    return (low.view(np.uint64) << HALF) | high.view(np.uint64)


def _low(packed: U64) -> Indices:
    return (packed & np.uint64(0xFFFFFFFF)).view(np.int64)


def _rows(pairs: U64) -> tuple[Indices, Indices]:
    return (pairs >> HALF).view(np.int64), _low(pairs)


def _distinct(found: list[U64]) -> U64:
    """Each pair once; empties the list, for memory's sake."""
    pairs = np.concatenate(found)
    found.clear()
    pairs.sort()
    fresh = np.ones(len(pairs), np.bool_)
    np.not_equal(pairs[1:], pairs[:-1], out=fresh[1:])
    return pairs[np.flatnonzero(fresh)]


# ---------------------------------------------------------------- crowded rows


def _least(shingles: U32) -> U64:
    """(rows, orders): two min-hashes of each row's shingles, one above the other."""
    least = [np.where(shingles == EMPTY, LAST, shingles * odd).min(axis=1) for odd in ODD]
    hashes = np.stack(least, axis=1).astype(np.uint64)
    return (hashes << HALF) | np.roll(hashes, 1, axis=1)


def _neighbours(order: U64, crowded: Indices) -> Iterator[U64]:
    """Crowded rows with the rows next to them in the order."""
    rows = np.argsort(order, kind="stable")
    places = np.empty_like(rows)
    places[rows] = np.arange(len(rows))
    at = places[crowded]
    for step in range(1, NEIGHBOURS + 1):
        for away in (step, -step):
            inside = (at + away >= 0) & (at + away < len(rows))
            yield _pack(crowded[inside], rows[at[inside] + away])


# ---------------------------------------------------------------- likeness of sketches


def _sizes(shingles: U32) -> U8:
    """(rows, sides): the shingles of each side."""
    present = (shingles != EMPTY).view(np.uint8).reshape(len(shingles), len(SIDES), SLOTS)
    sizes: U8 = np.add.reduce(present, axis=2, dtype=np.uint8)
    return sizes


def _bits(shingles: U32) -> U64:
    """(rows, 2 * sides): the shingles of a side as a set of 128 bits."""
    sides = shingles.reshape(len(shingles), len(SIDES), SLOTS)
    bits = np.uint64(1) << (sides >> np.uint32(26)).astype(np.uint64)
    bits[sides == EMPTY] = 0
    upper = (sides & np.uint32(1 << 25)) != 0
    halves = [
        np.bitwise_or.reduce(np.where(half, bits, np.uint64(0)), axis=2) for half in (upper, ~upper)
    ]
    return np.concatenate(halves, axis=1)


def _counted(bits: U64) -> U8:
    """(rows,): the bits that are set; of no more than 2 * SLOTS."""
    ones = np.bitwise_count(bits).view(np.uint32).reshape(-1)
    # The uppermost byte of the product is the sum of the four.
    return ((ones * np.uint32(0x01010101)) >> np.uint32(24)).astype(np.uint8)


def _promising(pairs: U64, bits: U64, counts: U8) -> U64:
    """Pairs that may share enough shingles, by the bits that stand for them. Two sets overlap by
    an eighth by chance, so this only saves looking closer."""
    first, second = _rows(pairs)
    both = _counted(bits.take(first, axis=0) & bits.take(second, axis=0))
    least = np.minimum(counts.take(first), counts.take(second))
    return pairs[np.flatnonzero(both * LEAST_BITS >= least)]


def _alike(pairs: U64, shingles: U32, sizes: U8) -> U64:
    """Pairs that share enough shingles in all, and any of a side that has many."""
    shared = np.zeros(len(pairs), np.uint8)
    least = np.zeros(len(pairs), np.uint8)
    for side in reversed(range(len(SIDES))):
        first, second = _rows(pairs)
        slots = slice(side * SLOTS, (side + 1) * SLOTS)
        one, other = sizes[first, side], sizes[second, side]
        common = _common(shingles[first, slots], shingles[second, slots], one + other)
        kept = np.flatnonzero((common > 0) | (np.minimum(one, other) <= FEW))
        pairs, shared, least = pairs[kept], shared[kept], least[kept]
        shared += common[kept]
        least += np.minimum(one, other)[kept]
    return pairs[np.flatnonzero(shared * LEAST_COMMON >= least)]


def _common(one: U32, other: U32, size: U8) -> U8:
    """How many shingles two sketches have in common, given how many they have together."""
    merged = np.hstack([one, other])
    merged.sort(axis=1)
    twice = (merged[:, 1:] == merged[:, :-1]).view(np.uint8)
    empty = np.uint8(2 * SLOTS) - size
    twin_empties = np.maximum(empty, 1) - np.uint8(1)
    return np.asarray(np.add.reduce(twice, axis=1, dtype=np.uint8) - twin_empties)


def _by_rows(
    work: Callable[[Any], npt.NDArray[Any]], array: npt.NDArray[Any], pool: Executor
) -> npt.NDArray[Any]:
    """`work` on blocks of the array's rows, joined."""
    starts = range(0, max(len(array), 1), BLOCK_ROWS)
    blocks = pool.map(lambda start: work(array[start : start + BLOCK_ROWS]), starts)
    return np.concatenate(list(blocks))

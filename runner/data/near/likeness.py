"""Likeness of two rows as far as their sketches and lengths tell it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from runner.data.near.blocks import SIDES
from runner.data.near.pairs import rows_of
from runner.data.near.sketch import EMPTY, SLOTS, U32, Sketches
from runner.data.near.words import U8, U64, Flags, Indices

LEAST_BITS = np.uint8(7)  # one bit of so many must be common to two like rows ...
LEAST_COMMON = np.uint16(16)  # ... one shingle of so many ...
FOR_LENGTHS = 1 / 6  # ... and of such a share of what distance their lengths take up
FEW = 8  # shingles of a text so brief that a changed letter may leave none in common
BOTH = np.uint16(0x0101)  # two flags that are true


@dataclass(frozen=True, slots=True)
class Lengths:
    """least, most: (rows,) two numbers of 16 bits, one a side: how many letters and digits a text
    may have that is like the row's."""

    least: U32
    most: U32

    def of(self, rows: Indices) -> Lengths:
        return Lengths(self.least.take(rows), self.most.take(rows))

    def meet(self, first: Indices, second: Indices) -> Flags:
        """Whether two rows may be alike on both sides."""
        above = self.least.take(first).view(np.uint16) <= self.most.take(second).view(np.uint16)
        below = self.least.take(second).view(np.uint16) <= self.most.take(first).view(np.uint16)
        flags: Flags = (above & below).view(np.uint16) == BOTH
        return flags


def lengths(sketches: Sketches, threshold: float) -> Lengths:
    """What the lengths of rows must have in common with those of rows that are like them.

    Indel similarity is 1 - distance / (length + length). The letters and digits alone of two texts
    differ in number by no more than the distance, and a text has no fewer bytes than characters.
    """
    spare = (1 - threshold) * sketches.bytes
    least, most = (
        np.clip(limit, 0, 0xFFFF).astype(np.uint16).view(np.uint32).reshape(-1)
        for limit in (np.floor(sketches.letters - spare), np.ceil(sketches.letters + spare))
    )
    return Lengths(least, most)


def sizes_of(shingles: U32) -> U8:
    """(rows, sides): the shingles of each side."""
    present = (shingles != EMPTY).view(np.uint8).reshape(len(shingles), len(SIDES), SLOTS)
    sizes: U8 = np.add.reduce(present, axis=2, dtype=np.uint8)
    return sizes


def bits_of(shingles: U32) -> U64:
    """(rows, 2 * sides): the shingles of a side as a set of 128 bits."""
    # Slot by slot, because numpy is slow at many short rows.
    slots = np.ascontiguousarray(shingles.T).reshape(len(SIDES), SLOTS, len(shingles))
    bits = np.uint64(1) << (slots >> np.uint32(26)).astype(np.uint64)
    bits[slots == EMPTY] = 0
    upper = (slots & np.uint32(1 << 25)) != 0
    halves = [np.bitwise_or.reduce(bits * half, axis=1) for half in (upper, ~upper)]
    return np.ascontiguousarray(np.concatenate(halves).T)


def counted(bits: U64) -> U8:
    """(rows,): the bits that are set; of no more than 2 * SLOTS."""
    ones = np.bitwise_count(bits).view(np.uint32).reshape(-1)
    # The uppermost byte of the product is the sum of the four.
    return ((ones * np.uint32(0x01010101)) >> np.uint32(24)).astype(np.uint8)


def promising(pairs: U64, bits: U64, counts: U8) -> U64:
    """Pairs that may share enough shingles, by the bits that stand for them. Two sets overlap by
    an eighth by chance, so this only saves looking closer."""
    first, second = rows_of(pairs)
    both = counted(bits.take(first, axis=0) & bits.take(second, axis=0))
    least = np.minimum(counts.take(first), counts.take(second))
    return pairs[np.flatnonzero(both * LEAST_BITS >= least)]


def alike(pairs: U64, sketches: Sketches, sizes: U8, threshold: float) -> U64:
    """Pairs that share enough shingles in all, and any of a side that has many.

    A difference in length leaves less of the distance for edits of words, so the more must be
    common. Mistyped letters, which take many shingles with them, hardly change the length.
    """
    shared = np.zeros(len(pairs), np.uint8)
    least = np.zeros(len(pairs), np.uint8)
    for side in reversed(range(len(SIDES))):
        first, second = rows_of(pairs)
        slots = slice(side * SLOTS, (side + 1) * SLOTS)
        one, other = sizes[first, side], sizes[second, side]
        common = _common(
            sketches.shingles[first, slots], sketches.shingles[second, slots], one + other
        )
        kept = np.flatnonzero((common > 0) | (np.minimum(one, other) <= FEW))
        pairs, shared, least = pairs[kept], shared[kept], least[kept]
        shared += common[kept]
        least += np.minimum(one, other)[kept]
    kept = np.flatnonzero(shared * LEAST_COMMON >= least)
    pairs, shared, least = pairs[kept], shared[kept], least[kept]
    return pairs[shared >= FOR_LENGTHS * least * _taken_up(pairs, sketches, threshold)]


def _taken_up(pairs: U64, sketches: Sketches, threshold: float) -> npt.NDArray[np.float64]:
    """The shares of the distance between like rows, of either side, that their lengths take up."""
    first, second = rows_of(pairs)
    apart = np.abs(sketches.letters[first] - sketches.letters[second].astype(np.int64))
    spare = (1 - threshold) * (sketches.bytes[first] + sketches.bytes[second].astype(np.int64))
    shares: npt.NDArray[np.float64] = (apart / np.maximum(spare, 1e-9)).sum(axis=1)
    return shares


def _common(one: U32, other: U32, size: U8) -> U8:
    """How many shingles two sketches have in common, given how many they have together."""
    merged = np.hstack([one, other])
    merged.sort(axis=1)
    twice = (merged[:, 1:] == merged[:, :-1]).view(np.uint8)
    empty = np.uint8(2 * SLOTS) - size
    twin_empties = np.maximum(empty, 1) - np.uint8(1)
    return np.asarray(np.add.reduce(twice, axis=1, dtype=np.uint8) - twin_empties)

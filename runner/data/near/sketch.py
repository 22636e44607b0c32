"""Sketches: of every row the few shingles of prompt and completion that hash lowest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from runner.data.near.blocks import blocks
from runner.data.near.words import GOLDEN, U64, Indices, Words, scrambled, words

U32 = npt.NDArray[np.uint32]

SIDES = ("prompt", "completion")
SLOTS = 16  # shingles kept of a side
EMPTY = np.uint32(0)
LETTERS = 4
HASH_BITS = 51
BEHIND_PAIRS = np.uint64(1 << HASH_BITS)
ROW_SHIFT = np.uint64(HASH_BITS + 1)


@dataclass(frozen=True, slots=True)
class Sketches:
    """keys: (rows,) as given. shingles: (rows, 2 * SLOTS) the shingles of the prompt, then of the
    completion, EMPTY where a text has fewer. 136 bytes a row."""

    keys: Indices
    shingles: U32

    def __len__(self) -> int:
        return len(self.keys)


def sketch(batches: Iterable[Any]) -> Sketches:
    """Sketches of Arrow record batches with the columns key, prompt and completion.

    A shingle is a pair of words, of three characters where a script has no blanks; brief texts
    fill up with runs of LETTERS bytes. The lowest hashes are a random sample of the distinct
    shingles, the same in both of two texts that share them (Broder 1997, bottom-k), and all of
    them where there are no more than SLOTS. Of texts of a word or two that differ inside the
    words, little or nothing may be left in common.
    """
    keys: list[Indices] = []
    shingles: list[U32] = []
    for block_keys, block in blocks(batches, _sketch):
        keys.append(block_keys)
        shingles.append(block)
    if not keys:
        return Sketches(np.empty(0, np.int64), np.empty((0, len(SIDES) * SLOTS), np.uint32))
    return Sketches(np.concatenate(keys), np.concatenate(shingles))


def _sketch(block: Any) -> U32:
    sides = [_lowest(words(block.column(side)), seed) for seed, side in enumerate(SIDES, 1)]
    return np.hstack(sides)


def _lowest(texts: Words, seed: int) -> U32:
    """(rows, SLOTS): the low halves of the SLOTS lowest hashes of each row."""
    rows = len(texts.counts)
    packed = np.concatenate([_pairs(texts, seed), _letters(texts, seed)])
    packed.sort()
    fresh = np.ones(len(packed), np.bool_)
    np.not_equal(packed[1:], packed[:-1], out=fresh[1:])
    packed = packed[np.flatnonzero(fresh)]
    first = np.searchsorted(packed, np.arange(rows + 1, dtype=np.uint64) << ROW_SHIFT)
    places = first[:-1, None] + np.arange(SLOTS)
    lowest = np.append(packed, np.uint64(0))[np.minimum(places, len(packed))].astype(np.uint32)
    return np.where(places < first[1:, None], np.maximum(lowest, EMPTY + 1), EMPTY)


def _pairs(texts: Words, seed: int) -> U64:
    """Each word with the one before it; a row's first word with the row's beginning."""
    before = np.empty_like(texts.hashes)
    before[1:] = texts.hashes[:-1]
    before[texts.first[:-1][texts.counts > 0]] = GOLDEN
    if texts.single is not None:
        _lengthen(before, texts)
    before *= GOLDEN
    before += texts.hashes
    before *= np.uint64(2 * seed + 1)
    return _packed(scrambled(before), texts.counts, np.full(len(texts.counts), SLOTS))


def _lengthen(before: U64, texts: Words) -> None:
    """Among single characters a shingle takes in one more: pairs of them are too common."""
    assert texts.single is not None
    inner = texts.single.copy()
    inner[texts.first[:-1][texts.counts > 0]] = False
    places = np.flatnonzero(inner[1:] & inner[:-1]) + 1
    before[places] += texts.hashes[places - 2] * np.uint64(3)


def _letters(texts: Words, seed: int) -> U64:
    """Runs of LETTERS bytes of texts with fewer words than SLOTS, for the slots left over."""
    runs = np.maximum(np.diff(texts.offsets) - (LETTERS - 1), 0)
    runs[texts.counts >= SLOTS] = 0
    if not runs.any():
        return np.empty(0, np.uint64)
    before = np.cumsum(runs) - runs
    places = np.arange(runs.sum()) + np.repeat(texts.offsets[:-1] - before, runs)
    loads: U32 = np.ndarray((len(texts.lowered) - 3,), "<u4", texts.lowered.data, strides=(1,))
    # Shifts out what a load of four bytes has too much.
    hashes = (loads[places] << np.uint32(8 * (4 - LETTERS))).astype(np.uint64)
    hashes *= GOLDEN
    hashes *= np.uint64(2 * seed + 1)
    return _packed(scrambled(hashes), runs, SLOTS - texts.counts) | BEHIND_PAIRS


def _packed(hashes: U64, counts: Indices, wanted: Indices) -> U64:
    """Each hash behind its row, `counts` of them a row. Of a long text only what may be among
    the `wanted` lowest, give or take five standard deviations: sorting the rest is waste."""
    share = (wanted + 5 * np.sqrt(np.maximum(wanted, 0))) / np.maximum(counts, 1)
    ceiling = (np.clip(share, 0, 1) * float(1 << HASH_BITS)).astype(np.uint64)
    hashes >>= np.uint64(64 - HASH_BITS)
    kept = np.flatnonzero(hashes < np.repeat(ceiling, counts))
    hashes |= np.repeat(np.arange(len(counts), dtype=np.uint64) << ROW_SHIFT, counts)
    return hashes[kept]

"""Sketches: of every row the few shingles of prompt and completion that hash lowest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from runner.data.near.blocks import SIDES, Block, blocks, by_row
from runner.data.near.words import GOLDEN, U64, Indices, Words, scrambled

U32 = npt.NDArray[np.uint32]

SLOTS = 16  # shingles kept of a side
EMPTY = np.uint32(0)
LETTERS = 4
HASH_BITS = 51
BEHIND_PAIRS = np.uint64(1 << HASH_BITS)
TEXT_SHIFT = np.uint64(HASH_BITS + 1)
DEVIATIONS = 4
OF_SIDES = np.array([[0], [0x9E3779B1]], np.uint32)  # keeps prompts and completions apart


@dataclass(frozen=True, slots=True)
class Sketches:
    """keys: (rows,) as given. shingles: (rows, 2 * SLOTS) the shingles of the prompt, then of the
    completion, EMPTY where a text has fewer. letters, bytes: (rows, 2) the characters of each
    side's words, and the bytes of all it has. 152 bytes a row."""

    keys: Indices
    shingles: U32
    letters: U32
    bytes: U32

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
    return joined(list(blocks(batches, sketched)))


def sketched(block: Block) -> Sketches:
    texts = block.words
    lowest = by_row(_lowest(texts))
    filled = np.maximum(lowest ^ OF_SIDES, EMPTY + 1)
    filled[lowest == EMPTY] = EMPTY
    letters, sizes = (
        by_row(values.astype(np.uint32)) for values in (texts.letters, np.diff(texts.offsets))
    )
    return Sketches(block.keys, filled.reshape(-1, len(SIDES) * SLOTS), letters, sizes)


def joined(parts: list[Sketches]) -> Sketches:
    """The sketches of all blocks; empties the list, for memory's sake."""
    of_sides = np.empty((0, len(SIDES)), np.uint32)
    nothing = np.empty((0, len(SIDES) * SLOTS), np.uint32)
    parts.append(Sketches(np.empty(0, np.int64), nothing, of_sides, of_sides))
    whole = Sketches(
        np.concatenate([part.keys for part in parts]),
        np.concatenate([part.shingles for part in parts]),
        np.concatenate([part.letters for part in parts]),
        np.concatenate([part.bytes for part in parts]),
    )
    parts.clear()
    return whole


def _lowest(texts: Words) -> U32:
    """(texts, SLOTS): the low halves of the SLOTS lowest hashes of each text."""
    rows = len(texts.counts)
    packed = np.concatenate([_pairs(texts), _letters(texts)])
    packed.sort()
    fresh = np.ones(len(packed), np.bool_)
    np.not_equal(packed[1:], packed[:-1], out=fresh[1:])
    packed = packed[np.flatnonzero(fresh)]
    first = np.searchsorted(packed, np.arange(rows + 1, dtype=np.uint64) << TEXT_SHIFT)
    places = first[:-1, None] + np.arange(SLOTS)
    lowest = np.append(packed, np.uint64(0)).astype(np.uint32).take(places, mode="clip")
    return np.where(places < first[1:, None], np.maximum(lowest, EMPTY + 1), EMPTY)


def _pairs(texts: Words) -> U64:
    """Of a long text only the pairs that may be among the lowest: sorting the rest is waste."""
    wanted = np.full(len(texts.counts), SLOTS)
    pairs = texts.pairs if texts.single is None else _lengthened(texts)
    return _packed(pairs, texts.counts, wanted)


def _lengthened(texts: Words) -> U64:
    """Among single characters a shingle takes in one more: pairs of them are too common."""
    assert texts.single is not None
    inner = texts.single.copy()
    inner[texts.first[:-1][texts.counts > 0]] = False
    places = np.flatnonzero(inner[1:] & inner[:-1]) + 1
    pairs = texts.pairs.copy()
    pairs[places] += texts.hashes[places - 2] * np.uint64(3)
    return pairs


def _letters(texts: Words) -> U64:
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
    return _packed(scrambled(hashes), runs, SLOTS - texts.counts) | BEHIND_PAIRS


def _packed(hashes: U64, counts: Indices, wanted: Indices) -> U64:
    """Each hash behind its text, `counts` of them a text: those that may be among the `wanted`
    lowest, give or take DEVIATIONS."""
    share = (wanted + DEVIATIONS * np.sqrt(np.maximum(wanted, 0))) / np.maximum(counts, 1)
    ceilings = (np.clip(share, 0, 1) * 0xFFFFFFFF).astype(np.uint32)
    high = hashes.view(np.uint32)[1::2]
    kept = np.flatnonzero(high <= np.repeat(ceilings, counts))
    text = np.repeat(np.arange(len(counts), dtype=np.uint16), counts)
    packed = hashes[kept]
    packed >>= np.uint64(64 - HASH_BITS)
    packed |= text[kept].astype(np.uint64) << TEXT_SHIFT
    return packed

"""Runs of words that held-out rows share with training rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from runner.data.near.blocks import SIDES, Block, blocks, by_row
from runner.data.near.words import GOLDEN, U8, U64, Flags, Indices, Words

BITS_A_HASH = 8  # of the filter that is asked first, at least: one wrong yes in eight or more
TOP_BITS = np.uint64(64)


@dataclass(frozen=True, slots=True)
class Overlap:
    """key: of a held-out row. Of each side the n-grams it has, and how many of them stand in a
    prompt or completion of a training row."""

    key: int
    prompt_ngrams: int
    prompt_shared: int
    completion_ngrams: int
    completion_shared: int


@dataclass(frozen=True, slots=True)
class HeldOut:
    """keys: (rows,). counts: (rows, sides) n-grams of each side. places: the place in `known` of
    every n-gram, row by row, side by side. known: the distinct n-grams, sorted, and the greatest
    number behind them. begins: the place in `known` of the first with such leading bits. asked: a
    bit is set for each n-gram, by its leading bits and its last three."""

    n: int
    keys: Indices
    counts: Indices
    places: Indices
    known: U64
    begins: Indices
    asked: U8


def shared_ngrams(
    held_out: Iterable[Any], training: Iterable[Any], n: int = 13
) -> Iterator[Overlap]:
    """The held-out rows that share a run of `n` words with a training row.

    Both are Arrow record batches with the columns key, prompt and completion; the held-out ones
    are read to their end before the others are begun, so generators may share a connection.
    Words are runs of letters and digits in lower case, single characters in scripts without
    blanks. Held are 30 bytes for each n-gram of the held-out rows, nothing of the training rows.
    n = 13 is the length by which Brown et al. (2020, appendix C) tell contamination from chance.
    """
    held = hold(held_out, n)
    return overlaps(held, blocks(training, partial(hits, held=held)))


def hold(batches: Iterable[Any], n: int) -> HeldOut:
    """The n-grams of held-out rows, to be looked for in training rows."""
    keys = [np.empty(0, np.int64)]
    counts = [np.empty(0, np.int64)]
    grams = [np.empty(0, np.uint64)]
    for block_keys, block_counts, block_grams in blocks(batches, partial(_listed, n=n)):
        keys.append(block_keys)
        counts.append(block_counts)
        grams.append(block_grams)
    known, places = np.unique(np.concatenate(grams), return_inverse=True)
    bits = max(len(known) * BITS_A_HASH - 1, 63).bit_length()
    leading = (known >> (TOP_BITS - np.uint64(bits - 3))).view(np.int64)
    asked = np.zeros(1 << (bits - 3), np.uint8)
    np.bitwise_or.at(asked, leading, np.uint8(1) << _last(known))
    sizes = np.bincount(leading, minlength=len(asked))
    return HeldOut(
        n=n,
        keys=np.concatenate(keys),
        counts=np.concatenate(counts).reshape(-1, len(SIDES)),
        places=places,
        known=np.append(known, ~np.uint64(0)),
        begins=np.cumsum(sizes) - sizes,
        asked=asked,
    )


def hits(block: Block, held: HeldOut) -> Indices:
    """The places in `held.known` of n-grams of the block's training rows."""
    grams = _grams(block.words, held.n)
    shift = TOP_BITS - np.uint64(len(held.asked).bit_length() - 1)
    asked = held.asked.take((grams >> shift).view(np.int64), mode="clip")
    asked >>= _last(grams)
    asked &= np.uint8(1)
    at = np.flatnonzero(asked.view(np.bool_))
    found = grams[at]
    places = held.begins[(found >> shift).view(np.int64)]
    before = np.flatnonzero(held.known[places] < found)
    while len(before):
        places[before] += 1
        before = before[held.known[places[before]] < found[before]]
    equal = np.flatnonzero(held.known[places] == found)
    return places[equal][_inside(block, at[equal], held.n)]


def overlaps(held: HeldOut, found: Iterable[Indices]) -> Iterator[Overlap]:
    """What was held and found, row by row."""
    shared = np.zeros(len(held.known), np.bool_)
    for places in found:
        shared[places] = True
    ends = np.cumsum(held.counts.reshape(-1))
    before = np.concatenate([[0], np.cumsum(shared[held.places])])
    of_side = (before[ends] - before[ends - held.counts.reshape(-1)]).reshape(-1, len(SIDES))
    for row in np.flatnonzero(of_side.any(axis=1)):
        (prompts, completions), (in_prompt, in_completion) = held.counts[row], of_side[row]
        yield Overlap(
            int(held.keys[row]), int(prompts), int(in_prompt), int(completions), int(in_completion)
        )


def _listed(block: Block, n: int) -> tuple[Indices, Indices, U64]:
    """Keys, n-grams of each text, and the n-grams, text by text."""
    words = block.words
    first, sizes = (by_row(values).reshape(-1) for values in (words.first[:-1], words.counts))
    counts = np.maximum(sizes - (n - 1), 0)
    before = np.cumsum(counts) - counts
    at = np.arange(counts.sum()) + np.repeat(first - before, counts)
    return block.keys, counts, _grams(words, n)[at]


def _grams(words: Words, n: int) -> U64:
    """A hash of every n words in a row, those too that belong to two texts: sums of the words'
    hashes times powers of GOLDEN, by doubling."""
    if len(words.hashes) < n:
        return np.empty(0, np.uint64)
    grams, length = words.hashes, 1
    for digit in f"{n:b}"[1:]:
        grams, length = _after(grams[: len(grams) - length], grams[length:], length), 2 * length
        if digit == "1":
            grams, length = _after(grams[:-1], words.hashes[length:], 1), length + 1
    return grams


def _after(left: U64, right: U64, length: int) -> U64:
    """The hashes of runs of words from those of their left parts and their right parts, which
    are of so many words."""
    both = left * np.uint64(pow(int(GOLDEN), length, 1 << 64))
    both += right
    return both


def _last(grams: U64) -> U8:
    """The last three bits."""
    return grams.astype(np.uint8) & np.uint8(7)


def _inside(block: Block, at: Indices, n: int) -> Flags:
    """Whether n-grams that begin at such words are of one text, and of a training row."""
    first = block.words.first
    text = np.searchsorted(first, at, "right") - 1
    inside = at + n <= first[text + 1]
    if block.training is not None:
        inside &= block.training[text % len(block.keys)]
    return inside

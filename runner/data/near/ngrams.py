"""Runs of words that held-out rows share with training rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from runner.data.near.blocks import blocks
from runner.data.near.words import GOLDEN, U8, U64, Indices, scrambled, words

SIDES = ("prompt", "completion")
BITS_A_HASH = 16  # of the filter that is asked first: one wrong yes in sixteen


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
class _HeldOut:
    """keys: (rows,). counts: (rows, sides) n-grams of each side. known: the distinct n-grams,
    sorted. places: the place in `known` of every n-gram, row by row, side by side."""

    keys: Indices
    counts: Indices
    known: U64
    places: Indices


def shared_ngrams(
    held_out: Iterable[Any], training: Iterable[Any], n: int = 13
) -> Iterator[Overlap]:
    """The held-out rows that share a run of `n` words with a training row.

    Both are Arrow record batches with the columns key, prompt and completion; the held-out ones
    are read to their end before the others are begun, so generators may share a connection.
    Words are runs of letters and digits in lower case, single characters in scripts without
    blanks. Held are 18 bytes for each n-gram of the held-out rows, nothing of the training rows.
    n = 13 is the length by which Brown et al. (2020, appendix C) tell contamination from chance.
    """
    held = _held_out(held_out, n)
    asked = _filter(held.known)
    found = np.zeros(len(held.known), np.bool_)
    for _, hits in blocks(training, partial(_hits, n=n, asked=asked, known=held.known)):
        found[hits] = True
    shared = np.concatenate([[0], np.cumsum(found[held.places])])
    ends = np.cumsum(held.counts.reshape(-1))
    of_side = (shared[ends] - shared[ends - held.counts.reshape(-1)]).reshape(-1, len(SIDES))
    for row in np.flatnonzero(of_side.any(axis=1)):
        (prompts, completions), (in_prompt, in_completion) = held.counts[row], of_side[row]
        yield Overlap(
            int(held.keys[row]), int(prompts), int(in_prompt), int(completions), int(in_completion)
        )


def _held_out(batches: Iterable[Any], n: int) -> _HeldOut:
    keys = [np.empty(0, np.int64)]
    counts = [np.empty((0, len(SIDES)), np.int64)]
    grams = [np.empty(0, np.uint64)]
    for block_keys, (block_counts, block_grams) in blocks(batches, partial(_interleaved, n=n)):
        keys.append(block_keys)
        counts.append(block_counts)
        grams.append(block_grams)
    known, places = np.unique(np.concatenate(grams), return_inverse=True)
    return _HeldOut(np.concatenate(keys), np.concatenate(counts), known, places)


def _interleaved(block: Any, n: int) -> tuple[Indices, U64]:
    """(rows, sides) n-grams of each side; the n-grams themselves, row by row, side by side."""
    sides = [_grams(block.column(side), n) for side in SIDES]
    counts = np.stack([count for count, _ in sides], axis=1)
    rows = [2 * np.repeat(np.arange(len(count)), count) + at for at, (count, _) in enumerate(sides)]
    order = np.argsort(np.concatenate(rows), kind="stable")
    return counts, np.concatenate([grams for _, grams in sides])[order]


def _grams(texts: Any, n: int) -> tuple[Indices, U64]:
    """How many n-grams each row has, and their hashes."""
    found = words(texts)
    counts = np.maximum(found.counts - (n - 1), 0)
    last = len(found.hashes) - (n - 1)
    if last <= 0:
        return counts, np.empty(0, np.uint64)
    grams = found.hashes[:last].copy()
    for step in range(1, n):
        grams *= GOLDEN
        grams += found.hashes[step : step + last]
    starts = np.repeat(found.first[1:] - (n - 1), found.counts)[:last]
    return counts, scrambled(grams[np.flatnonzero(np.arange(last) < starts)])


def _hits(block: Any, n: int, asked: U8, known: U64) -> Indices:
    """The places in `known` of the n-grams of a block of training rows."""
    grams = np.concatenate([_grams(block.column(side), n)[1] for side in SIDES])
    byte, bit = _slot(grams, asked)
    grams = grams[np.flatnonzero(asked[byte] & bit)]
    grams.sort()  # neighbours are searched for on nearly the same way, which is in the cache
    places = np.searchsorted(known, grams)
    inside = np.flatnonzero(places < len(known))
    places, grams = places[inside], grams[inside]
    return places[np.flatnonzero(known[places] == grams)]


def _filter(known: U64) -> U8:
    """A bit is set for each hash, in a table of BITS_A_HASH for each: a look at it saves nearly
    all searches."""
    size = 1 << max(len(known) * BITS_A_HASH // 8, 8).bit_length()
    table = np.zeros(size, np.uint8)
    byte, bit = _slot(known, table)
    np.bitwise_or.at(table, byte, bit)
    return table


def _slot(hashes: U64, table: U8) -> tuple[Indices, U8]:
    byte = (hashes >> np.uint64(3)) & np.uint64(len(table) - 1)
    return byte.view(np.int64), np.uint8(1) << (hashes & np.uint64(7)).astype(np.uint8)

"""Pairs of rows as numbers of 64 bits, the lower row above the higher one."""

from __future__ import annotations

import numpy as np

from runner.data.near.words import HALF, U64, Indices

NO_PAIRS = np.empty(0, np.uint64)


def packed(first: Indices, second: Indices) -> U64:
    low, high = np.minimum(first, second), np.maximum(first, second)
    return (low.view(np.uint64) << HALF) | high.view(np.uint64)


def rows_of(pairs: U64) -> tuple[Indices, Indices]:
    return (pairs >> HALF).view(np.int64), lower_half(pairs)


def lower_half(numbers: U64) -> Indices:
    return (numbers & np.uint64(0xFFFFFFFF)).view(np.int64)


def distinct(found: list[U64]) -> U64:
    """Each pair once; empties the list, for memory's sake."""
    pairs = np.concatenate([NO_PAIRS, *found])
    found.clear()
    pairs.sort()
    fresh = np.ones(len(pairs), np.bool_)
    np.not_equal(pairs[1:], pairs[:-1], out=fresh[1:])
    return pairs[np.flatnonzero(fresh)]

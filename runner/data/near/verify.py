"""Verification: the similarity of every candidate pair, from the texts themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from runner.data.near.blocks import THREADS
from runner.data.near.words import Indices

BLOCK_PAIRS = 1 << 12
ROUNDING = 1e-9  # 1 - 20 / 100 may come out a little below .8
SLACK = 0.001  # the cut-off is applied to distances, and rounds down more than ROUNDING


@dataclass(frozen=True, slots=True)
class Pair:
    """first < second: keys of two rows. prompt, completion: similarity of the texts, in [0, 1]."""

    first: int
    second: int
    prompt: float
    completion: float


def verify(texts: Any, first: Indices, second: Indices, threshold: float) -> Iterator[Pair]:
    """The pairs of which prompts and completions are both at least `threshold` similar.

    texts: an Arrow table with the columns key, prompt and completion, all normalised
    (formats.normalised). first, second: (pairs,) keys in it. Similarity is the normalised Indel
    similarity: 2 * LCS / (length + length), 1 of two empty texts.
    """
    import pyarrow as pa

    keys = texts.column("key").to_numpy()
    order = np.argsort(keys)
    rows = [order[np.searchsorted(keys, side, sorter=order)] for side in (first, second)]
    prompts, completions = (
        texts.column(side).cast(pa.large_string()).combine_chunks()
        for side in ("prompt", "completion")
    )
    for start in range(0, len(first), BLOCK_PAIRS):
        ones, others = (side[start : start + BLOCK_PAIRS] for side in rows)
        of_completions = _similarities(completions, ones, others, threshold)
        kept = np.flatnonzero(of_completions >= threshold - ROUNDING)
        of_prompts = _similarities(prompts, ones[kept], others[kept], threshold)
        near = np.flatnonzero(of_prompts >= threshold - ROUNDING)
        kept, of_prompts = kept[near], of_prompts[near]
        columns = (keys[ones[kept]], keys[others[kept]], of_prompts, of_completions[kept])
        for one, other, *both in zip(*(column.tolist() for column in columns), strict=True):
            yield Pair(min(one, other), max(one, other), *both)


def _similarities(
    texts: Any, ones: Indices, others: Indices, threshold: float
) -> npt.NDArray[np.float64]:
    """One similarity a pair, 0 below the threshold."""
    from rapidfuzz.distance import Indel
    from rapidfuzz.process import cpdist

    return np.asarray(
        cpdist(
            texts.take(ones).to_pylist(),
            texts.take(others).to_pylist(),
            scorer=Indel.normalized_similarity,
            score_cutoff=threshold - SLACK,
            dtype=np.float64,
            workers=THREADS,
        )
    )

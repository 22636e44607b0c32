"""Verification: the similarity of every candidate pair, from the texts themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from runner.data.near.blocks import THREADS

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


def verify(batches: Iterable[Any], threshold: float) -> Iterator[Pair]:
    """The pairs of which prompts and completions are both at least `threshold` similar.

    Takes Arrow record batches with the columns first, second, first_prompt, second_prompt,
    first_completion and second_completion, all texts normalised (formats.normalised). Similarity
    is the normalised Indel similarity: 2 * LCS / (length + length), 1 of two empty texts.
    """
    for batch in batches:
        for start in range(0, batch.num_rows, BLOCK_PAIRS):
            yield from _verified(batch.slice(start, BLOCK_PAIRS), threshold)


def _verified(block: Any, threshold: float) -> Iterator[Pair]:
    def similarities(side: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        texts = [
            block.column(f"{place}_{side}").take(rows).to_pylist() for place in ("first", "second")
        ]
        return _similarities(texts[0], texts[1], threshold)

    rows = np.arange(block.num_rows)
    completions = similarities("completion", rows)
    rows = np.flatnonzero(completions >= threshold - ROUNDING)
    prompts = similarities("prompt", rows)
    kept = np.flatnonzero(prompts >= threshold - ROUNDING)
    keys = [block.column(name).take(rows[kept]).to_pylist() for name in ("first", "second")]
    found = zip(*keys, prompts[kept], completions[rows[kept]], strict=True)
    for first, second, prompt, completion in found:
        yield Pair(min(first, second), max(first, second), float(prompt), float(completion))


def _similarities(ones: list[str], others: list[str], threshold: float) -> npt.NDArray[np.float64]:
    """One similarity a pair, 0 below the threshold."""
    from rapidfuzz.distance import Indel
    from rapidfuzz.process import cpdist

    return np.asarray(
        cpdist(
            ones,
            others,
            scorer=Indel.normalized_similarity,
            score_cutoff=threshold - SLACK,
            dtype=np.float64,
            workers=THREADS,
        )
    )

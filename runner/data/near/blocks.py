"""Arrow record batches worked off in small blocks, which stay in the cache, by two threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from runner.data.near.words import Flags, Indices, Words, words

SIDES = ("prompt", "completion")
TRAINING = "training"
BLOCK_ROWS = 1 << 9
THREADS = 2  # numpy gives the interpreter's lock away only in part: more would not pay

T = TypeVar("T")
A = TypeVar("A", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Block:
    """A few rows. keys: (rows,). training: (rows,) whether it is a training row, None if all are.
    words: of their prompts and completions, text `side * rows + row`."""

    keys: Indices
    training: Flags | None
    words: Words


def by_row(values: npt.NDArray[A]) -> npt.NDArray[A]:
    """(rows, sides, ...) of what a block's texts have each."""
    sides = values.reshape(len(SIDES), -1, *values.shape[1:])
    return np.ascontiguousarray(sides.swapaxes(0, 1))


def blocks(batches: Iterable[Any], work: Callable[[Block], T]) -> Iterator[T]:
    """What `work` makes of every block of rows, in order; only a few blocks are held at a time.

    Batches have the columns key, prompt and completion, and may have the column training.
    """

    def read(rows: Any) -> T:
        keys = rows.column("key").to_numpy(zero_copy_only=False).astype(np.int64)
        training = None
        if TRAINING in rows.schema.names:
            training = rows.column(TRAINING).to_numpy(zero_copy_only=False)
        return work(Block(keys, training, words(*(rows.column(side) for side in SIDES))))

    with ThreadPoolExecutor(THREADS) as pool:
        waiting: deque[Future[T]] = deque()
        for batch in batches:
            for start in range(0, batch.num_rows, BLOCK_ROWS):
                waiting.append(pool.submit(read, batch.slice(start, BLOCK_ROWS)))
                if len(waiting) > 4 * THREADS:
                    yield waiting.popleft().result()
        for future in waiting:
            yield future.result()

"""Arrow record batches worked off in small blocks, which stay in the cache, by two threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from runner.data.near.words import Indices

BLOCK_ROWS = 1 << 9
THREADS = 2  # numpy gives the interpreter's lock away only in part: more would not pay

T = TypeVar("T")


def blocks(batches: Iterable[Any], work: Callable[[Any], T]) -> Iterator[tuple[Indices, T]]:
    """The keys of every block (column key) and what `work` makes of the block, in order; only a
    few blocks are held at a time."""
    with ThreadPoolExecutor(THREADS) as pool:
        waiting: deque[tuple[Indices, Future[T]]] = deque()
        for batch in batches:
            for start in range(0, batch.num_rows, BLOCK_ROWS):
                block = batch.slice(start, BLOCK_ROWS)
                keys = block.column("key").to_numpy(zero_copy_only=False)
                waiting.append((keys.astype("int64"), pool.submit(work, block)))
                if len(waiting) > 4 * THREADS:
                    done, result = waiting.popleft()
                    yield done, result.result()
        for done, result in waiting:
            yield done, result.result()

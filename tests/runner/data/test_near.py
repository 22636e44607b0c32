"""Near duplicates: recall and precision against all pairs, and the parts against plain Python."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Indel
from rapidfuzz.process import cdist, cpdist

from runner.data.formats import normalised
from runner.data.near import candidates as near_candidates
from runner.data.near import find as near_find
from runner.data.near.candidates import Candidates, candidates
from runner.data.near.find import Near, look, near_duplicates
from runner.data.near.likeness import lengths
from runner.data.near.ngrams import Overlap, shared_ngrams
from runner.data.near.sketch import EMPTY, SLOTS, sketch
from runner.data.near.verify import Pair, verify
from runner.data.near.words import words

Rows = Sequence[tuple[str, str]]
Keys = set[tuple[int, int]]

LATIN = "etaoinshrdlucmfwypvbgk"
CYRILLIC = "оеаинтсрвлкмдпуяыьгзбчйх"
IDEOGRAPHS = [chr(0x4E00 + index) for index in range(2500)]
EDITS = ("replace", "insert", "delete", "typo", "upper", "blanks", "append", "same")
ZIPF = list(accumulate(1 / (rank + 5) for rank in range(6000)))  # of words, the common ones first
SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25)  # of the words that an edit touches


def batches(rows: Rows, size: int = 1 << 20, first: int = 0) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        keys = range(first + start, first + start + len(part))
        prompts, completions = zip(*part, strict=True)
        yield pa.record_batch(
            {
                "key": pa.array(keys, pa.int64()),
                "prompt": pa.array(prompts, pa.string()),
                "completion": pa.array(completions, pa.string()),
            }
        )


def found_in(rows: Rows, threshold: float = 0.8) -> Near:
    with duckdb.connect() as connection:
        connection.register("given", pa.Table.from_batches(batches(rows)))
        found = near_duplicates(connection, "select * from given", threshold)
        assert connection.sql("show tables").fetchall() == [("given",)]
    return found


def keys_of(found: Near) -> Keys:
    return {(pair.first, pair.second) for pair in found.pairs}


def keys_of_candidates(found: Candidates) -> Keys:
    return set(zip(found.first.tolist(), found.second.tolist(), strict=True))


# ---------------------------------------------------------------- recall


@dataclass(frozen=True, slots=True)
class Planted:
    rows: Rows
    truth: dict[tuple[int, int], float]  # the lesser of both similarities


class Author:
    """Rows of three scripts, of two to three hundred words; a third are edits of earlier ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.latin = [self._word(LATIN) for _ in range(6000)]
        self.cyrillic = [self._word(CYRILLIC) for _ in range(3000)]

    def rows(self, number: int) -> Rows:
        rows: list[tuple[str, str]] = []
        while len(rows) < number:
            if rows and self.random.random() < 0.3:
                prompt, completion = self.random.choice(rows)
                rows.append((self._edited(prompt), self._edited(completion)))
            else:
                rows.append(self._row())
        return list(dict.fromkeys(rows))

    def _word(self, letters: str) -> str:
        return "".join(self.random.choices(letters, k=self.random.randint(2, 10)))

    def _row(self) -> tuple[str, str]:
        script = self.random.choice((self.latin, self.latin, self.cyrillic, IDEOGRAPHS))
        prompt = self._text(script, self.random.choice((2, 4, 8, 15, 30, 80)))
        completion = self._text(script, self.random.choice((2, 4, 8, 12, 18, 25, 50, 120, 300)))
        return ("" if self.random.random() < 0.1 else prompt), completion

    def _text(self, script: list[str], length: int) -> str:
        picked = self.random.choices(script, cum_weights=ZIPF[: len(script)], k=length)
        marked = (word + ("." if self.random.random() < 0.08 else "") for word in picked)
        return ("" if script is IDEOGRAPHS else " ").join(marked)

    def _edited(self, text: str) -> str:
        edit, share = self.random.choice(EDITS), self.random.choice(SHARES)
        if not text or edit == "same":
            return text
        if edit == "upper":
            return text.upper()
        if edit == "blanks":
            return text.replace(" ", "  \n")
        if edit == "typo":
            letters = list(text)
            for _ in range(max(1, round(len(text) * share / 3))):
                letters[self.random.randrange(len(letters))] = self.random.choice("abcdefgh")
            return "".join(letters)
        join = " " if " " in text else ""
        units = text.split(" ") if join else list(text)
        script = self.latin if text.isascii() else self.cyrillic if join else IDEOGRAPHS
        for _ in range(max(1, round(len(units) * share))):
            place = self.random.randrange(len(units))
            if edit == "replace":
                units[place] = self.random.choice(script)
            elif edit == "delete" and len(units) > 1:
                del units[place]
            else:
                units.insert(len(units) if edit == "append" else place, self.random.choice(script))
        return join.join(units)


@pytest.fixture(scope="module")
def planted() -> Planted:
    """5,000 rows, and by brute force every pair that is near."""
    rows = Author(1).rows(5000)
    prompts = [normalised(prompt) for prompt, _ in rows]
    completions = [normalised(completion) for _, completion in rows]
    of_prompts = cdist(
        prompts,
        prompts,
        scorer=Indel.normalized_similarity,
        score_cutoff=0.79,
        dtype=np.float32,
        workers=2,
    )
    first, second = np.nonzero(np.triu(of_prompts >= 0.8 - 1e-6, 1))
    of_completions = cpdist(
        [completions[row] for row in first],
        [completions[row] for row in second],
        scorer=Indel.normalized_similarity,
        score_cutoff=0.79,
        workers=2,
    )
    truth = {}
    for one, other in zip(*(rows[of_completions >= 0.79] for rows in (first, second)), strict=True):
        both = min(
            Indel.normalized_similarity(texts[one], texts[other])
            for texts in (prompts, completions)
        )
        if both >= 0.8:
            truth[int(one), int(other)] = both
    assert len(truth) > 1500
    return Planted(rows, truth)


def recall(truth: dict[tuple[int, int], float], found: Keys, least: float) -> float:
    wanted = {pair for pair, similarity in truth.items() if similarity >= least}
    return len(wanted & found) / len(wanted)


def test_nearly_every_near_pair_is_found_and_no_other(planted: Planted) -> None:
    found = found_in(planted.rows)
    pairs = keys_of(found)
    assert len(pairs) == len(found.pairs)
    assert pairs <= planted.truth.keys()
    assert recall(planted.truth, pairs, 0.8) >= 0.997
    assert recall(planted.truth, pairs, 0.9) >= 0.999
    assert found.how == "exact"
    # far fewer than the twelve million pairs there are
    assert found.candidates < 10 * len(planted.truth)


def test_the_pairs_of_a_higher_threshold_are_those_of_the_lower_one(planted: Planted) -> None:
    pairs = keys_of(found_in(planted.rows, 0.9))
    assert pairs <= {pair for pair, similarity in planted.truth.items() if similarity >= 0.9}
    assert recall(planted.truth, pairs, 0.9) >= 0.999


def test_with_a_limit_as_of_a_large_set_little_is_missed_and_it_is_told(planted: Planted) -> None:
    sketches = sketch(batches(planted.rows))
    full, limited = (candidates(sketches, 0.8, limit) for limit in (None, 3 * len(sketches)))
    assert not full.crowded
    assert limited.crowded
    assert len(limited.first) < len(full.first)
    assert recall(planted.truth, keys_of_candidates(limited), 0.8) >= 0.97
    assert recall(planted.truth, keys_of_candidates(limited), 0.9) >= 0.99


def test_the_parts_that_memory_asks_for_change_nothing(
    planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    sketches = sketch(batches(planted.rows))
    whole = keys_of_candidates(candidates(sketches, 0.8, limit=10**9))
    monkeypatch.setattr(near_candidates, "PART_ENTRIES", 10_000)
    monkeypatch.setattr(near_candidates, "SLICE_ENTRIES", 1_000)
    assert keys_of_candidates(candidates(sketches, 0.8, limit=10**9)) == whole


def test_recall_falls_if_half_of_every_sketch_is_lost(planted: Planted) -> None:
    sketches = sketch(batches(planted.rows))
    halved = sketches.shingles.copy()
    halved[::2, ::2] = EMPTY  # of every other row the even slots
    halved[1::2, 1::2] = EMPTY
    found = keys_of_candidates(candidates(replace(sketches, shingles=halved), 0.8))
    assert recall(planted.truth, found, 0.8) < 0.9


# ---------------------------------------------------------------- what counts as near

PROSE = (
    "The tenant shall keep the premises in good repair and shall not, without the written "
    "consent of the landlord, alter any part of the building or let anybody else live there."
)

NEAR = {
    "one word": (("Why?", PROSE), ("Why?", PROSE.replace("tenant", "lessee"))),
    "case": (("Why?", PROSE), ("why?", PROSE.upper())),
    "blanks": (("Why?", PROSE), ("Why?\n", PROSE.replace(" ", "\n\t"))),
    "no prompt": (("", PROSE), ("", PROSE + " Always.")),
    "a word, mistyped": (("Spell it.", "photosynthesis"), ("Spell it.", "photosynthesys")),
    "accents, composed or not": (
        ("Où?", "Près du marché, là où l'été s'éternise."),
        ("Où?", unicodedata.normalize("NFD", "Près du marché, là où l'été s'éternise!")),
    ),
    "Chinese": (("", "今天天气很好我们一起去公园散步吧"), ("", "今天天气很好我们一起去海边散步吧")),
    "Thai": (("", "วันนี้อากาศดีมากเราไปเดินเล่นกัน"), ("", "วันนี้อากาศดีมากพวกเราไปเดินเล่นกัน")),
    "capitals beyond ASCII": (("", "Ähnlich groß wie Übungen"), ("", "ÄHNLICH GROß WIE ÜBUNGEN.")),
    "exactly at the threshold": (("", PROSE[:52] + 13 * "0"), ("", PROSE[:52] + 13 * "1")),
}

APART = {
    "another answer to a long prompt": ((PROSE * 20, "Yes, it may."), (PROSE * 20, "At night")),
    "another prompt": (("Translate to German.", PROSE), ("Sum this up in a word.", PROSE)),
    "a prompt and none": (("", PROSE), (PROSE, PROSE)),
    "other words": (("Why?", PROSE), ("Why?", PROSE[::-1])),
}


@pytest.mark.parametrize("rows", NEAR.values(), ids=NEAR)
def test_near(rows: Rows) -> None:
    (pair,) = found_in(rows).pairs
    assert (pair.first, pair.second) == (0, 1)
    for side, similarity in enumerate((pair.prompt, pair.completion)):
        texts = [normalised(row[side]) for row in rows]
        assert similarity == pytest.approx(Indel.normalized_similarity(*texts))
        assert similarity >= 0.8 - 1e-9


@pytest.mark.parametrize("rows", APART.values(), ids=APART)
def test_apart(rows: Rows) -> None:
    assert found_in(rows).pairs == ()


@pytest.mark.parametrize("rows", [[], [("", "")], [("a", "b")], [("", ""), ("!", "?"), ("", "ok")]])
def test_next_to_nothing(rows: Rows) -> None:
    table = pa.table({"key": pa.array(range(len(rows)), pa.int64())})
    for side, name in enumerate(("prompt", "completion")):
        table = table.append_column(name, pa.array([row[side] for row in rows], pa.string()))
    with duckdb.connect() as connection:
        connection.register("given", table)
        assert near_duplicates(connection, "from given", 0.8).pairs == ()


def test_null_counts_as_empty() -> None:
    with duckdb.connect() as connection:
        connection.execute("create table given as select 7 as key, null::varchar as prompt")
        connection.execute("insert into given values (3, '')")
        rows = f"select key, prompt, '{PROSE}' || key as completion from given"
        (pair,) = near_duplicates(connection, rows, 0.8).pairs
    assert (pair.first, pair.second, pair.prompt) == (3, 7, 1.0)


# ---------------------------------------------------------------- templates and crowds


def test_a_template_hides_no_pair_and_costs_little() -> None:
    author = Author(2)
    rows = [(f"{PROSE} {word}", " ".join(author.latin[3 * at : 3 * at + 3]) + f" {word}")
            for at, word in enumerate(author.latin[:1500])]  # fmt: skip
    rows += [(prompt, f"{completion} ok") for prompt, completion in rows[:40]]
    found = found_in(rows)
    assert {(at, 1500 + at) for at in range(40)} <= keys_of(found)
    assert found.candidates < 60 * len(rows)


def test_a_crowd_is_paired_in_part_and_told() -> None:
    rows = [("Help me.", f"{PROSE} Request number {at} is refused.") for at in range(2000)]
    found = found_in(rows)
    assert found.how == "estimated"
    assert found.crowded == len(rows)
    # every row is in a pair, but by no means are all two million pairs
    assert {row for pair in keys_of(found) for row in pair} == set(range(len(rows)))
    assert found.candidates < 150 * len(rows)


# ---------------------------------------------------------------- words

ASCII = st.text(st.characters(min_codepoint=1, max_codepoint=127), max_size=60)
ANY = st.text(st.sampled_from("aB z9.éÉяЯ中文。“” \u00a0\u2009ไท😀\n"), max_size=30)


def plain_words(text: str) -> list[str]:
    return re.findall("[a-z0-9]+", text.lower())


@given(st.lists(st.one_of(st.none(), ASCII), max_size=12), st.integers(0, 4))
def test_words_are_runs_of_letters_and_digits(texts: list[str | None], start: int) -> None:
    found = words(pa.array(texts, pa.string()).slice(start))
    plain = [plain_words(text or "") for text in texts[start:]]
    assert found.counts.tolist() == [len(row) for row in plain]
    flat = [word for row in plain for word in row]
    # up to sixteen letters the hash is that of the whole word
    brief = [(word, code) for word, code in zip(flat, found.hashes.tolist(), strict=True)
             if len(word) <= 16]  # fmt: skip
    assert len(set(brief)) == len({word for word, _ in brief}) == len({code for _, code in brief})


@given(st.lists(ANY, max_size=8))
def test_words_of_a_text_do_not_depend_on_its_neighbours(texts: list[str]) -> None:
    together = words(pa.array(texts, pa.string()))
    alone = [words(pa.array([text], pa.string())).hashes.tolist() for text in texts]
    assert together.counts.tolist() == [len(row) for row in alone]
    assert together.hashes.tolist() == [code for row in alone for code in row]


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [
        ("Straße ÉTÉ", "straße été", 2),
        ("ПРИВЕТ, мир", "привет мир!", 2),
        ("“quoted” text", '"quoted" text', 2),
        ("a\u00a0b\u2009c", "a b c", 3),
        ("天气。好", "天气好", 3),
        ("e\u0301te\u0301", "été", 1),
        ("日本go", "日本 go", 3),
    ],
)
def test_words_beyond_ascii(one: str, other: str, count: int) -> None:
    found = [words(pa.array([text])) for text in (one, other)]
    assert [row.counts.tolist() for row in found] == [[count], [count]]
    assert found[0].hashes.tolist() == found[1].hashes.tolist()


SIGNS = "“”。\u00a0\u2009"  # beyond ASCII


@given(st.lists(ANY, max_size=8))
def test_letters_are_the_characters_of_words(texts: list[str]) -> None:
    plain = [unicodedata.normalize("NFC", text) for text in texts]
    expected = [
        sum(letter.isalnum() if letter.isascii() else letter not in SIGNS for letter in text)
        for text in plain
    ]
    assert words(pa.array(texts, pa.string())).letters.tolist() == expected


# ---------------------------------------------------------------- sketches


def plain_overlap(one: str, other: str) -> float:
    """Of the pairs of words of two texts, the share that both have."""
    pairs = [
        set(zip(["", *plain_words(text)], plain_words(text), strict=False)) for text in (one, other)
    ]
    return len(pairs[0] & pairs[1]) / len(pairs[0] | pairs[1])


def test_sketches_do_not_depend_on_the_batches(planted: Planted) -> None:
    rows = planted.rows[:1500]
    whole = sketch(batches(rows))
    assert whole.keys.tolist() == list(range(len(rows)))
    for size in (1, 700):
        some = rows[: 300 * size]
        assert np.array_equal(sketch(batches(some, size)).shingles, whole.shingles[: len(some)])


def test_sketches_hold_the_overlap_of_the_texts() -> None:
    """What the SLOTS lowest hashes of both texts together share estimates what the texts share."""
    author = Author(3)
    estimates, overlaps = [], []
    for _ in range(200):
        source = author.random.choices(author.latin, k=120)
        share = author.random.random() / 3
        edited = [
            author.random.choice(author.latin) if author.random.random() < share else word
            for word in source
        ]
        one, other = " ".join(source), " ".join(edited)
        left, right = sketch(batches([("", one), ("", other)])).shingles[:, SLOTS:].tolist()
        # of every two values it takes one place in the sample if they are one, and two if not
        common = len({*left} & {*right})
        estimates.append(common / (2 * SLOTS - common))
        overlaps.append(plain_overlap(one, other))
    assert np.mean(estimates) == pytest.approx(np.mean(overlaps), abs=0.05)
    assert np.corrcoef(estimates, overlaps)[0, 1] > 0.8


@given(st.text(st.sampled_from("abc def\n"), max_size=40))
@settings(max_examples=50)
def test_a_sketch_is_full_or_whole(text: str) -> None:
    (left, right) = sketch(batches([(text, text)])).shingles.reshape(2, SLOTS)
    pairs = set(zip(["", *plain_words(text)], plain_words(text), strict=False))
    for side in (left, right):
        used = side[side != EMPTY].tolist()
        assert len(set(used)) == len(used) >= min(SLOTS, len(pairs))
    # prompts and completions never meet
    assert not set(left[left != EMPTY].tolist()) & set(right.tolist())


# ---------------------------------------------------------------- likeness


@given(st.lists(st.tuples(ANY, ANY), min_size=2, max_size=8), st.sampled_from([0.8, 0.9, 1.0]))
@settings(deadline=None)
def test_lengths_of_like_rows_meet(rows: Rows, threshold: float) -> None:
    near = lengths(sketch(batches(rows)), threshold)
    texts = [[normalised(text) for text in row] for row in rows]
    first, second = np.triu_indices(len(rows), 1)
    for one, other, met in zip(first, second, near.meet(first, second), strict=True):
        sides = zip(texts[one], texts[other], strict=True)
        assert met or min(Indel.normalized_similarity(*side) for side in sides) < threshold


def test_lengths_tell_rows_apart() -> None:
    rows = [(PROSE, PROSE), (PROSE, PROSE[:150]), (PROSE, PROSE[:80]), (PROSE[:80], PROSE)]
    sketches = sketch(batches([*rows, ("", PROSE * 1000)]))
    one, others = np.zeros(4, np.int64), np.arange(1, 5)
    assert lengths(sketches, 0.8).meet(one, others).tolist() == [True, False, False, False]
    assert lengths(sketches, 0.95).meet(others, one).tolist() == [False] * 4


# ---------------------------------------------------------------- verification


@given(
    st.lists(st.tuples(*[st.text("ab ", max_size=12)] * 4), max_size=20),
    st.sampled_from([0.8, 0.85, 0.9, 1.0]),
)
@settings(deadline=None)
def test_verification_is_the_definition(
    texts: list[tuple[str, str, str, str]], threshold: float
) -> None:
    table = pa.table(
        {
            "key": pa.array(
                [key for at in range(len(texts)) for key in (at, at + 100)], pa.int64()
            ),
            "prompt": pa.array([text for row in texts for text in row[:2]], pa.string()),
            "completion": pa.array([text for row in texts for text in row[2:]], pa.string()),
        }
    )
    shuffled = table.take(np.random.default_rng(1).permutation(len(table)))
    expected = []
    for key, (one, other, left, right) in enumerate(texts):
        both = (Indel.normalized_similarity(one, other), Indel.normalized_similarity(left, right))
        if min(both) >= threshold - 1e-9:
            expected.append(Pair(key, key + 100, *both))
    keys = np.arange(len(texts), dtype=np.int64)
    assert list(verify(shuffled, keys + 100, keys, threshold)) == expected


# ---------------------------------------------------------------- shared n-grams


def plain_ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    row = plain_words(text)
    return [tuple(row[at : at + n]) for at in range(len(row) - n + 1)]


SMALL = st.text(st.sampled_from("ab c"), max_size=40)


@given(
    st.lists(st.tuples(SMALL, SMALL), min_size=1, max_size=8),
    st.lists(st.tuples(SMALL, SMALL), min_size=1, max_size=8),
    st.integers(1, 5),
)
@settings(deadline=None)
def test_shared_ngrams_against_sets(held_out: Rows, training: Rows, n: int) -> None:
    known = {gram for row in training for text in row for gram in plain_ngrams(text, n)}
    expected = []
    for key, row in enumerate(held_out):
        counts = [
            count
            for text in row
            for grams in [plain_ngrams(text, n)]
            for count in (len(grams), sum(gram in known for gram in grams))
        ]
        if counts[1] or counts[3]:
            expected.append(Overlap(key, *counts))
    assert list(shared_ngrams(batches(held_out), batches(training, 3), n)) == expected


def test_thirteen_words_in_a_row_tell_a_copied_passage(planted: Planted) -> None:
    training = [(prompt, completion) for prompt, completion in planted.rows[:2000]]
    passage = " ".join(f"unusual{at}" for at in range(20))
    training[1234] = ("Quote.", f"As they say: {passage}.")
    held_out = [("Recite.", f"{PROSE} {passage.upper()}"), ("Recite.", PROSE)]
    (overlap,) = shared_ngrams(batches(held_out, first=50), batches(training, 300))
    length = len(plain_words(PROSE)) + 20
    assert overlap == Overlap(50, 0, 0, length - 12, 20 - 12)


def test_no_rows_share_nothing() -> None:
    rows = [("Recite.", PROSE)]
    assert list(shared_ngrams([], batches(rows))) == []
    assert list(shared_ngrams(batches(rows), [])) == []


def test_one_look_finds_what_both_find_apart(planted: Planted) -> None:
    rows = planted.rows[:1500]
    with duckdb.connect() as connection:
        connection.register("given", pa.Table.from_batches(batches(rows)))
        marked = "select *, key % 5 <> 0 as training from given"
        held_out = "from given where key % 5 = 0"
        near, overlaps = look(connection, marked, 0.8, held_out, 4)
        assert near == near_duplicates(connection, "from given", 0.8)
    training = [row for key, row in enumerate(rows) if key % 5]
    held = [batch.take([0]) for batch in batches(rows, 5)]
    assert list(overlaps) == list(shared_ngrams(held, batches(training), 4))
    assert len(overlaps) > 20
    # a held-out row is no training row: not all find themselves
    assert any(overlap.completion_shared < overlap.completion_ngrams for overlap in overlaps)


def test_only_texts_of_candidates_are_read_again(
    planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def some(keys: str) -> str:
        asked.append(connection.sql(f"from {keys}").count("*").fetchall()[0][0])
        return f"from given semi join {keys} using (key)"

    with duckdb.connect() as connection:
        connection.register("given", pa.Table.from_batches(batches(planted.rows)))
        whole = near_duplicates(connection, "from given", 0.8)
        assert near_duplicates(connection, "from given", 0.8, some) == whole
        assert len({key for pair in keys_of(whole) for key in pair}) <= asked[0] < len(planted.rows)
        monkeypatch.setattr(near_find, "TEXT_BYTES", 100_000)
        assert near_duplicates(connection, "from given", 0.8, some) == whole
    assert len(asked) > 3


@given(st.lists(st.tuples(st.one_of(st.none(), ANY), ANY), max_size=8))
def test_words_of_two_columns_are_those_of_each(rows: list[tuple[str | None, str]]) -> None:
    columns = [pa.array([row[side] for row in rows], pa.string()) for side in range(2)]
    together = words(*columns)
    one, other = (words(column) for column in columns)
    for name in ("counts", "letters"):
        joined = [*getattr(one, name).tolist(), *getattr(other, name).tolist()]
        assert getattr(together, name).tolist() == joined
    for name in ("hashes", "pairs"):
        assert getattr(together, name).tolist() == [
            *getattr(one, name).tolist(), *getattr(other, name).tolist()
        ]  # fmt: skip

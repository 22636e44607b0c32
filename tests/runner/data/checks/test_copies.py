"""Duplicates, leakage, contradictions and missing texts against brute force over all pairs."""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

Row = Mapping[str, Any]
Parts = Mapping[str, Sequence[Row]]
Told = list[tuple[str, str]]  # id and note
See = Callable[..., Any]

SIMILARITY = 0.6
ORDER = ("train", "validation", "test", "mix")
ALL_OF_MIX = {"mix": {"share": 0.9}}
JUDGED = ("duplicates", "leakage", "missing", "contradictions")


@pytest.fixture(scope="module")
def see(see: See) -> See:
    return partial(see, only=JUDGED)


@cache
def fold(text: str | None) -> str:
    return " ".join(unicodedata.normalize("NFC", text or "").lower().split())


def similar(one: str, other: str) -> float:
    """Indel similarity by the longest common subsequence, letter by letter."""
    if not one and not other:
        return 1.0
    row = [0] * (len(other) + 1)
    for letter in one:
        above = 0
        for place, beside in enumerate(other, 1):
            above, row[place] = (
                row[place],
                max(row[place], row[place - 1], above + 1 if letter == beside else 0),
            )
    return 2 * row[-1] / (len(one) + len(other))


def everything(parts: Parts) -> Iterator[tuple[str, str, Row]]:
    """(part, id, row) in the order of the sources."""
    for part in ORDER:
        for line, row in enumerate(parts.get(part, ()), 1):
            yield part, row.get("id") or f"{part}.jsonl:{line}", row


def asked(row: Row) -> tuple[str, str]:
    """Equal for rows with the same prompt; rows without one differ by their answers."""
    prompt = fold(row["prompt"])
    return ("prompt", prompt) if prompt else ("answer", fold(row["completion"]))


def duplicates(parts: Parts) -> Told:
    first: dict[Any, str] = {}
    told = []
    for part, id, row in everything(parts):
        key = asked(row), fold(row["completion"]), fold(row.get("system"))
        if part != "mix" and key in first:
            told.append((id, f"same as {first[key]}"))
        elif part != "mix":
            first[key] = id
    return told


def leakage(parts: Parts) -> Told:
    told = []
    every = [(part, id, fold(row["prompt"])) for part, id, row in everything(parts)]
    before = {"validation": ("train", "mix"), "test": ("train", "validation", "mix")}
    for part, id, prompt in every:
        for other, other_id, seen in every if prompt and part in before else ():
            if seen == prompt and other in before[part]:
                told.append((id, f"same prompt as {other_id} in {other}"))
                break
    return told


def contradictions(parts: Parts) -> list[str]:
    first: dict[Any, str] = {}
    told = []
    for _, id, row in everything(parts):
        answer = first.setdefault((asked(row), row.get("system") or ""), fold(row["completion"]))
        mine = fold(row["completion"])
        if mine != answer and similar(mine, answer) < SIMILARITY:
            told.append(id)
    return told


def missing(parts: Parts) -> Told:
    notes = {
        (False, False): "no prompt and no answer", (True, False): "no answer",
        (False, True): "no prompt",
    }  # fmt: skip
    told = [
        (id, notes.get((bool(fold(row["prompt"])), bool(fold(row["completion"])))))
        for _, id, row in everything(parts)
    ]
    return [(id, note) for id, note in told if note]


def agrees(seen: Any, parts: Parts) -> None:
    """Every row that was found, and nothing else, with its note; and the numbers fit."""
    assert seen.found.get("duplicates", []) == duplicates(parts)
    assert seen.found.get("leakage", []) == leakage(parts)
    assert seen.found.get("missing", []) == missing(parts)
    assert seen.ids("contradictions") == contradictions(parts)
    every = list(everything(parts))
    held = sum(part in ("validation", "test") for part, *_ in every)
    own = sum(part != "mix" for part, *_ in every)
    totals = (
        ("duplicates", own), ("leakage", held), ("missing", len(every)),
        ("contradictions", len(every)),
    )  # fmt: skip
    for check, total in totals:
        finding = seen.findings[check]
        assert (finding.count, finding.total, finding.how) == (
            len(seen.ids(check)), total, "exact",
        )  # fmt: skip
        assert [row.id for row in finding.rows] == seen.ids(check)[:20]
    same = {
        (row["prompt"], row["completion"], row.get("system")) for p, _, row in every if p != "mix"
    }
    if duplicates(parts):
        assert f"; {own - len(same):,} of them byte for byte" in seen.findings["duplicates"].message


# ---------------------------------------------------------------- small sets, drawn

PROMPTS = (
    "", " ", "\u00a0\n", "Yes?", "yes? ", "no?", "caf\u00e9", "Cafe\u0301", "y\n\tes?",
    "answer yes", "prompt yes", "\x00yes",
)  # fmt: skip
ANSWERS = (
    "", "\t", "Yes", "yes ", "no", "yes, of course it is", "Yes,  of course it was", "\u0130",
    "never in a million years", "caf\u00e9", "CAFE\u0301",
)  # fmt: skip
rows = st.lists(
    st.builds(
        lambda prompt, completion, system: {
            "prompt": prompt, "completion": completion, "system": system,
        },
        st.sampled_from(PROMPTS), st.sampled_from(ANSWERS), st.sampled_from([None, "S", "s "]),
    ),
    min_size=1, max_size=14,
)  # fmt: skip


def without_turkish(parts: Parts) -> Parts:
    """Lower case is told letter by letter: İ is i, where Python writes two letters."""
    plain = json.dumps(parts).replace("\\u0130", "i")
    kept: Parts = json.loads(plain)
    return kept


@settings(max_examples=15, deadline=None)
@given(train=rows, validation=rows, test=rows)
def test_small_sets(see: See, train: list[Row], validation: list[Row], test: list[Row]) -> None:
    parts = {"train": train, "validation": validation, "test": test}
    seen = see(parts, "full")
    agrees(seen, without_turkish(parts))


@settings(max_examples=6, deadline=None)
@given(train=rows, test=rows, mix=rows)
def test_small_sets_with_general_data(
    see: See, train: list[Row], test: list[Row], mix: list[Row]
) -> None:
    parts = {"train": train, "test": test, "mix": mix}
    seen = see(
        parts, "full", split={"validation": 0},
        more=ALL_OF_MIX if len(mix) < 9 * len(train) else {},
    )  # fmt: skip
    drawn = set(seen.parts["train"])
    kept = [row for line, row in enumerate(mix, 1) if f"mix.jsonl:{line}" in drawn]
    if len(kept) == len(mix):
        agrees(seen, without_turkish(parts))
    else:
        leaked = {id for id, _ in leakage(without_turkish({**parts, "mix": kept}))}
        assert set(seen.ids("leakage")) == leaked


# ---------------------------------------------------------------- thousands of rows, with plants

WORDS = [a + b for a in ("ka", "lo", "mi", "ne", "su", "ti", "vo") for b in ("ran", "del", "pik")]


def text(drawn: random.Random, words: int) -> str:
    return " ".join(drawn.choices(WORDS, k=words))


def respelt(drawn: random.Random, words: str) -> str:
    """Equal once normalised, and as a rule not byte for byte."""
    spellings: tuple[Callable[[str], str], ...] = (
        str.upper, str.title, lambda t: f" {t}\n", lambda t: t.replace(" ", "\u2003 "),
        lambda t: unicodedata.normalize("NFD", t),
    )  # fmt: skip
    return drawn.choice(spellings)(words)


def planted(seed: int, count: int = 5_000) -> dict[str, list[dict[str, Any]]]:
    """Unique rows, then copies of all kinds, shuffled, with ids of their own."""
    drawn = random.Random(seed)
    plain = [
        {"prompt": f"{text(drawn, 9)} caf\u00e9 {n}", "completion": text(drawn, 12), "system": None}
        for n in range(count)
    ]
    train = list(plain)
    for row in drawn.sample(plain, 300):
        kind = drawn.randrange(6)
        prompt, answer = row["prompt"], row["completion"]
        if kind == 0:
            train.append(dict(row))
        elif kind == 1:
            train += [{**row, "prompt": respelt(drawn, str(prompt))} for _ in range(3)]
        elif kind == 2:
            train.append({**row, "completion": respelt(drawn, str(answer))})
        elif kind == 3:
            train.append({**row, "completion": text(drawn, 12)})
        elif kind == 4:
            train.append({**row, "system": drawn.choice(["Be brief.", "be  brief."])})
        else:
            train.append({**row, drawn.choice(["prompt", "completion"]): drawn.choice(["", " \n"])})
    test = [{**row, "prompt": f"other {row['prompt']}"} for row in drawn.sample(plain, 150)]
    test += [{**row, "prompt": respelt(drawn, str(row["prompt"]))} for row in plain[:25]]
    validation = [
        {"prompt": f"v {n}", "completion": text(drawn, 3), "system": None} for n in range(99)
    ]
    test += [{**row, "prompt": str(row["prompt"]).upper()} for row in validation[:7]]
    mix = [
        {"prompt": f"general {n}", "completion": text(drawn, 4), "system": None} for n in range(60)
    ]
    test += mix[:5]
    parts = {"train": train, "validation": validation, "test": test, "mix": mix}
    for part, listed in parts.items():
        drawn.shuffle(listed)
        parts[part] = [{"id": f"{part}-{n}", **row} for n, row in enumerate(listed)]
    return parts


@pytest.mark.parametrize("seed", [1, 2])
def test_five_thousand_rows_with_plants(see: See, seed: int) -> None:
    parts = planted(seed)
    ids = {part: {"columns": {"id": "id"}} for part in parts}
    seen = see(
        parts, "full", more={**ids, "mix": {"columns": {"id": "id"}, "share": 0.5}},
        
    )  # fmt: skip
    assert seen.prepared.placed.mix[0].taken == len(parts["mix"])
    agrees(seen, parts)
    counts = {check: seen.findings[check].count for check in ("duplicates", "contradictions")}
    assert counts["duplicates"] > 200 and counts["contradictions"] > 30  # the plants are there
    assert len(seen.ids("leakage")) == 25 + 7 + 5
    assert len(seen.ids("missing")) > 30


# ---------------------------------------------------------------- cases


def clean(count: int, word: str = "q") -> list[dict[str, Any]]:
    return [{"prompt": f"{word} {n}", "completion": f"answer {n}"} for n in range(count)]


def test_planted_leaks_are_found_where_they_are(see: See) -> None:
    test = clean(10, "t")
    parts = {
        "train": clean(50), "validation": clean(10, "v"), "test": test, "mix": clean(50, "general"),
    }  # fmt: skip
    finding = see(parts).findings["leakage"]
    assert (finding.state, finding.count, finding.total) == ("pass", 0, 20)
    test[1]["prompt"], test[4]["prompt"], test[7]["prompt"] = "Q 7", "GENERAL 3", "v  2"
    finding = see(parts).findings["leakage"]
    assert (finding.state, finding.count, finding.total, finding.share) == ("error", 3, 20, 0.15)
    assert [(row.line, row.note) for row in finding.rows] == [
        (2, "same prompt as train.jsonl:8 in train"),
        (5, "same prompt as mix.jsonl:4 in mix"),
        (8, "same prompt as validation.jsonl:3 in validation"),
    ]


def test_general_rows_that_were_not_drawn_do_not_leak(see: See) -> None:
    general = clean(100, "general")
    parts = {"train": clean(18), "test": clean(100, "general"), "mix": general}
    seen = see(parts, more={"mix": {"share": 0.1}}, split={"validation": 0})
    drawn = [id for id in seen.parts["train"] if id.startswith("mix")]
    assert len(drawn) == 2
    assert sorted(seen.ids("leakage")) == sorted(id.replace("mix", "test") for id in drawn)


def test_repeated_general_rows_are_no_copies(see: See) -> None:
    parts = {"train": clean(90), "mix": [{"prompt": "g", "completion": "one"}] * 2}
    seen = see(
        parts, "full", more={"mix": {"share": 0.5, "repeat": True}},
        split={"test": 0, "validation": 0},
    )  # fmt: skip
    assert len(seen.parts["train"]) == 180
    assert seen.findings["duplicates"].count == seen.findings["contradictions"].count == 0


def test_own_split_never_leaks_whatever_the_duplicates(see: See) -> None:
    rows = [{"prompt": f"q {n % 37}", "completion": f"a {n}"} for n in range(300)]
    finding = see({"train": rows}).findings["leakage"]
    assert (finding.state, finding.count) == ("pass", 0)
    assert finding.total is not None and finding.total > 30


def test_conversations_are_compared_as_a_whole(see: See) -> None:
    def talk(*texts: str, **more: Any) -> dict[str, Any]:
        roles = ["user", "assistant"] * len(texts)
        turns = [{"role": r, "content": t} for r, t in zip(roles, texts, strict=False)]
        return {"messages": turns, **more}

    weather = {"type": "function", "function": {"name": "weather", "parameters": {}}}
    rows = [
        talk("Hello", "Hi.", "How are you?", "Fine."),
        talk("Hello", "Hi.", "how are  you?", "fine."),
        talk("Hello", "Good day.", "How are you?", "Fine."),
        talk("How are you?", "Fine."),
        talk("Hello", "Hi.", "How are you?", "Why do you ask me that again and again"),
        talk("How are you?", "Fine.", tools=[weather]),
        talk("How are you?", "Fine.", tools=[weather]),
    ]
    seen = see({"train": rows}, "full", split={"test": 0, "validation": 0})
    assert seen.found["duplicates"] == [
        ("train.jsonl:2", "same as train.jsonl:1"), ("train.jsonl:7", "same as train.jsonl:6"),
    ]  # fmt: skip
    assert seen.ids("contradictions") == ["train.jsonl:5"]


def test_a_row_of_texts_equals_the_same_row_as_a_conversation(see: See) -> None:
    turns = [{"role": "user", "content": "Q 1"}, {"role": "assistant", "content": "answer 1"}]
    seen = see({"train": clean(3), "test": [{"messages": turns}]}, split={"validation": 0})
    assert seen.found["leakage"] == [("test.jsonl:1", "same prompt as train.jsonl:2 in train")]
    assert seen.ids("duplicates") == ["test.jsonl:1"]


def test_labels_that_differ_are_an_error(see: See) -> None:
    rows = [{"text": f"text number {n}", "label": ("good", "bad")[n % 2]} for n in range(400)]
    sound = see({"train": rows}, "full").findings["contradictions"]
    assert (sound.state, sound.count) == ("pass", 0)
    rows[7] = {"text": "Text  number 4", "label": "bad"}
    seen = see({"train": rows}, "full")
    finding = seen.findings["contradictions"]
    assert (finding.state, finding.count) == ("error", 1)
    assert seen.found["contradictions"] == [
        ("train.jsonl:8", "'good', not 'bad': same prompt as train.jsonl:5")
    ]
    mild = {"contradictions": {"labels_error_above": 0.5}}
    assert see({"train": rows}, "full", checks=mild).findings["contradictions"].state == "warn"


def test_rows_that_give_the_same_answer_are_each_told_with_their_own_words(see: See) -> None:
    far, first = "never in a million years", "train.jsonl:4"
    rows = [
        *clean(10),
        {"prompt": "q 3", "completion": far},
        {"prompt": "Q  3", "completion": "ANSWER 3"},
        {"prompt": "q 3", "completion": f" {far.upper()}"},
    ]
    note = f"{similar('answer 3', far):.2f} similar: same prompt as {first}"
    told = see({"train": rows}, "full").found["contradictions"]
    assert told == [("train.jsonl:11", note), ("train.jsonl:13", note)]
    labels = ["good", "Bad", "GOOD", "bad", "Bad"]
    rows = [{"text": "the same", "label": label} for label in labels]
    assert see({"train": rows}, "full").found["contradictions"] == [
        (f"train.jsonl:{line}", f"'good', not '{labels[line - 1]}': same prompt as train.jsonl:1")
        for line in (2, 4, 5)
    ]


def test_a_label_is_held_against_an_answer_in_words(see: See) -> None:
    parts = {"train": clean(9), "test": [{"text": "q 5", "label": "Good"}]}
    assert see(parts, "full", split={"validation": 0}).found["contradictions"] == [
        ("test.jsonl:1", "'answer 5', not 'Good': same prompt as train.jsonl:6")
    ]


def test_the_bound_of_similarity_is_the_recipes(see: See) -> None:
    rows = [*clean(50), {"prompt": "q 3", "completion": "answer 3 or 4"}]
    alike = similar("answer 3", "answer 3 or 4")
    assert 0.6 < alike < 0.8
    for bound, count in ((alike - 0.001, 0), (alike + 0.001, 1)):
        checks = {"contradictions": {"similarity": bound}}
        assert see({"train": rows}, "full", checks=checks).findings["contradictions"].count == count

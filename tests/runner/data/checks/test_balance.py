"""Checks over all rows against brute force; planted faults are found, sound data passes."""

from __future__ import annotations

import itertools
import random
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.recipe import Recipe
from dsl.thresholds import BalanceCheck, Checks, DiversityCheck, DriftCheck, ShareCheck
from runner.data.checks import balance
from runner.data.checks.distances import chi_square_tail, distances, kolmogorov
from runner.data.checks.finding import Finding, Read, Said
from runner.data.scan import scan
from runner.data.split import place
from runner.data.tables import connect

Row = Mapping[str, Any]
Table = Callable[[Sequence[Row]], Read]
Texts = Callable[..., Read]
Found = Callable[[Read, str], dict[int, str | None]]

WARN = ShareCheck(0.0, None)
DRIFT = DriftCheck(0.15, None, 0.01)


def test_names_are_those_of_the_recipe() -> None:
    said = [value for value in vars(balance).values() if isinstance(value, Said)]
    known = {field.name for field in fields(Checks)}
    assert len(said) == 6
    assert {each.check for each in said} <= known
    assert all(callable(getattr(balance, each.check)) for each in said)


# ---------------------------------------------------------------- labels and groups

LABELS = (
    "yes", "Yes", "yes.", "'YES'", " yes ", "no", "No!", "(no)", "?", "!", "\u00e9", "e\u0301",
    "not sure", "not  sure", "C", "C++", "c#", "",
)  # fmt: skip


def bare(label: str) -> str:
    folded = " ".join(unicodedata.normalize("NFC", label).lower().split())
    return folded.strip(".,;:!?'\"()[] ") or folded


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(LABELS), st.booleans()), max_size=25))
def test_label_variants_equal_brute_force(
    table: Table, found: Found, drawn: list[tuple[str, bool]]
) -> None:
    read = table(
        [
            {"label": label, "general": general, "blank_completion": label == ""}
            for label, general in drawn
        ]
    )
    finding = balance.label_variants(read, WARN)
    counts = Counter(label for label, general in drawn if label and not general)
    usual: dict[str, str] = {}
    for label in sorted(counts, key=lambda label: (-counts[label], label)):
        usual.setdefault(bare(label), label)
    expected = {}
    for line, (label, general) in enumerate(drawn, 1):
        if label and not general and usual[bare(label)] != label:
            s = "s" * (counts[label] > 1)
            expected[line] = f"{label} -> {usual[bare(label)]} ({counts[label]} row{s})"
    assert found(read, "label_variants") == expected
    assert (finding.count or 0, finding.state) == (len(expected), "warn" if expected else "pass")
    assert finding.total == (counts.total() or None)


def test_labels_that_only_look_alike_are_left_alone(table: Table) -> None:
    finding = balance.label_variants(
        table(
            [
                {"label": label}
                for label in ("C", "C++", "c#", "yes", "yes/no", "?", "!", "1.0", "10")
            ]
        ),
        WARN,
    )
    assert (finding.count, finding.total, finding.state) == (0, 9, "pass")


def test_spellings_are_told_the_most_frequent_first(table: Table) -> None:
    rows = [
        {"label": "No"},
        *[{"label": "Yes."}] * 3,
        *[{"label": "yes"}] * 5,
        *[{"label": "no"}] * 5,
    ]
    finding = balance.label_variants(table(rows), WARN)
    assert finding.message == "4 of 14 labelled rows (28.6%); Yes. -> yes, No -> no"
    assert finding.rows[1].note == "Yes. -> yes (3 rows)"


def labelled(**sizes: int) -> list[Row]:
    return [{"label": label} for label, rows in sizes.items() for _ in range(rows)]


def grouped(*sizes: int) -> list[Row]:
    return [{"grp": f"g{index}"} for index, rows in enumerate(sizes) for _ in range(rows)]


BALANCE_CASES: dict[str, tuple[list[Row], str, str]] = {
    "even": (labelled(yes=20, no=20), "pass", "2 labels; most: 'no' 20, 'yes' 20"),
    "at the bound": (labelled(yes=100, no=10), "pass", "2 labels; most: 'yes' 100, 'no' 10"),
    "beyond it": (labelled(yes=101, no=10), "warn", "2 labels; most: 'yes' 101, 'no' 10"),
    "far beyond it": (labelled(yes=101, no=5), "error", "2 labels; most: 'yes' 101, 'no' 5"),
    "many": (
        labelled(a=50, b=20, c=10, d=9, e=1),
        "error",
        "5 labels; most: 'a' 50, 'b' 20, 'c' 10; fewest: 'e' 1, 'd' 9, 'c' 10",
    ),
    "one label": (labelled(yes=30), "error", "1 label; most: 'yes' 30"),
    "a label that is not trained on": (
        [*labelled(yes=9, no=9), {"label": "odd", "part": "test"}],
        "error",
        "3 labels; most: 'no' 9, 'yes' 9, 'odd' 0",
    ),
    "general rows do not count": (
        [*labelled(yes=9, no=9), *[{"label": "odd", "general": True}] * 500],
        "pass",
        "2 labels; most: 'no' 9, 'yes' 9",
    ),
    "labels before groups": (
        [{"label": label, "grp": "g" + "x" * (n == 0)} for n, label in enumerate("ab" * 20)],
        "pass",
        "2 labels; most: 'a' 20, 'b' 20",
    ),
    "groups": (grouped(60, 5), "warn", "2 groups; most: 'g0' 60, 'g1' 5"),
    "groups held out whole": (
        [*grouped(60), *[{"grp": "held", "part": "test"}] * 30],
        "pass",
        "2 groups; most: 'g0' 60, 'held' 30",
    ),
    "groups that are documents": (
        grouped(500, *[1] * 60),
        "pass",
        "61 groups; most: 'g0' 500, 'g1' 1, 'g10' 1; fewest: 'g1' 1, 'g10' 1, 'g11' 1",
    ),
    "one group": (grouped(60), "pass", "no labels and no groups"),
    "neither": ([{}] * 9, "pass", "no labels and no groups"),
    "no rows": ([], "pass", "no labels and no groups"),
}


@pytest.mark.parametrize("case", BALANCE_CASES)
def test_balance(table: Table, case: str) -> None:
    rows, state, message = BALANCE_CASES[case]
    finding = balance.balance(table(rows), BalanceCheck(warn_ratio=10, error_ratio=20))
    assert (finding.state, finding.message) == (state, message)
    assert finding.threshold == "warn above 10 times, error above 20 times"
    assert balance.balance(table(rows), BalanceCheck(None, None)).state == "pass"


# ---------------------------------------------------------------- prompts and openings


def asked(prompts: Sequence[str], answer: str = "answer") -> list[Row]:
    return [
        {"prompt": prompt, "completion": f"{n} {answer} {n}"} for n, prompt in enumerate(prompts)
    ]


def test_one_prompt_that_dominates(texts: Texts) -> None:
    rows = asked(["What is it?", "what  is it?", "other 1", "other 2", "other 3", "WHAT IS IT?"])
    finding = balance.dominance(texts(rows), ShareCheck(0.2, None))
    assert (finding.count, finding.total, finding.state) == (3, 6, "warn")
    assert [row.line for row in finding.rows] == [1, 2, 6]
    assert finding.message == "3 of 6 rows (50%); 3 ask the same ('What is it?')"
    sound = balance.dominance(texts(rows), ShareCheck(0.5, None))
    assert (sound.state, sound.rows) == ("pass", ())
    assert sound.message == "3 of 6 rows (50%); 3 ask the same"


def test_one_opening_that_dominates(texts: Texts, found: Found) -> None:
    opening = "As an expert I am most happy to tell you that"
    rows = [
        {"prompt": f"q {n}", "completion": f"{opening if n % 3 else 'no'} {n} more words come here"}
        for n in range(30)
    ]
    read = texts(rows)
    finding = balance.dominance(read, ShareCheck(0.2, 0.5))
    assert (finding.count, finding.total, finding.state) == (20, 30, "error")
    assert list(found(read, "dominance")) == [n + 1 for n in range(30) if n % 3]
    assert finding.message.endswith("20 begin alike ('As an expert I am most happy to tell you')")


def test_short_answers_labels_and_general_rows_dominate_nothing(texts: Texts) -> None:
    short = [{"prompt": f"q {n}", "completion": "yes"} for n in range(20)]
    general = [{"prompt": "the same", "completion": f"answer {n}"} for n in range(50)]
    finding = balance.dominance(texts(short, general), ShareCheck(0.1, None))
    assert (finding.count, finding.total, finding.state) == (0, 20, "pass")
    label = "a long name of a class, longer than any opening"
    classes = [{"text": f"q {n}", "label": label} for n in range(20)]
    assert balance.dominance(texts(classes), ShareCheck(0.1, None)).count == 0


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("xyzXY")), min_size=1, max_size=20)
)
def test_dominance_equals_brute_force(
    tmp_path_factory: pytest.TempPathFactory,
    recipe_with: Callable[..., Recipe],
    write_rows: Callable[..., None],
    drawn: list[tuple[str, str]],
) -> None:
    folder = tmp_path_factory.mktemp("drawn")
    rows = [
        {"prompt": prompt, "completion": f"{start * 40} and {n}"}
        for n, (prompt, start) in enumerate(drawn)
    ]
    write_rows(folder / "a.jsonl", rows)
    data = recipe_with(train=[{"path": "a.jsonl"}]).data
    connection = connect()
    read, reports = scan(connection, data.sources(), folder, None)
    placed = place(connection, data, read)
    finding = balance.dominance(
        Read(connection, read, reports, data, placed, {}), ShareCheck(0.0, None)
    )
    connection.close()
    prompts = Counter(prompt for prompt, _ in drawn).most_common(1)[0][1]
    openings = Counter(start.lower() for _, start in drawn).most_common(1)[0][1]
    most = max(prompts, openings)
    assert finding.count == (most if most > 1 else 0)
    assert len(finding.rows) == finding.count


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=40))
def test_the_most_frequent_opening_is_found_whatever_shares_its_bucket(
    table: Table, drawn: list[tuple[int, int]]
) -> None:
    openings = [bucket + balance.BUCKETS * turn for bucket, turn in drawn]
    read = table([{"opening": opening} for opening in openings])
    top = balance._top_opening(read, "(from placed)")
    counted = Counter(openings)
    if max(counted.values(), default=0) < 2:
        assert top is None
        return
    most = max(counted, key=lambda opening: (counted[opening], -openings.index(opening)))
    assert top is not None
    assert (top.rows, top.first) == (counted[most], (0, openings.index(most) + 1))


# ---------------------------------------------------------------- words


def answers(texts_of: Sequence[str]) -> list[Row]:
    return [{"prompt": f"q {n}", "completion": text} for n, text in enumerate(texts_of)]


@pytest.mark.parametrize(
    ("spoken", "distinct", "pairs"),
    [
        (["the cat sat", "The cat, sat!", "the dog"], 3, 5),
        (["one", "two", "three four"], 1, 1),
        (["你好吗", "你好"], 2, 3),
        (["a b a b a b a b"], 2, 7),
    ],
)
def test_distinct_pairs_are_counted(
    texts: Texts, spoken: list[str], distinct: int, pairs: int
) -> None:
    finding = balance.diversity(texts(answers(spoken)), DiversityCheck(0.1, None))
    assert (finding.count, finding.total, finding.how) == (distinct, pairs, "exact")
    assert finding.share == pytest.approx(distinct / pairs)


def test_one_template_lacks_diversity_and_plain_words_do_not(texts: Texts) -> None:
    words = [f"word{n}" for n in range(2000)]
    draw = random.Random(3)
    varied = [" ".join(draw.choices(words, k=30)) for _ in range(1100)]
    same = [f"thank you for your question about {draw.choice(words)} today" for _ in range(1100)]
    limits = DiversityCheck(warn_below=0.3, error_below=0.1)
    sound = balance.diversity(texts(answers(varied)), limits)
    assert (sound.state, sound.how) == ("pass", "sampled")
    assert sound.total == 29 * balance.SAMPLED
    poor = balance.diversity(texts(answers(same)), limits)
    assert poor.state == "warn" and poor.hint
    assert poor.share is not None and 0.1 < poor.share < 0.3
    stricter = DiversityCheck(warn_below=None, error_below=0.3)
    assert balance.diversity(texts(answers(same)), stricter).state == "error"


def test_the_sample_does_not_take_a_prompt_whole_or_not_at_all(texts: Texts) -> None:
    rows = [{"prompt": "same" if n % 2 else f"q {n}", "completion": f"a {n}"} for n in range(2500)]
    read = texts(rows)
    taken = balance._sample(read, "not general")
    share = sum(int(text.split()[1]) % 2 for text in taken) / len(taken)
    assert len(taken) == balance.SAMPLED
    assert 0.42 < share < 0.58
    assert taken == balance._sample(read, "not general")


def test_labels_and_single_words_have_no_diversity_to_judge(texts: Texts) -> None:
    strict = DiversityCheck(warn_below=1, error_below=1)
    classes = [{"text": f"q {n}", "label": "not at all good"} for n in range(20)]
    for rows in (classes, answers(["yes"] * 20)):
        finding = balance.diversity(texts(rows), strict)
        assert (finding.state, finding.message) == ("pass", "no answers of several words")


# ---------------------------------------------------------------- drift


def test_tails_equal_those_of_scipy() -> None:
    from scipy import stats

    for value, freedom in itertools.product((0.01, 0.5, 3, 12, 80, 900), (1, 2, 3, 8, 41, 700)):
        expected = stats.chi2.sf(value, freedom)
        assert chi_square_tail(value, freedom) == pytest.approx(expected, rel=1e-9, abs=1e-300)
    for n, m, distance in itertools.product((40, 3000), (25, 900), (0.05, 0.1, 0.2, 0.4)):
        size = round(n * m / (n + m))
        exact = stats.kstwo.sf(distance, size)
        assert kolmogorov(distance, n, m) == pytest.approx(exact, rel=0.25, abs=0.01)
    assert kolmogorov(0.0, 10, 10) == 1.0
    assert chi_square_tail(0.0, 3) == 1.0


def share_up_to(lengths: Sequence[int], length: int) -> float:
    return sum(each <= length for each in lengths) / len(lengths)


lengths = st.lists(st.integers(1, 12), min_size=1, max_size=40)


@settings(max_examples=25, deadline=None)
@given(trained=lengths, held=lengths, part=st.sampled_from(["validation", "test"]))
def test_length_distances_equal_brute_force(
    table: Table, trained: list[int], held: list[int], part: str
) -> None:
    rows: list[Row] = [{"completion_length": length, "blank_prompt": True} for length in trained]
    rows += [{"completion_length": n, "blank_prompt": True, "part": part} for n in held]
    rows += [{"completion_length": 10**6, "general": True}]
    (distance,) = distances(table(rows))
    assert (distance.part, distance.what) == (part, "answer lengths")
    apart = (share_up_to(trained, length) - share_up_to(held, length) for length in range(13))
    assert distance.value == pytest.approx(max(map(abs, apart)))
    low = [sorted(each)[(len(each) - 1) // 2] for each in (trained, held)]
    assert distance.detail == "median {} characters, there {}".format(*low)


@settings(max_examples=25, deadline=None)
@given(counts=st.lists(st.tuples(st.integers(10, 60), st.integers(10, 60)), min_size=2, max_size=5))
def test_label_distances_equal_those_of_scipy(table: Table, counts: list[tuple[int, int]]) -> None:
    from scipy.stats import chi2_contingency
    from scipy.stats.contingency import association

    rows: list[Row] = []
    for label, (trained, held) in zip("abcde", counts, strict=False):
        rows += [{"label": label, "blank_prompt": True}] * trained
        rows += [{"label": label, "blank_prompt": True, "part": "test"}] * held
    (distance,) = distances(table(rows))
    observed = [list(side) for side in zip(*counts, strict=True)]
    assert distance.chance == pytest.approx(chi2_contingency(observed, correction=False).pvalue)
    # weighted alike: rows of each part scaled to one size
    common = sum(observed[0]) * sum(observed[1])
    alike = [[count * common // sum(side) for count in side] for side in observed]
    assert distance.value == pytest.approx(association(alike, method="cramer"))


def test_rare_labels_are_pooled(table: Table) -> None:
    rows: list[Row] = [
        {"label": f"rare {n}", "part": "test" if n % 2 else "train"} for n in range(40)
    ]
    rows += [{"label": label, "part": p} for label in "ab" for p in ("train", "test")] * 30
    by_label = [each for each in distances(table(rows)) if each.what == "labels"]
    assert [(each.value, each.chance) for each in by_label] == [(0.0, 1.0)]


def spread(count: int, typical: float, part: str, seed: int) -> list[Row]:
    draw = random.Random(seed)
    return [
        {"completion_length": round(draw.lognormvariate(typical, 0.6)) + 1, "part": part}
        for _ in range(count)
    ]


DRIFT_CASES: dict[str, tuple[list[Row], str, str]] = {
    "alike": (
        [*spread(600, 5, "train", 1), *spread(200, 5, "test", 2)],
        "pass",
        "no more than chance; furthest: answer lengths of test",
    ),
    "longer": (
        [*spread(600, 5, "train", 1), *spread(200, 6, "test", 2), *spread(90, 5, "validation", 3)],
        "warn",
        "answer lengths of test: distance 0.6",
    ),
    "far, but few": (
        [*spread(600, 5, "train", 1), *spread(6, 5.4, "test", 4)],
        "pass",
        "no more than chance; furthest: answer lengths of test: distance 0.3",
    ),
    "many, but near": (
        [*spread(2000, 5, "train", 1), *spread(2000, 5.08, "test", 2)],
        "pass",
        "nothing is far off; furthest: answer lengths of test: distance 0.0",
    ),
    "other labels in a small part": (
        [*labelled(yes=200, no=200), *[{"label": "yes", "part": "test"}] * 20],
        "warn",
        "labels of test: distance 0.58 (yes: 50%, there 100%)",
    ),
    "general rows do not count": (
        [*spread(600, 5, "train", 1), *spread(200, 5, "test", 2),
         *[{"completion_length": 9999, "general": True}] * 900],
        "pass",
        "no more than chance",
    ),
    "nothing held out": (
        spread(60, 5, "train", 1), "pass", "no held-out rows to compare with training",
    ),
    "no rows": ([], "pass", "no held-out rows to compare with training"),
}  # fmt: skip


@pytest.mark.parametrize("case", DRIFT_CASES)
def test_drift(table: Table, case: str) -> None:
    rows, state, message = DRIFT_CASES[case]
    finding = balance.drift(table(rows), DRIFT)
    assert (finding.state, finding.message[: len(message)]) == (state, message)
    assert "above 0.15" in finding.threshold and "1%" in finding.threshold
    assert balance.drift(table(rows), DriftCheck(None, None, 0.01)).state == "pass"


def test_drift_can_stop_a_run(table: Table) -> None:
    rows = [*spread(600, 5, "train", 1), *spread(200, 6, "test", 2)]
    assert balance.drift(table(rows), DriftCheck(0.15, 0.3, 0.01)).state == "error"


# ---------------------------------------------------------------- preference pairs


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([None, True, False]), st.booleans()), max_size=15))
def test_equal_pairs_are_found(
    table: Table, found: Found, drawn: list[tuple[bool | None, bool]]
) -> None:
    read = table(
        [
            {"same_pair": same, "rejected_length": None if same is None else 9, "general": general}
            for same, general in drawn
        ]
    )
    finding: Finding = balance.preference_pairs(read, ShareCheck(0.0, 0.5))
    pairs = [same for same, general in drawn if same is not None and not general]
    assert list(found(read, "preference_pairs")) == [
        line for line, row in enumerate(drawn, 1) if row == (True, False)
    ]
    if not pairs:
        assert (finding.state, finding.message) == ("pass", "no preference pairs")
    else:
        assert (finding.count, finding.total) == (sum(pairs), len(pairs))
        share = sum(pairs) / len(pairs)
        assert finding.state == ("error" if share > 0.5 else "warn" if share else "pass")

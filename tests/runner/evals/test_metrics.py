from __future__ import annotations

import math
import random
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl import metrics as declared
from runner.evals.metrics import METRICS, Prediction, collect, notes, score, signature
from runner.evals.text import ends_in_loop, normalise_answer, seq_rep, words


def answer(text=None, tokens=None, finished=None, nats=None, target_tokens=None, target_bytes=None):
    return Prediction("1", text, tokens, finished, nats, target_tokens, target_bytes)


def corpus(name, predictions, references):
    """The metric over all examples, from the sums of their statistics."""
    rows = [row for row in collect(METRICS[name], predictions, references) if row is not None]
    return float(METRICS[name].aggregate(np.sum(rows, axis=0)))


vocabulary = st.sampled_from(
    [
        "the",
        "The",
        "cat",
        "sat",
        "on",
        "a",
        "mat",
        ".",
        ",",
        "it's",
        "5.0",
        "환불은",
        "दिन",
        "早",
        "é",
    ]
)
sentences = st.lists(vocabulary, max_size=9).map(" ".join) | st.text(max_size=30)
pairs = st.lists(st.tuples(sentences, sentences), min_size=1, max_size=6)
ascii_text = st.text(st.characters(max_codepoint=127), max_size=60) | st.lists(
    st.sampled_from(["a", "b", "C", "d_e", "f-g", "7"]), max_size=12
).map(" ".join)


# Declarations ----------------------------------------------------------------------------------


def test_the_functions_are_those_of_the_declared_metrics():
    assert list(METRICS) == list(declared.METRICS)
    for name, metric in METRICS.items():
        assert metric.info is declared.METRICS[name]
        assert metric.name == name


def test_families_stand_for_metrics_and_share_no_name_with_them():
    assert not set(declared.FAMILIES) & set(declared.METRICS)
    for members in declared.FAMILIES.values():
        assert set(members) <= set(declared.METRICS)
    assert set(declared.KNOWN) == set(declared.FAMILIES) | set(declared.METRICS)


def test_expansion_keeps_the_order_and_names_each_metric_once():
    names = ["rouge_l", "rouge", "loss", "repetition", "loss"]
    expanded = ("rouge_l", "rouge_1", "rouge_2", "loss", "seq_rep_4", "loop_rate", "truncated_rate")
    assert declared.expand_metrics(names) == expanded
    with pytest.raises(KeyError):
        declared.expand_metrics(["rogue"])


full = answer("a b c d e", (1, 2, 3, 4, 5), True, 3.0, 5, 9)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_scores_what_it_needs_and_nothing_else(name):
    needs = METRICS[name].needs
    generated = answer(full.text, full.tokens, full.finished)
    likelihood = answer(nats=full.nats, target_tokens=5, target_bytes=9)
    assert score(METRICS[name], full, "a b c d e") is not None
    assert (score(METRICS[name], generated, "a b c d e") is None) == (needs == "likelihood")
    assert (score(METRICS[name], likelihood, "a b c d e") is None) == (needs == "generation")


@pytest.mark.parametrize("name", [name for name, m in METRICS.items() if m.info.event])
@given(text=sentences, reference=sentences, tokens=st.lists(st.integers(0, 2), max_size=50))
@settings(max_examples=30)
def test_a_rate_is_one_yes_or_no_an_example(name, text, reference, tokens):
    row = METRICS[name].statistics(answer(text, tuple(tokens), False), reference)
    assert row is not None and row[0] in (0.0, 1.0) and row[1] == 1.0


# Likelihood ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 50, 49152])
def test_the_perplexity_of_uniform_logits_is_the_size_of_the_vocabulary(size):
    examples = [answer(nats=n * math.log(size), target_tokens=n) for n in (1, 3, 117)]
    assert corpus("perplexity", examples, [""] * 3) == pytest.approx(size)


def perplexity_is_right(perplexity):
    return perplexity(np.array([2.0, 1.0])) == pytest.approx(7.389, abs=1e-3)


def test_perplexity_is_the_exponential_of_the_loss_in_nats():
    assert perplexity_is_right(METRICS["perplexity"].aggregate)
    assert not perplexity_is_right(lambda sums: 2 ** METRICS["loss"].aggregate(sums))


def test_loss_weighs_tokens_not_examples():
    examples = [answer(nats=10.0, target_tokens=5), answer(nats=1.0, target_tokens=1)]
    mean_of_means = np.mean([score(METRICS["loss"], each, "") for each in examples])
    assert corpus("loss", examples, ["", ""]) == pytest.approx(11 / 6)
    assert mean_of_means == pytest.approx(1.5)


@given(
    st.lists(st.tuples(st.floats(0, 500), st.integers(1, 90)), min_size=1, max_size=20),
    st.randoms(use_true_random=False),
)
def test_loss_does_not_depend_on_order_or_batches(examples, shuffler):
    together = [answer(nats=nats, target_tokens=tokens) for nats, tokens in examples]
    shuffled = shuffler.sample(together, len(together))
    rows = np.array(collect(METRICS["loss"], shuffled, [""] * len(shuffled)))
    batches = np.array_split(rows, shuffler.randint(1, len(rows)))
    batched = METRICS["loss"].aggregate(np.sum([batch.sum(axis=0) for batch in batches], axis=0))
    assert float(batched) == pytest.approx(corpus("loss", together, [""] * len(together)))


def test_one_bit_for_each_byte():
    assert corpus("bits_per_byte", [answer(nats=8 * math.log(2), target_bytes=8)], [""]) == 1.0


def test_a_diverged_loss_is_carried_on_and_an_absent_one_is_not_a_zero():
    diverged, fine = answer(nats=math.nan, target_tokens=3), answer(nats=3.0, target_tokens=3)
    assert math.isnan(corpus("loss", [diverged, fine], ["", ""]))
    assert score(METRICS["loss"], diverged, "") is None
    assert METRICS["loss"].statistics(answer(nats=0.0, target_tokens=0), "") is None
    assert METRICS["bits_per_byte"].statistics(answer(nats=1.0, target_bytes=None), "") is None
    assert corpus("perplexity", [answer(nats=1e6, target_tokens=1)], [""]) == math.inf


# Oracles ---------------------------------------------------------------------------------------


@given(pairs)
@settings(max_examples=150, deadline=None)
def test_bleu_is_sacrebleus(texts):
    from sacrebleu.metrics.bleu import BLEU

    predictions, references = [answer(text) for text, _ in texts], [r for _, r in texts]
    theirs = BLEU().corpus_score([text for text, _ in texts], [references]).score
    assert corpus("bleu", predictions, references) == pytest.approx(theirs, abs=1e-9)


@given(pairs)
@settings(max_examples=150, deadline=None)
def test_chrf_is_sacrebleus(texts):
    from sacrebleu.metrics.chrf import CHRF

    predictions, references = [answer(text) for text, _ in texts], [r for _, r in texts]
    theirs = CHRF().corpus_score([text for text, _ in texts], [references]).score
    assert corpus("chrf", predictions, references) == pytest.approx(theirs, abs=1e-9)


def test_many_corpora_are_aggregated_at_once():
    texts = ["the cat sat on the mat", "it is here now and then", "x", ""]
    for name in METRICS:
        rows = collect(METRICS[name], [full] * 4, texts)
        table = np.array([row for row in rows if row is not None])
        one_by_one = [METRICS[name].aggregate(row) for row in table]
        np.testing.assert_array_equal(METRICS[name].aggregate(table), one_by_one)


@given(ascii_text, ascii_text)
@settings(max_examples=150, deadline=None)
def test_rouge_is_rouge_scores_on_ascii(text, reference):
    from rouge_score.rouge_scorer import RougeScorer

    kinds = {"rouge_1": ("rouge1", 1), "rouge_2": ("rouge2", 2), "rouge_l": ("rougeL", 1)}
    theirs = RougeScorer([kind for kind, _ in kinds.values()]).score(reference, text)
    for name, (kind, smallest) in kinds.items():
        ours = score(METRICS[name], answer(text), reference)
        if len(words(reference)) < smallest:
            assert ours is None and theirs[kind].fmeasure == 0
        else:
            assert ours == theirs[kind].fmeasure


@given(ascii_text)
def test_words_are_rouge_scores_tokens_on_ascii(text):
    from rouge_score.tokenize import tokenize

    assert words(text) == tokenize(text, None)


# Text ------------------------------------------------------------------------------------------


def test_rouge_of_the_cat_on_the_mat():
    mat = score(METRICS["rouge_1"], answer("the cat sat on the mat"), "the cat is on the mat")
    assert mat == pytest.approx(0.8333, abs=1e-4)


korean = "환불은 영업일 기준 5일이 걸립니다."


def test_identical_korean_has_rouge_one_where_the_default_tokenizer_gives_zero():
    from rouge_score.rouge_scorer import RougeScorer

    for name in ("rouge_1", "rouge_2", "rouge_l"):
        assert score(METRICS[name], answer(unicodedata.normalize("NFD", korean)), korean) == 1.0
    plain = "환불은 영업일 기준"
    assert RougeScorer(["rouge1"]).score(plain, plain)["rouge1"].fmeasure == 0.0


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("Straße, STRASSE!", ["strasse", "strasse"]),
        ("snake_case x2", ["snake", "case", "x2"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("Cafe\u0301", ["caf\u00e9"]),
        ("我爱GPT模型", ["我", "爱", "gpt", "模", "型"]),
        ("カレーを食べる", list("カレーを食べる")),
    ],
)
def test_words(text, tokens):
    assert words(text) == tokens


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("The  Answer, is: 42!", "answer is 42"),
        ("An apple a day", "apple day"),
        ("Theory of a-n", "theory of"),
        ("“Yes” — the end…", "yes end"),
        ("the", ""),
    ],
)
def test_answers_are_normalised(text, bare):
    assert normalise_answer(text) == bare


@pytest.mark.parametrize(
    ("text", "reference", "exact", "f1"),
    [
        ("The cat.", "cat", 1, 1),
        ("", "", 1, 1),
        ("the", "a", 1, 1),
        ("", "cat", 0, 0),
        ("cat", "", 0, 0),
        ("black cat", "cat", 0, 2 / 3),
        ("cat cat", "cat dog", 0, 1 / 2),
        ("dog", "cat", 0, 0),
    ],
)
def test_answers_are_compared(text, reference, exact, f1):
    assert score(METRICS["exact_match"], answer(text), reference) == exact
    assert score(METRICS["token_f1"], answer(text), reference) == pytest.approx(f1)


def test_length_ratio_is_of_the_totals():
    assert corpus("length_ratio", [answer("a b c"), answer("")], ["a", "b c"]) == 1.0
    assert score(METRICS["length_ratio"], answer("a"), "") is None


# Repetition ------------------------------------------------------------------------------------


def ids(text):
    """Each word's first position as its token id."""
    found = text.split()
    return tuple(found.index(word) for word in found)


def noise(n):
    return tuple(range(1000, 1000 + n))


period_64, period_65 = tuple(range(64)), tuple(range(65))


@pytest.mark.parametrize(
    ("tokens", "loops"),
    [
        (ids("The refund takes 5 days. " * 20), True),
        (noise(40) + ids("The refund takes 5 days. " * 20), True),
        (ids("The refund takes 5 days. " * 20) + noise(1), False),
        ((7,) * 32, True),
        ((7,) * 31, False),
        (period_64 * 4, True),
        (period_64 * 3 + period_64[:63], False),
        (period_64 * 4 + period_64[:10], True),
        (period_65 * 5, False),
        (noise(200), False),
        ((), False),
    ],
)
def test_loops(tokens, loops):
    assert ends_in_loop(tokens) == loops
    assert score(METRICS["loop_rate"], answer(tokens=tokens, finished=True), "") == loops


@given(st.lists(st.integers(0, 1), max_size=12), st.integers(0, 40), st.integers(0, 9))
def test_loops_are_those_of_the_definition(head, copies, cut):
    period = tuple(random.Random(copies).choices((0, 1), k=9))[cut:]
    tokens = tuple(head) + period * copies + period[: cut // 2]

    def is_loop(length, size):
        return all(tokens[-i] == tokens[-i - size] for i in range(1, length - size + 1))

    slow = any(
        is_loop(length, size)
        for length in range(32, len(tokens) + 1)
        for size in range(1, min(64, length // 4) + 1)
    )
    assert ends_in_loop(tokens) == slow


half_new = ids("a b c d " * 5) + noise(9)  # 26 4-grams, 13 of them new: no more than half repeat
mostly_old = ids("a b c d " * 12) + noise(9)


@pytest.mark.parametrize(
    ("tokens", "finished", "loops"),
    [
        (mostly_old, False, 1.0),  # at the cap, and most of it was written before
        (mostly_old, True, 0.0),
        (mostly_old, None, None),  # whether it ended decides, and nobody knows
        (half_new, False, 0.0),
        (half_new, None, 0.0),
        ((7,) * 40, None, 1.0),
        (None, False, None),
    ],
)
def test_an_unfinished_answer_loops_when_most_of_it_repeats(tokens, finished, loops):
    prediction = answer(tokens=tokens, finished=finished)
    assert score(METRICS["loop_rate"], prediction, "") == loops


@pytest.mark.parametrize(
    ("tokens", "repeated"),
    [((), 0), ((1, 1, 1), 0), ((1, 1, 1, 1), 0), ((1,) * 8, 4 / 5), (noise(30), 0)],
)
def test_repeated_four_grams(tokens, repeated):
    assert seq_rep(tokens) == pytest.approx(repeated)
    assert score(METRICS["seq_rep_4"], answer(tokens=tokens), "") == pytest.approx(repeated)


def test_an_answer_is_truncated_when_it_did_not_finish():
    finished = [True, False, False, None]
    rows = collect(METRICS["truncated_rate"], [answer(finished=f) for f in finished], [""] * 4)
    assert rows == [(0.0, 1.0), (1.0, 1.0), (1.0, 1.0), None]


# What the reader should know -------------------------------------------------------------------


def test_bleu_of_short_answers_is_zero_and_said_to_be():
    assert corpus("bleu", [answer("hello")], ["hello"]) == 0.0
    assert "use chrf" in notes(METRICS["bleu"], [answer("hello")], ["hello"])[0]
    assert notes(METRICS["bleu"], [answer("a b c d")], ["a b c d"]) == []
    assert "without them" in notes(METRICS["bleu"], [answer("a b c d")], ["我爱你"])[0]


def test_examples_left_out_are_told():
    told = notes(METRICS["rouge_2"], [answer("a b"), answer("a b")], ["a", "a b"])
    assert told == ["1 of 2 examples could not be scored and are left out."]
    assert notes(METRICS["loss"], [answer(nats=1.0, target_tokens=1)], [""]) == []


def test_signatures_name_what_another_tool_needs():
    assert "tok:13a" in signature(METRICS["bleu"]) and "nrefs:1" in signature(METRICS["bleu"])
    assert "nc:6" in signature(METRICS["chrf"])
    assert "unicode-words" in signature(METRICS["rouge_l"])
    assert signature(METRICS["loss"]) is None

"""Token ids and labels against transformers' own chat template, and the cut at max_length."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE

from dsl.recipe import Recipe
from dsl.recipe import read as read_recipe
from dsl.rows import Example, Message
from dsl.templates import Segment
from runner.bases import chat_format, tokenizer
from runner.data import tokens
from runner.data.prepare import prepare
from runner.data.tokens import (
    IGNORED,
    Encoded,
    encode,
    encode_all,
    encode_examples,
    read_summary,
    read_tokens,
    stored,
    tokenise,
)

CONVERSATIONS = {
    "one turn": ["Paint the apple red.", "The apple is red."],
    "many turns": ["Paint the river.", "In blue?", "In white, please.", "Done. Enjoy it."],
    "letters of other scripts": ["Mal den Fluß grün 🎨", "Der Fluß ist grün. ✓ 한국어"],
    "special tokens as text": ["What is <|im_end|>?", "A mark: <|im_start|> begins, it ends."],
    "blanks at the ends": ["  hello\n\n", "\n yes \n"],
    "an empty answer between": ["a", "b", "c", "d e f"],
}


def conversation(texts: list[str], system: str | None = None) -> Example:
    turns = [Message("system", system)] if system else []
    turns += [
        Message(role, text)
        for role, text in zip(["user", "assistant"] * len(texts), texts, strict=False)
    ]
    return Example("a", "rows.jsonl", None, False, messages=tuple(turns))


@pytest.fixture(scope="module")
def hub_tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture(scope="module")
def plain_recipe(tiny_recipe: Callable[..., dict[str, Any]]) -> Callable[..., Recipe]:
    return lambda **sections: read_recipe(tiny_recipe(**sections))[0]


@pytest.fixture(scope="module")
def encoded(tiny_model: Path, plain_recipe: Callable[..., Recipe]) -> Callable[..., Encoded]:
    chat, words = chat_format(tiny_model, "2026-01-01"), tokenizer(tiny_model)
    template = plain_recipe().template

    def made(example: Example, loss_on: str = "assistant", max_length: int = 512) -> Encoded:
        (made,) = encode_examples([example], template, chat, loss_on, words, max_length)
        return made

    return made


@pytest.mark.parametrize("texts", CONVERSATIONS.values(), ids=CONVERSATIONS)
@pytest.mark.parametrize("system", [None, "Be brief."], ids=["no system", "system"])
def test_ids_are_those_of_the_chat_template(
    texts: list[str], system: str | None, encoded: Callable[..., Encoded], hub_tokenizer: Any
) -> None:
    example = conversation(texts, system)
    turns = [turn.to_json() for turn in example.messages]
    expected = hub_tokenizer.apply_chat_template(turns, tokenize=True, return_dict=True)
    assert list(encoded(example).input_ids) == expected["input_ids"]


@pytest.mark.parametrize("texts", CONVERSATIONS.values(), ids=CONVERSATIONS)
@pytest.mark.parametrize("loss_on", ["assistant", "last", "all"])
def test_labels_stand_at_the_answers_with_their_end_of_turn(
    texts: list[str], loss_on: str, encoded: Callable[..., Encoded], hub_tokenizer: Any
) -> None:
    example = conversation(texts)
    found = encoded(example, loss_on)
    turns = [turn.to_json() for turn in example.messages]

    def ids(upto: int, prompt: bool = False) -> list[int]:
        text = hub_tokenizer.apply_chat_template(
            turns[:upto], tokenize=False, add_generation_prompt=prompt
        )
        return list(hub_tokenizer(text, add_special_tokens=False).input_ids)

    expected = [IGNORED] * len(found.input_ids)
    answers = [n for n, turn in enumerate(turns) if turn["role"] == "assistant"]
    for n in answers if loss_on == "assistant" else answers[-1:]:
        begin = len(ids(n, prompt=True))
        # a turn ends in <|im_end|> and a line break: the model writes the first, not the second
        end = len(ids(n + 1)) - 1
        expected[begin:end] = found.input_ids[begin:end]
        assert found.input_ids[end - 1] == hub_tokenizer.eos_token_id
    if loss_on == "all":
        expected = list(found.input_ids)
    assert list(found.labels) == expected
    assert found.trained == sum(label != IGNORED for label in expected[1:]) > 0
    assert found.lost == 0


def test_a_cut_counts_the_answer_tokens_that_it_loses(encoded: Callable[..., Encoded]) -> None:
    example = conversation(CONVERSATIONS["many turns"])
    whole = encoded(example)
    for length in range(1, len(whole.input_ids) + 2):
        cut = encoded(example, max_length=length)
        assert cut.input_ids == whole.input_ids[:length]
        assert cut.labels == whole.labels[:length]
        beyond = [label for label in whole.labels[length:] if label != IGNORED]
        assert cut.lost == len(beyond)


def test_a_token_over_the_edge_of_an_answer_belongs_to_the_answer(tiny_model: Path) -> None:
    """Here the tokenizer joins ' is' from the prompt's blank and the answer's first letters."""
    words = tokenizer(tiny_model)
    segments = [Segment("The apple ", "user", False), Segment("is red.", "assistant", True)]
    ids, labels = encode(segments, words)
    assert ids == words.encode("The apple is red.").ids
    assert words.decode([i for i in labels if i != IGNORED]) == " is red."


def plain_tokenizer(kind: str) -> Tokenizer:
    """One token a byte."""
    alphabet = {c: n for n, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    words = Tokenizer(BPE(alphabet, []))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space="blank in front" in kind)
    if kind == "composed":
        words.normalizer = normalizers.NFC()
    if "places without blanks" in kind:
        words.post_processor = processors.ByteLevel(trim_offsets=True)
    return words


def labels_by_pieces(segments: Sequence[Segment], words: Tokenizer) -> list[int]:
    """Each segment by itself, where that makes the same tokens; else by the letters that a token
    stands for."""
    text = "".join(s.text for s in segments)
    whole = words.encode(text, add_special_tokens=False)
    pieces = [words.encode(s.text, add_special_tokens=False).ids for s in segments]
    if [token for piece in pieces for token in piece] == whole.ids:
        trained = [s.trained for s, piece in zip(segments, pieces, strict=True) for _ in piece]
    else:
        edges = list(accumulate((len(s.text) for s in segments), initial=0))
        spans = [span for span, s in zip(pairwise(edges), segments, strict=True) if s.trained]
        trained = [
            any(begin < stop and end > start for start, stop in spans)
            for begin, end in whole.offsets
        ]
    return [token if on else IGNORED for token, on in zip(whole.ids, trained, strict=True)]


KINDS = (
    "", "blank in front", "composed", "places without blanks",
    "blank in front, places without blanks",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@given(
    texts=st.lists(
        st.lists(
            st.tuples(st.text("ab \n\u0301e\U0001f3a8", max_size=6), st.booleans()), max_size=4
        ),
        max_size=5,
    )
)
def test_labels_are_those_of_each_segment_by_itself(
    kind: str, texts: list[list[tuple[str, bool]]]
) -> None:
    words = plain_tokenizer(kind)
    rendered = [tuple(Segment(text, "", trained) for text, trained in row) for row in texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "CHARACTERS_AT_ONCE", 8)  # several batches
        found = list(encode_all(enumerate(rendered), words))
    assert [key for key, _, _ in found] == list(range(len(rendered)))
    for (_, ids, labels), segments in zip(found, rendered, strict=True):
        assert ids == words.encode("".join(s.text for s in segments)).ids
        assert labels == labels_by_pieces(segments, words)


def test_rows_without_targets_are_dropped_and_told(
    tmp_path: Path,
    tiny_model: Path,
    plain_recipe: Callable[..., Recipe],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tokens, "ROWS_AT_ONCE", 2)  # written in two portions
    monkeypatch.setattr(tokens, "ROWS_TOLD", 2)
    long = " ".join(["river"] * 200)
    rows = [
        {"id": "whole", "prompt": "Paint the apple.", "completion": "Red."},
        {"id": "cut", "prompt": "Paint all.", "completion": long},
        {"id": "dropped", "prompt": long, "completion": "Red."},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    recipe = plain_recipe(
        data={
            "train": [{"path": "rows.jsonl", "columns": {"id": "id"}}],
            "split": {"validation": 0, "test": 0},
        },
        training={"max_length": 40},
    )
    prepared = prepare(recipe, tmp_path)
    prepared.write(tmp_path / "data")
    prepared.close()
    chat = chat_format(tiny_model, "2026-01-01")
    parts = {part: tmp_path / "data" / f"{part}.parquet" for part in ("train", "validation")}
    words, told = tokenizer(tiny_model), []
    summaries = tokenise(recipe, chat, words, parts, tmp_path / "tokens", told.append)
    assert told == [2]
    train = summaries["train"]
    assert [row.rpartition(":")[2] for row in train.dropped] == ["dropped"]
    assert sorted(row.rpartition(":")[2] for row in train.cut) == ["cut", "dropped"]
    written = read_tokens(tmp_path / "tokens" / "train.parquet").to_pydict()
    assert len(written["id"]) == train.rows == 2
    assert train.total == sum(map(len, written["input_ids"]))
    assert train.longest == max(map(len, written["input_ids"])) == 40
    assert train.trained == sum(
        label != IGNORED for labels in written["labels"] for label in labels[1:]
    )
    assert summaries["validation"].rows == 0
    assert read_tokens(tmp_path / "tokens" / "validation.parquet").num_rows == 0
    assert read_summary(tmp_path / "tokens") == summaries


def test_the_store_of_tokens_tells_days_apart() -> None:
    assert stored("0123456789abcdef", "2026-01-01") != stored("0123456789abcdef", "2026-01-02")

"""An example as the model sees it: pieces make the text, and tokens are those of training."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE

from dsl.chat import CHATML
from dsl.recipe import Recipe, read
from dsl.rows import Example, Message
from dsl.templates import render
from runner.app.rendered import Model, Rendered, rendered
from runner.data.tokens import encode_examples

MARKS = ("<|im_start|>", "<|im_end|>")


def bytes_tokenizer() -> Tokenizer:
    """One token a byte, so that many characters have several; offsets leave blanks out."""
    vocabulary = {c: n for n, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    words = Tokenizer(BPE(vocabulary, []))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(False)
    words.decoder = decoders.ByteLevel()
    words.post_processor = processors.ByteLevel(trim_offsets=True)
    words.add_special_tokens(list(MARKS))
    return words


MODEL = Model(CHATML, bytes_tokenizer())


def recipe(**training: int) -> Recipe:
    values = {
        "name": "x", "model": {"base": "smollm2-135m-instruct"},
        "data": {"train": [{"path": "x.jsonl"}]},
        "template": {"type": "chat", "system": "Be brief."},
        "training": training,
    }  # fmt: skip
    return read(values)[0]


def of(prompt: str, completion: str, most: int = 4096) -> Rendered:
    example = Example("1", "x", prompt=prompt, completion=completion)
    return rendered(example, recipe(max_length=most), MODEL)


def test_the_answer_is_trained_and_the_rest_is_read() -> None:
    shown = of("Why?", "Because.")
    trained = "".join(piece.text for piece in shown.pieces if piece.trained)
    assert trained == "Because.<|im_end|>"
    assert shown.trained == len("Because.") + 1
    assert not any(piece.cut for piece in shown.pieces) and shown.lost == 0


@given(st.text(), st.text(min_size=1))
def test_pieces_make_the_text_and_its_tokens(prompt: str, completion: str) -> None:
    example = Example("1", "x", prompt=prompt, completion=completion)
    made = recipe(max_length=40)
    shown = rendered(example, made, MODEL)
    text = "".join(s.text for s in render(example, made.template, CHATML))
    assert "".join(piece.text for piece in shown.pieces) == text
    (trained,) = encode_examples(
        [example], made.template, CHATML, "assistant", MODEL.tokenizer, made.training.max_length
    )
    kept = [token for piece in shown.pieces if not piece.cut for token in piece.ids]
    assert tuple(kept) == trained.input_ids
    assert (shown.tokens, shown.trained) == (len(trained.input_ids), trained.trained)


def test_a_character_of_several_tokens_stands_once() -> None:
    shown = of("q", "é€😀")
    (piece,) = [piece for piece in shown.pieces if "😀" in piece.text]
    assert piece.text == "😀" and len(piece.ids) == 4


@pytest.mark.parametrize("most", [1, 20, 30])
def test_what_lies_behind_the_longest_length_is_cut(most: int) -> None:
    whole, shown = of("Why?", "Because."), of("Why?", "Because.", most)
    assert shown.tokens == most and whole.tokens
    assert shown.lost == whole.tokens - most
    kept = [token for piece in shown.pieces if not piece.cut for token in piece.ids]
    assert len(kept) == most


def test_without_the_model_there_are_segments_and_no_numbers() -> None:
    turns = (Message("user", "a"), Message("assistant", "b"))
    shown = rendered(Example("1", "x", messages=turns), recipe(), None)
    assert (shown.tokens, shown.trained, shown.lost) == (None, None, None)
    assert [piece.text for piece in shown.pieces if piece.trained] == ["b<|im_end|>"]
    assert not any(piece.ids for piece in shown.pieces)

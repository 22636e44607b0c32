"""What is cut off at max_length: every row tokenised for real, against the bound by bytes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE, WordLevel
from tokenizers.trainers import BpeTrainer

from dsl.chat import CHATML, ChatFormat
from dsl.recipe import Recipe, build
from dsl.rows import Example, Message
from dsl.schema import fill
from dsl.templates import render
from runner.data.checks import tokens
from runner.data.checks.tokens import Encoder
from runner.data.tokens import IGNORED

See = Callable[..., Any]
Row = dict[str, Any]
LETTERS = "abc deé🎨\u1100\u1161\u0344 한국\n"


@pytest.fixture(scope="module")
def see(see: See) -> See:
    return partial(see, only=("truncation",))


def byte_level(normalizer: Any = None) -> Tokenizer:
    words = Tokenizer(BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(False)
    words.decoder = decoders.ByteLevel()
    if normalizer is not None:
        words.normalizer = normalizer
    trainer = BpeTrainer(
        vocab_size=300,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words.train_from_iterator(["user assistant the river is wide"], trainer)
    return words


def recipe_of(max_length: int, **sections: Any) -> Recipe:
    values = {
        "name": "t", "model": {"base": "smollm2-135m-instruct"},
        "data": {"train": [{"path": "a.jsonl"}]},
        "training": {"max_length": max_length}, **sections,
    }  # fmt: skip
    return build(fill(values)[0])


def encoder(max_length: int = 48, words: Tokenizer | None = None, **sections: Any) -> Encoder:
    return Encoder(recipe_of(max_length, **sections), CHATML, words or byte_level())


def drawn_rows(count: int, seed: int = 1) -> list[Row]:
    drawn = random.Random(seed)

    def text(most: int) -> str:
        return "".join(drawn.choices(LETTERS, k=drawn.randrange(1, most)))

    return [{"prompt": f"{n} {text(12)}", "completion": text(30)} for n in range(count)]


def lost(rows: Sequence[Row], with_: Encoder) -> list[int]:
    """Lines of the rows that lose answer tokens, all of them tokenised."""
    found = []
    for n, row in enumerate(rows, 1):
        example = Example(str(n), "a", prompt=row["prompt"], completion=row["completion"])
        _, labels = with_.encode(example)
        if any(label != IGNORED for label in labels[with_.recipe.training.max_length :]):
            found.append(n)
    return found


NORMALIZERS = {"none": None, "NFC": normalizers.NFC(), "NFKC": normalizers.NFKC()}


@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_every_row_that_loses_tokens_is_found(normalizer: str, see: See) -> None:
    rows, words = drawn_rows(300), encoder(48, byte_level(NORMALIZERS[normalizer]))
    seen = see({"train": rows}, "full", encoder=words, split={"test": 0})
    expected = lost(rows, words)
    assert 20 < len(expected) < 280
    assert [int(id.rpartition(":")[2]) for id in seen.ids("truncation")] == expected
    finding = seen.findings["truncation"]
    assert (finding.count, finding.total, finding.how) == (len(expected), 300, "exact")
    assert finding.state == "error"
    assert all(str(note).endswith("tokens of the answer") for _, note in seen.found["truncation"])


@pytest.mark.parametrize("normalizer", ["none", "NFC"])
def test_no_text_makes_more_tokens_than_the_bound(normalizer: str) -> None:
    words = encoder(48, byte_level(NORMALIZERS[normalizer]))
    bound = words.bytes_bound()
    assert bound is not None
    factor, more = bound
    for row in drawn_rows(500, seed=4):
        ids, _ = words.encode(Example("", "", prompt=row["prompt"], completion=row["completion"]))
        size = len((row["prompt"] + row["completion"]).encode())
        assert len(ids) <= factor * size + more
        turns = tuple(Message(role, row["prompt"]) for role in ("user", "assistant") * 3)
        ids, _ = words.encode(Example("", "", messages=turns))
        assert len(ids) <= factor * 6 * len(row["prompt"].encode()) + more * 6


def test_no_bound_where_none_is_known() -> None:
    plain = Tokenizer(WordLevel({"[UNK]": 0}, "[UNK]"))
    own: dict[str, Any] = {"template": {"type": "chat", "prompt": "Say {{ prompt }}"}}
    assert encoder(words=plain).bytes_bound() is None
    assert encoder(words=byte_level(normalizers.NFKC())).bytes_bound() is None
    assert encoder(**own).bytes_bound() is None
    # the longer of what is tried, each marker one token
    assert encoder().bytes_bound() == (1, len(
        "<system\ns>\n<user\nq\n\ni>\n<assistant\na>\n"
    ))  # fmt: skip


def test_a_marker_that_may_be_broken_up_counts_by_its_bytes() -> None:
    plain, broken, word = byte_level(), byte_level(), byte_level()
    broken.add_special_tokens(["</q<|im"])  # a text that ends in </q takes the marker's beginning
    word.add_special_tokens([AddedToken("<|im_end|>", single_word=True)])
    starts, ends = 3 * len("<|im_start|"), 3 * len("<|im_end|")
    bounds = [encoder(words=words).bytes_bound() for words in (plain, broken, word)]
    more = [bound[1] for bound in bounds if bound is not None]
    assert more == [more[0], more[0] + starts + ends, more[0] + ends]
    ids, _ = encoder(words=broken).encode(Example("", "", prompt="q", completion="a</q"))
    assert len(ids) <= len("qa</q") + more[1]


TEMPLATES: dict[str, dict[str, Any]] = {
    "chat": {"type": "chat", "system": "Be brief."},
    "chatml": {"type": "chatml"},
    "alpaca": {"type": "alpaca"},
    "jinja": {"type": "jinja", "prompt": "Q: {{ prompt }}\n", "completion": "{{ completion }}"},
}
TURNS = tuple(Message(role, f"{role} {n}") for n in (1, 2) for role in ("user", "assistant"))
EXAMPLES = {
    "flat": Example("", "", prompt="q", completion="a"),
    "system": Example("", "", prompt="q", completion="a", system="s"),
    "alpaca": Example("", "", prompt="q\n\ni", completion="a", columns={
        "instruction": "q", "input": "i"}),
    "turns": Example("", "", messages=TURNS),
}  # fmt: skip


RENDERED = [
    (template, kind)
    for template in TEMPLATES
    for kind in EXAMPLES
    if kind != "turns" or template.startswith("chat")
]


@pytest.mark.parametrize(("template", "kind"), RENDERED)
def test_what_is_counted_is_the_text_that_is_trained(template: str, kind: str) -> None:
    words, example = encoder(template=TEMPLATES[template]), EXAMPLES[kind]
    segments = render(example, words.recipe.template, words.chat)
    assert words.text(example) == "".join(segment.text for segment in segments)
    bound = words.bytes_bound()
    if bound is not None:
        texts = [turn.content for turn in example.messages] or [example.prompt, example.completion]
        size = sum(len(text.encode()) for text in (*texts, example.system or ""))
        assert len(words.encode(example)[0]) <= size + bound[1] * (len(example.messages) or 1)


def test_rows_that_cannot_be_rendered_are_left_to_other_checks(see: See) -> None:
    base = Encoder(recipe_of(48), ChatFormat(None, "", ""), byte_level())
    seen = see({"train": drawn_rows(20)}, "full", encoder=base)
    assert (seen.findings["truncation"].state, seen.findings["truncation"].count) == ("pass", 0)
    assert seen.prepared.profile["tokens"] is None
    assert seen.prepared.profile["tokens_missing"] == "no row can be rendered"


def test_definitions_of_tools_count(see: See) -> None:
    words = "a tool that tells how wide a river is, and how deep "
    tool = {"type": "function", "function": {"name": "f", "description": words * 20}}
    template = "{% for t in tools or [] %}{{ t | tojson }}\n{% endfor %}" + str(CHATML.template)
    chat = ChatFormat(template, "", "<|im_end|>", CHATML.special)
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    rows: list[Row] = [{"messages": turns, "tools": [tool]}, {"messages": turns}]
    base = Encoder(recipe_of(200), chat, byte_level())
    seen = see({"train": rows}, "full", encoder=base, split={"test": 0, "validation": 0})
    assert seen.ids("truncation") == ["train.jsonl:1"]


def test_the_test_part_is_never_cut(see: See) -> None:
    short = [{"prompt": f"q {n}", "completion": "a"} for n in range(30)]
    seen = see({"train": short, "test": drawn_rows(50)}, "full", encoder=encoder(48))
    assert (seen.findings["truncation"].count, seen.findings["truncation"].total) == (0, 30)


def test_more_rows_than_are_tokenised_are_a_sample(
    see: See, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, words = drawn_rows(400), encoder(48)
    monkeypatch.setattr(tokens, "TOKENISED_ROWS", 150)
    monkeypatch.setattr(tokens, "SAMPLED_ROWS", 100)
    seen = see({"train": rows}, "full", encoder=words, split={"test": 0})
    finding, losing = seen.findings["truncation"], lost(rows, words)
    assert finding.how == "sampled"
    assert abs(finding.count - len(losing)) < 25
    found = {int(id.rpartition(":")[2]) for id in seen.ids("truncation")}
    assert found < set(losing)
    # the longest of all are never left to chance
    sizes = {n: sum(len(text.encode()) for text in row.values()) for n, row in enumerate(rows, 1)}
    longest = sorted(sizes, key=lambda n: -sizes[n])[:90]
    assert set(longest) & set(losing) <= found
    assert len(set(longest) & set(losing)) > 60


@pytest.mark.parametrize(("portion", "read_rows"), [(20, 70), (40, 90), (60, 130)])
def test_the_longest_are_read_until_a_portion_loses_nothing(
    portion: int, read_rows: int, see: See, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And ten more, of those that are left."""
    # with the portion, else what was remembered of another one would be told
    rows = [
        {"prompt": f"{n} {portion}", "completion": "x" * (40 if n < 30 else 20)} for n in range(200)
    ]
    words = encoder(48, byte_level(NORMALIZERS["NFC"]))  # 3 tokens a byte at most
    monkeypatch.setattr(tokens, "TOKENISED_ROWS", 199)
    monkeypatch.setattr(tokens, "PORTION_ROWS", portion)
    monkeypatch.setattr(tokens, "SAMPLED_ROWS", 10)
    tokenised: list[str] = []
    text = Encoder.text
    monkeypatch.setattr(
        Encoder, "text", lambda self, example: tokenised.append(example.id) or text(self, example)
    )
    seen = see({"train": rows}, "full", encoder=words, split={"test": 0})
    finding = seen.findings["truncation"]
    assert (finding.count, finding.how) == (30, "sampled")
    assert [int(id.rpartition(":")[2]) for id in seen.ids("truncation")] == lost(rows, words)
    assert len(list(filter(None, tokenised))) == read_rows


def test_without_a_tokenizer_it_is_not_run(see: See) -> None:
    finding = see({"train": drawn_rows(5)}, "full").findings["truncation"]
    assert (finding.state, finding.count) == ("not_run", None)
    assert "tokenizer" in finding.message

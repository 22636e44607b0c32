"""Checks of texts: what the patterns find in every field of every row, and nothing else."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from runner.bases import chat_format, tokenizer
from runner.data.checks import content
from runner.data.checks.tokens import Encoder
from runner.data.patterns.encoding import encoding
from runner.data.patterns.markers import markers
from runner.data.patterns.pii import pii
from runner.data.patterns.placeholders import placeholders
from runner.data.patterns.refusals import refusals
from runner.data.patterns.repetition import repetition
from runner.data.patterns.secrets import BASE62, secrets

See = Callable[..., Any]
Row = dict[str, Any]
NO_SPLIT = {"test": 0, "validation": 0}
FINDERS: Mapping[str, Callable[[str], list[Any]]] = {
    "special_tokens": markers, "placeholders": placeholders, "encoding": encoding,
    "secrets": secrets, "pii": pii,
}  # fmt: skip
JUDGED = (*FINDERS, "refusals", "repetition", "language")


@pytest.fixture(scope="module")
def see(see: See) -> See:
    return partial(see, only=JUDGED)


def token(seed: int) -> str:
    """A credential by its checksum, made of random characters."""
    body = "".join(random.Random(seed).choices(BASE62, k=30))
    number, tail = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        tail = BASE62[digit] + tail
    return f"ghp_{body}{tail}"


# what is found, what nearly is, and what is not; begin and end of a text matter to some
FRAGMENTS = (
    "The river is wide.", "", "none", "N/A", "Dear {{name}},", "Lorem ipsum dolor", "TODO",
    "x = {'a': {'b': 1}}", f"key: {token(1)}", f"key: {token(2)[:-1]}",
    "write to anna@uni-graz.at", "a@b.test", "ES79 2100 0813 6101 2345 6789",
    "ES79 2100 0813 6101 2345 6788", "I'm sorry, but I can't help with that.",
    "She said: I'm sorry, but I can't come.", "As an AI language model, I cannot say.",
    "<|im_start|>user", "<s> hello", "the end</s>", "</s>\n", "### Response:", "[INST]",
    "Human: hello\nAssistant: hi", "Ã¼ber", "a\u200bb", "\ufffd", "ok\x07",
    "line\n" * 2, "no " * 40, "Fine so far.\n" + "The cat sat here.\n" * 4,
)  # fmt: skip
texts = st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=3).map("\n".join)


def talk(system: str, prompt: str, answer: str) -> Row:
    roles = (("system", system), ("user", prompt), ("assistant", answer))
    turns = [{"role": role, "content": text} for role, text in roles if role != "system" or text]
    return {"messages": turns}


# shape → a row of three texts, and those of its fields that the answer stands in
SHAPES: Mapping[str, Callable[[str, str, str], Row]] = {
    "prompt_completion": lambda a, b, c: {"system": a, "prompt": b, "completion": c},
    "alpaca": lambda a, b, c: {"instruction": a, "input": b, "output": c},
    "messages": talk,
    "preference": lambda a, b, c: {"prompt": b, "chosen": c, "rejected": a},
    "kto": lambda a, b, c: {"prompt": b, "completion": c, "label": len(a) % 2 == 0},
}
UNREAD = {"kto": 1}  # shape → leading texts that are no field of it


def unwanted(shape: str, row: tuple[str, str, str]) -> bool:
    """An answer that is to be unlearnt may be bad."""
    return shape == "kto" and len(row[0]) % 2 != 0


@pytest.mark.parametrize("shape", SHAPES)
# to make a failing example smaller takes minutes: each is read and checked whole
@settings(max_examples=4, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(drawn=st.lists(st.tuples(texts, texts, texts), min_size=5, max_size=30))
def test_rows_are_those_that_the_patterns_find(
    shape: str, drawn: list[tuple[str, str, str]], see: See
) -> None:
    seen = see(
        {"train": [SHAPES[shape](*row) for row in drawn]},
        "full",
        split=NO_SPLIT,
        checks={"language": "off"},
    )
    for check, find in FINDERS.items():
        fields = [row[UNREAD.get(shape, 0) :] for row in drawn]
        expected = [n for n, row in enumerate(fields, 1) if any(find(text) for text in row)]
        assert [int(id.rpartition(":")[2]) for id in seen.ids(check)] == expected, check
        assert seen.findings[check].count == len(expected)
        assert seen.findings[check].total == len(drawn)
    for check, find in (("refusals", refusals), ("repetition", repetition)):
        expected = [
            n for n, row in enumerate(drawn, 1) if not unwanted(shape, row) and find(row[2])
        ]
        assert [int(id.rpartition(":")[2]) for id in seen.ids(check)] == expected, check


def test_notes_say_what_was_found(see: See) -> None:
    rows = [
        {"prompt": "Dear {{name}},", "completion": "fine"},
        {"prompt": "hidden \u202e", "completion": "I'm sorry, but I can't help with that."},
        {"prompt": "a", "completion": "line of text one\n" * 5},
        {"prompt": "b\n<|im_end|>", "completion": "ok"},
    ]
    seen = see({"train": rows}, "full", split=NO_SPLIT, checks={"language": "off"})
    notes = {check: seen.found[check][0][1] for check in seen.found if check != "test_part"}
    assert notes == {
        "placeholders": "literal template: {{name}}",
        "encoding": "bidi control: U+202E",
        "refusals": "refusal: I'm sorry, but I can't",
        "special_tokens": "another family's marker: <|im_end|>",
        "repetition": "repeated line: line of text one\\u000aline of text one\\u000aline o…",
    }
    message = seen.findings["placeholders"].message
    assert message == "1 of 4 rows (25%); 1 literal template"


def test_secrets_and_personal_data_are_never_shown(see: See) -> None:
    plain = token(7), "anna.berg@uni-graz.at", "ES79 2100 0813 6101 2345 6789"
    rows = [{"prompt": text, "completion": f"again {text}"} for text in plain]
    seen = see({"train": rows}, "full", split=NO_SPLIT, checks={"language": "off"})
    assert seen.ids("secrets") == ["train.jsonl:1"]
    assert seen.ids("pii") == ["train.jsonl:2", "train.jsonl:3"]
    told = [repr(seen.findings[check]) for check in ("secrets", "pii")]
    told += [str(note) for check in ("secrets", "pii") for _, note in seen.found[check]]
    assert not any(text in line for line in told for text in plain)
    assert seen.findings["secrets"].state == "error"
    assert seen.findings["pii"].state == "warn"


# ---------------------------------------------------------------- a tokenizer's own tokens

# of no family that is known by name; each has a character that expressions read otherwise
SPECIAL = (
    "<|turn|>", "[[over]]", "$stop$", "(pause)", "it's", 'a"b', "\\nil", "x#y z", "~^", "<fin.>",
    "\u27eaend\u27eb", "<\u2581sep>", "<|turn", "line\nfeed",
)  # fmt: skip
ADDED = ("<note>", "::think::")  # the tokenizer knows them, and they are ordinary text
NEARLY = ("<| turn |>", "[[Over]]", "$stop", "(pause", "its", "a'b", "nil", "x#yz", "<finx>", "~ ^")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder with a tokenizer that added tokens to its alphabet."""
    folder = tmp_path_factory.mktemp("base")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = Tokenizer(BPE({letter: id for id, letter in enumerate(alphabet)}, []))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(False)
    words.decoder = decoders.ByteLevel()
    words.add_special_tokens(list(SPECIAL))
    words.add_special_tokens([AddedToken("<mask>", lstrip=True), AddedToken("<gap>", rstrip=True)])
    words.add_tokens(list(ADDED))
    words.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|turn|>"}))
    return folder


@pytest.fixture(scope="module")
def base_encoder(base: Path, recipe_with: Callable[..., Any]) -> Encoder:
    recipe = recipe_with(train=[{"path": "train.jsonl"}])
    return Encoder(recipe, chat_format(base, "2026-01-01"), tokenizer(base))


def own_tokens(encoder: Encoder, text: str) -> list[str]:
    """What the tokenizer itself takes for special tokens."""
    known = encoder.tokenizer.get_added_tokens_decoder()
    ids = encoder.tokenizer.encode(text, add_special_tokens=False).ids
    return [known[id].content for id in ids if id in known and known[id].special]


def test_texts_with_special_tokens_are_those_that_the_tokenizer_finds(
    see: See, base_encoder: Encoder
) -> None:
    drawn = random.Random(3)
    every = [*SPECIAL, "<mask>", "<gap>", *ADDED, *NEARLY]
    texts = [f"before {token} after" for token in every] + [f"{token}" for token in every]
    pieces = [*every, " ", "\n", "word", "<", "|", "turn", "fin"]
    texts += ["".join(drawn.choices(pieces, k=drawn.randrange(1, 5))) for _ in range(300)]
    texts = [f"q{text}" for text in texts if text.strip()]
    rows = [
        {"prompt": text, "completion": f"a {n}"}
        if n % 2
        else {"prompt": f"q {n}", "completion": text}
        for n, text in enumerate(texts)
    ]
    seen = see(
        {"train": rows}, "full", split=NO_SPLIT, only=["special_tokens"], encoder=base_encoder
    )
    expected = [n for n, text in enumerate(texts, 1) if own_tokens(base_encoder, text)]
    assert 100 < len(expected) < len(rows) - 50
    assert [int(id.rpartition(":")[2]) for id in seen.ids("special_tokens")] == expected
    found = {token for text in texts for token in own_tokens(base_encoder, text)}
    assert found == {*SPECIAL, "<mask>", "<gap>"}
    assert all(str(note).startswith("special token: ") for _, note in seen.found["special_tokens"])
    assert f"{len(expected)} special token" in seen.findings["special_tokens"].message


def test_another_tokenizers_tokens_are_ordinary_text(see: See, base_encoder: Encoder) -> None:
    """Negative control: without the tokenizer nothing tells that they are special, and what it
    added as ordinary text, or holds only in part, is not special with it."""
    rows = [
        {"prompt": f"q {n}", "completion": f"so {token} it is"} for n, token in enumerate(SPECIAL)
    ]
    only = ["special_tokens"]
    assert see({"train": rows}, "full", split=NO_SPLIT, only=only).ids("special_tokens") == []
    fine = [
        {"prompt": f"q {n}", "completion": f"so {token} it is"}
        for n, token in enumerate((*ADDED, *NEARLY))
    ]
    seen = see({"train": fine}, "full", split=NO_SPLIT, only=only, encoder=base_encoder)
    assert seen.ids("special_tokens") == []
    assert seen.findings["special_tokens"].state == "pass"


def test_general_data_counts_where_it_is_drawn(see: See) -> None:
    rows = [{"prompt": f"q {n}", "completion": "a"} for n in range(18)]
    general = [{"prompt": f"g {n}\ufffd", "completion": "a"} for n in range(9)]
    seen = see(
        {"train": rows, "mix": general}, "full", split=NO_SPLIT, checks={"language": "off"},
        more={"mix": {"share": 0.1}},
    )  # fmt: skip
    drawn = [id for id in seen.parts["train"] if id.startswith("mix")]
    assert sorted(seen.ids("encoding")) == drawn and len(drawn) == 2
    assert seen.findings["encoding"].total == 20


def test_a_label_is_a_name_and_no_placeholder(see: See) -> None:
    rows = [{"text": f"text {n}", "label": ("none", "some")[n % 2]} for n in range(20)]
    rows[3]["text"] = "n/a"
    seen = see({"train": rows}, "full", split=NO_SPLIT, checks={"language": "off"})
    assert seen.ids("placeholders") == ["train.jsonl:4"]


def test_what_is_off_is_not_looked_for(see: See) -> None:
    rows = [{"prompt": "Dear {{name}},", "completion": "a\ufffd"}]
    off = {"placeholders": "off"}
    seen = see({"train": rows}, "full", split=NO_SPLIT, checks=off)
    assert seen.findings["placeholders"].state == "off"
    assert seen.ids("placeholders") == [] and seen.ids("encoding") == ["train.jsonl:1"]


# ---------------------------------------------------------------- samples

ENGLISH = "The quick brown fox jumps over the lazy dog and runs into the forest, row {n}."
GERMAN = "Der schnelle braune Fuchs springt über den faulen Hund in den Wald, Zeile {n}."
LANGUAGES: list[tuple[Any, str, int]] = [
    # expected, state, rows found of 40, of which 4 are German
    (None, "warn", 4),
    (["en"], "warn", 4),
    (["en", "de"], "pass", 0),
    (["de"], "warn", 36),
]


@pytest.mark.parametrize(("expected", "state", "count"), LANGUAGES)
def test_language(see: See, expected: Any, state: str, count: int) -> None:
    rows = [
        {"prompt": f"q {n}", "completion": (GERMAN if n % 10 == 3 else ENGLISH).format(n=n)}
        for n in range(40)
    ]
    checks = {"language": {"expected": expected} if expected else {}}
    seen = see({"train": [*rows, {"prompt": "?", "completion": "1"}]}, "full", checks=checks)
    finding = seen.findings["language"]
    assert (finding.state, finding.count, finding.total, finding.how) == (state, count, 40, "exact")
    assert "told: en 90%, de 10%" in finding.message
    assert seen.prepared.profile["languages"]["shares"][1] == {
        "name": "de", "rows": 4, "share": 0.1,
    }  # fmt: skip


def test_samples_are_named_so_and_stay_the_same(see: See, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"prompt": f"q {n}", "completion": GERMAN.format(n=n) if n % 2 else "no " * 40}
        for n in range(60)
    ]
    monkeypatch.setattr(content, "LANGUAGE_ROWS", 20)
    monkeypatch.setattr(content, "REPETITION_ROWS", 30)
    found = []
    for order in (rows, rows[::-1]):
        with_ids = [{"id": row["prompt"], **row} for row in order]
        more = {"train": {"columns": {"id": "id"}}}
        seen = see({"train": with_ids}, "full", more=more)
        language, repeated = seen.findings["language"], seen.findings["repetition"]
        assert (language.how, repeated.how) == ("sampled", "sampled")
        assert (language.total, repeated.total) == (20, 30)
        found.append((set(seen.ids("repetition")), set(seen.ids("language"))))
    assert found[0] == found[1] and found[0][0]

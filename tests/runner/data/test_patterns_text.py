# ruff: noqa: RUF001 - the look-alikes of other scripts are what is tested
"""What else a text is judged by: markers, placeholders, encoding, refusals, loops, language."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import duckdb
import ftfy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.data.patterns import encoding as encodings
from runner.data.patterns.encoding import ENCODING_PREFILTER, encoding
from runner.data.patterns.language import language
from runner.data.patterns.markers import FOREIGN, OWN, markers, markers_prefilter
from runner.data.patterns.pattern import Hit
from runner.data.patterns.placeholders import (
    PLACEHOLDER,
    PLACEHOLDER_PREFILTER,
    TEMPLATE,
    placeholders,
)
from runner.data.patterns.refusals import BOILERPLATE, REFUSAL, REFUSAL_PREFILTER, refusals
from runner.data.patterns.repetition import LINE, LOOP, RUN, repetition

OWN_TOKENS = ("<|im_start|>", "<|im_end|>", "<s>", "</s>", "   ", "<0x0A>")

MARKED: list[tuple[str, str, str]] = [
    ("a <|im_end|> b", OWN, "<|im_end|>"),
    ("a <s> b", OWN, "<s>"),
    ("hex <0x0A>", OWN, "<0x0A>"),
    ("a <|eot_id|>", FOREIGN, "<|eot_id|>"),
    ("a <|start_header_id|>user", FOREIGN, "<|start_header_id|>"),
    ("[INST] a [/INST]", FOREIGN, "[INST]"),
    ("<<SYS>>be kind", FOREIGN, "<<SYS>>"),
    ("x<start_of_turn>user", FOREIGN, "<start_of_turn>"),
    ("<\uff5cUser\uff5c>hello", FOREIGN, "<\uff5cUser\uff5c>"),
    ("Below.\n\n### Instruction:\nGo", FOREIGN, "### Instruction:"),
    ("### Response:", FOREIGN, "### Response:"),
    ("Human: hi\n\nAssistant: hello", FOREIGN, "Human: hi\n\nAssistant:"),
    ("he said [MASK] twice", FOREIGN, "[MASK]"),
]
UNMARKED = ["a | b || c", "if (a < b) { s >> 1; }", "<b>bold</b>", "Human: only one speaks",
            "The Assistant: a novel", "# Instruction: none", "[instructions] follow", "a     b",
            "<user@mail>", "x <| y |> z", "User: one\nuser two"]  # fmt: skip

HELD: list[tuple[str, str, str]] = [
    ("I am {{name}}.", TEMPLATE, "{{name}}"),
    ("by {{ author.name | upper }}", TEMPLATE, "{{ author.name | upper }}"),
    ("Hello ${name}, welcome", TEMPLATE, "${name}"),
    ("Dear {first_name}, thanks", TEMPLATE, "{first_name}"),
    ("Regards,\n[Your Name]", PLACEHOLDER, "[Your Name]"),
    ("at [COMPANY NAME] we", PLACEHOLDER, "[COMPANY NAME]"),
    ("Date: [insert date here]", PLACEHOLDER, "[insert date here]"),
    ("Hi <your name>, hello", PLACEHOLDER, "<your name>"),
    ("Lorem ipsum dolor", PLACEHOLDER, "Lorem ipsum"),
    ("TODO: write this", PLACEHOLDER, "TODO:"),
    ("answer TBD", PLACEHOLDER, "TBD"),
    ("noinput", PLACEHOLDER, "noinput"),
    ("< noinput >", PLACEHOLDER, "< noinput >"),
    ("`<noinput>`", PLACEHOLDER, "`<noinput>`"),
    ("No input.", PLACEHOLDER, "No input."),
    ("N/A", PLACEHOLDER, "N/A"),
    (" null\n", PLACEHOLDER, " null\n"),
    ("None", PLACEHOLDER, "None"),
    ("...", PLACEHOLDER, "..."),
]
FULL = [r"\frac{{a}}{{b}} and x^{{2}}", "Use `{{name}}` in Jinja.", "```\n${name}\n```",
        "on: ${{ github.ref }} runs", 'print(f"Hello {name}")', "<name>Anna</name>",
        "[your guide](https://acme.io)", "a set {name, age} of two", "None of them came.",
        "My todo list is long.", "There is no input to give.", "{'a': {'b': 1}}",
        'echo "${name}"', "console.log(`${user}`);", "a null hypothesis", "[1] Smith, 2001",
        "[Enter HAMLET]", "<h1>Title</h1>", "", "0", "No"]  # fmt: skip

DAMAGED: list[tuple[str, str, str]] = [
    ("don\ufffdt", encodings.REPLACEMENT, "\ufffd"),
    ("a\x00b", encodings.CONTROL, "\x00"),
    ("\x0crac", encodings.CONTROL, "\x0c"),
    ("a\x85b", encodings.CONTROL, "\x85"),
    ("a\x7fb", encodings.CONTROL, "\x7f"),
    ("admin\u202etxt.exe", encodings.BIDI, "\u202e"),
    ("a\u2066b", encodings.BIDI, "\u2066"),
    ("plain\u200f text", encodings.BIDI, "\u200f"),
    ("zero\u200bwidth", encodings.ZERO_WIDTH, "\u200b"),
    ("zero\u200dwidth", encodings.ZERO_WIDTH, "\u200d"),
    ("a\u2060b", encodings.ZERO_WIDTH, "\u2060"),
    ("\ufeffstart", encodings.MARK, "\ufeff"),
    ("hidden\U000e0041", encodings.TAG, "\U000e0041"),
    ("It\u00e2\u20ac\u2122s", encodings.MOJIBAKE, "\u00e2\u20ac"),
]
SOUND = ["tabs\tand\r\nlines", "naïve café — “déjà vu” … £5 ½ × 3°", "Größe: »äöü« ÄÖÜß",
         "À la carte, È vero, 21 °C", "👩\u200d👩\u200d👧 👩🏽\u200d🚀 🙂\u200d↔️ ❤️\u200d🔥",
         "می\u200cخواهم", "क्\u200dष", "שלום\u200f!", "ไทย\u200bไทย", "Ελληνικά: άέήίόύώ",
         "Русский текст: ёлка, Ў, «да»", "Українська: їжак і ґава", "日本語　テスト", "한국어",
         "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
         "ação à toa"]  # fmt: skip

REFUSED: list[tuple[str, set[str]]] = [
    ("I'm sorry, but I can't help with that.", {REFUSAL}),
    ("I’m sorry, I cannot do it.", {REFUSAL}),
    ("I am sorry, but as an AI language model, I cannot say.", {REFUSAL, BOILERPLATE}),
    ("I cannot fulfill this request.", {REFUSAL}),
    ("I can't assist with that.", {REFUSAL}),
    ("Unfortunately, I am unable to see images.", {REFUSAL}),
    ('"I apologize, but I cannot provide that."', {REFUSAL}),
    ("As an AI, I have no taste.", {BOILERPLATE}),
    ("Well, I'm just an AI, so who knows.", {BOILERPLATE}),
    ("My knowledge cutoff is in 2021.", {BOILERPLATE}),
    (
        "Sort it first. Unfortunately, I do not have access to your dataset; share it.",
        {BOILERPLATE},
    ),
    ("It may rain. I’m sorry, but I don’t have access to real-time weather.", {BOILERPLATE}),
    ("Es tut mir leid, aber ich kann dabei nicht helfen.", {REFUSAL}),
    ("Als KI-Sprachmodell habe ich keine Meinung.", {BOILERPLATE}),
    ("Je suis désolé, mais je ne peux pas vous aider.", {REFUSAL}),
    ("En tant qu’IA, je n'ai pas d'avis.", {BOILERPLATE}),
    ("Lo siento, pero no puedo hacerlo.", {REFUSAL}),
    ("Como modelo de lenguaje, no opino.", {BOILERPLATE}),
]
ANSWERED = ["She said: I'm sorry, but I can't come.", "I'm sorry to hear that you are ill.",
            "I cannot believe it is already May.", "An AI language model predicts words.",
            "Sorry for the delay; here is the list.", "I can help you with that.",
            "Unfortunately, the shop is closed.", "Como una manzana al día.",
            "Als Kind war ich oft dort.", "I can't wait to help.",
            "He wrote: unfortunately, I do not have access to the office.",
            "Dear Ann,\nI am sorry, but I do not have access to your account or your files.",
            "We do not have access to that dataset, so we asked its authors."]  # fmt: skip

LOOPED: list[tuple[str, str]] = [
    ("Fine so far.\n" + "The cat sat here.\n" * 4, LINE),
    ("word one two three four five six seven eight nine ten " * 3, LOOP),
    ("An introduction first, as usual. " + "and so it goes on and on and on " * 9, LOOP),
    ("的" * 3 + "今天天气很好我们去公园玩" * 6, LOOP),
    ("no " * 40, LOOP),
    ("Noooooooooooooooooo way", RUN),
    ("さあ" + "あ" * 16 + "、行こう", RUN),
    ("Once upon a time.\r\n" + "\tThe cat sat here.\r\n" * 4, LINE),
]
VARIED = ["", "short", "}\n" * 9, "| - | - |\n" * 12, "=" * 80, "1 0 " * 30,
          "def f(a):\n    if a == 1:\n        return None\n" + "".join(
              f"    if a == {n} and other_thing_{n} > 2 * {n}:\n        return None\n"
              for n in range(2, 9)),
          "\n".join(f"{n}. Item number {n} costs {n * 7} dollars and {n * 3} cents."
                    for n in range(30)),
          " ".join(f"w{n}" for n in range(400))]  # fmt: skip

PROSE = """\
The lighthouse keeper climbed 142 steps each evening, counted them aloud, and lit the lamp.
"Is it far?" asked the boy. "Far enough," she said; "but the road is good and the moon is up."
In 1854 the engineers measured the valley twice, got 3.4 km and 3.6 km, and built for neither.
To boil an egg: bring water to the boil, lower the egg in, wait six minutes, and cool it.
for (int i = 0; i < n; i++) { total += prices[i] * (1 + rate); }
SELECT name, count(*) FROM visits WHERE day >= '2024-01-01' GROUP BY name HAVING count(*) > 3;
Water expands by about 9 % when it freezes, which is why pipes burst and lakes freeze from above.
| city | people |\n|---|---|\n| Bern | 134,000 |\n| Graz | 292,000 |
The integral of x^2 from 0 to 1 is \\frac{1}{3}; the set {1, 2, 3} has 2^3 = 8 subsets.
""".splitlines()


def passes(expression: str, texts: Sequence[str]) -> list[bool]:
    """What the database's RE2 says of every text."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select regexp_matches(text, ?) from (select unnest(?::varchar[]) as text)",
            [expression, list(texts)],
        ).fetchall()
    return [row[0] for row in rows]


def spans(hits: Sequence[Hit], text: str) -> list[tuple[str, str]]:
    return [(hit.kind, text[hit.start : hit.end]) for hit in hits]


@pytest.mark.parametrize(("text", "kind", "found"), MARKED)
def test_markers(text: str, kind: str, found: str) -> None:
    assert (kind, found) in spans(markers(text, OWN_TOKENS), text)


def test_what_is_special_depends_on_the_tokenizer() -> None:
    text = "a <|im_end|> b"
    assert spans(markers(text), text) == [(FOREIGN, "<|im_end|>")]
    assert spans(markers(text, ["<|im_end|>"]), text) == [(OWN, "<|im_end|>")]
    assert markers("<s>struck</s> out") != [] == markers("is <s>struck</s> out")


@pytest.mark.parametrize(("text", "kind", "found"), HELD)
def test_placeholders(text: str, kind: str, found: str) -> None:
    assert (kind, found) in spans(placeholders(text), text)


@pytest.mark.parametrize(("text", "kind", "found"), DAMAGED)
def test_encoding(text: str, kind: str, found: str) -> None:
    assert any(k == kind and found in f for k, f in spans(encoding(text), text))


@pytest.mark.parametrize(("text", "kinds"), REFUSED)
def test_refusals(text: str, kinds: set[str]) -> None:
    assert {hit.kind for hit in refusals(text)} == kinds


@pytest.mark.parametrize(("text", "kind"), LOOPED)
def test_repetition(text: str, kind: str) -> None:
    assert kind in {hit.kind for hit in repetition(text)}


def own_markers(text: str) -> list[Hit]:
    return markers(text, OWN_TOKENS)


# name: function, its prefilter, texts with a hit, near misses
JUDGES: dict[str, tuple[Callable[[str], list[Hit]], str | None, list[str], list[str]]] = {
    "markers": (own_markers, markers_prefilter(OWN_TOKENS), [row[0] for row in MARKED], UNMARKED),
    "placeholders": (placeholders, PLACEHOLDER_PREFILTER, [row[0] for row in HELD], FULL),
    "encoding": (encoding, ENCODING_PREFILTER, [row[0] for row in DAMAGED], SOUND),
    "refusals": (refusals, REFUSAL_PREFILTER, [row[0] for row in REFUSED], ANSWERED),
    "repetition": (repetition, None, [row[0] for row in LOOPED], VARIED),
}
CASES = [text for _, _, found, missed in JUDGES.values() for text in (*found, *missed)]


@pytest.mark.parametrize("name", JUDGES)
def test_near_misses_and_prose_have_no_hits(name: str) -> None:
    judge, _, _, missed = JUDGES[name]
    assert [text for text in (*missed, *PROSE) if judge(text)] == []


@pytest.mark.parametrize("name", [name for name in JUDGES if name != "repetition"])
@settings(max_examples=20, deadline=None)
@given(
    texts=st.lists(
        st.one_of(
            st.lists(st.sampled_from([*CASES, "\n", " ", "`", '"', "é", "\x0b"]), max_size=4).map(
                "".join
            ),
            st.text(max_size=30),
        ),
        max_size=40,
    )
)
def test_whatever_is_found_passes_the_prefilter(name: str, texts: list[str]) -> None:
    judge, prefilter, found, _ = JUDGES[name]
    assert prefilter is not None
    texts = [*texts, *found]
    for text, passed in zip(texts, passes(prefilter, texts), strict=True):
        assert passed or judge(text) == [], text


@pytest.mark.parametrize("name", [name for name in JUDGES if name != "repetition"])
def test_prose_does_not_pass_the_prefilter(name: str) -> None:
    """Negative control of the test above: the expressions do not match everything."""
    prefilter = JUDGES[name][1]
    assert prefilter is not None
    assert passes(prefilter, PROSE) == [False] * len(PROSE)


NATIVE = ["Größenwahn über den Flüssen, «schön» und süß", "J’ai été déçu : c’est l’été à Orléans",
          "El niño comió piñas mañana, ¿verdad? Sí, así", "It’s “fine” — she said… naïvely",
          "Příliš žluťoučký kůň úpěl ďábelské ódy", "Ação, coração e pão às três"]  # fmt: skip


@pytest.mark.parametrize("codec", ["cp1252", "latin-1"])
@pytest.mark.parametrize("text", NATIVE)
def test_text_read_in_the_wrong_encoding_is_found(text: str, codec: str) -> None:
    wrong = text.encode().decode(codec, "replace" if codec == "cp1252" else "strict")
    assert encodings.MOJIBAKE in {hit.kind for hit in encoding(wrong)}
    assert encoding(text) == []


def test_cyrillic_read_in_the_wrong_encoding_is_found() -> None:
    wrong = "Привет, как дела? Всё хорошо".encode().decode("cp1251", "ignore")
    assert encodings.MOJIBAKE in {hit.kind for hit in encoding(wrong)}
    assert passes(ENCODING_PREFILTER, [wrong]) == [True]


@given(st.text(alphabet="éàüñ’“—…çßžøæœ ab.", min_size=1, max_size=20))
def test_mojibake_is_told_only_where_ftfy_sees_it(text: str) -> None:
    wrong = text.encode().decode("latin-1")
    if encodings.MOJIBAKE in {hit.kind for hit in encoding(wrong)}:
        assert ftfy.badness.is_bad(wrong)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60), st.integers(1, 20))
def test_an_8_gram_loop_agrees_with_brute_force(words: list[str], times: int) -> None:
    """Covered places counted one by one."""
    spelled = [word * 3 for word in words * times][:400]
    grams = [tuple(spelled[place : place + 8]) for place in range(len(spelled) - 7)]
    covered = {
        place + step
        for place, gram in enumerate(grams)
        if grams.count(gram) >= 3
        for step in range(8)
    }
    expected = len(spelled) >= 16 and len(covered) > len(spelled) / 2
    assert (LOOP in {hit.kind for hit in repetition(" ".join(spelled))}) == expected


LETTERS = ["a" * 15, "a" * 16, "a", "É" * 16, "あ" * 15, "あ", "한" * 16, "_" * 20, "1" * 20, " ",
           "\n", "\x1c", "\x85", "\u2028", "b"]  # fmt: skip


@given(st.lists(st.sampled_from(LETTERS), max_size=12).map("".join))
def test_runs_agree_with_brute_force(text: str) -> None:
    """Letters counted one by one."""
    expected, start = [], 0
    for place in range(1, len(text) + 1):
        if place == len(text) or text[place] != text[start]:
            if place - start >= 16 and text[start].isalpha():
                expected.append((start, place))
            start = place
    found = [(hit.start, hit.end) for hit in repetition(text) if hit.kind == RUN]
    assert found == expected


@given(st.lists(st.sampled_from(["", " ", "}", "the cat sat", " the cat sat", "a dog ran off"])))
def test_repeated_lines_agree_with_brute_force(lines: list[str]) -> None:
    """Every line held against every other."""
    text, expected = "\n".join(lines), set()
    words = [line.strip() for line in lines]
    said = [line for line in words if line]
    for line in {line for line in words if len(line) > 2}:
        in_a_row = any(said[n : n + 4] == [line] * 4 for n in range(len(said)))
        filling = len(line) * words.count(line) > len(text) / 4
        if words.count(line) >= 4 and (in_a_row or filling):
            expected.add(line)
    found = [hit for hit in repetition(text) if hit.kind == LINE]
    assert {text[hit.start : hit.end].partition("\n")[0].strip() for hit in found} == expected


def test_repetition_takes_linear_text() -> None:
    """No end of word or line in a million characters, and a hundred thousand looping words."""
    assert repetition("ab" * 500_000) == []
    assert [hit.kind for hit in repetition("over and again " * 33_000)] == [LOOP]


def test_languages() -> None:
    texts = ["The quick brown fox jumps over the lazy dog.\nIt does so every day.",
             "Der schnelle braune Fuchs springt über den faulen Hund, jeden Tag.",
             "Le renard brun rapide saute par-dessus le chien paresseux.",
             "El veloz zorro marrón salta sobre el perro perezoso.",
             "Быстрая коричневая лиса прыгает через ленивую собаку.",
             "敏捷的棕色狐狸每天都会跳过那只懒惰的狗，然后回家睡觉休息。",
             "すばやい茶色の狐がのろまな犬を毎日飛び越えていきます。"]  # fmt: skip
    found = language(texts)
    assert [code for code, _ in found] == ["en", "de", "fr", "es", "ru", "zh", "ja"]
    assert all(0.3 < score <= 1 for _, score in found)


@pytest.mark.parametrize("text", ["", "ok", "12345 67890 12345 67890 12345", "19 letters in it no"])
def test_short_texts_have_no_language(text: str) -> None:
    assert language([text]) == [("und", 0.0)]

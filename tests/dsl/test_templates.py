"""Oracle: apply_chat_template of transformers, over tokenizers built here with templates written
here in the manner of ChatML, Llama 3, Gemma, Mistral and Qwen3."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.recipe import AlpacaTemplate, ChatmlTemplate, ChatTemplate, JinjaTemplate
from dsl.rows import Example, Message
from dsl.templates import (
    CHATML,
    ChatFormat,
    Segment,
    TemplateError,
    messages_of,
    prompt_of,
    question,
    render,
    render_chat,
    syntax_error,
    undeclared,
)

CHATML_LIKE = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
LLAMA3_LIKE = """{{- bos_token }}
{%- if messages[0].role == 'system' %}
    {%- set system = messages[0].content | trim %}
    {%- set turns = messages[1:] %}
{%- else %}
    {%- set system = '' %}
    {%- set turns = messages %}
{%- endif %}
{{- '<|start|>system<|end|>\n\nToday is ' + strftime_now('%d %b %Y') + '\n\n' }}
{{- system + '<|eot|>' }}
{%- if tools is not none %}{{- 'TOOLS' }}{%- endif %}
{%- for turn in turns %}
    {{- '<|start|>' + turn.role + '<|end|>\n\n' + turn.content | trim + '<|eot|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start|>assistant<|end|>\n\n' }}{%- endif %}
"""
GEMMA_LIKE = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "{{ '<turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\\n' "
    "+ m['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<turn>model\\n' }}{% endif %}"
)
MISTRAL_LIKE = (
    "{{ bos_token }}{% set ns = namespace(system='') %}{% for m in messages %}"
    "{% if m.role == 'system' %}{% set ns.system = m.content + '\\n\\n' %}"
    "{% elif m.role == 'user' %}{{ '[INST] ' + ns.system + m.content + '[/INST]' }}"
    "{% set ns.system = '' %}"
    "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
)
QWEN3_LIKE = """{%- set ns = namespace(last=0) %}
{%- for m in messages %}
    {%- if m.role == 'user' %}{%- set ns.last = loop.index0 %}{%- endif %}
{%- endfor %}
{%- for m in messages %}
    {%- set content = m.content if m.content is string else '' %}
    {%- if m.role == 'assistant' %}
        {%- set thought = '' %}
        {%- if '</think>' in content %}
            {%- set thought = content.split('</think>')[0].split('<think>')[-1].strip('\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {{- '<|im_start|>assistant\n' }}
        {%- if loop.index0 > ns.last %}
            {{- '<think>\n' + thought + '\n</think>\n\n' + content.lstrip('\n') }}
        {%- else %}
            {{- content }}
        {%- endif %}
    {%- else %}
        {{- '<|im_start|>' + m.role + '\n' + content }}
    {%- endif %}
    {{- '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}
"""
GENERATION_TAGS = (
    "{% for m in messages %}{% if m.role == 'assistant' %}<|im_start|>assistant\n"
    "{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}\n"
    "{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MARKS = ("<|im_start|>", "<|im_end|>")


@dataclass(frozen=True)
class Kind:
    """A chat format, what closes a turn, and whether it takes a system turn."""

    chat: ChatFormat
    end: str
    system: bool = True


KINDS = {
    "chatml": Kind(ChatFormat(CHATML_LIKE, "", "<|im_end|>", MARKS), "<|im_end|>"),
    "llama3": Kind(
        ChatFormat(LLAMA3_LIKE, "<s>", "<|eot|>", ("<s>", "<|start|>", "<|end|>", "<|eot|>")),
        "<|eot|>",
    ),
    "gemma": Kind(
        ChatFormat(GEMMA_LIKE, "<bos>", "<eos>", ("<bos>", "<eos>", "<turn>", "<end_of_turn>")),
        "<end_of_turn>",
        system=False,
    ),
    "mistral": Kind(
        ChatFormat(MISTRAL_LIKE, "<s>", "</s>", ("<s>", "</s>", "[INST]", "[/INST]")), "</s>"
    ),
    "qwen3": Kind(ChatFormat(QWEN3_LIKE, "", "<|im_end|>", MARKS), "<|im_end|>"),
    "tags": Kind(ChatFormat(GENERATION_TAGS, "", "<|im_end|>", MARKS), "<|im_end|>"),
    "our chatml": Kind(CHATML, "<|im_end|>"),
}
CHAT = ChatTemplate("chat", None, None)


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, Any]:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    made = {}
    for name, kind in KINDS.items():
        fast = PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer(models.BPE()),
            eos_token=kind.chat.eos,
            additional_special_tokens=list(kind.chat.special),
            **({"bos_token": kind.chat.bos} if kind.chat.bos else {}),
        )
        fast.chat_template = kind.chat.template
        made[name] = fast
    return made


def conversation(*texts: str, system: str | None = None) -> tuple[Message, ...]:
    turns = [Message(("user", "assistant")[i % 2], text) for i, text in enumerate(texts)]
    return (*([Message("system", system)] if system else []), *turns)


def example(*texts: str, system: str | None = None) -> Example:
    return Example("1", "a", messages=conversation(*texts, system=system))


def joined(segments: tuple[Segment, ...]) -> str:
    return "".join(segment.text for segment in segments)


def trained(segments: tuple[Segment, ...]) -> list[str]:
    return [segment.text for segment in segments if segment.trained]


TALKS = {
    "one turn": ("Who?", "Me."),
    "three turns": ("Who?", "Me.", "Why?", "Because.", "When?", "Now."),
    "answer stands in the prompt": ("Say yes or no: yes", "yes", "yes?", "yes"),
    "a short answer": ("Letter?", "t", "Another?", "think"),
    "leading and trailing blanks": ("Indent.", "\n  x = 1\n  y = 2 \n", "Again.", "  done  "),
    "braces": ("{{ 7*7 }} {% raise %}", "{{ messages }}"),
    "an empty answer first": ("Speak.", "", "Speak!", "Fine."),
    "other scripts": ("Wer?", "Straße 你好 🙂", "Und?", "مرحبا"),
}
SYSTEMS = {"no system": None, "with system": "Be brief."}
EACH = [
    pytest.param(kind, texts, system, id=f"{kind}-{talk}-{words}")
    for kind in KINDS
    for talk, texts in TALKS.items()
    for words, system in SYSTEMS.items()
    if KINDS[kind].system or system is None
]


@pytest.mark.parametrize(("name", "texts", "system"), EACH)
def test_the_segments_make_the_text_of_transformers(
    tokenizers: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    texts: tuple[str, ...],
    system: str | None,
) -> None:
    kind = KINDS[name]
    chat = replace(kind.chat, date=_today())
    row = example(*texts, system=system)
    segments = render(row, CHAT, chat)
    turns = [turn.to_json() for turn in row.messages]
    oracle = tokenizers[name]
    assert joined(segments) == oracle.apply_chat_template(turns, tokenize=False)
    assert (
        prompt_of(row, CHAT, chat).rstrip()
        == oracle.apply_chat_template(
            turns[:-1], tokenize=False, add_generation_prompt=True
        ).rstrip()
    )
    answers = [text for text in texts[1::2]]
    found = trained(segments)
    assert len(found) == len(answers)
    for index, (text, answer) in enumerate(zip(found, answers, strict=True)):
        assert text.endswith(kind.end)
        own = text.removesuffix(kind.end)
        if name == "qwen3" and index == len(answers) - 1:
            # the model is prompted without the empty thought, so it has to write it
            assert own.startswith("<think>\n\n</think>\n\n")
            own = own.removeprefix("<think>\n\n</think>\n\n")
        assert own.strip() == answer.strip()
        if name in ("chatml", "tags", "our chatml"):
            assert own == answer, "blanks of an answer are its own"
    assert all(kind.end not in text.removesuffix(kind.end) for text in found)


def _today() -> str:
    from datetime import date

    return date.today().isoformat()


@pytest.mark.parametrize("name", KINDS)
def test_loss_on_last_and_all(name: str) -> None:
    chat, row = KINDS[name].chat, example("a", "first", "b", "second")
    every = render(row, CHAT, chat)
    last = render(row, CHAT, chat, "last")
    whole = render(row, CHAT, chat, "all")
    assert joined(every) == joined(last) == joined(whole)
    assert [s.trained for s in every].count(True) == 2
    assert trained(last) == trained(every)[-1:]
    assert "second" in trained(last)[0]
    assert all(segment.trained for segment in whole)


def test_earlier_reasoning_is_dropped_and_the_last_is_trained() -> None:
    chat = KINDS["qwen3"].chat
    row = example("a", "<think>\nhm\n</think>\n\nfirst", "b", "<think>\nso\n</think>\n\nsecond")
    assert trained(render(row, CHAT, chat)) == [
        "first<|im_end|>",
        "<think>\nso\n</think>\n\nsecond<|im_end|>",
    ]


def test_the_date_is_the_given_one() -> None:
    chat = replace(KINDS["llama3"].chat, date="2024-02-29")
    assert "Today is 29 Feb 2024" in joined(render(example("a", "b"), CHAT, chat))


def test_undefined_tools_are_none_as_in_transformers() -> None:
    assert "TOOLS" not in render_chat(conversation("a"), KINDS["llama3"].chat)


@given(
    st.sampled_from(sorted(KINDS)),
    st.lists(st.text("ab <>|/thinkuser\n{}", max_size=8), min_size=2, max_size=6),
)
@settings(max_examples=150, deadline=None)
def test_any_conversation_keeps_every_answer(name: str, texts: list[str]) -> None:
    texts = texts[: len(texts) // 2 * 2]
    if name == "qwen3" and any("think" in text for text in texts):
        return  # half-written thoughts are cut by the template itself
    segments = render(example(*texts), CHAT, KINDS[name].chat)
    end = KINDS[name].end
    answers = [text.removesuffix(end) for text in trained(segments)]
    if name == "qwen3":
        answers[-1] = answers[-1].removeprefix("<think>\n\n</think>\n\n")
    assert [answer.strip() for answer in answers] == [text.strip() for text in texts[1::2]]


# ---------------------------------------------------------------- refusals

REORDERED = "{% for m in messages | reverse %}{{ m.role }}:{{ m.content }}\n{% endfor %}"
UPPER = "{% for m in messages %}{{ m.role }}:{{ m.content | upper }}\n{% endfor %}"
SUMMARY = "{{ messages | length }} turns\n{% for m in messages %}{{ m.content }}\n{% endfor %}"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (REORDERED, "answers cannot be told apart"),
        (SUMMARY, "answers cannot be told apart"),
        ("nothing of the turns", "answers cannot be told apart"),
        (GEMMA_LIKE, "System role not supported"),
        (None, "no chat template"),
        ("{% for %}", "the template cannot be rendered"),
        ("{{ messages[7].content }}", "the template cannot be rendered"),
    ],
)
def test_a_template_that_hides_answers_is_refused(template: str | None, message: str) -> None:
    row = example("a", "first", "b", "second", system="s")
    with pytest.raises(TemplateError, match=message) as caught:
        render(row, CHAT, ChatFormat(template, "", "</s>"))
    assert caught.value.exit_status == 2


def test_a_template_may_change_the_letters() -> None:
    segments = render(example("a", "yes"), CHAT, ChatFormat(UPPER, "", "</s>"))
    assert trained(segments) == ["assistant:YES"], "no generation prompt: the role is the model's"


@pytest.mark.parametrize("loss_on", ["assistant", "last", "all"])
def test_a_row_without_an_answer_cannot_be_trained_on(loss_on: str) -> None:
    with pytest.raises(TemplateError, match="without an answer"):
        render(example("only a question"), CHAT, CHATML, loss_on)


# ---------------------------------------------------------------- rows and templates

ROW = Example(
    "1",
    "a",
    prompt="Rewrite.\n\nThe Lessee shall pay.",
    completion="You pay.",
    columns={
        "instruction": "Rewrite.",
        "input": "The Lessee shall pay.",
        "output": "You pay.",
        "topic": "{{ 7*7 }}",
    },
)
PROMPTED = ChatTemplate("chat", "Be plain.", "Plainly: {{ input }} ({{ topic }})")


def test_the_template_makes_the_turns_of_a_row() -> None:
    assert [turn.role for turn in messages_of(ROW, PROMPTED)] == ["system", "user", "assistant"]
    assert question(ROW, PROMPTED) == "Plainly: The Lessee shall pay. ({{ 7*7 }})"
    assert question(ROW, CHAT) == ROW.prompt


def test_whose_system_message_counts() -> None:
    own = replace(ROW, system="Mine.")
    assert messages_of(own, PROMPTED)[0] == Message("system", "Mine.")
    assert messages_of(replace(ROW, system=""), PROMPTED)[0].role == "user", "an empty one: none"
    assert messages_of(replace(ROW, general=True), PROMPTED) == [
        Message("user", ROW.prompt),
        Message("assistant", ROW.completion),
    ]
    talk = example("a", "b", system="Said.")
    assert messages_of(talk, PROMPTED)[0] == Message("system", "Said.")
    assert messages_of(example("a", "b"), PROMPTED)[0] == Message("system", "Be plain.")
    assert messages_of(ROW, ChatTemplate("chat", "", None))[0].role == "user"


def test_chatml_is_used_whatever_the_model_brings() -> None:
    segments = render(ROW, ChatmlTemplate("chatml", None, None), KINDS["mistral"].chat)
    assert joined(segments).startswith("<|im_start|>user\nRewrite.")
    assert trained(segments) == ["You pay.<|im_end|>"]


def test_alpaca() -> None:
    chat = KINDS["mistral"].chat
    segments = render(ROW, AlpacaTemplate("alpaca", "Be plain.", None), chat)
    assert joined(segments) == (
        "<s>Be plain.\n\n### Instruction:\nRewrite.\n\n### Input:\nThe Lessee shall pay.\n\n"
        "### Response:\nYou pay.</s>"
    )
    assert trained(segments) == ["You pay.</s>"]
    own = render(ROW, AlpacaTemplate("alpaca", None, "Q: {{ input }}"), chat)
    assert "### Instruction:\nQ: The Lessee shall pay.\n\n### Response" in joined(own)
    general = render(replace(ROW, general=True), AlpacaTemplate("alpaca", "S", "Q"), chat)
    assert joined(general).startswith("<s>### Instruction:\nRewrite.\n\n### Input:")


def test_free_text() -> None:
    chat = KINDS["mistral"].chat
    template = JinjaTemplate("jinja", "Clause: {{ input }}\nPlain:", " {{ output }}")
    segments = render(ROW, template, chat)
    assert [(s.text, s.trained) for s in segments] == [
        ("<s>Clause: The Lessee shall pay.\nPlain:", False),
        (" You pay.</s>", True),
    ]
    assert prompt_of(ROW, template, chat) == "<s>Clause: The Lessee shall pay.\nPlain:"
    general = render(replace(ROW, general=True), template, chat)
    assert joined(general) == f"<s>{ROW.prompt}{ROW.completion}</s>"
    talk = JinjaTemplate(
        "jinja", "{% for m in messages[:-1] %}{{ m.content }};{% endfor %}", "{{ completion }}"
    )
    assert joined(render(example("a", "b", "c", "d"), talk, chat)) == "<s>a;b;c;d</s>"


@pytest.mark.parametrize(
    ("template", "general"),
    [
        (AlpacaTemplate("alpaca", None, None), False),
        (AlpacaTemplate("alpaca", None, None), True),
        (JinjaTemplate("jinja", "x", "y"), True),
    ],
)
def test_templates_of_one_question_refuse_conversations(template: Any, general: bool) -> None:
    with pytest.raises(TemplateError, match="holds one question"):
        render(replace(example("a", "b"), general=general), template, CHATML)


# ---------------------------------------------------------------- the sandbox


def rendered(text: str, **columns: Any) -> str:
    return question(replace(ROW, columns=columns), ChatTemplate("chat", None, text))


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ prompt.__class__.__base__.__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{% for i in range(10**9) %}{% endfor %}",
        "{% for i in range(1000000000) %}{% endfor %}",
        "{{ 'x' * 10000000000 }}",
        "{{ 10000000000 * 'x' }}",
        "{{ [1] * 10000000000 }}",
        "{{ 9 ** 99999999 }}",
        "{{ 1 / 0 }}",
        "{{ missing.attribute }}",
        "{{ 1 + 'x' }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% include 'secrets' %}",
        "{% import 'os' as os %}",
    ],
)
def test_the_sandbox_holds(text: str) -> None:
    with pytest.raises(TemplateError) as caught:
        rendered(text)
    assert caught.value.message


def test_plain_arithmetic_is_free() -> None:
    assert rendered("{{ 20000 * 20000 }} {{ 2 ** 10 }} {{ '=' * 3 }}") == "400000000 1024 ==="


@given(st.text(max_size=30) | st.sampled_from(["{{ 7*7 }}", "{% raise %}", "{# c #}", "{{ x }}"]))
def test_data_is_never_a_template(text: str) -> None:
    assert rendered("{{ a }}", a=text) == text
    assert rendered("<{{ a }}>", a=f"{{{{ 7*7 }}}}{text}") == f"<{{{{ 7*7 }}}}{text}>"


def test_names_and_faults_of_a_template() -> None:
    assert undeclared(
        "{{ b }}{% set c = a %}{{ c }}{% for d in range(3) %}{{ d }}{% endfor %}"
    ) == [
        "a",
        "b",
    ]
    assert syntax_error("{{ fine }}") is None
    assert "(line 2 of the template)" in (syntax_error("a\n{% if %}") or "")

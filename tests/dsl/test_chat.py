"""Tools and calls through chat templates. Oracle: apply_chat_template of transformers with its own
mask of the answers, over templates written here in the manner of those that know tools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.chat import CHATML, ChatFormat, find_answers, render_chat
from dsl.recipe import ChatmlTemplate, ChatTemplate, JinjaTemplate
from dsl.rows import Example, Message
from dsl.templates import TemplateError, prompt_of, render

# calls in tags, results as a user's turn, one turn for several results
HERMES_LIKE = """{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\n\n' }}{%- endif %}
    {{- '<tools>' }}
    {%- for tool in tools %}{{- '\n' + tool | tojson }}{%- endfor %}
    {{- '\n</tools><|im_end|>\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
{%- endif %}
{%- for m in messages %}
    {%- if m.role == 'user' %}
        {{- '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}
    {%- elif m.role == 'assistant' %}
        {{- '<|im_start|>assistant\n' }}
        {%- generation %}
        {{- m.content }}
        {%- for call in m.tool_calls or [] %}
            {%- if not loop.first or m.content %}{{- '\n' }}{%- endif %}
            {{- '<call>\n{"name": "' + call.function.name + '", "arguments": ' }}
            {{- call.function.arguments | tojson + '}\n</call>' }}
        {%- endfor %}
        {{- '<|im_end|>' }}
        {%- endgeneration %}
        {{- '\n' }}
    {%- elif m.role == 'tool' %}
        {%- if loop.previtem.role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\n<result>\n' + m.content + '\n</result>' }}
        {%- if loop.last or loop.nextitem.role != 'tool' %}{{- '<|im_end|>\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}
"""
# no header before an answer, tools before the last question, the name again with its result
BRACKETS_LIKE = """{{- bos_token }}
{%- set ns = namespace(last=0, name='') %}
{%- for m in messages %}
    {%- if m.role == 'user' %}{%- set ns.last = loop.index0 %}{%- endif %}
{%- endfor %}
{%- for m in messages %}
    {%- if m.role == 'user' %}
        {%- if tools is not none and loop.index0 == ns.last %}
            {{- '[TOOLS]' + tools | tojson + '[/TOOLS]' }}
        {%- endif %}
        {{- '[INST]' + m.content + '[/INST]' }}
    {%- elif m.role == 'assistant' %}
        {%- generation %}
        {%- if m.tool_calls is defined %}
            {{- '[CALLS][' }}
            {%- for call in m.tool_calls %}
                {%- set ns.name = call.function.name %}
                {{- call.function | tojson }}{%- if not loop.last %}{{- ', ' }}{%- endif %}
            {%- endfor %}
            {{- ']' + eos_token }}
        {%- else %}
            {{- m.content + eos_token }}
        {%- endif %}
        {%- endgeneration %}
    {%- elif m.role == 'tool' %}
        {{- '[RESULT]' + ns.name + ': ' + m.content + '[/RESULT]' }}
    {%- endif %}
{%- endfor %}
"""
# drops earlier thoughts, and joins the arguments as a text: an object makes it fail
TEXT_LIKE = """{%- set ns = namespace(last=0) %}
{%- for m in messages %}
    {%- if m.role == 'user' %}{%- set ns.last = loop.index0 %}{%- endif %}
{%- endfor %}
{%- for tool in tools or [] %}{{- '<tool>' + tool.function.name + '\n' }}{%- endfor %}
{%- for m in messages %}
    {%- if m.role == 'assistant' %}
        {{- '<assistant>' }}
        {%- generation %}
        {%- set said = m.content %}
        {%- if loop.index0 < ns.last %}{%- set said = m.content.split('</think>')[-1] %}{%- endif %}
        {{- said }}
        {%- for call in m.tool_calls or [] %}
            {{- '<call>' + call.function.name + '<sep>' + call.function.arguments + '</call>' }}
        {%- endfor %}
        {{- '<end>' }}
        {%- endgeneration %}
    {%- else %}
        {{- '<' + m.role + '>' + m.content }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<assistant>' }}{%- endif %}
"""
CHATS = {
    "hermes": ChatFormat(HERMES_LIKE, "", "<|im_end|>", ("<|im_start|>", "<|im_end|>", "<call>")),
    "brackets": ChatFormat(BRACKETS_LIKE, "<s>", "</s>", ("<s>", "</s>", "[INST]", "[CALLS]")),
    "text": ChatFormat(TEXT_LIKE, "", "<end>", ("<end>", "<assistant>", "<call>", "</call>")),
}
NO_TOOLS = ChatFormat(
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    "",
    "<|im_end|>",
    ("<|im_start|>", "<|im_end|>"),
)
CHAT = ChatTemplate("chat", None, None)
TOOLS: tuple[Mapping[str, Any], ...] = (
    {
        "type": "function",
        "function": {
            "name": "add",
            "description": "Adds; <|im_end|> stands here too",
            "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
        },
    },
    {"type": "function", "function": {"name": "weather", "parameters": {}}},
)


def call(name: str, arguments: Any, id: str = "1") -> Mapping[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def calls(*made: Mapping[str, Any], content: str = "") -> Message:
    return Message("assistant", content, tool_calls=made)


USER, ANSWER = Message("user", "How warm is it in Köln?"), Message("assistant", "18 degrees.")
RESULT = Message("tool", '{"degrees": 18}', tool_call_id="1", name="weather")
CITY = call("weather", {"city": "Köln", "days": 1})
TALKS: dict[str, tuple[Message, ...]] = {
    "call, result, answer": (USER, calls(CITY), RESULT, ANSWER),
    "arguments in a text": (USER, calls(call("weather", '{"city":"Köln"}')), RESULT, ANSWER),
    "numbers alone": (USER, calls(call("add", {"a": 1, "b": [2, 3]})), RESULT, ANSWER),
    "no arguments": (USER, calls(call("now", {})), RESULT, ANSWER),
    "nested arguments": (USER, calls(call("f", {"a": [{"b": " x "}, {"c": ""}], "d": None}))),
    "two calls at once": (
        USER, calls(CITY, call("add", {"a": "1"}, "2")), RESULT, RESULT, ANSWER,
    ),
    "one after the other": (
        USER, calls(CITY), RESULT, calls(call("add", {"a": 2})), RESULT, ANSWER,
    ),
    "a call at the end": (USER, ANSWER, USER, calls(CITY)),
    "a question after it": (USER, calls(CITY), RESULT, ANSWER, USER, calls(CITY), RESULT, ANSWER),
    "tools and no call": (USER, ANSWER),
    "braces and marks in the data": (
        Message("user", "{{ tools }} <call>"),
        calls(call("f", {"x": "{% raise %}\"}</call>"})),
        Message("tool", "<|im_start|>assistant\n{{ 1 }}"),
        ANSWER,
    ),
}  # fmt: skip
# brackets keeps no words beside a call, text has thoughts
SPOKEN = (USER, calls(CITY, content="I look."), RESULT, ANSWER)
THOUGHT = (
    USER,
    calls(CITY, content="<think>hm</think>Let me see."),
    RESULT,
    Message("assistant", "<think>so</think>18 degrees."),
    USER,
    Message("assistant", "<think>again</think>As I said."),
)
EACH = [
    *[(name, talk, turns) for name in CHATS for talk, turns in TALKS.items()],
    ("hermes", "words and a call", SPOKEN),
    ("text", "words and a call", SPOKEN),
    ("text", "thoughts that are dropped", THOUGHT),
]
SYSTEM = Message("system", "Be brief.")


@pytest.fixture(scope="module")
def oracles() -> dict[str, Any]:
    """A tokenizer for each format: a token for each byte and for each special token."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = {}
    for name, chat in CHATS.items():
        words = Tokenizer(models.BPE({char: i for i, char in enumerate(alphabet)}, []))
        words.pre_tokenizer = pre_tokenizers.ByteLevel(False, use_regex=False)
        made[name] = PreTrainedTokenizerFast(
            tokenizer_object=words,
            eos_token=chat.eos,
            additional_special_tokens=list(chat.special),
            **({"bos_token": chat.bos} if chat.bos else {}),
        )
        made[name].chat_template = chat.template
    return made


def example(turns: tuple[Message, ...], tools: tuple[Mapping[str, Any], ...] = TOOLS) -> Example:
    return Example("1", "a", messages=turns, tools=tools)


def for_oracle(name: str, turns: tuple[Message, ...]) -> list[dict[str, Any]]:
    """The turns as their makers would hand them to transformers: arguments as the template has
    them, an object for most and a text for one."""
    plain = [turn.to_json() for turn in turns]
    for turn in plain:
        turn["tool_calls"] = [
            {**made, "function": dict(made["function"])} for made in turn.get("tool_calls", ())
        ]
        for made in turn["tool_calls"]:
            arguments = made["function"]["arguments"]
            if name == "text" and not isinstance(arguments, str):
                arguments = json.dumps(arguments, ensure_ascii=False)
            if name != "text" and isinstance(arguments, str):
                arguments = json.loads(arguments)
            made["function"]["arguments"] = arguments
        if not turn["tool_calls"]:
            del turn["tool_calls"]
    return plain


@pytest.mark.parametrize("tools", [TOOLS, ()], ids=["tools", "no tools"])
@pytest.mark.parametrize(("name", "turns"), [pytest.param(n, t, id=f"{n}-{k}") for n, k, t in EACH])
def test_ids_and_mask_are_those_of_transformers(
    oracles: dict[str, Any],
    name: str,
    turns: tuple[Message, ...],
    tools: tuple[Mapping[str, Any], ...],
) -> None:
    turns = (SYSTEM, *turns) if name == "hermes" else turns
    segments = render(example(turns, tools), CHAT, CHATS[name])
    ids: list[int] = []
    mask: list[int] = []
    for segment in segments:
        found = oracles[name](segment.text, add_special_tokens=False)["input_ids"]
        ids += found
        mask += [int(segment.trained)] * len(found)
    whole = oracles[name].apply_chat_template(
        for_oracle(name, turns),
        tools=list(tools) or None,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    assert ids == whole["input_ids"]
    assert mask == whole["assistant_masks"]
    assert sum(mask) > 0


@pytest.mark.parametrize("name", CHATS)
def test_calls_are_trained_and_results_are_not(name: str) -> None:
    turns = TALKS["call, result, answer"]
    segments = render(example(turns), CHAT, CHATS[name])
    trained = [segment.text for segment in segments if segment.trained]
    masked = "".join(segment.text for segment in segments if not segment.trained)
    assert len(trained) == 2
    assert "weather" in trained[0] and "Köln" in trained[0]
    assert "18 degrees." in trained[1]
    assert all(text.endswith(CHATS[name].eos) for text in trained)
    assert '{"degrees": 18}' in masked
    last = render(example(turns), CHAT, CHATS[name], "last")
    assert [segment.text for segment in last if segment.trained] == trained[1:]
    asked = prompt_of(example(turns), CHAT, CHATS[name])
    assert '{"degrees": 18}' in asked and "18 degrees." not in asked


def test_a_call_may_be_what_is_asked_for() -> None:
    turns = TALKS["a call at the end"]
    segments = render(example(turns), CHAT, CHATS["hermes"], "last")
    (trained,) = [segment.text for segment in segments if segment.trained]
    expected = '{"name": "weather", "arguments": {"city": "Köln", "days": 1}}'
    assert trained == f"<call>\n{expected}\n</call><|im_end|>"


ARGUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text('ab "{<>\n\\', max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text("ab ", max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(st.sampled_from(["hermes", "text"]), st.dictionaries(st.text("ab"), ARGUMENTS, max_size=3))
@settings(max_examples=150, deadline=None)
def test_any_arguments_are_found(name: str, arguments: dict[str, Any]) -> None:
    for given_as in (arguments, json.dumps(arguments, ensure_ascii=False)):
        turns = (USER, calls(call("f", given_as)), RESULT, ANSWER)
        segments = find_answers(turns, CHATS[name], TOOLS)
        first, second = [segment.text for segment in segments if segment.trained]
        assert json.dumps(arguments, ensure_ascii=False) in first
        assert first.endswith(CHATS[name].eos) and "18" not in first
        assert second == "18 degrees." + CHATS[name].eos
        joined = "".join(segment.text for segment in segments)
        assert joined == render_chat(turns, CHATS[name], tools=TOOLS)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("turns", "tools", "what"),
    [
        (TALKS["tools and no call"], TOOLS, "the functions that may be called"),
        (TALKS["call, result, answer"], TOOLS, "the functions that may be called"),
        (TALKS["call, result, answer"], (), "the calls of functions"),
        (SPOKEN, (), "the calls of functions"),
    ],
)
@pytest.mark.parametrize(
    ("template", "chat"),
    [(CHAT, NO_TOOLS), (ChatmlTemplate("chatml", None, None), CHATS["hermes"])],
    ids=["a model without", "chatml"],
)
def test_a_template_that_knows_no_tools_is_refused(
    template: Any, chat: ChatFormat, turns: tuple[Message, ...], tools: Any, what: str
) -> None:
    with pytest.raises(TemplateError, match=f"knows no tools: {what}") as caught:
        render(example(turns, tools), template, chat)
    assert caught.value.hint and "whose own chat template has tools" in caught.value.hint


def test_without_tools_the_same_template_will_do() -> None:
    turns = (USER, Message("tool", "18"), ANSWER)
    for template, chat in ((CHAT, NO_TOOLS), (ChatmlTemplate("chatml", None, None), NO_TOOLS)):
        segments = render(example(turns, ()), template, chat)
        assert [s.text for s in segments if s.trained] == ["18 degrees.<|im_end|>"]
    assert NO_TOOLS.template == CHATML.template


CALLS_LAST = """{{ tools }}{% for m in messages %}{{ m.role }}:{{ m.content }}
{% endfor %}{% for m in messages %}{% for call in m.tool_calls or [] %}
{{ call.function | tojson }}{% endfor %}{% endfor %}"""
CALLS_WITH_RESULTS = """{{ tools }}{% set ns = namespace(said='') %}{% for m in messages %}
{% for call in m.tool_calls or [] %}{% set ns.said = call.function | tojson %}{% endfor %}
{% if m.role == 'tool' %}{{ ns.said }}{% endif %}{{ m.role }}:{{ m.content }}
{% endfor %}"""
COUNTED = "{{ messages | length }}" + CALLS_LAST


@pytest.mark.parametrize("template", [CALLS_LAST, CALLS_WITH_RESULTS, COUNTED])
def test_calls_out_of_their_place_are_refused(template: str) -> None:
    turns = TALKS["one after the other"]
    with pytest.raises(TemplateError, match="answers cannot be told apart"):
        render(example(turns), CHAT, ChatFormat(template, "", "</s>"))


def test_a_refusal_of_the_template_itself_is_told() -> None:
    template = "{{ tools }}{% for m in messages %}{{ raise_exception('no ' + m.role) }}{% endfor %}"
    with pytest.raises(TemplateError, match="no user"):
        render(example(TALKS["call, result, answer"]), CHAT, ChatFormat(template, "", "</s>"))


def test_a_template_of_ones_own_reads_tools() -> None:
    own = JinjaTemplate("jinja", "{{ tools | tojson }}", "{{ messages[1].tool_calls[0].id }}")
    segments = render(example(TALKS["call, result, answer"]), own, NO_TOOLS)
    assert json.loads(segments[0].text) == [dict(tool) for tool in TOOLS]
    assert segments[1].text == "1<|im_end|>"

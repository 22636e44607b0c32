"""SQL of turns: a list of messages in any spelling → structs of one shape, and texts out of them.

A turn is a struct (said, role, held, content, calls, call_id, name). said: its role as written.
role: one of TURN_ROLES, null where unknown. held: its content as JSON. content: null where that is
no text. calls: JSON list in OpenAI's shape, null without calls.
"""

from __future__ import annotations

import json

from dsl.problems import one_of
from dsl.rows import SPEAKERS, TURN_ROLES
from runner.data.formats.texts import quoted_text

# what a turn is read from; whatever it holds beside these is not looked at
_READ = {
    "role": "VARCHAR",
    "from": "VARCHAR",
    "content": "JSON",
    "value": "JSON",
    "tool_calls": "JSON",
    "function_call": "JSON",
    "tool_call_id": "VARCHAR",
    "name": "VARCHAR",
}
# the role of a turn that is a call of a function, written as its text
_CALLING = "'function_call'"


def turns(listed: str) -> str:
    """SQL: the turns of the JSON list in the text `listed`; null where that is no list."""
    said = 'coalesce(t.role, t."from")'
    held = "(coalesce(t.content, t.value)::varchar)"
    speakers = " ".join(f"when '{name}' then '{role}'" for name, role in SPEAKERS.items())
    calling = (
        f"case when {said} = {_CALLING} then {held} when t.tool_calls is not null"
        " then t.tool_calls::varchar else t.function_call::varchar end"
    )
    read = (
        f"list_transform(try(json_transform({listed}, {quoted_text(json.dumps([_READ]))})),"
        f" lambda t: {{'said': {said}, 'role': case {said} {speakers} end, 'held': {held},"
        f" 'calls': {calling}, 'call_id': t.tool_call_id, 'name': t.name}})"
    )
    with_calls = (
        f"list_transform({read}, lambda t: {{'said': t.said, 'role': t.role, 'held': t.held,"
        f" 'calls': case when t.calls is not null then {shaped('t.calls')} end,"
        " 'call_id': t.call_id, 'name': t.name})"
    )
    return (
        f"list_transform({with_calls}, lambda t: {{'said': t.said, 'role': t.role, 'held': t.held,"
        f" 'content': {_content()}, 'calls': t.calls, 'call_id': t.call_id, 'name': t.name}})"
    )


def code(turns: str) -> str:
    """SQL: the roles in letters: s, u, a, t, c for an assistant's turn with calls, ? unknown."""
    return (
        f"array_to_string(list_transform({turns}, lambda t: case t.role when 'user' then 'u'"
        " when 'system' then 's' when 'tool' then 't' when 'assistant' then"
        f" if(t.calls is not null or t.said = {_CALLING}, 'c', 'a') else '?' end), '')"
    )


def first_fault(turns: str) -> str:
    """SQL: why a turn cannot be used, wherever it stands, of the first such turn; or null."""
    faults = f"list_transform({turns}, lambda t, i: {_fault()})"
    return f"list_filter({faults}, lambda f: f is not null)[1]"


def no_role(number: str, said: str) -> str:
    """SQL: what is wrong with a turn whose role is not known."""
    return (
        f"'turn ' || {number} || ' has no role of {one_of(TURN_ROLES)}'"
        f" || coalesce(': ' || chr(39) || left({said}, 60) || chr(39), '')"
    )


def messages(turns: str, system: str) -> str:
    """SQL: the JSON list of canonical messages, after one of `system` where that is not null. What
    a turn does not have is left out."""
    return (
        f"""'[' || coalesce('{{"role":"system","content":' || to_json({system}) || '}},', '')"""
        f" || array_to_string(list_transform({turns}, lambda t:"
        """ '{"role":"' || t.role || '","content":' || to_json(coalesce(t.content, ''))"""
        """ || coalesce(',"tool_calls":' || t.calls, '')"""
        """ || coalesce(',"tool_call_id":' || to_json(t.call_id), '')"""
        """ || coalesce(',"name":' || to_json(t.name), '') || '}'), ',') || ']'"""
    )


def spoken(turn: str) -> str:
    """SQL: the text of a turn: its content, or its calls as JSON where that is empty."""
    return f"coalesce(nullif({turn}.content, ''), {turn}.calls, {turn}.content)"


def told(turns: str) -> str:
    """SQL: turns as 'role: content', joined by blank lines."""
    said = f"t.role || ': ' || coalesce({spoken('t')}, '')"
    return f"array_to_string(list_transform({turns}, lambda t: {said}), E'\\n\\n')"


def shaped(held: str) -> str:
    """SQL: a function or call, or a list of them, also as JSON in a text, as JSON list in OpenAI's
    shape {type, function}; null where there is none."""
    opened = (
        f"case when ({held})[1] <> '\"' then {held}"
        f" when json_valid({held} ->> '$') then {held} ->> '$' end"
    )
    # one value by itself has no elements for the first path
    found = "coalesce(nullif(json_extract(o, '$[*]'), []), if(o[1] = '{', [o::json], []))"
    wrapped = "json_object('type', 'function', 'function', e)"
    each = f"lambda e: if(json_exists(e, '$.function') or json_type(e) <> 'OBJECT', e, {wrapped})"
    return (
        f"list_transform([{opened}],"
        f" lambda o: nullif(to_json(list_transform({found}, {each}))::varchar, '[]'))[1]"
    )


def _content() -> str:
    parts = (
        "json_array_length(t.held) > 0"
        " and len(list_filter(json_type(t.held, '$[*].text'), lambda k: k = 'VARCHAR'))"
        " = json_array_length(t.held)"
        " and len(list_filter(json_extract_string(t.held, '$[*].type'), lambda k: k <> 'text')) = 0"
    )
    return (
        f"case when t.said = {_CALLING} and t.calls is not null then ''"
        " when t.held is null then if(t.calls is not null, '', null)"
        """ when t.held[1] = '"' then t.held ->> '$'"""
        f" when t.held[1] = '[' and {parts}"
        " then array_to_string(json_extract_string(t.held, '$[*].text'), E'\\n')"
        # what a tool gives back may be data
        f" when t.role = 'tool' or t.said = {_CALLING} then t.held end"
    )


def _fault() -> str:
    odd = "list_filter(json_extract_string(t.held, '$[*].type'), lambda k: k <> 'text')[1]"
    words = (
        "case t.held[1] when '[' then if(t.held = '[]', 'an empty list', 'a list')"
        " when '{' then 'an object' when 't' then 'true' when 'f' then 'false'"
        " else if(t.held is null, 'null', 'a number') end"
    )
    return (
        f"case when t.role is null then {no_role('i', 't.said')}"
        " when t.content is not null then null"
        f" when t.held[1] = '[' and {odd} is not null"
        f" then 'the content of turn ' || i || ' has a part of type ' || {odd} || ', not text'"
        f" else 'the content of turn ' || i || ' is ' || {words} || ', not a text' end"
    )

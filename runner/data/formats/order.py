"""SQL of what is wrong with a conversation as a whole: the order of its turns, its tool calls."""

from __future__ import annotations

from runner.data.formats.turns import no_role

# the letters of turns.code → what is wrong; # and ## stand for the turns' numbers, which the length
# of the first group tells
_ORDER = (
    ("^(.+?)s", "turn # is the system''s, not first"),
    ("^(s?)[ac]", "turn # is the assistant''s, before any of the user''s"),
    ("^(.*?)uu", "turns # and ## are both the user''s"),
    ("^(.*?)[ac][ac]", "turns # and ## are both the assistant''s"),
    ("^()t", "turn # is a tool''s result without a call before"),
    ("^(.*?[sua?])t", "turn # is a tool''s result without a call before"),
    ("^()[^ac]*$", "no assistant turn"),
    ("^()(.*)[^ac]$", "the last turn is not the assistant''s"),
)


def order(code: str, turns: str) -> str:
    """SQL: what is wrong with the order of turns; null where nothing is."""
    unknown = f"strpos({code}, '?')"
    cases = " ".join(
        f"when regexp_matches({code}, '{pattern}') then {_numbered(code, pattern, words)}"
        for pattern, words in _ORDER
    )
    return (
        f"case when {code} in ('ua', 'sua', 'uaua') then null"
        f" when {unknown} > 0 then {no_role(unknown, f'{turns}[{unknown}].said')} {cases} end"
    )


def unanswered(code: str) -> str:
    """SQL: why a conversation cannot be trained on; null where it ends with an answer."""
    return (
        f"case when right({code}, 1) in ('a', 'c') then null"
        f" when regexp_matches({code}, '[ac]') then 'the last turn is not the assistant''s'"
        " else 'no assistant turn' end"
    )


def calls(code: str, turns: str, tools: str, tools_cell: str) -> str:
    """SQL: what is wrong with tool calls, first of all turns; null where nothing is.

    `tools`: JSON list of functions in OpenAI's shape. `tools_cell`: the text they were read from; a
    call of a function that is not among them is wrong only where that is not null.
    """
    ids = "flatten(list_transform({0}, lambda e: json_extract_string(e.calls, '$[*].id')))"
    results = (
        f"list_transform(list_filter({turns}, lambda e: e.role = 'tool'), lambda e: e.call_id)"
    )
    bad_arguments = (
        "list_filter(json_extract(t.calls, '$[*].function.arguments'), lambda a:"
        " (a::varchar)[1] = '\"' and not json_valid(a ->> '$'))"
    )
    names = "json_extract_string(t.calls, '$[*].function.name')"
    known = f"coalesce(json_extract_string({tools}, '$[*].function.name'), [])"
    unknown = f"list_filter({names}, lambda n: not list_contains({known}, n))"
    open_calls = (
        "list_filter(json_extract_string(t.calls, '$[*].id'),"
        f" lambda n: not list_contains({results}, n))"
    )
    fault = (
        f"case when {code}[i] = 'c' and t.calls is null"
        " then 'the call in turn ' || i || ' is not JSON'"
        f" when len({names}) < json_array_length(t.calls)"
        " then 'a call in turn ' || i || ' names no function'"
        f" when len({bad_arguments}) > 0"
        " then 'the arguments of a call in turn ' || i || ' are not JSON'"
        f" when {tools_cell} is not null and len({unknown}) > 0"
        f" then 'turn ' || i || ' calls ''' || {unknown}[1] || ''', which tools does not define'"
        f" when {code}[i] = 'c' and i < len({turns}) and ({code}[i + 1] <> 't' or"
        f" (len(list_filter({results}, lambda r: r is not null)) > 0 and len({open_calls}) > 0))"
        " then 'a call in turn ' || i || ' has no result'"
        f" when t.role = 'tool' and t.call_id is not null"
        f" and not coalesce(list_contains({ids.format(turns + '[:i - 1]')}, t.call_id), false)"
        " then 'turn ' || i || ' answers a call ''' || left(t.call_id, 60)"
        " || ''' that was not made' end"
    )
    first = (
        f"list_filter(list_transform({turns}, lambda t, i: {fault}), lambda f: f is not null)[1]"
    )
    return (
        f"case when {tools_cell} is not null and {tools_cell} <> '[]' and {tools} is null"
        " then 'the tools are no list of functions in JSON'"
        f" when contains({code}, 'c') or contains({code}, 't') then {first} end"
    )


def _numbered(code: str, pattern: str, words: str) -> str:
    at = f"strlen(regexp_extract({code}, '{pattern}', 1)) + 1"
    pieces = "'" + words.replace("##", f"' || ({at} + 1) || '").replace("#", f"' || ({at}) || '")
    return pieces + "'"

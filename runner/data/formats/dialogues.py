"""Rows that join a question to answers kept apart: preference, KTO, alpaca with a history.

Question and answers may be texts, single turns or lists of turns, row by row.
"""

from __future__ import annotations

from runner.data.formats import flat
from runner.data.formats.cells import Cells, in_words, not_a_text, repr_of
from runner.data.formats.conversations import columns, read
from runner.data.formats.order import unanswered
from runner.data.formats.texts import quoted_text
from runner.data.formats.turns import first_fault, spoken, told, turns

_LISTS = ("messages", "conversations")


def kto(cells: Cells) -> tuple[str, dict[str, str]]:
    """An answer, and whether it is wanted: a completion, or the last turn of a conversation."""
    given = f"(select *, {_asked(cells)} as asked, {_answer(cells, 'completion')} as answer"
    given += f" from {cells.relation})"
    relation = read(cells, given, turns(_joined("asked", "answer")))
    label = cells.text("label")
    said = f"lower(trim({label}))"
    desirable = (
        f"case when {said} in ('true', '1', '1.0') then true"
        f" when {said} in ('false', '0', '0.0') then false end"
    )
    refusal = (
        f"case when ({desirable}) is null then {quoted_text(repr_of(cells.roles['label']))}"
        f" || ' is ' || coalesce(left({label}, 60), 'null') || ', not true or false'"
        " when coalesce(len(m), 0) = 0 then 'no turns'"
        f" else coalesce(fault, {unanswered('code')}) end"
    )
    flat_row = _flat(cells, ("prompt", "completion"))
    made = _of_texts(cells, columns(cells), flat_row, ("prompt", "completion", "system"))
    return relation, {**made, "desirable": desirable, "refusal": refusal}


def preference(cells: Cells) -> tuple[str, dict[str, str]]:
    """Two answers to one question. What lists of turns share at their beginning is the question,
    or its end; their last turns always differ, even if they are equal."""
    given = (
        "(select *, every[:asked_turns] as p, every[asked_turns + 1:asked_turns + chosen_turns]"
        " as c, every[asked_turns + chosen_turns + 1:] as r"
        f" from (select *, {turns(_joined('asked', 'chosen', 'rejected'))} as every,"
        " coalesce(json_array_length(asked), 0)::integer as asked_turns,"
        " json_array_length(chosen)::integer as chosen_turns"
        f" from (select *, {_asked(cells)} as asked, {_answer(cells, 'chosen')} as chosen,"
        f" {_answer(cells, 'rejected')} as rejected from {cells.relation})))"
    )
    shared = (
        "coalesce(nullif(list_position(list_transform(range(1, least(len(c), len(r))),"
        " lambda i: c[i] is distinct from r[i]), true), 0), least(len(c), len(r))) - 1"
    )
    # a conversation that shares nothing with the other one still ends with its answer
    whole = "if(shared = 0 and len({0}) > 1 and {0}[1].role in ('user', 'system'),"
    whole += " len({0}) - 1, shared)"
    parts = (
        f"(select *, {whole.format('c')} as of_chosen, {whole.format('r')} as of_rejected"
        f" from (select *, {shared} as shared from {given}))"
    )
    # 'chosen' often repeats the prompt
    texts = "list_transform({0}, lambda t: t.content)"
    repeated = (
        f"of_chosen > 0 and list_has_any({texts.format('p')}, {texts.format('c[:of_chosen]')})"
    )
    relation = read(cells, parts, f"if({repeated}, c, list_concat(p, c))")
    before = "(len(m) - len(c) + of_chosen)"
    flat_row = _flat(cells, ("prompt", "chosen", "rejected"))
    known = ("prompt", "chosen", "rejected", "system")
    made = _of_texts(cells, columns(cells, before), flat_row, known)
    faults = [
        f"when {first_fault(name)} is not null"
        f" then {quoted_text(repr_of(cells.roles[role]) + ': ')} || {first_fault(name)}"
        f" when coalesce({name}[-1].role, '') <> 'assistant' then"
        f" {quoted_text('the last turn of ' + repr_of(cells.roles[role]))}"
        " || ' is not the assistant''s'"
        for name, role in (("c", "chosen"), ("r", "rejected"))
    ]
    return relation, {
        **made,
        "completion": _text_from("c", "of_chosen"),
        "rejected": _text_from("r", "of_rejected"),
        "refusal": f"case {' '.join(faults)} else fault end",
    }


def alpaca(cells: Cells) -> tuple[str, dict[str, str]]:
    """With a history of [question, answer] pairs a row is a conversation, without it two texts."""
    if "history" not in cells.roles:
        return flat.alpaca(cells)
    history = cells.text("history")
    pairs = f"try(json_transform({history}, '[[\"VARCHAR\"]]'))"
    listed = (
        f"to_json(flatten(list_transform({pairs}, lambda p: [{{'role': 'user', 'content': p[1]}},"
        " {'role': 'assistant', 'content': p[2]}])))::varchar"
    )
    asked = f"(select *, {listed} as history, {_plain(flat.question(cells), 'user')} as asked,"
    asked += f" {_answer(cells, 'output')} as answer from {cells.relation})"
    relation = read(cells, asked, turns(_joined("history", "asked", "answer")))
    known = tuple(role for role in cells.roles if role != "history")
    odd = f"len(list_filter({pairs}, lambda p: p is null or len(p) <> 2)) > 0"
    refusal = (
        f"case when {not_a_text(cells, known)} is not null then {not_a_text(cells, known)}"
        f" when coalesce({history}, '') <> '' and ({pairs} is null or {odd})"
        f" then {quoted_text(repr_of(cells.roles['history']) + ' is ')}"
        f" || {in_words(cells.kind('history'), history)}"
        " || ', not a list of [question, answer]' end"
    )
    made = _of_texts(cells, columns(cells), "len(m) = 2", known)
    return relation, {**made, "refusal": refusal}


def _joined(*lists: str) -> str:
    """SQL: JSON lists, any of them null, as one."""
    joined = "[]::json[]"
    for listed in lists:
        joined = f"list_concat({joined}, json_extract({listed}, '$[*]'))"
    return f"to_json({joined})::varchar"


def _asked(cells: Cells) -> str:
    """SQL: the question as JSON list of turns; null where there is none."""
    listed = [f"when {cells.text(role)} is not null then {_turn_list(cells, role, 'user')}"
              for role in (*_LISTS, "prompt") if role in cells.roles]  # fmt: skip
    return f"case {' '.join(listed)} end" if listed else "null::varchar"


def _answer(cells: Cells, role: str) -> str:
    """SQL: an answer as JSON list of turns; null where it can only be a conversation's end."""
    if role not in cells.roles:
        return "null::varchar"
    lists = [f"{cells.text(name)} is not null" for name in _LISTS if name in cells.roles]
    ends = f"{cells.text(role)} is null and ({' or '.join(lists) or 'false'})"
    return f"case when {ends} then null else {_turn_list(cells, role, 'assistant')} end"


def _turn_list(cells: Cells, role: str, speaker: str) -> str:
    text = f"coalesce({cells.text(role)}, '')"
    return f"coalesce({_listed(cells, role)}, {_plain(text, speaker)})"


def _listed(cells: Cells, role: str) -> str:
    """SQL: a cell that holds a turn or turns, as JSON list; null where it holds a text."""
    text, kind = cells.text(role), cells.kind(role)
    turn = f"(json_exists({text}, '$.role') or json_exists({text}, '$.from'))"
    first = f"(json_exists({text}, '$[0].role') or json_exists({text}, '$[0].from'))"
    return (
        f"case when {kind} = 'ARRAY' then {text} when {kind} = 'OBJECT' then '[' || {text} || ']'"
        f" when {kind} = 'VARCHAR' and {text}[1] in ('[', '{{') and json_valid({text}) then"
        f" case when {text}[1] = '[' and {first} then {text}"
        f" when {text}[1] = '{{' and {turn} then '[' || {text} || ']' end end"
    )


def _plain(text: str, speaker: str) -> str:
    """SQL: a text as JSON list of one turn."""
    return f"""'[{{"role":"{speaker}","content":' || to_json({text}) || '}}]'"""


def _flat(cells: Cells, roles: tuple[str, ...]) -> str:
    """SQL: whether the row is made of texts alone."""
    lists = [f"{cells.text(role)} is null" for role in _LISTS if role in cells.roles]
    plain = [f"({_listed(cells, role)}) is null" for role in roles if role in cells.roles]
    return f"({' and '.join([*lists, *plain])})"


def _of_texts(
    cells: Cells, made: dict[str, str], flat_row: str, roles: tuple[str, ...]
) -> dict[str, str]:
    """The columns of conversations, but for rows of texts: those have no turns to be out of order,
    and are kept as texts."""
    known = tuple(role for role in roles if role in cells.roles)
    return {
        **made,
        "roles": f"case when not {flat_row} then {made['roles']} end",
        "messages": f"case when not {flat_row} then {made['messages']} end",
        "texts": f"case when {flat_row} then {flat.texts(cells, known)} end",
    }


def _text_from(turns: str, shared: str) -> str:
    """SQL: the text of an answer, what stands behind the first `shared` turns."""
    return (
        f"case when len({turns}) - {shared} = 1 then {spoken(f'{turns}[-1]')}"
        f" else {told(f'{turns}[{shared} + 1:]')} end"
    )

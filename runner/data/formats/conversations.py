"""Rows that hold conversations: lists of turns, and what is asked and answered in them."""

from __future__ import annotations

from runner.data.formats.cells import Cells, in_words, repr_of
from runner.data.formats.order import calls, order, unanswered
from runner.data.formats.texts import blank_sql, quoted_text
from runner.data.formats.turns import code, first_fault, messages, shaped, spoken, told, turns


def conversation(cells: Cells, role: str) -> tuple[str, dict[str, str]]:
    """messages and sharegpt: the turns of the column that plays `role`, in either spelling."""
    listed = cells.text(role)
    relation = read(cells, cells.relation, turns(listed))
    column = repr_of(cells.roles[role])
    no_list = (
        f"{quoted_text(column + ' is ')} || if({cells.kind(role)} = 'VARCHAR'"
        f" and not json_valid({listed}), 'a text that is not JSON', {_of(cells, role)}"
        " || ', not a list of turns')"
    )
    at = "('$[' || (list_position(list_transform(m, lambda t: t.role is null), true) - 1) || ']')"
    kind, value = f"json_type({listed}, {at})", f"json_extract_string({listed}, {at})"
    # what is no object has no role either
    refusal = (
        f"case when coalesce(len(m), 0) = 0 then {no_list}"
        f" when starts_with(fault, 'turn ') and {kind} <> 'OBJECT'"
        " then regexp_extract(fault, '^turn [0-9]+') || ' is ' ||"
        f" {in_words(kind, value)} || ', not an object'"
        f" else coalesce(fault, {unanswered('code')}) end"
    )
    return relation, {**columns(cells), "refusal": refusal}


def read(cells: Cells, relation: str, turns: str) -> str:
    """SQL: the relation with m, its turns; code, their roles in letters; fault, what is wrong with
    one of them; own_system, the system message of a column where the turns have none; tools."""
    system = cells.text("system")
    coded = (
        f"(select *, {code('m')} as code, {first_fault('m')} as fault"
        f" from (select *, {turns} as m from {relation}))"
    )
    return (
        f"(select *, {tools(cells)} as tools,"
        f" case when contains(code, 's') or {blank_sql(system)} then null else {system} end"
        f" as own_system from {coded})"
    )


def columns(cells: Cells, before: str = "(len(m) - 1)") -> dict[str, str]:
    """The columns over `read` of a conversation. What follows the first `before` turns, by default
    all but one, is the answer."""
    asked = f"list_filter(m[:{before}], lambda t: t.role <> 'system')"
    own = "array_to_string(list_transform(list_filter(m, lambda t: t.role = 'system'),"
    own += " lambda t: t.content), E'\\n\\n')"
    return {
        "roles": order("code", "m"),
        "calls": calls("code", "m", "tools", cells.text("tools")),
        "system": f"case when contains(code, 's') then nullif({own}, '') else own_system end",
        # one question stands alone, so that it equals the same one in another format
        "prompt": f"case when replace(left(code, {before}), 's', '') = 'u'"
        f" then m[strpos(code, 'u')].content else {told(asked)} end",
        "completion": spoken("m[-1]"),
        "turns": "length(replace(code, 's', ''))",
        "messages": messages("m", "own_system"),
        "tools": "tools",
    }


def tools(cells: Cells) -> str:
    """SQL: the JSON list of functions; null where there are none, or no such list."""
    cell = cells.text("tools")
    return f"case when json_valid({cell}) then {shaped(cell)} end"


def _of(cells: Cells, role: str) -> str:
    """SQL: what kind of value the cell holds, also where it is JSON in a text."""
    cell, kind = cells.text(role), cells.kind(role)
    return in_words(f"if({kind} = 'VARCHAR', json_type({cell}), {kind})", f"trim({cell})")

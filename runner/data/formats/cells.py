"""The cells of raw rows, and the columns that every format brings them to."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from dsl.problems import pointer
from runner.data.formats.texts import blank_sql, quoted_name, quoted_text

NOT_JSON = "not JSON"
MAX_DEPTH = 500  # levels; what reads a written row gives up at a thousand, its callers' included
TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"
FAR = 1 << 31  # above any depth
EMPTY = "EMPTY"  # beside JSON's types: an empty text
# what `canonical` selects, in this order, with its types
CANONICAL_COLUMNS: dict[str, str] = {
    "line": "bigint",
    "blank": "boolean",
    "refusal": "varchar",  # why the row cannot be used; NOT_JSON where the JSON is invalid
    "roles": "varchar",  # what is wrong with the order of turns
    "calls": "varchar",  # what is wrong with tool calls
    "own_id": "varchar",
    "grp": "varchar",
    "system": "varchar",
    "prompt": "varchar",
    "completion": "varchar",
    "rejected": "varchar",
    "desirable": "boolean",
    "label": "varchar",
    "turns": "integer",
    "messages": "varchar",  # JSON list of {role, content, ...}; conversations only
    "tools": "varchar",  # JSON list of {type, function}
    "texts": "varchar",  # JSON object: role → text; flat rows only
    "raw": "varchar",
    "keys": "varchar[]",
    "types": "varchar[]",  # of the mapped columns: JSON's, EMPTY of an empty text
    "shape": "ubigint",  # equal for rows with equal keys and types
}


@dataclass(frozen=True, slots=True)
class Cells:
    """The relation (line, raw, reason, texts, names, plain, kinds) and how its cells are named.

    texts: the cells as text. names: the row's keys. plain: the row is an object, and what of its
    mapped columns is not null is a text. kinds: of other rows, the JSON types of the row itself,
    then of the mapped columns, null where a cell is null or missing.
    """

    relation: str
    roles: Mapping[str, str]
    texts: Mapping[str, str]
    places: Mapping[str, int]
    id_column: str | None
    group_by: str | None

    def text(self, role: str) -> str:
        """SQL: the cell as text; null where it is null, missing or not mapped."""
        return self.texts[self.roles[role]] if role in self.roles else "null::varchar"

    def kind(self, role: str) -> str:
        """SQL: the JSON type of the cell; null where it is null, missing or not mapped."""
        if role not in self.roles:
            return "null::varchar"
        return self.kind_of(self.roles[role])

    def kind_of(self, column: str) -> str:
        """SQL: as `kind`, of a mapped column."""
        plain = f"case when {self.texts[column]} is not null then 'VARCHAR' end"
        return f"case when plain then {plain} else kinds[{self.places[column]}] end"


def cells(
    roles: Mapping[str, str], lines: str, id_column: str | None, group_by: str | None
) -> Cells:
    """Reads each line once for texts, and again for keys and for types where those are asked for
    and needed; DuckDB leaves out what is not."""
    typed = tuple(dict.fromkeys(roles.values()))
    own = (column for column in (id_column, group_by) if column is not None)
    columns = tuple(dict.fromkeys((*typed, *own)))
    if all(columns) and len({column.lower() for column in columns}) == len(columns):
        shape = quoted_text(json.dumps(dict.fromkeys(columns, "VARCHAR"), ensure_ascii=False))
        texts = f"try(json_transform(raw, {shape}))"
        named = {column: f"texts.{quoted_name(column)}" for column in columns}
    else:  # fields of a struct need names, and differ in more than case
        texts = f"try(json_extract_string(raw, [{_pointers(columns)}]))"
        named = {column: f"texts[{place}]" for place, column in enumerate(columns, 1)}
    own_cells = [named[column] for column in typed]
    kinds = f"list_transform({_types(typed)}, lambda kind: nullif(kind, 'NULL'))"
    return Cells(
        f"(select *, case when not plain then {kinds} end as kinds"
        f" from (select *, {_plain(own_cells)} as plain"
        f" from (select line, raw, reason, {texts} as texts, try(json_keys(raw)) as names"
        f" from {lines})))",
        roles,
        named,
        {column: place for place, column in enumerate(typed, 2)},
        id_column,
        group_by,
    )


def _types(columns: Sequence[str]) -> str:
    return f"try(json_type(raw, ['', {_pointers(columns)}]))"


def _plain(cells: Sequence[str]) -> str:
    """SQL: most rows need no second look for their types: what begins like prose is a text."""
    doubtful = " or ".join(
        f"({cell} >= '-' and {cell} < ':') or starts_with({cell}, '{{')"
        f" or starts_with({cell}, '[') or {cell} in ('true', 'false')"
        for cell in cells
    )
    something = " or ".join(f"{cell} is not null" for cell in cells)
    return f"({something}) and not coalesce({doubtful}, false)"


def select(cells: Cells, relation: str, columns: Mapping[str, str], wanted: Collection[str]) -> str:
    """SQL: the `wanted` of CANONICAL_COLUMNS from `relation`, those of a format being given in
    `columns`.

    Its 'refusal' is for rows that are JSON objects. What a format does not give is null.
    """
    own_id = cells.texts[cells.id_column] if cells.id_column is not None else "null"
    group = cells.texts[cells.group_by] if cells.group_by is not None else "null"
    empty = [_empty(cells, column) for column in cells.places]
    common = {
        "line": "line",
        "blank": "raw is null and reason is null",
        "own_id": f"nullif(trim({own_id}, E' \\t\\r\\n'), '')",
        "grp": f"case when {blank_sql(group)} then null else {group} end",
        "raw": "try(json(raw))",
        "keys": "names",
        "types": f"[{', '.join(_type(cells, column) for column in cells.places)}]",
        "shape": f"hash({', '.join(['names', 'kinds', *empty])})",
    }
    refusal = (
        "case when raw is null then reason"
        f" when not plain and kinds is null then '{NOT_JSON}'"
        " when not plain and coalesce(kinds[1], 'NULL') <> 'OBJECT'"
        f" then {in_words('kinds[1]', 'try(json(raw))::varchar')}"
        " || ', not an object'"
        f" when {too_deep('raw')} then '{TOO_DEEP}'"
        f" else {columns['refusal']} end"
    )
    made = {**columns, **common, "refusal": refusal}
    listed = ", ".join(
        f"({made.get(name, 'null')})::{kind} as {name}"
        for name, kind in CANONICAL_COLUMNS.items()
        if name in wanted
    )
    return f"select {listed} from {relation}"


def _type(cells: Cells, column: str) -> str:
    """SQL: the JSON type of a cell, EMPTY of an empty text, NULL of null; null where it is
    missing."""
    kind = f"if({_empty(cells, column)}, '{EMPTY}', {cells.kind_of(column)})"
    return (
        f"coalesce({kind}, case when list_contains(names, {quoted_text(column)}) then 'NULL' end)"
    )


def _empty(cells: Cells, column: str) -> str:
    return f"{cells.texts[column]} = ''"


def in_words(kind: str, text: str) -> str:
    """SQL: what kind of JSON value this is, of its type and its text."""
    return (
        f"case {kind} when 'ARRAY' then if({text} = '[]', 'an empty list', 'a list')"
        f" when 'OBJECT' then 'an object' when 'VARCHAR' then 'a text' when 'BOOLEAN' then {text}"
        f" when 'NULL' then 'null' else if({kind} is null, 'null', 'a number') end"
    )


def too_deep(raw: str) -> str:
    """SQL: whether a JSON text is nested deeper than MAX_DEPTH; null for most that are not. Few
    have as many brackets; of those, the ones outside of texts are gone through.
    """
    least = f"strlen({raw}) - strlen(replace(replace({raw}, '[', ''), '{{', ''))"
    bare = f"""regexp_replace({raw}, '"(?:[^"\\\\]|\\\\.)*"', '', 'g')"""
    steps = (
        f"list_transform(regexp_extract_all({bare}, '[][{{}}]'),"
        " lambda c: if(c = '[' or c = '{', 1, -1)::bigint)"
    )
    # one number holds the greatest depth so far, times FAR, and the depth now
    deepest = (
        f"list_reduce({steps}, lambda a, d:"
        f" greatest(a // {FAR}, a % {FAR} + d) * {FAR} + a % {FAR} + d, 0::bigint) // {FAR}"
    )
    return (
        f"case when strlen({raw}) > 2 * {MAX_DEPTH} then"
        f" case when {least} > {MAX_DEPTH} then {deepest} > {MAX_DEPTH} end end"
    )


def not_a_text(cells: Cells, roles: Sequence[str]) -> str:
    """SQL: which of the cells is a list or an object, in words; null where all are texts."""
    # plain rows have none, and `kinds` is null there: to tell their kinds would cost every row
    kinds = {role: f"kinds[{cells.places[cells.roles[role]]}]" for role in roles}
    cases = " ".join(
        f"when {kind} in ('ARRAY', 'OBJECT') then"
        f" {quoted_text(repr_of(cells.roles[role]) + ' is ')}"
        f" || {in_words(kind, cells.text(role))} || ', not a text'"
        for role, kind in kinds.items()
    )
    return f"case {cases} end" if cases else "null"


def repr_of(column: str) -> str:
    """A column as messages write it."""
    return f"'{column}'"


def _pointers(columns: Sequence[str]) -> str:
    return ", ".join(quoted_text(pointer((column,))) for column in columns)

"""Which format the rows of a file make, by the names of its columns and what they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dsl.problems import did_you_mean, one_of
from dsl.rows import EITHER, FORMATS, OPTIONAL, Format
from runner.data.formats.contents import WORDS, kind_of
from runner.data.formats.names import NAMES, holding


class Given(Protocol):
    """A recipe's `columns`."""

    def given(self) -> dict[str, str]:
        """Role → column."""


@dataclass(frozen=True, slots=True)
class Detected:
    """The format of a file. `roles`: role → column. `evidence`: a sentence that says why.

    `alternatives`: the other formats that its columns make.
    """

    format: Format
    roles: Mapping[str, str]
    evidence: str
    alternatives: tuple[Format, ...] = ()

    @property
    def typed(self) -> tuple[str, ...]:
        """The columns whose JSON types `canonical` gives, in its order."""
        return tuple(dict.fromkeys(self.roles.values()))


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why columns make no format."""

    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Census:
    """What the first rows hold: column → kind of content → rows. Of a header, names alone.

    `spelled`: name in lower case → columns.
    """

    columns: Mapping[str, Counter[str]]
    spelled: Mapping[str, Sequence[str]]
    rows: int

    def count(self, column: str, kinds: frozenset[str]) -> int:
        return sum(self.columns[column][kind] for kind in kinds)

    def holds(self, column: str, kinds: frozenset[str]) -> bool:
        """Whether most of the cells that hold anything hold this."""
        kept = self.columns[column]
        said = kept.total() - kept["null"] - kept["empty"]
        return 2 * self.count(column, kinds) > said or not said


def detect(
    head: Sequence[Mapping[str, object]],
    given: Given,
    declared: str = "auto",
    columns: Sequence[str] = (),
) -> Detected | Misfit:
    """The format that the first rows make, given which role the recipe maps to which column.

    `declared` is the recipe's `format`. `columns` are known without rows, as those of a header.
    What columns hold decides first; where that fits nothing, their names alone, and rows that do
    not hold what their format asks for are refused one by one.
    """
    census = take_census(head, columns)
    mapped = given.given()
    for by_content in (True, False) if census.rows else (False,):
        fitting = {
            format: roles
            for format in NAMES
            if declared in ("auto", format)
            and set(mapped) <= set(roles_of(format))
            and (roles := _roles(format, mapped, census, by_content))
            and not lacking(format, roles)
        }
        if fitting:
            format, *others = fitting
            roles = _with_late(format, fitting[format])
            return Detected(format, roles, _evidence(format, roles, census), tuple(others))
    return _misfit(mapped, declared, census)


def take_census(head: Sequence[Mapping[str, object]], columns: Sequence[str] = ()) -> Census:
    counted: dict[str, Counter[str]] = {column: Counter() for column in columns}
    for row in head:
        for column, value in row.items():
            counted.setdefault(column, Counter())[kind_of(value)] += 1
    spelled: dict[str, list[str]] = {}
    for column in counted:
        spelled.setdefault(column.lower(), []).append(column)
    return Census(counted, spelled, len(head))


def roles_of(format: Format) -> tuple[str, ...]:
    """Every role of a format, those it needs first."""
    either = EITHER.get(format, ())
    return tuple(dict.fromkeys((*FORMATS[format], *either, *OPTIONAL[format])))


def lacking(format: Format, roles: Mapping[str, str]) -> list[str]:
    """The roles that a format needs and these columns do not play, in words."""
    lacks = [role for role in FORMATS[format] if role not in roles]
    either = EITHER.get(format)
    if either and not any(role in roles for role in either):
        lacks.append(one_of(either))
    return lacks


def no_column(column: str, known: Sequence[str]) -> str:
    """A hint: the column that was probably meant, and those there are."""
    close = did_you_mean(column, known)
    return f"{close + ' ' if close else ''}the columns: {_listed(known)}"


def _roles(
    format: Format, mapped: Mapping[str, str], census: Census, by_content: bool
) -> dict[str, str]:
    """Role → column: as mapped, else the first column of a known name that holds what it should.

    A column that plays one role does not play another.
    """
    roles = {role: column for role, column in mapped.items() if column in census.columns}
    roles.pop("id", None)
    taken = set(mapped.values())
    for role in roles_of(format):
        if role in mapped or role == "id":
            continue
        for column in _candidates(format, role, census, by_content):
            fits = not by_content or census.holds(column, holding(format, role))
            if column not in taken and fits:
                roles[role] = column
                taken.add(column)
                break
    return {role: roles[role] for role in roles_of(format) if role in roles}


def _candidates(format: Format, role: str, census: Census, by_content: bool) -> Iterator[str]:
    """Columns of the role's names, best first: exact ones, then those that differ in case.

    What is plainly a conversation is one by any name, if the rows are known.
    """
    names = NAMES[format].get(role, ())
    turns = holding(format, role) & {"role_turns", "from_turns"}
    if turns and not by_content:
        names = names[:1]  # by name alone, messages and conversations are what they say
    yield from (name for name in names if name in census.columns)
    yield from (column for name in names for column in census.spelled.get(name.lower(), ()))
    if by_content and format in ("messages", "sharegpt") and role in FORMATS[format]:
        yield from (column for column in census.columns if census.count(column, turns))


def _with_late(format: Format, roles: dict[str, str]) -> dict[str, str]:
    """With the roles that are read by their own names though the first rows lack them: columns may
    come late, and must not be lost."""
    late = ("system", "instruction", "input", "tools")
    added = {role: role for role in OPTIONAL[format] if role in late}
    free = {role: column for role, column in added.items() if column not in roles.values()}
    both = {**free, **roles}
    return {role: both[role] for role in roles_of(format) if role in both}


def _evidence(format: Format, roles: Mapping[str, str], census: Census) -> str:
    told = [role for role in roles_of(format) if roles.get(role) in census.columns]
    if not census.rows:
        return f"the columns are called {_and([repr(roles[role]) for role in told])}"
    said = []
    for role in told:
        if role in FORMATS[format] or role in EITHER.get(format, ()):
            held = census.columns[roles[role]]
            most = max(holding(format, role), key=lambda kind: (held[kind], kind))
            said.append(f"column '{roles[role]}' holds {WORDS[most]} in {held[most]}")
    return f"{_and(said)} of {census.rows} rows"


def _misfit(mapped: Mapping[str, str], declared: str, census: Census) -> Misfit:
    known = tuple(census.columns)
    hint = (
        'say which column plays which part, as in "columns": {"prompt": "question", '
        f'"completion": "answer"}}; the columns: {_listed(known)}'
    )
    for format in FORMATS:
        if declared == format:
            if set(mapped) <= set(roles_of(format)):
                lacks = " and ".join(lacking(format, _roles(format, mapped, census, False)))
                return Misfit(f"format {format} lacks a column for {lacks}", hint)
            return Misfit(f"the mapped columns are not those of format {declared}", hint)
    return Misfit(f"the columns {_listed(known)} make no known format", hint)


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _listed(columns: Sequence[str]) -> str:
    shown = (column if column.isprintable() else repr(column) for column in sorted(columns)[:20])
    return ", ".join(shown) + (", ..." if len(columns) > 20 else "")

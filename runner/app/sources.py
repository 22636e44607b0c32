"""The sources that the text of a recipe names, looked at one by one: also of a recipe with errors,
since a column without a part is one of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from dsl import schema
from dsl.errors import DataError, RecipeError
from dsl.problems import Change, dotted, lookup, remove, set_value
from dsl.problems import Path as RecipePath
from dsl.rows import FORMATS, ROLES, Format
from dsl.rules.objective import OTHER_OBJECTIVES
from dsl.source import parse
from dsl.sources import Columns, DatabaseSource, FileSource, HubSource
from runner.data import files, hub
from runner.data.files import File
from runner.data.formats import Detected, Misfit, detect
from runner.data.formats.detect import lacking, roles_of
from runner.data.peek import Head, head

PARTS = ("train", "validation", "test", "mix")
NAMES = {"train": "training", "validation": "validation", "test": "test", "mix": "general data"}
EXAMPLE_CHARACTERS = 80
AUTO = "auto"


class NotFetched(DataError):
    """A dataset of a hub that is not on this machine. Nothing is fetched unless it is asked for."""


@dataclass(frozen=True, slots=True)
class Named:
    """A source as the recipe has it. `path`: ('data', 'train', 0); () of a file without recipe."""

    path: RecipePath
    values: Mapping[str, Any]

    @property
    def title(self) -> str:
        name = self.values.get("path") or self.values.get("dataset") or "a source without a path"
        return f"{NAMES[str(self.path[1])]}: {name}" if self.path else str(name)

    @property
    def given(self) -> dict[str, str]:
        """Role → column, as the recipe says."""
        columns = self.values.get("columns")
        if not isinstance(columns, Mapping):
            return {}
        return {k: v for k, v in columns.items() if k in ROLES and isinstance(v, str)}

    @property
    def format(self) -> str:
        declared = self.values.get("format", AUTO)
        return declared if declared in FORMATS else AUTO


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the first rows: the rows that have something in it, a value as text, the part
    that it plays; `given`: because the recipe says so."""

    name: str
    filled: int
    example: str
    role: str | None
    given: bool


@dataclass(frozen=True, slots=True)
class Look:
    """One file by its first rows."""

    file: File
    head: Head
    found: Detected | Misfit
    columns: tuple[Column, ...]

    @property
    def detected(self) -> Detected | None:
        return self.found if isinstance(self.found, Detected) else None


def named(text: str, name: str) -> list[Named]:
    """The sources in the order of the recipe. Raises InvalidRecipe where it cannot be parsed."""
    data = parse(text, name).values.get("data")
    listed = [(part, lookup(data, (part,))) for part in PARTS]
    return [
        Named(("data", part, index), values)
        for part, sources in listed
        if isinstance(sources, list)
        for index, values in enumerate(sources)
        if isinstance(values, Mapping)
    ]


def alone(path: str, query: str | None = None, given: Mapping[str, str] | None = None) -> Named:
    """A file that no recipe names yet."""
    values: dict[str, Any] = {"path": path, "columns": dict(given or {})}
    return Named((), values | ({"type": "database", "query": query} if query else {}))


def opened(source: Named, base: Path) -> list[File]:
    """Its files. Raises NotFetched, DataError; RecipeError for what the app does not read."""
    made = _source(source)
    if isinstance(made, HubSource):
        return [files.sniff(_kept(made), made.name)]
    path = PurePosixPath(made.path)
    if not made.path or path.is_absolute() or ".." in path.parts:
        raise RecipeError(
            f"'{made.path}' lies outside of the recipe's folder",
            "put the file beside the recipe; the app reads nothing from elsewhere",
        )
    return files.open_source(made, base)


def unfetched(text: str, name: str) -> list[Named]:
    """Sources of a hub that are not on this machine. Raises InvalidRecipe."""
    found = []
    for source in named(text, name):
        made = _source(source)
        if isinstance(made, HubSource) and hub.kept(*_asked(made)) is None:
            found.append(source)
    return found


def fetch(source: Named) -> None:
    """Fetches a dataset of a hub, as 'recipe check' does. Raises DataError."""
    made, token = _source(source), source.values.get("token")
    if isinstance(made, HubSource):
        # the text may have errors, and a folder of this machine would stand for a dataset
        if not re.fullmatch(_pattern_of_names(), made.dataset):
            raise DataError(f"'{made.dataset}' is no name of a dataset", "organisation/name is")
        hub.fetch(*_asked(made), token.get("env") if isinstance(token, Mapping) else None)


def _pattern_of_names() -> str:
    """Of datasets of a hub, as the schema has it."""
    hub_source = {"data": {"train": [{"type": "hub"}]}}
    declared = schema.at(("data", "train", 0, "dataset"), hub_source)
    assert declared
    return str(declared["pattern"])


def look(source: Named, file: File) -> Look:
    """The format by the first rows, and why. Raises DataError where no row can be read."""
    first = head(file)
    if not first.columns:
        raise DataError(
            f"{file.name}: "
            + (f"no row can be read; {first.refused}" if first.refused else "no rows"),
            "a row is a JSON object on a line of its own"
            if first.refused
            else "put rows into it, or choose another file",
        )
    made = _source(source)
    found = detect(first.rows, made.columns, made.format, first.columns)
    roles = found.roles if isinstance(found, Detected) else source.given
    return Look(file, first, found, tuple(_columns(first, roles, source.given)))


def reassigned(source: Named, column: str, role: str | None) -> dict[str, str]:
    """Role → column as given, once `column` plays `role` and no other."""
    kept = {r: c for r, c in source.given.items() if c != column and r != role}
    return {r: c for r, c in {**kept, **({role: column} if role else {})}.items() if r in ROLES}


def assign(source: Named, column: str, role: str | None) -> tuple[Change, ...]:
    """The patch by which a column of a recipe's source plays a part, or none."""
    wanted = reassigned(source, column, role)
    at = (*source.path, "columns")
    if wanted == source.given:
        return ()
    if not wanted:
        return (remove(at),)
    if "columns" not in source.values:
        return (set_value(at, wanted),)
    gone = (remove((*at, r)) for r in source.given if r not in wanted)
    new = (set_value((*at, r), c) for r, c in wanted.items() if source.given.get(r) != c)
    return (*gone, *new)


def declare(source: Named, format: str) -> tuple[Change, ...]:
    """The patch by which the format is given, or told from the rows again."""
    at = (*source.path, "format")
    if format == source.format:
        return ()
    return (remove(at),) if format == AUTO else (set_value(at, format),)


def still_lacking(given: Mapping[str, str]) -> tuple[Format, list[str]] | None:
    """The format that what is mapped by now comes nearest to, and what it lacks, in the words of
    the roles; None where nothing is mapped, or where it belongs to no format."""
    near: list[tuple[Format, list[str]]] = [
        (format, lacking(format, given))
        for format in FORMATS
        if given and set(given) <= set(roles_of(format))
    ]
    return min(near, key=lambda one: len(one[1]), default=None)


def settings(patch: Sequence[Change]) -> list[str]:
    """The values of --set that do the same; a removal has none."""
    from dsl.problems import from_pointer

    return [
        f"{dotted(from_pointer(change.path))}={json.dumps(change.value, ensure_ascii=False)}"
        if not isinstance(change.value, str)
        else f"{dotted(from_pointer(change.path))}={change.value}"
        for change in patch
        if change.op == "set"
    ]


def not_trained(format: str) -> str | None:
    """What such rows lack to be trained on, None where nothing."""
    if format not in OTHER_OBJECTIVES:
        return None
    rows, objective = OTHER_OBJECTIVES[format]
    return (
        f"These rows are {rows}. They need the objective {objective}, which is not built yet: "
        "they can be looked at and checked here, but not trained on."
    )


def state(file: File) -> tuple[str, int, int]:
    """Equal while the file stays as it is. Raises DataError."""
    try:
        there = file.path.stat()
    except OSError as error:
        raise DataError(f"{file.name}: {error.strerror}", "choose the file again") from error
    return str(file.path), there.st_size, there.st_mtime_ns


def _source(source: Named) -> FileSource | HubSource | DatabaseSource:
    values = source.values
    columns = Columns(**{field.name: source.given.get(field.name) for field in fields(Columns)})
    head = (source.format, columns)
    match values.get("type", "file"):
        case "hub":
            config, split, revision = map(values.get, ("config", "split", "revision"))
            dataset, split = str(values.get("dataset")), str(split or "train")
            return HubSource("hub", *head, dataset, config, split, revision, None)
        case "database":
            path, query = str(values.get("path") or ""), str(values.get("query") or "")
            return DatabaseSource("database", *head, path, query)
        case _:
            return FileSource("file", *head, str(values.get("path") or ""))


def _kept(source: HubSource) -> Path:
    path = hub.kept(*_asked(source))
    if path is None:
        raise NotFetched(
            f"{source.name} is a dataset of a hub and not on this machine yet",
            "its rows are seen here once they were fetched",
        )
    return path


def _asked(source: HubSource) -> tuple[str, str | None, str, str | None]:
    return source.dataset, source.config, source.split, source.revision


def _columns(first: Head, roles: Mapping[str, str], given: Mapping[str, str]) -> list[Column]:
    role_of = {column: role for role, column in roles.items()}
    said = set(given.values())
    return [
        Column(
            name,
            sum(row.get(name) not in (None, "") for row in first.rows),
            as_text(_first(first, name), EXAMPLE_CHARACTERS),
            role_of.get(name),
            name in said,
        )
        for name in first.columns
    ]


def _first(first: Head, column: str) -> Any:
    return next((row[column] for row in first.rows if row.get(column) not in (None, "")), None)


def as_text(value: Any, most: int | None = None) -> str:
    """A value as one reads it, a text without quotes, of at most so many characters."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if most is None or len(text) <= most else text[: most - 1] + "…"

"""propose(data) → a short valid recipe for a data set, and the reason for every choice in it.

A file, a folder, a pattern or a database; what the schema's defaults say already is left out.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from glob import has_magic
from pathlib import Path
from typing import Any

from dsl.advise import FEW
from dsl.recipe import read as read_values
from dsl.rows import ROLES, Format
from dsl.rules.objective import OTHER_OBJECTIVES
from runner.choices import BASE, choices, why_base
from runner.data.formats import Misfit, detect
from runner.data.look import Asked, Seen, look, mapping
from runner.data.measure import Measures, measure

WIDTH = 100
FEWEST_GROUPS = 10
# parts by the names that files of a folder bear
PARTS = {
    "validation": re.compile(r"(?:^|[^a-z])(?:validation|valid|val|dev)(?:[^a-z]|$)"),
    "test": re.compile(r"(?:^|[^a-z])(?:test|eval|held[-_]?out)(?:[^a-z]|$)"),
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """`recipe`: values in the order of the schema. `evidence`: why the format was taken.

    `reasons`: dotted path → why. `missing`: what cannot be done with these rows yet, else None.
    """

    recipe: Mapping[str, Any]
    evidence: tuple[str, ...]
    reasons: tuple[tuple[str, str], ...]
    missing: str | None

    @property
    def name(self) -> str:
        return str(self.recipe["name"])

    @property
    def text(self) -> str:
        """The recipe as a file has it."""
        return written(self.recipe) + "\n"


def home(data: Path) -> Path:
    """The folder that a recipe for this data belongs in: where the file or folder lies."""
    # '.' has no name that a recipe could lie beside
    plain = data = data if data.name not in ("", "..") else Path(os.path.abspath(data))
    while has_magic(str(plain)) and not plain.exists():
        plain = plain.parent
    return plain.parent if plain == data else plain


def propose(data: Path, base: Path, asked: Asked | None = None, train: bool = True) -> Proposal:
    """A recipe for `data` that is to lie in the folder `base`.

    `train`: classes become answers to learn; else the rows are taken for what they are, so that
    every check of theirs can run. Raises DataError where the data cannot be used as it is.
    """
    asked = asked or Asked()
    path = _relative(data, base)
    seen = look(path, base, asked)
    format = seen[0].found.format
    as_answers = train and format == "classification"
    sections = _data(path, _name(data), seen, asked, as_answers)
    recipe: dict[str, Any] = {"name": _name(data), "model": {"base": BASE}, "data": sections}
    measures = measure(read_values(recipe)[0].data, base)
    reasons = [
        ("data", _rows_reason(measures)),
        *_columns_reasons(seen, asked, as_answers),
        *((f"data.{part}", "by the name of the file") for part in PARTS if part in sections),
    ]
    if group := _group(measures):
        column, why = group
        if column:
            sections["split"] = {"group_by": column}
        reasons.append(("data.split.group_by", why))
    missing = _missing(format) if not as_answers else None
    if missing is None:
        reasons.insert(0, ("model.base", why_base()))
        for section, values, said in choices(format, measures):
            recipe[section] = values
            reasons += [(f"{section}.{key}", why) for key, why in said.items()]
    evidence = tuple(f"{one.file.name}: {one.found.format}: {one.found.evidence}" for one in seen)
    return Proposal(recipe, evidence, tuple(reasons), missing)


def _missing(format: Format) -> str | None:
    if format not in OTHER_OBJECTIVES:
        return None
    rows, objective = OTHER_OBJECTIVES[format]
    return (
        f"{rows[0].upper()}{rows[1:]} need the objective {objective}, which is not built yet: "
        "'recipe check' judges these rows, 'recipe run' cannot train on them"
    )


# ---------------------------------------------------------------- data


def _relative(data: Path, base: Path) -> str:
    """The path as the recipe names it: relative where it lies in the recipe's folder."""
    path = os.path.relpath(os.path.abspath(data), os.path.abspath(base))
    inside = path != os.pardir and not path.startswith(os.pardir + os.sep)
    return Path(path).as_posix() if inside else Path(os.path.abspath(data)).as_posix()


def _data(
    path: str, name: str, seen: Sequence[Seen], asked: Asked, as_answers: bool
) -> dict[str, Any]:
    """The section `data`: one source where all files are alike, else one for each."""
    parts = _parts(seen)
    alike = len({(one.found.format, *one.columns.items()) for one in seen}) == 1
    # a pattern must not take in the recipe that is to lie beside the files
    takes_itself = has_magic(path) and fnmatch(f"{name}.json", path)
    if alike and not takes_itself and set(parts) == {"train"}:
        return {"train": [_source(path, seen[0], asked, as_answers)]}
    return {
        part: [_source(one.file.name, one, asked, as_answers) for one in among]
        for part, among in parts.items()
    }


def _parts(seen: Sequence[Seen]) -> dict[str, list[Seen]]:
    """Part → files. Names such as test.jsonl tell, if others are left to train on."""
    parts: dict[str, list[Seen]] = {"train": [], "validation": [], "test": []}
    for one in seen:
        name = Path(one.file.name).name.lower()
        part = next((part for part, says in PARTS.items() if says.search(name)), "train")
        parts[part].append(one)
    if not parts["train"]:
        return {"train": list(seen)}
    return {part: among for part, among in parts.items() if among}


def _source(path: str, one: Seen, asked: Asked, as_answers: bool) -> dict[str, Any]:
    source: dict[str, Any] = {"path": path}
    if one.file.query is not None:
        source = {"type": "database", "path": path, "query": one.file.query}
    format, columns = one.found.format, {**one.columns, **asked.columns}
    if as_answers:
        roles = one.found.roles
        format, columns = "prompt_completion", _as_answers(roles)
    again = detect(one.head, Asked(columns=columns))
    if isinstance(again, Misfit) or again.format != format:
        source["format"] = format
    if columns:
        source["columns"] = {role: columns[role] for role in ROLES if role in columns}
    return source


def _as_answers(roles: Mapping[str, str]) -> dict[str, str]:
    return {"prompt": roles["text"], "completion": roles["label"]}


def _name(data: Path) -> str:
    """The file's stem as a name of a recipe."""
    file = Path(os.path.abspath(data))
    while has_magic(file.name) and not file.exists():
        file = file.parent
    stem = file.name if file.is_dir() else file.name.split(".")[0] or file.name
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_-]+", "-", plain).strip("-_")[:64] or "recipe"


def _rows_reason(measures: Measures) -> str:
    rows = f"{measures.rows:,} row{'s' * (measures.rows != 1)}"
    if measures.refused:
        rows += f", and {measures.refused:,} that cannot be used"
    if measures.rows < FEW:
        return f"{rows}: few; fine-tuning takes 500 to 1,000 good ones"
    return f"{rows}: enough for fine-tuning, if they are clean"


def _columns_reasons(seen: Sequence[Seen], asked: Asked, as_answers: bool) -> list[tuple[str, str]]:
    first = seen[0]
    where = "data.train[0].columns"
    if as_answers:
        text, label = _as_answers(first.found.roles).values()
        return [
            (
                where,
                f"the class in '{label}' is the answer to '{text}': the objective classification "
                "is not built yet",
            )
        ]
    reasons = []
    if asked.columns:
        reasons.append((where, "as you say"))
    elif first.columns:
        said = ", ".join(f"'{column}' is the {role}" for role, column in first.columns.items())
        reasons.append((where, f"{said}; written out, so that the recipe says what it reads"))
    if first.found.format == "text" and first.unread:
        told = ", ".join(f"'{column}'" for column in first.unread[:5])
        reasons.append(
            (where, f"not read: {told}; if rows are questions and answers, say "
                    f"{mapping(first.unread)}")
        )  # fmt: skip
    return reasons


def _group(measures: Measures) -> tuple[str | None, str] | None:
    """The column to split by, and why; None for a column where the one there is will not do."""
    for group in measures.groups:
        if group.values >= FEWEST_GROUPS and group.largest <= group.rows / 2:
            rows = f"{group.rows:,} rows have {group.values:,} values of '{group.column}'"
            return group.column, f"{rows}: each stays whole, so that the test is of unseen ones"
    for group in measures.groups:
        largest = f"{group.values:,} values, {group.largest:,} rows have the same"
        return None, f"not set: '{group.column}' repeats ({largest}), too few to split by"
    return None


# ---------------------------------------------------------------- text


def written(value: Any, margin: str = "", before: int = 0) -> str:
    """JSON with what fits a line on one line; the recipe itself always over several."""
    line = json.dumps(value, ensure_ascii=False)
    fits = len(margin) + before + len(line) <= WIDTH and (margin or not isinstance(value, dict))
    if fits or not isinstance(value, dict | list) or not value:
        return line
    inner = margin + "  "
    if isinstance(value, list):
        items = [inner + written(item, inner) for item in value]
    else:
        keys = [json.dumps(key, ensure_ascii=False) + ": " for key in value]
        items = [
            inner + key + written(item, inner, len(key))
            for key, item in zip(keys, value.values(), strict=True)
        ]
    first, last = "{}" if isinstance(value, dict) else "[]"
    return first + "\n" + ",\n".join(items) + f"\n{margin}{last}"

"""What the data of a recipe are like, found out beside the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.app.looks import Look, Looks
from runner.read import Read, checked

if TYPE_CHECKING:
    from runner.data.checks import Depth
    from runner.data.prepare import Prepared

LISTED_REFUSED = 1000


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that cannot be used, and why."""

    source: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Profile:
    """See schemas/profile.schema.json for `values`. A quick look tells no languages and no near
    duplicates. `refused`: the first LISTED_REFUSED of `refused_total` lines."""

    depth: Depth
    values: Mapping[str, Any]
    refused: tuple[Refused, ...]
    refused_total: int


def start(looks: Looks[Profile], key: object, depth: Depth, found: Read) -> Look[Profile]:
    """The look at what `key` stands for. `found` has a recipe without errors."""
    return looks.start(key, depth, lambda look: taken(found, depth, look))


def taken(found: Read, depth: Depth, look: Look[Profile]) -> Profile:
    """Reads the data. Raises InvalidRecipe, DataError, Interrupted."""
    with checked(found, depth, look.tell) as prepared:
        values = prepared.profile or _quick(prepared, found, look)
        return Profile(depth, values, *_refused(prepared))


def _quick(prepared: Prepared, found: Read, look: Look[Profile]) -> dict[str, Any]:
    """The profile without what takes a pass over all texts."""
    from runner.data.checks import Read as Checked
    from runner.data.profile import profile

    assert found.recipe is not None
    look.tell("measuring lengths")
    read = Checked(
        prepared.connection, prepared.rows, prepared.reports, found.recipe.data, prepared.placed,
        dict(prepared.parts), _encoder(found),
    )  # fmt: skip
    values = profile(read)
    return {**values, "duplicates": {**values["duplicates"], "near": None}}


def _encoder(found: Read) -> Any:
    """What counts tokens, where the base lies in the cache."""
    from runner.bases import chat_format, locate, tokenizer
    from runner.data.checks.tokens import Encoder
    from runner.lock import today

    recipe = found.recipe
    assert recipe is not None
    folder = locate(recipe.model.base, recipe.model.revision, found.around.folder).folder
    return folder and Encoder(recipe, chat_format(folder, today()), tokenizer(folder))


def _refused(prepared: Prepared) -> tuple[tuple[Refused, ...], int]:
    names = prepared.rows.names("source")
    listed = prepared.connection.execute(
        f"select {names}, line, refusal from refused order by source, line limit ?",
        [LISTED_REFUSED],
    ).fetchall()
    total = sum(report.refused for report in prepared.reports)
    return tuple(Refused(*row) for row in listed), total

"""The options that several verbs share, each written once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

JSON, RECIPE = "as_json", "recipe"  # parameters that the telling of errors asks for
Verb = TypeVar("Verb", bound=Callable[..., Any])


def remember(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Keeps a parameter for whoever tells an error."""
    context.meta[str(parameter.name)] = value
    return value


OPTIONS: dict[str, Callable[[Any], Any]] = {
    "recipe": click.argument(RECIPE, type=click.Path(path_type=Path), callback=remember),
    "json": click.option("--json", JSON, is_flag=True, callback=remember, help="Print JSON."),
    "set": click.option(
        "--set",
        "sets",
        multiple=True,
        metavar="PATH=VALUE",
        help="Change a value, as in method.rank=32.",
    ),
    "runs": click.option(
        "--runs",
        type=click.Path(path_type=Path),
        default=Path("runs"),
        show_default=True,
        help="Folder of the runs.",
    ),
    "allow": click.option(
        "--allow",
        "allowed",
        multiple=True,
        type=click.Path(exists=True, file_okay=False, resolve_path=True),
        help="Folder outside the recipe's own from which data may be read.",
    ),
    "column": click.option(
        "--column",
        "columns",
        multiple=True,
        metavar="PART=COLUMN",
        help="Say which column of data plays a part, as in prompt=question.",
    ),
    "query": click.option("--query", metavar="SQL", help="The rows of a database."),
    "remote": click.option(
        "--trust-remote-code",
        "remote",
        is_flag=True,
        help="Confirm model.trust_remote_code of the recipe.",
    ),
}


def options(*names: str) -> Callable[[Verb], Verb]:
    """The options that several verbs share."""

    def decorate(verb: Verb) -> Verb:
        for name in reversed(names):
            verb = OPTIONS[name](verb)
        return verb

    return decorate


def columns_of(words: tuple[str, ...]) -> dict[str, str]:
    """PART=COLUMN, ... as a mapping."""
    for word in words:
        if not all(word.partition("=")):
            raise click.UsageError(f"--column {word}: write it as prompt=question")
    return {part: column for part, _, column in (word.partition("=") for word in words)}

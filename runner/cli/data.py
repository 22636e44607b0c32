"""Verbs of data: judge it, and begin a recipe from it or from an example."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import click

from dsl.errors import DataError
from runner.cli.options import RECIPE, columns_of, options, remember
from runner.cli.output import print_json, status


@click.command()
@click.argument(RECIPE, metavar="FILE", type=click.Path(path_type=Path), callback=remember)
@options("set", "allow", "remote", "column", "query")
@click.option("--quick", is_flag=True, help="Leave out the checks that read all texts.")
@click.option(
    "--fix", "mends", is_flag=True, help="Write a cleaned copy and a recipe that points at it."
)
@options("json")
def check(
    recipe: Path,
    sets: tuple[str, ...],
    allowed: tuple[str, ...],
    remote: bool,
    columns: tuple[str, ...],
    query: str | None,
    quick: bool,
    mends: bool,
    as_json: bool,
) -> None:
    """Run the data checks of a recipe, or of data: a file, a folder, a pattern, a database.

    With --fix, rows that a rule can mend are changed or dropped in a copy, the folder NAME-clean;
    changes.jsonl there lists every one of them. The original stays as it is.
    """
    from runner.audit import audit
    from runner.data.checks import failed, to_json
    from runner.data.look import Asked

    if quick and mends:
        raise click.UsageError("--fix needs every check: leave --quick out")
    asked = Asked(query, columns_of(columns))
    depth: Literal["quick", "full"] = "quick" if quick else "full"
    try:
        found = audit(recipe, sets, allowed, remote, asked, depth, mends, status)
    finally:
        status("")
    if as_json:
        print_json(to_json(found.findings) | found.to_json())
    else:
        click.echo("\n".join(found.lines(sys.stdout.isatty())))
    raise SystemExit(DataError.exit_status if failed(found.findings) else 0)


@click.command()
@click.argument("data", required=False, type=click.Path(path_type=Path))
@click.option("--example", metavar="NAME", help="Copy an example with its data.")
@click.option("--list", "show", is_flag=True, help="List the examples.")
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    help="Folder, or PATH.json of a recipe from data. Without it: beside the data; examples here.",
)
@options("column", "query", "allow", "json")
def new(
    data: Path | None,
    example: str | None,
    show: bool,
    into: Path | None,
    columns: tuple[str, ...],
    query: str | None,
    allowed: tuple[str, ...],
    as_json: bool,
) -> None:
    """Begin a recipe from DATA (a file, a folder, a pattern, a database), or from an example."""
    from runner.examples import copy_example, list_examples

    if data is not None and (example or show):
        raise click.UsageError("give data or --example, not both")
    if data is not None:
        from runner.data.look import Asked
        from runner.new import begin

        begun = begin(data, into, Asked(query, columns_of(columns)), allowed)
        if as_json:
            print_json(begun.to_json())
        else:
            click.echo("\n".join(begun.lines()))
    elif show or not example:
        examples = list_examples()
        if as_json:
            print_json([{"name": name, "description": text} for name, text in examples])
            return
        for name, description in examples:
            click.echo(f"{name:<16} {description}")
        if not show:
            click.echo("\nrecipe new DATA writes a recipe for a data file")
            click.echo("recipe new --example NAME copies one with its data")
    else:
        folder = into or Path(".")
        copied = copy_example(example, folder)
        if as_json:
            recipe = str(folder / f"{example}.json")
            print_json({"recipe": recipe, "wrote": [str(path) for path in copied]})
            return
        for path in copied:
            click.echo(f"wrote {path}")
        click.echo(f"\nnext: recipe plan {folder / example}.json")

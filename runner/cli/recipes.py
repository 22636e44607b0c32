"""Verbs of a recipe: what is wrong in it, where its values are from, what it would do."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dsl.errors import DataError, InvalidRecipe, RecipeError
from runner.cli.options import options
from runner.cli.output import print_json


@click.command()
@options("recipe", "set", "allow", "remote", "json")
def validate(
    recipe: Path, sets: tuple[str, ...], allowed: tuple[str, ...], remote: bool, as_json: bool
) -> None:
    """Report every problem of a recipe at once. Downloads nothing."""
    from dsl.problems import errors
    from runner.read import read
    from runner.show import count_line, problem_lines

    try:
        problems = read(recipe, sets, allowed, remote).problems
    except InvalidRecipe as error:  # not even its text can be read
        problems = error.problems
    if as_json:
        valid = not errors(problems)
        print_json({"valid": valid, "problems": [problem.to_json() for problem in problems]})
    else:
        for line in problem_lines(problems, str(recipe)):
            click.echo(line)
        click.echo(count_line(problems, str(recipe)))
    raise SystemExit(InvalidRecipe.exit_status if errors(problems) else 0)


@click.command()
@options("recipe", "set", "allow", "remote", "json")
@click.argument("path", required=False)
def explain(
    recipe: Path,
    sets: tuple[str, ...],
    allowed: tuple[str, ...],
    remote: bool,
    as_json: bool,
    path: str | None,
) -> None:
    """Print each value with its origin: given, default, or derived and why.

    PATH, as in 'training', shows that part alone.
    """
    from dsl.problems import dotted
    from dsl.recipe import to_json
    from runner.read import planned, read
    from runner.show import explain_lines, leaves, origin_of, origin_text

    with planned(read(recipe, sets, allowed, remote).valid()) as found:
        if as_json:
            print_json(
                {
                    dotted(where): {
                        "value": value,
                        "origin": origin_text(origin_of(found.plan, where)),
                    }
                    for where, value in leaves(to_json(found.plan.recipe))
                }
            )
            return
        lines = list(explain_lines(found.plan, path))
    if not lines:
        raise RecipeError(
            f"nothing is called '{path}' in a recipe", "'recipe explain RECIPE' lists all"
        )
    click.echo("\n".join(lines))


@click.command()
@options("recipe", "set", "allow", "remote", "runs", "json")
@click.option("--show-example", "examples", type=click.IntRange(0, 100), default=0, metavar="N",
              help="Show N training examples, trained text marked.")  # fmt: skip
def plan(
    recipe: Path,
    sets: tuple[str, ...],
    allowed: tuple[str, ...],
    remote: bool,
    runs: Path,
    as_json: bool,
    examples: int,
) -> None:
    """Show what would happen, what it costs and whether it can work. Spends nothing."""
    from runner.checklist import noted
    from runner.data import checks
    from runner.read import planned, read
    from runner.reasons import reasons
    from runner.show import plan_lines, problem_lines

    source = read(recipe, sets, allowed, remote).valid()
    with planned(source) as found:
        why, failed = reasons(found, runs), checks.failed(found.prepared.findings)
        if as_json:
            shown = found.plan.to_json()
            shown["steps"] = [s | {"reason": why[s["name"]]} for s in shown["steps"]]
            shown["problems"] = [problem.to_json() for problem in found.problems]
            shown["checks"] = checks.to_json(found.prepared.findings)["findings"]
            print_json(shown)
            raise SystemExit(DataError.exit_status if failed else 0)
        click.echo("\n".join(plan_lines(found.plan, why)))
        click.echo("\ndata checks")
        for line in noted(found.prepared.findings, sys.stdout.isatty(), quick=True):
            click.echo(f"  {line}")
        if found.problems:
            click.echo()
            click.echo("\n".join(problem_lines(found.problems, str(recipe))))
        if examples:
            from runner.read import example_texts

            click.echo()
            for line in example_texts(found, examples, sys.stdout.isatty()):
                click.echo(line)
        if failed:
            raise SystemExit(DataError.exit_status)

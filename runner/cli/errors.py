"""Errors as a user meets them: in words, or as JSON where that is asked for, and with a status."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from dsl.errors import InvalidRecipe, RecipeError
from runner.cli.options import JSON, RECIPE
from runner.cli.output import print_json

EPILOG = (
    "Exit status: 0 done, 1 the run failed, 2 the recipe is invalid, 3 a data check failed, "
    "4 a gate failed, 5 inconclusive, 130 interrupted."
)


class Verbs(click.Group):
    """Tells our errors in words, with the status they carry, and never by a traceback."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except RecipeError as error:
            tell = _print_error if context.meta.get(JSON) else _tell_error
            tell(error, str(context.meta.get(RECIPE, "recipe")))
            raise SystemExit(error.exit_status) from None
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            raise SystemExit(130) from None
        except BrokenPipeError:
            # the reader of a pipe went away: nobody is left to tell, at the last flush neither
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(0) from None

    def resolve_command(self, context: click.Context, args: list[str]) -> Any:
        if args[0].endswith((".json", ".yaml", ".yml")):
            context.fail(
                f"'{args[0]}' is a recipe: say what to do with it, as in 'recipe plan {args[0]}'"
            )
        if self.get_command(context, args[0]) is None and not args[0].startswith("-"):
            from dsl.problems import did_you_mean

            near = did_you_mean(args[0], self.list_commands(context))
            context.fail(f"there is no verb '{args[0]}'. {near or ''}".rstrip())
        return super().resolve_command(context, args)


def _tell_error(error: RecipeError, recipe: str) -> None:
    from runner.show import count_line, problem_lines

    if isinstance(error, InvalidRecipe):
        lines = [*problem_lines(error.problems, recipe), count_line(error.problems, recipe)]
    else:
        lines = [f"error: {error.message}", *([f"    {error.hint}"] if error.hint else [])]
    click.echo("\n".join(lines), err=True)


def _print_error(error: RecipeError, _: str) -> None:
    """With --json an error is JSON too, on stdout."""
    told: dict[str, Any] = {"error": error.message, "hint": error.hint, "exit": error.exit_status}
    if isinstance(error, InvalidRecipe):
        told["problems"] = [problem.to_json() for problem in error.problems]
    print_json(told)

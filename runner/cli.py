"""The verbs of the command line, nothing else: each reads, calls, prints and ends with a status.

Nothing heavy is imported here: every verb imports what it needs when it is called.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from dsl.errors import DataError, InvalidRecipe, RecipeError
from dsl.problems import did_you_mean

EPILOG = (
    "Exit status: 0 done, 1 the run failed, 2 the recipe is invalid, 3 a data check failed, "
    "4 a gate failed, 5 inconclusive, 130 interrupted."
)
JSON, RECIPE = "as_json", "recipe"  # parameters that the telling of errors asks for
Verb = TypeVar("Verb", bound=Callable[..., Any])


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
            near = did_you_mean(args[0], self.list_commands(context))
            context.fail(f"there is no verb '{args[0]}'. {near or ''}".rstrip())
        return super().resolve_command(context, args)


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Keeps a parameter for whoever tells an error."""
    context.meta[str(parameter.name)] = value
    return value


@click.group(cls=Verbs, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="finetune-recipes", prog_name="recipe")
def main() -> None:
    """Fine-tune a language model from a recipe: validate, plan, run, report."""


OPTIONS: dict[str, Callable[[Any], Any]] = {
    "recipe": click.argument(RECIPE, type=click.Path(path_type=Path), callback=_remember),
    "json": click.option("--json", JSON, is_flag=True, callback=_remember, help="Print JSON."),
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


def _options(*names: str) -> Callable[[Verb], Verb]:
    """The options that several verbs share."""

    def decorate(verb: Verb) -> Verb:
        for name in reversed(names):
            verb = OPTIONS[name](verb)
        return verb

    return decorate


@main.command()
@_options("recipe", "set", "allow", "remote", "json")
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
        _print_json({"valid": valid, "problems": [problem.to_json() for problem in problems]})
    else:
        for line in problem_lines(problems, str(recipe)):
            click.echo(line)
        click.echo(count_line(problems, str(recipe)))
    raise SystemExit(InvalidRecipe.exit_status if errors(problems) else 0)


@main.command()
@_options("recipe", "set", "allow", "remote", "json")
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
            _print_json(
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


@main.command()
@click.argument(RECIPE, metavar="FILE", type=click.Path(path_type=Path), callback=_remember)
@_options("set", "allow", "remote", "column", "query")
@click.option("--quick", is_flag=True, help="Leave out the checks that read all texts.")
@click.option(
    "--fix", "mends", is_flag=True, help="Write a cleaned copy and a recipe that points at it."
)
@_options("json")
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
    asked = Asked(query, _columns(columns))
    depth: Literal["quick", "full"] = "quick" if quick else "full"
    try:
        found = audit(recipe, sets, allowed, remote, asked, depth, mends, _status)
    finally:
        _status("")
    if as_json:
        _print_json(to_json(found.findings) | found.to_json())
    else:
        click.echo("\n".join(found.lines(sys.stdout.isatty())))
    raise SystemExit(DataError.exit_status if failed(found.findings) else 0)


def _status(text: str) -> None:
    """One line on a terminal that the next one replaces."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[2K{text}", nl=False, err=True)


@main.command()
@_options("recipe", "set", "allow", "remote", "runs", "json")
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
    from runner.data import checks
    from runner.read import planned, read
    from runner.reasons import reasons
    from runner.show import plan_lines, problem_lines

    source = read(recipe, sets, allowed, remote).valid()
    with planned(source) as found:
        why = reasons(found, runs)
        if as_json:
            shown = found.plan.to_json()
            shown["steps"] = [s | {"reason": why[s["name"]]} for s in shown["steps"]]
            shown["problems"] = [problem.to_json() for problem in found.problems]
            shown["checks"] = checks.to_json(found.prepared.findings)["findings"]
            _print_json(shown)
            return
        click.echo("\n".join(plan_lines(found.plan, why)))
        noted = [f for f in found.prepared.findings if f.state in ("warn", "error")]
        if noted:
            click.echo("\ndata checks")
            click.echo("\n".join(f"  {line}" for line in checks.describe(noted)))
        if found.problems:
            click.echo()
            click.echo("\n".join(problem_lines(found.problems, str(recipe))))
        if examples:
            from runner.read import example_texts

            click.echo()
            for line in example_texts(found, examples, sys.stdout.isatty()):
                click.echo(line)
        if checks.failed(noted):
            raise SystemExit(DataError.exit_status)


@main.command()
@click.argument("recipe", type=click.Path(path_type=Path), required=False, callback=_remember)
@_options("set", "allow", "remote", "runs", "json")
@click.option(
    "--resume", metavar="ID", help="Go on with a run that did not end ('last' for the newest)."
)
@click.option("--max-steps", type=click.IntRange(1), help="End training after so many steps.")
@click.option(
    "--locked", is_flag=True, help="Refuse if anything differs from the lock of the last run."
)
@click.option("--offline", is_flag=True, help="Fetch nothing.")
def run(
    recipe: Path | None,
    sets: tuple[str, ...],
    allowed: tuple[str, ...],
    remote: bool,
    runs: Path,
    as_json: bool,
    resume: str | None,
    max_steps: int | None,
    locked: bool,
    offline: bool,
) -> None:
    """Carry a recipe out: data, model, training, evaluation, report."""
    from runner.start import resume_run, start_run

    if (recipe is None) == (resume is None):
        raise click.UsageError("give a recipe, or --resume ID")
    out = sys.stderr if as_json else sys.stdout
    if resume is not None:
        if sets or max_steps or locked:
            raise click.UsageError(
                "--resume goes on with the run's own recipe: no --set, --max-steps or --locked"
            )
        folder, result = resume_run(runs, resume, offline, out)
    else:
        assert recipe is not None
        if max_steps:
            sets = (*sets, f"training.max_steps={max_steps}")
        folder, result = start_run(recipe, sets, allowed, remote, runs, locked, offline, out)
    if as_json:
        _print_json({"run": folder.id, "directory": str(folder.path), **result})
    raise SystemExit(result["exit"])


@main.command()
@click.argument("run_id", metavar="[ID]", default="last")
@_options("runs", "json")
def report(run_id: str, runs: Path, as_json: bool) -> None:
    """Rebuild and print the report of a run (the newest without an ID)."""
    from dsl.recipe import build
    from runner.execute import write_report
    from runner.runs.store import open_run, read_json
    from runner.start import print_summary

    folder = open_run(runs, run_id)
    made = write_report(folder, build(read_json(folder.plan)["recipe"]))
    if as_json:
        _print_json(made)
    else:
        print_summary(made, sys.stdout)


@main.command("runs")
@_options("runs", "json")
def list_runs(runs: Path, as_json: bool) -> None:
    """List the runs, newest first."""
    from runner.start import overview

    rows = overview(runs)
    if as_json:
        _print_json(rows)
        return
    if not rows:
        click.echo(f"no runs in {runs}; 'recipe run RECIPE' makes one")
    for row in rows:
        cells = (
            f"{row['id']:<44}",
            f"{row['status']:<13}",
            (row["created"] or "")[:19],
            row["reason"],
        )
        click.echo(" ".join(cell or "" for cell in cells).rstrip())


@main.command()
@click.argument("data", required=False, type=click.Path(path_type=Path))
@click.option("--example", metavar="NAME", help="Copy an example with its data.")
@click.option("--list", "show", is_flag=True, help="List the examples.")
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    help="Folder, or PATH.json of a recipe from data. Without it: beside the data; examples here.",
)
@_options("column", "query", "allow", "json")
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

        begun = begin(data, into, Asked(query, _columns(columns)), allowed)
        if as_json:
            _print_json(begun.to_json())
        else:
            click.echo("\n".join(begun.lines()))
    elif show or not example:
        examples = list_examples()
        if as_json:
            _print_json([{"name": name, "description": text} for name, text in examples])
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
            _print_json({"recipe": recipe, "wrote": [str(path) for path in copied]})
            return
        for path in copied:
            click.echo(f"wrote {path}")
        click.echo(f"\nnext: recipe plan {folder / example}.json")


@main.command()
@click.argument("name", default="recipe")
def schema(name: str) -> None:
    """Print a JSON Schema: recipe, plan, event, checks, report or result."""
    from importlib import resources

    known = sorted(p.name.removesuffix(".schema.json") for p in resources.files("schemas").iterdir()
                   if p.name.endswith(".schema.json"))  # fmt: skip
    if name not in known:
        raise RecipeError(f"no schema '{name}'", f"known: {', '.join(known)}")
    click.echo(resources.files("schemas").joinpath(f"{name}.schema.json").read_text("utf-8"))


@main.command()
@_options("json")
def models(as_json: bool) -> None:
    """List the base models that can be planned offline."""
    from dataclasses import asdict

    from dsl.models import MODELS

    if as_json:
        _print_json(
            {
                name: asdict(model) | {"parameters": model.parameters}
                for name, model in MODELS().items()
            }
        )
        return
    for name, model in MODELS().items():
        gate = "  (ask for access first)" if model.gated else ""
        click.echo(f"{name:<26} {model.parameters / 1e9:6.2f} B  {model.licence}{gate}")


@main.command()
@_options("json")
def doctor(as_json: bool) -> None:
    """Show this machine as a plan sees it: device, memory, disk, versions, cache."""
    from runner.doctor import findings

    rows = findings()
    if as_json:
        _print_json(dict(rows))
        return
    for name, text in rows:
        click.echo(f"{name:<14} {text}")


@main.command()
@click.option("--port", type=int, default=8501, show_default=True, help="Port on 127.0.0.1.")
@_options("runs")
def ui(port: int, runs: Path) -> None:
    """Open the app: problems of a recipe, plans, runs and their reports."""
    from runner.app import serve

    raise SystemExit(serve(port, runs))


def _columns(words: tuple[str, ...]) -> dict[str, str]:
    """PART=COLUMN, ... as a mapping."""
    for word in words:
        if not all(word.partition("=")):
            raise click.UsageError(f"--column {word}: write it as prompt=question")
    return {part: column for part, _, column in (word.partition("=") for word in words)}


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
    _print_json(told)


def _print_json(values: Any) -> None:
    click.echo(json.dumps(values, indent=1, ensure_ascii=False, default=str))

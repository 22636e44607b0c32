"""Verbs of what is around a recipe: schemas, known models, this machine, the app."""

from __future__ import annotations

from pathlib import Path

import click

from dsl.errors import RecipeError
from runner.cli.options import options
from runner.cli.output import print_json


@click.command()
@click.argument("name", default="recipe")
def schema(name: str) -> None:
    """Print a JSON Schema: recipe, plan, event, checks, report or result."""
    from importlib import resources

    known = sorted(p.name.removesuffix(".schema.json") for p in resources.files("schemas").iterdir()
                   if p.name.endswith(".schema.json"))  # fmt: skip
    if name not in known:
        raise RecipeError(f"no schema '{name}'", f"known: {', '.join(known)}")
    click.echo(resources.files("schemas").joinpath(f"{name}.schema.json").read_text("utf-8"))


@click.command()
@options("json")
def models(as_json: bool) -> None:
    """List the base models that can be planned offline."""
    from dataclasses import asdict

    from dsl.models import MODELS

    if as_json:
        print_json(
            {
                name: asdict(model) | {"parameters": model.parameters}
                for name, model in MODELS().items()
            }
        )
        return
    for name, model in MODELS().items():
        gate = "  (ask for access first)" if model.gated else ""
        click.echo(f"{name:<26} {model.parameters / 1e9:6.2f} B  {model.licence}{gate}")


@click.command()
@options("json")
def doctor(as_json: bool) -> None:
    """Show this machine as a plan sees it: device, memory, disk, versions, cache."""
    from runner.doctor import findings

    rows = findings()
    if as_json:
        print_json(dict(rows))
        return
    for name, text in rows:
        click.echo(f"{name:<14} {text}")


@click.command()
@click.option("--port", type=int, default=8501, show_default=True, help="Port on 127.0.0.1.")
@options("runs")
def ui(port: int, runs: Path) -> None:
    """Open the app: problems of a recipe, plans, runs and their reports."""
    from runner.app.server import serve

    raise SystemExit(serve(port, runs))

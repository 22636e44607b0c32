"""The verb that asks about a task and tells what fits it."""

from __future__ import annotations

import sys
from typing import cast

import click

from runner.cli.options import options
from runner.cli.output import print_json

NEEDS = ("facts", "style", "classes", "skill")


@click.command()
@click.option("--need", type=click.Choice(NEEDS), help="What the answers of a ready model lack.")
@click.option("--rows", type=click.IntRange(0, 10**9), help="Good examples at hand.")
@click.option("--changing", is_flag=True, help="The right answers change from week to week.")
@click.option("--cite", is_flag=True, help="Answers must show where they are from.")
@click.option("--tried", is_flag=True, help="A careful prompt with examples did not do.")
@click.option("--private", is_flag=True, help="The data must not leave the house.")
@click.option("--base", metavar="NAME", help="Base model, as 'recipe models' lists them.")
@click.option("--memory", metavar="SIZE", help="Of a graphics card, as in 8GB. Else this machine.")
@click.option("--rank", type=click.IntRange(1, 1024), help="See what another rank costs.")
@options("json")
def advise(
    need: str | None,
    rows: int | None,
    changing: bool,
    cite: bool,
    tried: bool,
    private: bool,
    base: str | None,
    memory: str | None,
    rank: int | None,
    as_json: bool,
) -> None:
    """Prompt, retrieval or fine-tuning? And which method, rank and learning rate.

    Without --need and --rows it asks, on a terminal.
    """
    from dsl.advise import advise as advised
    from dsl.approach import Answers, Need
    from dsl.models import MODELS
    from runner.advising import device, known_base, lines

    if (need is None or rows is None) and (as_json or not sys.stdin.isatty()):
        raise click.UsageError("say --need and --rows, as in --need style --rows 800")
    base, hardware = known_base(base), device(memory)
    if need is None and rows is None:
        need, rows, changing, cite, tried, private = _asked(changing, cite, tried, private)
    need, rows = need or _need(), _rows() if rows is None else rows
    answers = Answers(cast(Need, need), rows, changing, cite, tried, private)
    advice = advised(answers, base, MODELS()[base], hardware, rank)
    if as_json:
        print_json(advice.to_json())
        return
    for line in lines(advice):
        click.echo(line)


def _asked(
    changing: bool, cite: bool, tried: bool, private: bool
) -> tuple[str, int, bool, bool, bool, bool]:
    """All that was not said yet."""
    need, rows = _need(), _rows()
    return (
        need,
        rows,
        changing or click.confirm("Do the right answers change from week to week?"),
        cite or click.confirm("Must an answer show where it is from?"),
        tried or click.confirm("Did you try a careful prompt with examples in it?"),
        private or click.confirm("Must your data stay in the house?"),
    )


def _need() -> str:
    from runner.advising import NEEDS

    click.echo("What do the answers of a ready model lack?")
    for name, words in NEEDS.items():
        click.echo(f"  {name:<8} {words}")
    need: str = click.prompt("One of these", type=click.Choice(list(NEEDS)))
    return need


def _rows() -> int:
    rows: int = click.prompt("How many good examples do you have?", type=click.IntRange(0, 10**9))
    return rows

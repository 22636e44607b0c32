"""The verb that talks with what a run trained."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dsl.errors import RunError
from runner.cli.options import options
from runner.cli.output import print_json, status

if TYPE_CHECKING:
    from runner.chat.engine import Engine
    from runner.chat.protocol import Ask, Done, Turn
    from runner.chat.subject import Subject


@click.command()
@click.argument("run_id", metavar="[ID]", default="last")
@click.option("--base", is_flag=True, help="Ask the base model instead of the tuned one.")
@click.option(
    "--prompt",
    metavar="TEXT",
    help="Ask this and end. For a template of several fields: a JSON object of them.",
)
@click.option("--plain", is_flag=True, help="Do not put what is typed into the recipe's template.")
@click.option("--system", metavar="TEXT", help="Another system message; '' for none.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Of drawn answers.")
@click.option("--temperature", type=click.FloatRange(0, 5), default=0.0, show_default=True)
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True)
@click.option(
    "--max-new-tokens", type=click.IntRange(1), help="Longest answer; else as in the evaluation."
)
@options("remote", "runs", "json")
def chat(
    run_id: str,
    base: bool,
    prompt: str | None,
    plain: bool,
    system: str | None,
    seed: int | None,
    temperature: float,
    top_p: float,
    max_new_tokens: int | None,
    remote: bool,
    runs: Path,
    as_json: bool,
) -> None:
    """Talk with the model of a run (of the newest without an ID), or ask it one question."""
    from runner.chat.engine import Engine
    from runner.chat.prompt import system_of
    from runner.chat.protocol import Ask
    from runner.chat.subject import subject
    from runner.runs.store import open_run

    if as_json and prompt is None:
        raise click.UsageError("--json prints one answer: it needs --prompt")
    of = subject(open_run(runs, run_id))
    recipe = of.recipe
    longest = max_new_tokens or recipe.eval.generation.max_new_tokens
    if longest >= of.context:
        raise click.UsageError(f"--max-new-tokens: the model reads {of.context:,} tokens in all")
    empty = Ask(
        run=str(of.run.path.absolute()),
        tuned=not base,
        turns=(),
        system=system_of(recipe.template) if system is None else system or None,
        max_new_tokens=longest,
        seed=recipe.training.seed if seed is None else seed,
        temperature=temperature,
        top_p=top_p,
    )
    engine = Engine(remote=remote)
    try:
        if prompt is None:
            _converse(engine, empty, of, plain)
        else:
            _once(engine, empty, _parsed(prompt, of, plain), as_json)
    finally:
        engine.close()


def _once(engine: Engine, ask: Ask, turn: Turn, as_json: bool) -> None:
    from dataclasses import replace

    ask = replace(ask, turns=(turn,))
    done = _answered(engine, ask, show=not as_json)
    if as_json:
        speed = round(done.tokens_per_second, 2)
        print_json({**asdict(ask), **asdict(done), "tokens_per_second": speed})
    else:
        click.echo()


def _converse(engine: Engine, ask: Ask, of: Subject, plain: bool) -> None:
    """Question after question, until Ctrl-D."""
    import readline  # noqa: F401  gives input() its line editing and history
    from dataclasses import replace

    from runner.chat.prompt import holds_conversation
    from runner.chat.protocol import Turn
    from runner.chat.subject import conversational

    keeps = holds_conversation(of.recipe.template) and conversational(of.run)
    who = "tuned model" if ask.tuned else "base model"
    how = "one conversation" if keeps else "each question stands alone, as in the training"
    click.echo(f"{who} of {of.run.id}: {how}. Ctrl-C stops an answer, Ctrl-D ends.", err=True)
    said: tuple[Turn, ...] = ()
    while (turn := _typed(of, plain)) is not None:
        ask = replace(ask, turns=(*said, turn))
        done = _answered(engine, ask, show=True)
        click.echo(f"\n  {_in_words(done)}", err=True)
        if keeps:
            said = (*ask.turns, Turn("assistant", done.text))


def _typed(of: Subject, plain: bool) -> Turn | None:
    """The next question; None where there is none. Of several fields, one after the other."""
    from runner.chat.prompt import PLAIN, adds, columns, optional
    from runner.chat.protocol import Turn

    names, free = columns(of.recipe), optional(of.recipe.template)
    alone = plain or not adds(of.recipe.template)
    given: dict[str, str] = {}
    for name, column in {PLAIN: ""}.items() if alone else names.items():
        text = ""
        while not text.strip():
            try:
                text = input(f"{column}> ")
            except EOFError:
                click.echo(err=True)
                return None
            except KeyboardInterrupt:
                click.echo(err=True)  # as shells do: the line is dropped
            if name in free:
                break
        given[name] = text
    return Turn("user", given[PLAIN]) if alone else Turn("user", fields=given)


def _parsed(prompt: str, of: Subject, plain: bool) -> Turn:
    import json

    from runner.chat.prompt import adds, fields, optional
    from runner.chat.protocol import Turn

    if plain or not adds(of.recipe.template):
        return Turn("user", prompt)
    names = fields(of.recipe.template)
    needed = [name for name in names if name not in optional(of.recipe.template)]
    if len(needed) == 1:
        return Turn("user", fields={**dict.fromkeys(names, ""), needed[0]: prompt})
    try:
        given = json.loads(prompt)
    except ValueError:
        given = None
    if not isinstance(given, dict) or set(given) != set(names):
        shape = json.dumps(dict.fromkeys(names, "..."))
        raise click.UsageError(f"the recipe's template has several fields: --prompt '{shape}'")
    return Turn("user", fields={name: str(text) for name, text in given.items()})


def _answered(engine: Engine, ask: Ask, show: bool) -> Done:
    """The answer, printed as it grows. Raises RunError where there is none."""
    from runner.chat.protocol import Done, Failed, Loading, Piece
    from runner.report.words import visible

    with _stopping(engine):
        for reply in engine.answer(ask):
            match reply:
                case Loading(what):
                    status(f"loading {what}")
                case Piece(text) if show:
                    status("")
                    click.echo(visible(text), nl=False)  # a model must not steer the terminal
                case Failed(message, hint):
                    status("")
                    raise RunError(message, hint)
                case Done():
                    status("")
                    return reply
    raise RunError("the engine gave no answer", "ask again")


@contextmanager
def _stopping(engine: Engine) -> Iterator[None]:
    """Ctrl-C ends the answer; again, as while a model loads, the program."""
    asked = False

    def wish(*_: object) -> None:
        nonlocal asked
        if asked:
            engine.kill()
            raise KeyboardInterrupt
        asked = True
        engine.stop()

    before = signal.signal(signal.SIGINT, wish)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _in_words(done: Done) -> str:
    end = "stopped" if done.stopped else "" if done.finished else "cut off at its longest"
    left = f"{done.left_out} tokens of the beginning left out" if done.left_out else ""
    speed = f"{done.tokens} tokens, {done.tokens_per_second:.1f} a second"
    return ", ".join(filter(None, (speed, end, left)))

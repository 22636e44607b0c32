"""The command line: `main`, and the registry of its verbs.

A verb reads, calls, prints and ends with a status. Nothing heavy is imported here or beside the
verbs: each imports what it needs when it is called.
"""

from __future__ import annotations

import click

from runner.cli.advise import advise
from runner.cli.around import doctor, models, schema, ui
from runner.cli.chat import chat
from runner.cli.data import check, new
from runner.cli.errors import EPILOG, Verbs
from runner.cli.recipes import explain, plan, validate
from runner.cli.runs import list_runs, report, run, stop

VERBS: dict[str, click.Command] = {
    "new": new,
    "advise": advise,
    "check": check,
    "validate": validate,
    "explain": explain,
    "plan": plan,
    "run": run,
    "stop": stop,
    "report": report,
    "runs": list_runs,
    "chat": chat,
    "schema": schema,
    "models": models,
    "doctor": doctor,
    "ui": ui,
}


@click.group(
    cls=Verbs,
    commands=VERBS,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="finetune-recipes", prog_name="recipe")
def main() -> None:
    """Fine-tune a language model from a recipe: validate, plan, run, report."""

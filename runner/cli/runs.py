"""Verbs of runs: carry a recipe out, stop it, rebuild a report, list what there is."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from runner.cli.options import options, remember
from runner.cli.output import print_json


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path), required=False, callback=remember)
@options("set", "allow", "remote", "runs", "json")
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
        print_json({"run": folder.id, "directory": str(folder.path), **result})
    raise SystemExit(result["exit"])


@click.command()
@click.argument("run_id", metavar="ID")
@options("runs", "json")
def stop(run_id: str, runs: Path, as_json: bool) -> None:
    """Ask a run that goes on or waits to save a checkpoint and end ('last' for the newest)."""
    from runner.runs.state import state
    from runner.runs.state import stop as ask
    from runner.runs.store import open_run

    folder = open_run(runs, run_id)
    ask(folder)
    if as_json:
        print_json({"run": folder.id, "status": state(folder)})
        return
    click.echo(f"run {folder.id} is asked to stop: it saves a checkpoint first")
    click.echo(f"go on with: recipe run --resume {folder.id}")


@click.command()
@click.argument("run_id", metavar="[ID]", default="last")
@options("runs", "json")
def report(run_id: str, runs: Path, as_json: bool) -> None:
    """Rebuild and print the report of a run (the newest without an ID)."""
    from dsl.recipe import build
    from runner.execute import write_report
    from runner.runs.store import open_run, read_json
    from runner.start import print_summary

    folder = open_run(runs, run_id)
    made = write_report(folder, build(read_json(folder.plan)["recipe"]))
    if as_json:
        print_json(made)
    else:
        print_summary(made, sys.stdout)


@click.group("runs", invoke_without_command=True)
@options("runs", "json")
@click.pass_context
def list_runs(context: click.Context, runs: Path, as_json: bool) -> None:
    """List the runs, newest first, or compare some with 'runs diff ID ID'."""
    from runner.start import overview

    if context.invoked_subcommand:
        # what stands before 'diff' counts for it
        context.default_map = {context.invoked_subcommand: {"runs": runs, "as_json": as_json}}
        return
    rows = overview(runs)
    if as_json:
        print_json(rows)
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


@list_runs.command()
@click.argument("ids", metavar="ID ID...", nargs=-1, required=True)
@click.option("--all", "same", is_flag=True, help="Print what is the same, too.")
@options("runs", "json")
def diff(ids: tuple[str, ...], same: bool, runs: Path, as_json: bool) -> None:
    """Show what differs between two or more runs: recipe, data, lock, results."""
    from runner.compare import compared, lines
    from runner.runs.store import open_run

    if len(ids) < 2:
        raise click.UsageError("name two runs or more")
    folders = [open_run(runs, run_id) for run_id in ids]
    found = {
        section: [row for row in rows if same or row.differs]
        for section, rows in compared(folders).items()
    }
    names = [folder.id for folder in folders]
    if as_json:
        sections = {
            section: {row.name: dict(zip(names, row.values, strict=True)) for row in rows}
            for section, rows in found.items()
        }
        print_json(sections)
    else:
        click.echo("\n".join(lines(names, found)))

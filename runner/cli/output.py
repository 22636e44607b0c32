"""What the verbs print beside plain text."""

from __future__ import annotations

import json
import sys
from typing import Any

import click


def print_json(values: Any) -> None:
    click.echo(json.dumps(values, indent=1, ensure_ascii=False, default=str))


def status(text: str) -> None:
    """One line on a terminal that the next one replaces."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[2K{text}", nl=False, err=True)

"""The one tree of errors. Each names the exit status that the command line ends with.

    RecipeError (1)              anything the user is told about without a traceback
    ├── InvalidRecipe (2)        the recipe cannot be carried out as written
    ├── DataError (3)            a data check failed
    ├── ModelError (1)           the base model cannot be had or read
    ├── RunError (1)             a run or one of its steps failed
    │   └── StepFailed (1)       a child process ended badly
    └── Interrupted (130)        Ctrl-C or SIGTERM

A gate that fails (4) or stays open (5) is a verdict, not an error: see runner.evals.gates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsl.problems import Problem


class RecipeError(Exception):
    """Base of all errors a user can cause. `hint` is the smallest fix."""

    exit_status = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InvalidRecipe(RecipeError):
    """The recipe has problems; all of them are in `problems`."""

    exit_status = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        count = len(problems)
        super().__init__(f"{count} problem{'s' if count != 1 else ''}")
        self.problems = tuple(problems)


class DataError(RecipeError):
    """A data check failed, or data cannot be read."""

    exit_status = 3


class ModelError(RecipeError):
    """The base model cannot be found, fetched, verified or read."""


class RunError(RecipeError):
    """A run cannot start, go on or be found."""


class StepFailed(RunError):
    """A child process ended badly. `returncode` is negative for a signal."""

    def __init__(
        self, message: str, hint: str | None = None, returncode: int | None = None
    ) -> None:
        super().__init__(message, hint)
        self.returncode = returncode


class Interrupted(RecipeError):
    """The user stopped the run."""

    exit_status = 130

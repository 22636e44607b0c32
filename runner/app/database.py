"""A database that reads the files of one folder, and nothing else."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LOCKED = (
    "enable_external_access = false",
    "autoinstall_known_extensions = false",
    "autoload_known_extensions = false",
    "lock_configuration = true",  # the last: what stands before it can no longer be changed
)


@contextmanager
def reading(folder: Path) -> Iterator[DuckDBPyConnection]:
    """Its readers take patterns: name a file by `glob.escape`."""
    import duckdb

    with duckdb.connect() as connection:
        # files are asked for by patterns; a bracket in the folder's name is none, and is escaped
        allowed = [str(folder), glob.escape(str(folder))]
        connection.execute("set allowed_directories = $1", [allowed])
        for setting in LOCKED:
            connection.execute(f"set {setting}")
        yield connection

"""The one connection and its tables; every step of the pipeline fills the next.

lines_0 ...  one relation a file: every record as text (files.relate); read anew by every pass
features     one narrow row a record: keys, lengths, flags and its part; no text
refused      the records that cannot be used, and why
shapes       kinds of row (which keys, which types) that differ from the others, and how
repeated     the prompts that several rows have
placed       (a view) the features of the rows that are used
final        (a view) the same with the file's name and an id that is unique in the run
found        what the checks found, row by row

Texts are never kept: a check that needs them reads the lines of its hits again, so that memory
does not grow with the length of the texts.
"""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY_LIMIT = "RECIPE_MEMORY_LIMIT"  # of DuckDB, as in 500MB; not a bound on the whole process

TABLES = """
create type part as enum ('train', 'validation', 'test', 'mix');
create table features (
    source usmallint,        -- index over all files
    line bigint,
    part part,               -- null: the row is not used
    copy integer,            -- of a row of data.mix that is repeated, from 0
    general boolean,         -- of data.mix
    blank boolean,           -- a blank line, no record
    refusal varchar,         -- why the row cannot be used
    roles varchar,           -- what is wrong with the order of turns
    calls varchar,           -- what is wrong with tool calls
    own_id varchar,
    grp varchar,             -- value of split.group_by as text; null where there is none
    label varchar,
    desirable boolean,
    same_pair boolean,       -- chosen = rejected
    turns integer,
    prompt_key uhugeint,     -- equal for equal prompts, see scan.PROMPT_KEY
    answer_hash ubigint,     -- of answer, system, tools as they stand; DuckDB's own, never stored
    pair_hash ubigint,       -- of prompt, answer, system and tools as they stand
    opening ubigint,         -- of the first 40 characters of the answer in lower case
    prompt_length integer,   -- characters
    completion_length integer,
    rejected_length integer,
    bytes integer,           -- of system, prompt and answer in UTF-8
    blank_prompt boolean,
    blank_completion boolean,
    shape ubigint            -- equal for rows with the same keys and types
);
create table refused (source usmallint, line bigint, refusal varchar, roles varchar, calls varchar);
create table shapes (source usmallint, shape ubigint, remark varchar);  -- odd shapes only
create table found (check_name varchar, id varchar, line bigint, source varchar, note varchar);
"""


def connect() -> DuckDBPyConnection:
    """A connection in memory that spills to the temporary folder and loads nothing by itself."""
    import duckdb

    limit = os.environ.get(MEMORY_LIMIT)
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": str(os.cpu_count() or 1),
            "temp_directory": os.path.join(tempfile.gettempdir(), f"recipe-{os.getpid()}"),
            "max_temp_directory_size": "20GB",
            # DuckDB knows no size of a stream and would build its joins on the texts of a whole
            # file: the right side, which is built on, is always the smaller one as written
            "disabled_optimizers": "build_side_probe_side",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            **({"memory_limit": limit} if limit else {}),
        },
    )
    connection.execute("set enable_progress_bar = false")  # else -c and notebooks show it
    connection.execute(TABLES)
    return connection


def one(connection: DuckDBPyConnection, query: str, values: list[Any] | None = None) -> int:
    """The number that a query counts; 0 where it is null."""
    row = connection.execute(query, values or []).fetchone()
    return int(row[0]) if row and row[0] is not None else 0

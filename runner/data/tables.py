"""The one connection and its tables; every step of the pipeline fills the next table.

rows    every accepted row of every source, in reading order
placed  which rows go to which part, and how often
final   the rows of the parts without their texts, with ids that are unique in the run
found   what the checks found, row by row
"""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TABLES = """
create table rows (
    part varchar,            -- key of the recipe's data: train, validation, test, mix
    source integer,          -- index over all sources
    name varchar,            -- path as the recipe has it
    line bigint,
    id varchar,
    grp varchar,             -- value of split.group_by as text; null where there is none
    general boolean,
    format varchar,
    system varchar,
    prompt varchar,
    completion varchar,
    messages varchar,        -- JSON list of {role, content}; null but for format messages
    columns varchar,         -- JSON object
    blank_prompt boolean,
    blank_completion boolean,
    prompt_key varchar,      -- equal for equal prompts, see formats.keys
    pair_key varchar         -- equal for equal prompt, answer and system
);
create table placed (source_row bigint, part varchar, copy integer);
create view texts as
select rowid as source_row, system, prompt, completion, messages, columns from rows;
create table found (check_name varchar, id varchar, line bigint, source varchar, note varchar);
"""


FINAL = """
create table final as
select * exclude (own_id, occurrence),
    case when occurrence = 1 then own_id else own_id || '#' || occurrence end as id
from (
    select rows.rowid as source_row, placed.part, placed.copy, name as source,
        source as source_index, line, id as own_id, grp, general, blank_prompt, blank_completion,
        length(prompt) as prompt_length, length(completion) as completion_length,
        prompt_key, pair_key,
        row_number() over (partition by id order by rows.rowid, copy) as occurrence
    from rows join placed on rows.rowid = placed.source_row
)
"""


def connect() -> DuckDBPyConnection:
    """A connection in memory that spills to the temporary folder and loads nothing by itself."""
    import duckdb

    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": str(os.cpu_count() or 1),
            "temp_directory": os.path.join(tempfile.gettempdir(), f"recipe-{os.getpid()}"),
            "max_temp_directory_size": "20GB",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        },
    )
    connection.execute(TABLES)
    return connection

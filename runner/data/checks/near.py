"""Checks of rows that are nearly alike: near duplicates, and near leakage between the parts.

Exact duplicates are left out beforehand; every pair that counts was compared in full.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dsl.thresholds import NearLeakageCheck, ShareCheck, SimilarityCheck
from runner.data.checks.finding import Finding, How, Read, Said, percent

if TYPE_CHECKING:
    from runner.data.near.ngrams import Overlap

NEAR_DUPLICATES = Said(
    "near_duplicates",
    "rows whose prompt and whose answer are both at least as similar (Indel) to an earlier row "
    "as the bound, exact duplicates and data.mix not counted; every pair was compared in full",
)
NEAR_LEAKAGE = Said(
    "near_leakage",
    "rows of validation or test that are nearly a training row (Indel, prompt and answer), "
    "or of test that are nearly one of validation; or of whose answer's runs of words (of the "
    "length in the recipe) at least half stand in training rows",
)
LINE_BITS = 40  # a key is the index of the file, then the line
KEY = f"(source::bigint << {LINE_BITS}) + line"
HELD_ROWS = 10_000  # whose runs of words are looked for in the training rows
HELD_OUT = "part in ('validation', 'test')"
SHARED_RUNS = 0.5  # of an answer's runs of words, from where on they count


def compare_rows(read: Read) -> None:
    """Fills `near_pairs` (one_source, one_line, source, line, similarity): one stands before;
    and `near_runs` (source, line, share): held-out rows whose answer stands in pieces in training
    rows, by the share of its runs of words."""
    if "near" in read.done:
        return
    read.done.add("near")
    from runner.data.near.find import look, near_duplicates

    asked = read.data.checks
    bounds = [limits.similarity for limits in [asked.near_duplicates] if limits]
    bounds += [limits.warn_similarity for limits in [asked.near_leakage] if limits]
    read.connection.execute(
        f"create table unique_rows as select min({KEY}) as key, bool_or(part = 'train') as training"
        " from placed where copy = 0 group by pair_hash"
    ).fetchall()
    rows = f"{_texts(read)} join unique_rows using (key)"

    def some(keys: str) -> str:
        source, line = _place("key")
        return _texts(read, f"select {source} as source, {line} as line from {keys}")

    ngram = asked.near_leakage.ngram if asked.near_leakage else None
    if ngram is None:
        near = near_duplicates(read.connection, rows, min(bounds), some)
    else:
        # a sample, if they are many; the same in every run
        hits = (
            f"select source, line from placed where copy = 0 and {HELD_OUT}"
            f" order by md5_number(source || ':' || line), source, line limit {HELD_ROWS}"
        )
        held_out = _texts(read, hits)
        near, overlaps = look(read.connection, rows, min(bounds), held_out, ngram, some)
        _keep_runs(read, overlaps)
    listed = [(p.first, p.second, min(p.prompt, p.completion)) for p in near.pairs]
    columns = [list(column) for column in zip(*listed, strict=True)] or [[], [], []]
    one, other = (", ".join(_place(key)) for key in ("a", "b"))
    read.connection.execute("drop table unique_rows").fetchall()
    read.connection.execute(
        "create table near_pairs (one_source usmallint, one_line bigint, source usmallint,"
        " line bigint, similarity double)"
    ).fetchall()
    read.connection.execute(
        f"insert into near_pairs select {one}, {other}, similarity from (select"
        " unnest(?::bigint[]) as a, unnest(?::bigint[]) as b, unnest(?::double[]) as similarity)",
        columns,
    ).fetchall()


def near_duplicates(read: Read, limits: SimilarityCheck) -> Finding:
    compare_rows(read)
    read.note_twins(
        "near_duplicates",
        "select source, line, one[1] as twin_source, one[2] as twin_line, similarity from ("
        " select source, line, max(similarity) as similarity,"
        "  arg_max((one_source, one_line), (similarity, -one_source::int, -one_line)) as one"
        "  from near_pairs semi join (from placed where copy = 0 and not general)"
        f"  using (source, line) where similarity >= {limits.similarity} group by source, line)",
        "printf('%.2f like %s', similarity, twin)",
    )
    total = read.count("select count(*) from placed where not general")
    hint = "keep one of each: --fix drops the later ones"
    # every pair is compared, but a few in a thousand of the like ones are never looked at
    return NEAR_DUPLICATES.share(read, limits, total, "rows", hint, "estimated")


def near_leakage(read: Read, limits: NearLeakageCheck) -> Finding:
    compare_rows(read)
    read.note_twins(
        "near_leakage",
        "with pairs as (select source, line, one_source, one_line, similarity from near_pairs"
        "  union all select one_source, one_line, source, line, similarity from near_pairs),"
        " leaked as (select pairs.*, twin.part as place"
        "  from (from placed where copy = 0) as twin"
        "  join (select pairs.*, held.part from (from placed where copy = 0) as held"
        "   join pairs using (source, line) where held.part <> 'train'"
        f"   and similarity >= {limits.warn_similarity}) as pairs"
        "  on twin.source = one_source and twin.line = one_line"
        "  where twin.part = 'train' or (pairs.part = 'test' and twin.part = 'validation')),"
        " best as (select source, line, max(similarity) as similarity,"
        "  arg_max((one_source, one_line, place), (similarity, -one_source::int, -one_line)) as one"
        "  from leaked group by source, line)"
        " select source, line, one[1] as twin_source, one[2] as twin_line, one[3] as place,"
        " similarity from best",
        "printf('%.2f like %s in %s', similarity, twin, place)",
        "similarity desc,",
    )
    held = read.count(f"select count(*) from placed where copy = 0 and {HELD_OUT}")
    remarks: list[str] = []
    how: How = "estimated"
    if limits.ngram is not None:
        _note_runs(read, limits.ngram)
        if held > HELD_ROWS:
            how = "sampled"
            remarks = [f"runs of words were looked for of {HELD_ROWS:,} of {held:,} rows"]
    total = read.count(f"select count(*) from placed where {HELD_OUT}")
    grave = read.count(
        "select count(*) from found where check_name = 'near_leakage'"
        f" and try_cast(split_part(note, ' ', 1) as double) >= {limits.error_similarity}"
    )
    hint = "remove these rows from one side, or give the split a group_by that keeps them together"
    warned = ShareCheck(limits.warn_above, None)
    if limits.error_above is not None and total and grave / total > limits.error_above:
        warned = ShareCheck(limits.warn_above, 0.0)
    remarks.insert(0, f"{grave:,} of them from {percent(limits.error_similarity)} on")
    return NEAR_LEAKAGE.share(read, warned, total, "held-out rows", hint, how, "; ".join(remarks))


def _keep_runs(read: Read, overlaps: Iterable[Overlap]) -> None:
    shares = [
        (overlap.key, share)
        for overlap in overlaps
        if overlap.completion_ngrams
        and (share := overlap.completion_shared / overlap.completion_ngrams) >= SHARED_RUNS
    ]
    columns = [list(column) for column in zip(*shares, strict=True)] or [[], []]
    source, line = _place("key")
    read.connection.execute(
        f"create table near_runs as select {source} as source, {line} as line, share"
        " from (select unnest(?::bigint[]) as key, unnest(?::double[]) as share)",
        columns,
    ).fetchall()


def _texts(read: Read, hits: str | None = None) -> str:
    """SQL: key, prompt and completion of all rows, or of hits (source, line)."""
    texts = read.rows.select("prompt, completion", hits)
    return f"from (select {KEY} as key, prompt, completion from ({texts}))"


def _place(key: str) -> tuple[str, str]:
    """SQL: source and line of a row, from its key."""
    return f"({key} >> {LINE_BITS})::usmallint", f"{key} % (1::bigint << {LINE_BITS})"


def _note_runs(read: Read, length: int) -> None:
    """Adds held-out rows whose answer stands in pieces in training rows."""
    found = read.connection.execute("from near_runs").fetchall()
    read.add_rows(
        "near_leakage",
        [
            (
                source,
                line,
                f"{percent(share)} of its answer's runs of {length} words stand in training rows",
            )
            for source, line, share in found
        ],
    )
    read.connection.execute(  # a row that is nearly another one is told once
        "delete from found where check_name = 'near_leakage' and rowid not in ("
        " select min(rowid) from found where check_name = 'near_leakage' group by id)"
    ).fetchall()

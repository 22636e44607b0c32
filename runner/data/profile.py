"""profile: what the data is like, in numbers. See schemas/profile.schema.json.

Aggregates over the narrow tables; only tokens and languages read texts, of a sample.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from heapq import nsmallest
from typing import TYPE_CHECKING, Any

from runner.data.checks.finding import Read
from runner.data.peek import HEAD_ROWS

if TYPE_CHECKING:
    from dsl.templates import Segment

SCHEMA_VERSION = 1
LISTED = 20
LISTED_COLUMNS = 200  # of a source; rows may hold a key each
BINS = 40
TOKEN_ROWS = 2_000
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
NAMES = tuple(f"p{round(100 * q):02d}" for q in QUANTILES)
# JSON type of DuckDB's → of JSON; what is not listed is a number
TYPES = {
    "VARCHAR": "string", "BOOLEAN": "boolean", "NULL": "null", "ARRAY": "array", "OBJECT": "object",
}  # fmt: skip
TASK = "placed where copy = 0 and not general"


def profile(read: Read) -> dict[str, Any]:
    """Call it after the checks: duplicates and languages are what they found."""
    tokens, missing = _tokens(read)
    return {
        "schema_version": SCHEMA_VERSION,
        "sources": [
            {
                "part": report.part, "name": report.name, "kind": report.kind,
                "compression": report.compression, "format": report.format,
                "evidence": report.evidence, "bytes": report.bytes, "rows": report.rows,
                "refused": report.refused, "blank": report.blank,
                "columns": len(report.columns),
            }
            for report in read.reports
        ],
        "columns": _columns(read),
        "lengths": {
            "prompt": _distribution(read, "prompt_length", "characters"),
            "completion": _distribution(read, "completion_length", "characters"),
            "turns": _distribution(read, "turns", "turns"),
            "total": _distribution(read, "prompt_length + completion_length", "characters"),
        },
        "tokens": tokens,
        "tokens_missing": missing,
        "groups": _groups(read),
        "labels": _shares(read, "coalesce(label, desirable::varchar)"),
        "languages": _languages(read),
        "duplicates": {
            "exact": read.count(f"select count(*) - count(distinct pair_hash) from {TASK}"),
            "normalised": _found(read, "duplicates"),
            "near": _found(read, "near_duplicates"),
        },
        "parts": _parts(read),
    }  # fmt: skip


def _columns(read: Read) -> list[dict[str, Any]]:
    made = []
    for opened, report in zip(read.rows.opened, read.reports, strict=True):
        role_of = {column: role for role, column in opened.found.roles.items()}
        for column, rows in _most_used(report.columns, role_of):
            types: dict[str, int] = {}
            for kind, count in report.types.get(column, {}).items():
                name = TYPES.get(kind, "number")
                types[name] = types.get(name, 0) + count
            first = report.first_lines[column]
            made.append({
                "source": report.name, "name": column, "role": role_of.get(column), "rows": rows,
                "share": min(1.0, rows / max(1, report.rows + report.refused)), "types": types,
                "first_line": first if first > HEAD_ROWS else None,
                "empty": report.empty.get(column),
            })  # fmt: skip
    return made


def _most_used(columns: Mapping[str, int], used: Collection[str]) -> Iterator[tuple[str, int]]:
    """LISTED_COLUMNS of them with their rows, in their order: those that are used, then those that
    most rows have."""
    if len(columns) <= LISTED_COLUMNS:
        return iter(columns.items())
    first = nsmallest(LISTED_COLUMNS, columns, key=lambda c: (c not in used, -columns[c]))
    listed = set(first)
    return ((column, rows) for column, rows in columns.items() if column in listed)


def _distribution(read: Read, value: str, unit: str, relation: str = TASK) -> Any:
    """Bins of equal width up to the 99th percentile; the last one holds all that is longer."""
    found = read.connection.execute(
        f"select count(x), min(x), max(x), avg(x), quantile_cont(x, {list(QUANTILES)})"
        f" from (select {value} as x from {relation})"
    ).fetchone()
    if not found or not found[0]:
        return None
    count, least, most, mean, quantiles = found
    width = max(1, -(-(int(quantiles[-1]) + 1 - least) // (BINS - 1)))
    bins = dict(
        read.connection.execute(
            f"select least((x - {least}) // {width}, {BINS - 1})::bigint as bin, count(*)"
            f" from (select {value} as x from {relation}) where x is not null group by bin"
        ).fetchall()
    )
    histogram = [
        {"from": least + width * i, "to": least + width * (i + 1), "count": bins.get(i, 0)}
        for i in range(max(bins) + 1)
    ]
    histogram[-1]["to"] = max(histogram[-1]["to"], most + 1)
    return {
        "unit": unit, "count": count, "min": least, "max": most, "mean": round(mean, 2),
        "quantiles": {name: round(q, 2) for name, q in zip(NAMES, quantiles, strict=True)},
        "histogram": histogram,
    }  # fmt: skip


def _shares(read: Read, column: str) -> list[dict[str, Any]]:
    total = read.count(f"select count({column}) from {TASK}")
    found = read.connection.execute(
        f"select {column}, count(*) from {TASK} and {column} is not null"
        f" group by 1 order by 2 desc, 1 limit {LISTED}"
    ).fetchall()
    return [{"name": str(name), "rows": n, "share": n / total} for name, n in found]


def _groups(read: Read) -> dict[str, Any] | None:
    if read.rows.group_by is None:
        return None
    count = read.count(f"select count(distinct grp) from {TASK}")
    return {"column": read.rows.group_by, "count": count, "largest": _shares(read, "grp")}


def _languages(read: Read) -> dict[str, Any] | None:
    told = read.languages
    if not told:
        return None
    sample = sum(told.values())
    ordered = sorted(told.items(), key=lambda item: (-item[1], item[0]))[:LISTED]
    return {
        "how": "sampled" if sample < read.count(f"select count(*) from {TASK}") else "exact",
        "sample": sample,
        "shares": [{"name": code, "rows": n, "share": n / sample} for code, n in ordered],
    }


def _found(read: Read, check: str) -> int | None:
    return read.found(check) if getattr(read.data.checks, check) is not None else None


def _parts(read: Read) -> dict[str, Any]:
    general = dict(
        read.connection.execute(
            "select part, count(*) from placed where general group by part"
        ).fetchall()
    )
    return {
        name: {
            "rows": part.rows, "general": general.get(name, 0), "groups": part.groups,
            "characters": part.prompt_characters + part.completion_characters,
        }
        for name, part in read.parts.items()
    }  # fmt: skip


def _tokens(read: Read) -> tuple[dict[str, Any] | None, str | None]:
    """Of a sample: a tokenizer does about half a million tokens a second."""
    from dsl.templates import TemplateError
    from runner.data.checks.tokens import examples
    from runner.data.tokens import encode_all, targets

    encoder = read.encoder
    if encoder is None:
        return None, "the model's tokenizer is not in the cache"
    hits = f"select source, line from {TASK} order by prompt_key, source, line limit {TOKEN_ROWS}"
    lengths: list[tuple[int, int]] = []  # all tokens, trained ones
    over, most = 0, encoder.recipe.training.max_length

    def rendered() -> Iterator[tuple[None, Sequence[Segment]]]:
        for _, example, _ in examples(read, hits):
            with suppress(TemplateError):
                yield None, encoder.segments(example)

    for _, ids, labels in encode_all(rendered(), encoder.tokenizer):
        lengths.append((len(ids), targets(labels[1:])))
        over += len(ids) > most
    if not lengths:
        return None, "no row can be rendered"
    total = sum(n for n, _ in lengths)
    return {
        "how": "exact" if len(lengths) == read.count(f"select count(*) from {TASK}") else "sampled",
        "sample": len(lengths),
        "max_length": most,
        "over_max_length": over,
        "trained_share": sum(trained for _, trained in lengths) / total,
        "prompt": _of_tokens(read, [n - trained for n, trained in lengths]),
        "completion": _of_tokens(read, [trained for _, trained in lengths]),
        "total": _of_tokens(read, [n for n, _ in lengths]),
    }, None


def _of_tokens(read: Read, values: Sequence[int]) -> Mapping[str, Any] | None:
    listed = f"(select unnest([{', '.join(map(str, values))}]) as n)"
    made: Mapping[str, Any] | None = _distribution(read, "n", "tokens", listed)
    return made

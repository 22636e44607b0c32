"""Answers to show: the worst regressions first, then the best gains."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Any

from dsl.metrics import METRICS
from runner.report.words import Json, finite

MOST = 60
LONGEST = 6000  # characters of one text; predictions.parquet has the rest
RANKED_BY = ("rouge_l", "loss")
TEXTS = ("prompt", "reference", "base_text", "tuned_text")


def examples(predictions: Path) -> Json:
    """Up to MOST examples of predictions.parquet. Raises duckdb.Error where it cannot be read."""
    import duckdb

    with duckdb.connect() as connection:
        # the reader takes patterns: a bracket in a folder's name is no pattern
        connection.read_parquet(glob.escape(str(predictions))).create_view("p")
        columns = {row[0] for row in connection.execute("DESCRIBE p").fetchall()}
        metric = next((m for m in RANKED_BY if _has_scores(connection, columns, m)), None)
        score = f"base_{metric}, tuned_{metric}" if metric else "NULL::DOUBLE, NULL::DOUBLE"
        sign = -1 if metric and METRICS[metric].better == "lower" else 1
        gain = f"{sign} * (tuned_{metric} - base_{metric})" if metric else "NULL::DOUBLE"
        connection.execute(
            f'CREATE VIEW ranked AS SELECT suite, id, "group", {", ".join(TEXTS)}, '
            f"{score}, {gain} AS gain FROM p"
        )
        if metric is None:
            shown = connection.execute(f"FROM ranked ORDER BY suite, id LIMIT {MOST}").fetchall()
        else:
            worst = _side(connection, "gain < 0", "gain")
            best = _side(connection, "gain > 0", "gain DESC")
            kept = max(MOST // 2, MOST - len(best))
            shown = worst[:kept] + best[: MOST - min(kept, len(worst))]
        total, worse, better = connection.execute(
            "SELECT count(*), count(*) FILTER (gain < 0), "
            "count(*) FILTER (gain > 0 AND NOT isnan(gain)) "
            "FROM ranked"
        ).fetchall()[0]
    return {
        "metric": metric,
        "total": total,
        "worse": worse,
        "better": better,
        "items": [_item(row) for row in shown],
    }


def _has_scores(connection: Any, columns: set[str], metric: str) -> bool:
    names = f"base_{metric}", f"tuned_{metric}"
    if not columns.issuperset(names):
        return False
    both = " AND ".join(f"{name} IS NOT NULL" for name in names)
    return bool(connection.execute(f"SELECT count(*) FROM p WHERE {both}").fetchall()[0][0])


def _side(connection: Any, condition: str, order: str) -> list[Any]:
    rows: list[Any] = connection.execute(
        f"FROM ranked WHERE {condition} AND NOT isnan(gain) "
        f"ORDER BY {order}, suite, id LIMIT {MOST}"
    ).fetchall()
    return rows


def _item(row: tuple[Any, ...]) -> Json:
    suite, name, group, *texts, base, tuned, gain = row
    return {
        "suite": suite,
        "id": name,
        "group": group,
        **{key: _cut(text) for key, text in zip(TEXTS, texts, strict=True)},
        "base_score": finite(base),
        "tuned_score": finite(tuned),
        "kind": "example" if gain is None else "regression" if gain < 0 else "gain",
    }


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}\n… {len(text) - LONGEST:,} more characters in predictions.parquet"

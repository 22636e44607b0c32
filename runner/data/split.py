"""Which row goes to which part. Clusters stay whole; order and names of files do not matter."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsl.recipe import Data, MixSource, Split
from runner.data.tables import FINAL

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True)
class Cluster:
    """Rows that must stay on one side. `key` depends on their prompts alone."""

    key: str
    prompts: tuple[str, ...]
    rows: int
    groups: int


@dataclass(frozen=True, slots=True)
class MixCount:
    """Rows of one mix source: wanted for its share, there, taken (copies counted)."""

    name: str
    share: float
    wanted: int
    available: int
    taken: int


@dataclass(frozen=True, slots=True)
class Placed:
    """What the split did. `grouped`: rows of data.train that have a group. `united`: groups that
    share a cluster with another because of prompts."""

    clusters: int
    grouped: int
    united: int
    mix: tuple[MixCount, ...]


def place(connection: DuckDBPyConnection, data: Data) -> Placed:
    """Fills the tables `placed` and `final` from `rows`."""
    counted: list[tuple[str, str | None, int]] = connection.execute(
        "select prompt_key, grp, count(*) from rows where part = 'train' group by all"
    ).fetchall()
    found = clusters(counted)
    shares = {
        "test": 0.0 if data.test else data.split.test,
        "validation": 0.0 if data.validation else data.split.validation,
    }
    held = assign(found, shares, data.split.seed)
    connection.execute("create or replace temp table held (prompt_key varchar, part varchar)")
    if held:
        connection.execute(
            "insert into held select unnest(?::varchar[]), unnest(?::varchar[])",
            [list(held), list(held.values())],
        ).fetchall()
    connection.execute(
        "insert into placed select rows.rowid, coalesce(held.part, 'train'), 0"
        " from rows left join held using (prompt_key) where rows.part = 'train'"
        " union all select rowid, part, 0 from rows where part in ('validation', 'test')"
    ).fetchall()
    united = sum(cluster.groups for cluster in found if cluster.groups > 1)
    mix = _mix(connection, data)
    connection.execute(FINAL).fetchall()
    grouped = sum(count for _, group, count in counted if group is not None)
    return Placed(len(found), grouped, united, mix)


def clusters(counted: Iterable[tuple[str, str | None, int]]) -> list[Cluster]:
    """Connected components of rows with an equal prompt or an equal group.

    `counted`: (prompt key, group or None, rows). A row without a group hangs on its prompt alone.
    """
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(node: tuple[str, str]) -> tuple[str, str]:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    rows: dict[str, int] = defaultdict(int)
    groups: set[str] = set()
    for prompt, group, count in counted:
        rows[prompt] += count
        at = root(("prompt", prompt))
        if group is not None:
            groups.add(group)
            parent[at] = root(("group", group))
    prompts_of: dict[tuple[str, str], list[str]] = defaultdict(list)
    for prompt in rows:
        prompts_of[root(("prompt", prompt))].append(prompt)
    groups_of: dict[tuple[str, str], int] = defaultdict(int)
    for group in groups:
        groups_of[root(("group", group))] += 1
    return [
        Cluster(min(prompts), tuple(prompts), sum(rows[p] for p in prompts), groups_of[at])
        for at, prompts in prompts_of.items()
    ]


def assign(found: Sequence[Cluster], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Prompt key → part, for the rows that are held out of training.

    Clusters come in the order of sha256(seed:key). Each goes to the part, of those that it still
    fits, which lacks most of its share; to training if it fits none. So a part ends short by less
    than the smallest cluster of training. A part that none fitted takes the smallest. One cluster
    is kept for training, and one for every part where there are enough.
    """
    total = sum(cluster.rows for cluster in found)
    targets = {part: max(1, round(share * total)) for part, share in shares.items() if share > 0}
    enough = len(found) > len(targets)
    rows = dict.fromkeys(targets, 0)
    held: dict[str, str] = {}
    left = sorted(found, key=lambda cluster: _order(seed, cluster.key))

    def hold(cluster: Cluster, part: str) -> None:
        rows[part] += cluster.rows
        held.update(dict.fromkeys(cluster.prompts, part))

    trained: list[Cluster] = []
    for index, cluster in enumerate(left):
        fitting = [part for part in targets if rows[part] + cluster.rows <= targets[part]]
        part = max(fitting, key=lambda part: 1 - rows[part] / targets[part], default=None)
        wanting = sum(1 for other in rows if not rows[other] and other != part) if enough else 0
        if part is None or len(trained) + len(left) - index - 1 <= wanting:
            trained.append(cluster)
        else:
            hold(cluster, part)
    for part in targets:
        if not rows[part] and len(trained) > 1:
            smallest = min(trained, key=lambda cluster: cluster.rows)
            trained.remove(smallest)
            hold(smallest, part)
    return held


def _mix(connection: DuckDBPyConnection, data: Data) -> tuple[MixCount, ...]:
    """Adds to `placed` the rows of each mix source that make up its share of the training rows."""
    trained = _one(connection, "select count(*) from placed where part = 'train'")
    final = trained / (1 - sum(source.share for source in data.mix))
    first = len(data.train) + len(data.validation) + len(data.test)
    return tuple(
        _draw(connection, first + index, source, round(final * source.share), data.split)
        for index, source in enumerate(data.mix)
    )


def _draw(
    connection: DuckDBPyConnection, index: int, source: MixSource, wanted: int, split: Split
) -> MixCount:
    available = _one(connection, "select count(*) from rows where source = ?", [index])
    copies = -(-wanted // available) if source.repeat and available else 1
    taken = min(wanted, available * copies)
    connection.execute(
        "insert into placed select rows.rowid, 'train', copy from rows, range(?) as copies(copy)"
        " where source = ? order by copy, sha256(? || pair_key), rows.rowid limit ?",
        [copies, index, f"{split.seed}:", taken],
    ).fetchall()
    return MixCount(source.path, source.share, wanted, available, taken)


def _order(seed: int, key: str) -> str:
    return hashlib.sha256(f"{seed}:{key}".encode()).hexdigest()


def _one(connection: DuckDBPyConnection, query: str, values: Sequence[object] = ()) -> int:
    row = connection.execute(query, list(values)).fetchone()
    return int(row[0]) if row else 0

"""Rows that must stay in one part: a cluster has the rows of equal prompts and equal groups.

While the rows are split there are: `clustered` (place, cluster) of every row, where place is its
rowid in `features`; `sized` (cluster, rows), in which a cluster may come several times; `ordered`
(cluster, rows). The table `repeated` stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from math import sqrt
from typing import TYPE_CHECKING

from runner.data.tables import one

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FETCHED_AT_ONCE = 10_000
COUNTED_AT_ONCE = 300_000  # prompts; a million take 40 MB
HASHES = 2**128
CHANCE = 6  # standard deviations of what a share of the clusters holds, or a little more


@dataclass(frozen=True, slots=True)
class Clusters:
    """How many there are, and rows in all of them. `united`: groups that share a cluster with
    another one because of prompts."""

    count: int
    rows: int
    united: int


def cluster(connection: DuckDBPyConnection, mine: str, grouped: bool) -> Clusters:
    """Makes `clustered` and `sized` of the rows of `features` that `mine` (SQL) is true of, and
    `repeated`. `grouped`: these rows may have groups."""
    used = f"features where part is not null and {mine}"
    rows = one(connection, f"select count(*) from {used}")
    _repeated(connection, mine)
    if grouped:
        united = _by_group(connection, used)
        return Clusters(one(connection, "select count(*) from sized"), rows, united)
    connection.execute(
        f"create view clustered as select rowid as place, prompt_key as cluster from {used}"
    )
    connection.execute("create view sized as select cluster, 1 as rows from clustered")
    several = one(connection, "select sum(mine - 1) from repeated where mine > 0")
    return Clusters(rows - several, rows, 0)


def ordered(connection: DuckDBPyConnection, seed: int, share: float, count: int) -> Iterator[int]:
    """The rows of each of `count` clusters in the order of a hash of seed and key, as they are
    asked for. Fills `ordered` in this order.

    Most clusters are trained on, and never asked for: as many are sorted as `share` of all should
    take, and if that is not enough, as many again. Keys stay in the database: DuckDB writes a
    million of them as decimals in minutes.
    """
    connection.execute("create table ordered (cluster uhugeint, rows bigint)")
    low, high, seen = 0, int((share + CHANCE / sqrt(max(count, 1))) * HASHES), 0
    while low < HASHES:
        connection.execute(
            "insert into ordered select cluster, sum(rows) from"
            f" (select *, {shuffled(seed, 'cluster')} as hash from sized)"
            f" where hash between '{low}'::uhugeint and '{min(high, HASHES) - 1}'::uhugeint"
            " group by hash, cluster order by hash, cluster"
        ).fetchall()
        several = connection.cursor().execute(
            f"select rowid, rows from ordered where rowid >= {seen} and rows > 1 order by rowid"
        )
        while some := several.fetchmany(FETCHED_AT_ONCE):
            for place, rows in some:
                yield from repeat(1, place - seen)
                yield rows
                seen = place + 1
        sorted_so_far = one(connection, "select count(*) from ordered")
        yield from repeat(1, sorted_so_far - seen)
        seen, low, high = sorted_so_far, high, 2 * high


def shuffled(seed: int, key: str) -> str:
    """SQL to order by: the same on every machine, with no relation to what is ordered."""
    return f"md5_number('{seed}:' || hex({key}))"


def forget(connection: DuckDBPyConnection) -> None:
    """Drops what `cluster` and `ordered` have made for the split alone."""
    for view in ("sized", "clustered"):
        connection.execute(f"drop view {view}").fetchall()
    for table in ("ordered", "sizes", "cluster_of_group", "cluster_of_prompt"):
        connection.execute(f"drop table if exists {table}").fetchall()


def _repeated(connection: DuckDBPyConnection, mine: str) -> None:
    """Fills `repeated` (prompt_key, mine): the prompts of several rows, of all sources, and how
    many of these rows are mine. In most files they are few; only they make a cluster of several
    rows, are duplicates or leak."""
    connection.execute("create table repeated (prompt_key uhugeint, mine bigint)")
    rows = one(connection, "select count(*) from features where part is not null")
    times = rows // COUNTED_AT_ONCE + 1
    for nth in range(times):
        connection.execute(
            f"insert into repeated select prompt_key, count(*) filter ({mine}) from features"
            f" where part is not null and hash(prompt_key) % {times} = {nth}"
            " group by prompt_key having count(*) > 1"
        ).fetchall()


def _by_group(connection: DuckDBPyConnection, used: str) -> int:
    """`clustered`, where a cluster is named by the least key of its prompts. Returns the number of
    groups that are united by prompts."""
    shared = connection.execute(
        "select list(grp order by grp) from ("
        f" select distinct prompt_key, grp from (from {used} and grp is not null)"
        "  semi join repeated using (prompt_key))"
        " group by prompt_key having count(*) > 1"
    ).fetchall()
    roots = _roots(groups for (groups,) in shared)
    connection.execute(
        "create table cluster_of_group as"
        " select grp, min(least) over (partition by coalesce(root, grp)) as cluster from ("
        f"  select grp, min(prompt_key) as least from {used} and grp is not null group by grp)"
        " left join (select unnest(?::varchar[]) as grp, unnest(?::varchar[]) as root) using (grp)",
        [list(roots), list(roots.values())],
    ).fetchall()
    # a row without a group may share its prompt with one that has a group
    connection.execute(
        "create table cluster_of_prompt as select prompt_key, min(cluster) as cluster"
        f" from (from {used} and grp is not null) semi join ("
        f"  from (from {used} and grp is null) semi join repeated using (prompt_key))"
        " using (prompt_key) join cluster_of_group using (grp) group by prompt_key"
    ).fetchall()
    connection.execute(
        "create view clustered as select place,"
        " coalesce(of_group.cluster, of_prompt.cluster, prompt_key) as cluster"
        f" from (select rowid as place, prompt_key, grp from {used})"
        " left join cluster_of_group as of_group using (grp)"
        " left join cluster_of_prompt as of_prompt using (prompt_key)"
    )
    connection.execute(
        "create table sizes as select cluster, count(*) as rows from clustered group by cluster"
    ).fetchall()
    connection.execute("create view sized as from sizes")
    sizes = Counter(roots.values())
    return sum(size for size in sizes.values() if size > 1)


def _roots(shared: Iterable[list[str]]) -> dict[str, str]:
    """Group → the first group of its connected component, for groups that share a prompt."""
    parent: dict[str, str] = {}

    def root(group: str) -> str:
        parent.setdefault(group, group)
        while parent[group] != group:
            parent[group] = parent[parent[group]]
            group = parent[group]
        return group

    for first, *others in shared:
        for other in others:
            parent[root(other)] = root(first)
    return {group: root(group) for group in list(parent)}

"""Which row goes to which part. Clusters stay whole; order and names of files do not matter.

Fills in the part of every row of `features`, and makes the views `placed` and `final` of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsl.recipe import Data, MixSource
from runner.data.scan import Rows
from runner.data.tables import one

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FETCHED_AT_ONCE = 10_000


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


def place(connection: DuckDBPyConnection, data: Data, rows: Rows) -> Placed:
    """Rows with an equal prompt or an equal group are one cluster."""
    connection.execute(
        "insert into refused select source, line, refusal, roles, calls from features"
        " where refusal is not null order by source, line"
    ).fetchall()
    trained = _sources(rows, ("data", "train"))
    _weigh(connection, data, rows)
    united = _clusters(connection, trained)
    count = one(connection, "select count(*) from clusters")
    total = one(connection, "select sum(rows) from clusters")
    shares = {
        "test": 0.0 if data.test else data.split.test,
        "validation": 0.0 if data.validation else data.split.validation,
    }
    held = assign(_ordered(connection, data.split.seed), count, total, shares)
    _hold(connection, held, trained)
    mix = _mix(connection, data, rows)
    if _ids_repeat(connection, rows):
        _number_ids(connection, rows)
    for table in ("clusters", "cluster_of", "ordered", "held", "edges", "roots", "drawn"):
        connection.execute(f"drop table {table}").fetchall()
    connection.execute(PLACED)
    connection.execute(f"create view final as {_final(rows)}")
    grouped = one(
        connection, f"select count(*) from placed where grp is not null and {_among(trained)}"
    )
    return Placed(count, grouped, united, mix)


def assign(
    ordered: Iterable[tuple[int, int]], count: int, total: int, shares: Mapping[str, float]
) -> dict[int, str]:
    """Place of a cluster → part, for the clusters that are held out of training.

    `ordered`: (place of the cluster, its rows), `count` of them with `total` rows, in the order of
    a hash of the seed. Each goes to the part, of those that it still fits, which lacks most of its
    share; to training if it fits none. So a part ends short by less than the smallest cluster of
    training. A part that none fitted takes the smallest. One cluster is kept for training, and one
    for every part where there are enough.
    """
    targets = {part: max(1, round(share * total)) for part, share in shares.items() if share > 0}
    enough = count > len(targets)
    rows = dict.fromkeys(targets, 0)
    held: dict[int, str] = {}
    trained: list[tuple[int, int]] = []
    for index, (cluster, size) in enumerate(ordered):
        if rows == targets:
            break  # all that come are trained on
        fitting = [part for part in targets if rows[part] + size <= targets[part]]
        part = max(fitting, key=lambda part: 1 - rows[part] / targets[part], default=None)
        wanting = sum(1 for other in rows if not rows[other] and other != part) if enough else 0
        if part is None or len(trained) + count - index - 1 <= wanting:
            trained.append((size, cluster))
        else:
            rows[part] += size
            held[cluster] = part
    for part in targets:
        if not rows[part] and len(trained) > 1:
            size, cluster = smallest = min(trained, key=lambda known: known[0])
            trained.remove(smallest)
            rows[part] += size
            held[cluster] = part
    return held


def _weigh(connection: DuckDBPyConnection, data: Data, rows: Rows) -> None:
    """Leaves of each weighted source as many rows as its weight allows: the largest set in these
    proportions. The others are not used."""
    weights = [source.weight for source in data.train]
    known = [weight for weight in weights if weight is not None]
    if len(known) < len(weights):
        return
    mine = [_among(_sources(rows, ("data", "train", index))) for index in range(len(weights))]
    there = [one(connection, f"select count(part) from features where {m}") for m in mine]
    scale = min(count / weight for count, weight in zip(there, known, strict=True))
    for relation, weight, count in zip(mine, known, there, strict=True):
        left = count - round(scale * weight)
        connection.execute(
            "update features set part = null where (source, line) in ("
            f" select (source, line) from features where part is not null and {relation}"
            f" order by {_shuffled(data.split.seed, 'prompt_key')} desc, source, line limit {left})"
        ).fetchall()


# ---------------------------------------------------------------- clusters


def _clusters(connection: DuckDBPyConnection, trained: list[int]) -> int:
    """Fills `cluster_of` (prompt_key, cluster), of grouped prompts only, and `clusters` (cluster,
    rows).

    A cluster is named by the least key of its prompts. Returns the groups united by prompts.
    """
    mine = f"features where part is not null and {_among(trained)}"
    connection.execute(
        f"create table edges as select prompt_key, grp from {mine} and grp is not null group by all"
    ).fetchall()
    shared = connection.execute(
        "select list(grp order by grp) from edges group by prompt_key having count(*) > 1"
    ).fetchall()
    roots = _roots(groups for (groups,) in shared)
    connection.execute(
        "create table roots as select unnest(?::varchar[]) as grp, unnest(?::varchar[]) as root",
        [list(roots), list(roots.values())],
    ).fetchall()
    connection.execute(
        "create table cluster_of as"
        " select prompt_key, min(prompt_key) over (partition by root) as cluster from ("
        "  select prompt_key, min(coalesce(root, grp)) as root"
        "  from edges left join roots using (grp) group by prompt_key)"
    ).fetchall()
    connection.execute(
        "create table clusters as"
        " select coalesce(cluster, prompt_key) as cluster, count(*) as rows"
        f" from (from {mine}) left join cluster_of using (prompt_key) group by 1"
    ).fetchall()
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


def _ordered(connection: DuckDBPyConnection, seed: int) -> Iterator[tuple[int, int]]:
    """(place, rows) of the clusters in the order of a hash of seed and key, as they are asked for.

    Keys stay in the database: DuckDB writes a million of them as decimals in minutes.
    """
    connection.execute(
        "create table ordered as select row_number() over (order by "
        f" {_shuffled(seed, 'cluster')}, cluster) as nth, cluster, rows from clusters"
    ).fetchall()
    found = connection.cursor().execute("select nth, rows from ordered order by nth")
    while some := found.fetchmany(FETCHED_AT_ONCE):
        yield from some


def _shuffled(seed: int, key: str) -> str:
    """SQL to order by: the same on every machine, with no relation to what is ordered."""
    return f"md5_number('{seed}:' || hex({key}))"


def _hold(connection: DuckDBPyConnection, held: Mapping[int, str], trained: list[int]) -> None:
    """Moves the rows of the clusters at these places of `ordered` to their parts."""
    if not held:
        return
    connection.execute(
        "insert into held select coalesce(prompt_key, ordered.cluster), part from ordered"
        " join (select unnest(?::bigint[]) as nth, unnest(?::part[]) as part) using (nth)"
        " left join cluster_of using (cluster)",
        [list(held), list(held.values())],
    ).fetchall()
    connection.execute(
        "update features set part = held.part from held"
        f" where features.prompt_key = held.prompt_key and features.part is not null"
        f" and {_among(trained)}"
    ).fetchall()


# ---------------------------------------------------------------- general data


def _mix(connection: DuckDBPyConnection, data: Data, rows: Rows) -> tuple[MixCount, ...]:
    """Takes of each mix source the rows that make up its share of the training part."""
    connection.execute("create table drawn (source usmallint, line bigint, copy integer)")
    trained = one(connection, "select count(*) from features where part = 'train'")
    final = trained / (1 - sum(source.share for source in data.mix))
    counts = tuple(
        _draw(
            connection,
            _sources(rows, ("data", "mix", index)),
            source,
            round(final * source.share),
            data.split.seed,
        )
        for index, source in enumerate(data.mix)
    )
    connection.execute(
        "insert into features select features.* replace ('train' as part, drawn.copy as copy,"
        " true as general) from features join drawn using (source, line) where drawn.copy > 0"
    ).fetchall()
    connection.execute(
        "update features set part = 'train', general = true from drawn"
        " where features.source = drawn.source and features.line = drawn.line and drawn.copy = 0"
        " and features.copy = 0"
    ).fetchall()
    return counts


def _draw(
    connection: DuckDBPyConnection, indices: list[int], source: MixSource, wanted: int, seed: int
) -> MixCount:
    mine = f"features where part = 'mix' and {_among(indices)}"
    available = one(connection, f"select count(*) from {mine}")
    copies = -(-wanted // available) if source.repeat and available else 1
    taken = min(wanted, available * copies)
    connection.execute(
        f"insert into drawn select source, line, again from (from {mine}),"
        f" range({copies}) as copies(again)"
        f" order by again, {_shuffled(seed, 'prompt_key')}, source, line limit {taken}"
    ).fetchall()
    return MixCount(source.name, source.share, wanted, available, taken)


# ---------------------------------------------------------------- ids

PLACED = (
    "create view placed as select * exclude (blank, refusal) from features"
    " where part is not null and part <> 'mix'"
)


def _final(rows: Rows) -> str:
    return (
        f"select * exclude (own_id), {rows.names('source')} as name,"
        f" coalesce(own_id, {_line_id(rows)}) as id from placed"
    )


def _line_id(rows: Rows) -> str:
    return f"{rows.names('source')} || ':' || line"


def _ids_repeat(connection: DuckDBPyConnection, rows: Rows) -> bool:
    """Whether two rows may have one id: their own ids, one file twice, or copies."""
    names = [opened.file.name for opened in rows.opened]
    return len(set(names)) < len(names) or bool(
        one(connection, "select count(own_id) from features")
        + one(connection, "select count(*) from features where copy > 0")
    )


def _number_ids(connection: DuckDBPyConnection, rows: Rows) -> None:
    """The second row of an id gets '#2' behind it, and so on."""
    own = f"coalesce(own_id, {_line_id(rows)})"
    connection.execute(
        "update features set own_id = own || '#' || nth from ("
        f" select rowid as place, {own} as own, row_number() over ("
        f"  partition by {own} order by source, line, copy) as nth"
        " from features where part is not null and part <> 'mix')"
        " where features.rowid = place and nth > 1"
    ).fetchall()


def _sources(rows: Rows, path: tuple[str | int, ...]) -> list[int]:
    """Indices of the files whose place in the recipe begins with `path`."""
    return [opened.index for opened in rows.opened if opened.path[: len(path)] == path]


def _among(indices: list[int]) -> str:
    return f"source in ({', '.join(map(str, indices))})" if indices else "false"

"""Which row goes to which part. Clusters stay whole; order and names of files do not matter.

Fills in the part of every row of `features`, and makes the views `placed` and `final` of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dsl.recipe import Data, MixSource
from runner.data.clusters import cluster, forget, ordered, shuffled
from runner.data.scan import Rows
from runner.data.tables import one

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TRAIN = "train"


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
    mine = _among(_sources(rows, ("data", "train")))
    _weigh(connection, data, rows)
    found = cluster(connection, mine, data.split.group_by is not None)
    shares = {
        "test": 0.0 if data.test else data.split.test,
        "validation": 0.0 if data.validation else data.split.validation,
    }
    if held := sum(shares.values()):
        sizes = ordered(connection, data.split.seed, held, found.count)
        _hold(connection, assign(sizes, found.count, found.rows, shares), shares)
    forget(connection)
    mix = _mix(connection, data, rows)
    if _ids_repeat(connection, rows):
        _number_ids(connection, rows)
    connection.execute(PLACED)
    connection.execute(f"create view final as {named(rows, 'placed')}")
    grouped = one(connection, f"select count(*) from placed where grp is not null and {mine}")
    return Placed(found.count, grouped, found.united, mix)


def assign(sizes: Iterable[int], count: int, total: int, shares: Mapping[str, float]) -> list[str]:
    """The part of every cluster, in their order; those beyond the end of the list are trained on.

    `sizes`: rows of the clusters, `count` of them with `total` rows, in the order of a hash of the
    seed. Each goes to the part, of those that it still fits, which lacks most of its share; to
    training if it fits none. So a part ends short by less than the smallest cluster of training. A
    part that none fitted takes the smallest. One cluster is kept for training, and one for every
    part where there are enough.
    """
    targets = {part: max(1, round(share * total)) for part, share in shares.items() if share > 0}
    # of each part that is not full: less the share it lacks, nth, name, rows, target; in order, so
    # that the part which lacks most stands in front
    lacking: list[list[Any]] = [
        [-1.0, nth, part, 0, target] for nth, (part, target) in enumerate(targets.items())
    ]
    parts: list[str] = []
    trained = 0
    smallest: list[tuple[int, int]] = []  # clusters of training: rows, place; as many as parts
    scarce = count - len(targets)  # from this place on there may be too few to choose
    for place, size in enumerate(sizes):
        if not lacking:
            break  # all that come are trained on
        for each in lacking:
            _, _, part, rows, target = each
            rows += size
            if rows <= target:
                break
        else:
            part = TRAIN
        if place >= scarce:
            wanting = sum(other != part and other not in parts for other in targets)
            if trained + count - place - 1 <= (wanting if scarce > 0 else 0):
                part = TRAIN
        parts.append(part)
        if part == TRAIN:
            trained += 1
            if len(smallest) < len(targets) or size < smallest[-1][0]:
                smallest = sorted([*smallest, (size, place)])[: len(targets)]
        elif rows == target:
            lacking.remove(each)
        else:
            each[0], each[3] = rows / target - 1, rows
            lacking.sort()
    for part in targets:
        if part not in parts and trained > 1:
            parts[smallest.pop(0)[1]] = part
            trained -= 1
    return parts


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
            "update features set part = null where rowid in ("
            f" select rowid from features where part is not null and {relation}"
            f" order by {shuffled(data.split.seed, 'prompt_key')} desc, source, line limit {left})"
        ).fetchall()


def _hold(connection: DuckDBPyConnection, parts: list[str], shares: Mapping[str, float]) -> None:
    """Moves the rows of the clusters of `ordered` to their parts."""
    count = one(connection, "select count(*) from ordered")
    # a bit for each cluster: lists of names cost DuckDB more than all the rest of the split
    bits = {
        part: "".join(["1" if each == part else "0" for each in parts]).ljust(count, "0")
        for part in shares
        if part in parts
    }
    if not bits:
        return
    held = " ".join(
        f"when get_bit(?::bit, ordered.rowid::integer) = 1 then '{part}'::part" for part in bits
    )
    connection.execute(
        "update features set part = held.part from ("
        f" select place, case {held} end as part from clustered join ordered using (cluster)"
        ") as held where features.rowid = place and held.part is not null",
        list(bits.values()),
    ).fetchall()


# ---------------------------------------------------------------- general data


def _mix(connection: DuckDBPyConnection, data: Data, rows: Rows) -> tuple[MixCount, ...]:
    """Takes of each mix source the rows that make up its share of the training part."""
    if not data.mix:
        return ()
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
    connection.execute("drop table drawn").fetchall()
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
        f" order by again, {shuffled(seed, 'prompt_key')}, source, line limit {taken}"
    ).fetchall()
    return MixCount(source.name, source.share, wanted, available, taken)


# ---------------------------------------------------------------- ids

PLACED = (
    "create view placed as select * exclude (blank, refusal) from features"
    " where part is not null and part <> 'mix'"
)


def named(rows: Rows, relation: str) -> str:
    """SQL: rows of `placed` with the name of their file, and an id that is unique in the run."""
    return (
        f"select * exclude (own_id), {rows.names('source')} as name,"
        f" coalesce(own_id, {_line_id(rows)}) as id from {relation}"
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

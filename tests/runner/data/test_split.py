"""The split: no cluster is torn, nothing depends on order or names, shares are met."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import networkx  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.data.checks import CHECKS
from runner.data.split import assign

See = Callable[..., Any]
Row = dict[str, Any]
OFF = dict.fromkeys(CHECKS, "off")
OWN_IDS = {"train": {"columns": {"id": "id"}}}
PARTS = ("train", "validation", "test")

sizes = st.lists(st.integers(1, 9) | st.integers(1, 90), max_size=40)
shares = st.tuples(st.sampled_from([0, 0.05, 0.15, 0.5]), st.sampled_from([0, 0.05, 0.3]))


def assigned(counted: list[int], test: float, validation: float) -> dict[int, str]:
    """assign over clusters of these sizes, in this order."""
    by_part = {"test": test, "validation": validation}
    parts = assign(counted, len(counted), sum(counted), by_part)
    return {place: part for place, part in enumerate(parts) if part != "train"}


def as_told(counted: list[int], test: float, validation: float) -> dict[int, str]:
    """What assign says of itself, word by word."""
    by_part = {"test": test, "validation": validation}
    targets = {p: max(1, round(share * sum(counted))) for p, share in by_part.items() if share}
    rows = dict.fromkeys(targets, 0)
    held: dict[int, str] = {}
    for place, size in enumerate(counted):
        fitting = [part for part in targets if rows[part] + size <= targets[part]]
        part = max(fitting, key=lambda part: 1 - rows[part] / targets[part], default=None)
        trained, left = place - len(held), len(counted) - place - 1
        wanting = sum(not rows[other] for other in rows if other != part)
        if part and trained + left > (wanting if len(counted) > len(targets) else 0):
            held[place] = part
            rows[part] += size
    for part in targets:
        trained_on = sorted((size, n) for n, size in enumerate(counted) if n not in held)
        if not rows[part] and len(trained_on) > 1:
            held[trained_on[0][1]] = part
    return held


@given(sizes | st.lists(st.just(1), max_size=200), shares)
def test_assign_does_what_it_says(counted: list[int], wanted: tuple[float, float]) -> None:
    assert assigned(counted, *wanted) == as_told(counted, *wanted)


@given(sizes, shares)
def test_assign(counted: list[int], wanted: tuple[float, float]) -> None:
    held = assigned(counted, *wanted)
    rows = Counter[str]()
    for place, size in enumerate(counted):
        rows[held.get(place, "train")] += size
    assert rows["train"] > 0 or not counted
    smallest = min((size for n, size in enumerate(counted) if n not in held), default=0)
    for part, share in zip(("test", "validation"), wanted, strict=True):
        assert (rows[part] == 0) if share == 0 else (rows[part] > 0 or len(counted) < 3)
        target = max(1, round(share * sum(counted)))
        assert rows[part] <= target or list(held.values()).count(part) == 1
        if share and rows["train"] > sum(counted) / 2 and len(counted) > 10:
            assert rows[part] > target - smallest


@settings(max_examples=40)
@given(st.integers(200, 400))
def test_shares_are_met_to_the_row_where_every_row_is_its_own_cluster(rows: int) -> None:
    held = Counter(assigned([1] * rows, 0.15, 0.05).values())
    assert held == {"test": round(0.15 * rows), "validation": round(0.05 * rows)}


def test_huge_cluster_is_not_held_out_where_smaller_ones_are_there() -> None:
    for seed in range(20):
        counted = [60, *[2] * 20]
        random.Random(seed).shuffle(counted)
        held = assigned(counted, 0.15, 0.05)
        assert counted.index(60) not in held
        assert {part: 2 * n for part, n in Counter(held.values()).items()} == {
            "test": 14,  # of 15: the next cluster would go over
            "validation": 4,  # of 5
        }


def test_what_fits_is_shared_between_the_parts() -> None:
    for place in range(30):
        counted = [1] * 30
        counted[place:place] = [135, 135]
        held = assigned(counted, 0.15, 0.05)
        assert Counter(held.values()) == {"test": 22, "validation": 8}  # of 45 and 15


def test_what_comes_is_not_asked_for_once_the_parts_are_full() -> None:
    asked = iter(range(50_000))
    parts = assign((1 for _ in asked), 50_000, 50_000, {"test": 0.01, "validation": 0.01})
    assert Counter(parts) == {"test": 500, "validation": 500}
    assert next(asked) < 1_100


def test_many_clusters_of_any_size() -> None:
    drawn = random.Random(2)
    counted = [drawn.choice([1, 1, 2, 5, 40, 9_000]) for _ in range(50_000)]
    held = assigned(counted, 0.15, 0.05)
    rows = Counter[str]()
    for place, part in held.items():
        rows[part] += counted[place]
    assert rows == {"test": round(0.15 * sum(counted)), "validation": round(0.05 * sum(counted))}


# ---------------------------------------------------------------- on files


def fold(text: str) -> str:
    return " ".join(text.lower().split())


def components(rows: list[Row]) -> list[set[str]]:
    """Ids of the rows that hang together by prompts and groups."""
    graph = networkx.Graph()
    for row in rows:
        graph.add_edge(("id", row["id"]), ("prompt", fold(row["prompt"])))
        if row["doc"] is not None:
            graph.add_edge(("id", row["id"]), ("group", row["doc"]))
    return [
        {name for kind, name in part if kind == "id"}
        for part in networkx.connected_components(graph)
    ]


def united(rows: list[Row]) -> int:
    """Groups that hang together with another one."""
    graph = networkx.Graph()
    for row in rows:
        if row["doc"] is not None:
            graph.add_edge(("prompt", fold(row["prompt"])), ("group", row["doc"]))
    sizes = [
        sum(kind == "group" for kind, _ in part) for part in networkx.connected_components(graph)
    ]
    return sum(size for size in sizes if size > 1)


rows_drawn = st.lists(
    st.tuples(st.integers(0, 25), st.none() | st.integers(0, 8), st.booleans()),
    min_size=3,
    max_size=60,
).map(
    lambda drawn: [
        # the second spelling of a prompt is equal once normalised
        {"id": f"r{n}", "prompt": f"Ask {prompt}" if plain else f"ask  {prompt} ",
         "completion": f"c {n}", "doc": None if group is None else f"d{group}"}
        for n, (prompt, group, plain) in enumerate(drawn)
    ]
)  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(rows=rows_drawn, seed=st.integers(0, 3), order=st.randoms(use_true_random=False))
def test_clusters_stay_whole_whatever_the_order(
    see: See, rows: list[Row], seed: int, order: random.Random
) -> None:
    split = {"test": 0.3, "validation": 0.2, "group_by": "doc", "seed": seed}
    seen = see({"train": rows}, more=OWN_IDS, split=split, checks=OFF)
    part_of = {id: part for part, ids in seen.parts.items() for id in ids}
    assert part_of.keys() == {row["id"] for row in rows}
    whole = components(rows)
    assert all(len({part_of[id] for id in cluster}) == 1 for cluster in whole)
    placed = seen.prepared.placed
    assert (placed.clusters, placed.united) == (len(whole), united(rows))
    assert placed.grouped == sum(row["doc"] is not None for row in rows)

    shuffled = list(rows)
    order.shuffle(shuffled)
    again = see({"train": shuffled}, more=OWN_IDS, split=split, checks=OFF)
    assert again.parts == seen.parts


def plain(count: int, word: str = "prompt") -> list[Row]:
    return [{"id": f"{word} {n}", "prompt": f"{word} {n}", "completion": "c"} for n in range(count)]


def test_files_under_any_name_in_any_number_give_the_same_parts(
    tmp_path: Any, recipe_with: Any, write_rows: Any
) -> None:
    from runner.data.prepare import prepare

    rows = plain(200)
    found = []
    for files in (["z"], ["a", "b"], ["b", "a", "c"]):
        for n, file in enumerate(files):
            write_rows(tmp_path / f"{file}.jsonl", rows[n :: len(files)])
        train = [{"path": f"{file}.jsonl", **OWN_IDS["train"]} for file in files]
        prepared = prepare(recipe_with(train=train, checks=OFF), tmp_path)
        found.append(
            prepared.connection.execute("select part, id from final order by all").fetchall()
        )
        prepared.close()
    assert found[0] == found[1] == found[2]


def test_seed_chooses(see: See) -> None:
    def held(seed: int) -> tuple[str, ...]:
        seen = see({"train": plain(50)}, more=OWN_IDS, split={"seed": seed}, checks=OFF)
        return tuple(seen.parts["test"])

    drawn = [held(seed) for seed in (1, 1, 2, 3)]
    assert drawn[0] == drawn[1] and len(set(drawn)) == 3


def test_split_stays_as_it_was(see: See) -> None:
    """Pinned: a new version must not move rows between the parts of an old recipe."""
    seen = see({"train": plain(20)}, more=OWN_IDS, split={"seed": 17}, checks=OFF)
    assert {part: seen.parts[part] for part in ("test", "validation")} == {
        "test": ["prompt 10", "prompt 15", "prompt 3"], "validation": ["prompt 0"],
    }  # fmt: skip


def test_drawn_rows_are_no_matter_of_their_place_in_the_file(see: See) -> None:
    """A part is spread over the file as chance would have it."""
    seen = see({"train": plain(4_000)}, more=OWN_IDS, checks=OFF)
    places = sorted(int(id.split()[1]) for id in seen.parts["test"])
    assert len(places) == 600
    counted = Counter(place // 400 for place in places)
    # 60 of 400 in each tenth, within five standard deviations of a binomial
    assert all(abs(counted[tenth] - 60) < 36 for tenth in range(10))


def test_many_clusters_of_a_file(see: See) -> None:
    rows = [
        {"id": f"{n}", "prompt": f"p {n % 45_000}", "completion": "c", "doc": f"d{n % 30_000}"}
        for n in range(50_000)
    ]
    split = {"group_by": "doc"}
    seen = see({"train": rows}, more=OWN_IDS, split=split, checks=OFF)
    whole = components(rows)
    part_of = {id: part for part, ids in seen.parts.items() for id in ids}
    assert seen.prepared.placed.clusters == len(whole)
    assert all(len({part_of[id] for id in cluster}) == 1 for cluster in whole)
    assert len(seen.parts["test"]) == 7_500 and len(seen.parts["validation"]) == 2_500


def test_sources_of_their_own_replace_their_part(see: See) -> None:
    parts = {"train": plain(40), "validation": plain(5, "v"), "test": plain(7, "t")}
    own = {part: OWN_IDS["train"] for part in PARTS}
    seen = see(parts, more=own, checks=OFF)
    assert {part: len(ids) for part, ids in seen.parts.items()} == {
        "train": 40, "validation": 5, "test": 7,
    }  # fmt: skip
    del parts["validation"]
    seen = see(parts, more=own, checks=OFF)
    assert {part: len(ids) for part, ids in seen.parts.items()} == {
        "train": 38, "validation": 2, "test": 7,
    }  # fmt: skip
    assert all(id.startswith("t ") for id in seen.parts["test"])


def test_rows_of_other_parts_do_not_move_the_split(see: See) -> None:
    alone = see({"train": plain(60)}, more=OWN_IDS, split={"validation": 0}, checks=OFF)
    own = {part: OWN_IDS["train"] for part in ("train", "validation")}
    beside = see({"train": plain(60), "validation": plain(9)}, more=own, checks=OFF)
    assert beside.parts["test"] == alone.parts["test"]


def test_empty_groups_are_none(see: See) -> None:
    rows = [{**row, "doc": ("", " ", None, "d")[n % 4]} for n, row in enumerate(plain(80))]
    seen = see({"train": rows}, more=OWN_IDS, split={"group_by": "doc"}, checks=OFF)
    assert (seen.prepared.placed.clusters, seen.prepared.placed.grouped) == (61, 20)


# ---------------------------------------------------------------- general data

MIXES: list[tuple[int, float, bool, int]] = [
    # rows there, share, repeat, rows taken beside 90 task rows for training
    (50, 0.1, False, 10),
    (50, 0.25, False, 30),
    (6, 0.1, False, 6),
    (6, 0.1, True, 10),
    (3, 0.5, True, 90),
]


@pytest.mark.parametrize(("there", "share", "repeat", "taken"), MIXES)
def test_mix_is_a_share_of_the_final_training_rows(
    there: int, share: float, repeat: bool, taken: int, see: See
) -> None:
    own = {"columns": {"id": "id"}}
    seen = see(
        {"train": plain(100), "mix": plain(there, "general")},
        more={"train": own, "mix": {"share": share, "repeat": repeat, **own}},
        split={"test": 0.1, "validation": 0}, checks=OFF,
    )  # fmt: skip
    drawn = [id for id in seen.parts["train"] if id.startswith("general")]
    assert len(drawn) == taken and len(seen.parts["train"]) == 90 + taken
    assert len(set(seen.parts["train"])) == 90 + taken  # a repeated row gets an id of its own
    copies = Counter(id.partition("#")[0] for id in drawn).values()
    assert max(copies) == (-(-taken // there) if repeat else 1)
    assert max(copies) - min(copies) <= 1
    assert all(id.startswith("prompt") for id in seen.parts["test"])
    (counted,) = seen.prepared.placed.mix
    assert (counted.name, counted.available, counted.taken) == ("mix.jsonl", there, taken)
    assert counted.wanted == round(90 * share / (1 - share))


def test_mix_takes_the_same_rows_whatever_their_order(see: See) -> None:
    own = {"columns": {"id": "id"}}
    found = [
        see({"train": plain(50), "mix": rows}, checks=OFF,
            more={"train": own, "mix": {"share": 0.2, **own}}).parts
        for rows in (plain(50, "general"), plain(50, "general")[::-1])
    ]  # fmt: skip
    assert found[0] == found[1]


def test_an_id_that_stands_twice_is_numbered(see: See) -> None:
    rows = [{**row, "id": "same"} for row in plain(4)]
    seen = see({"train": rows}, more=OWN_IDS, split={"test": 0, "validation": 0}, checks=OFF)
    assert seen.parts == {"train": ["same", "same#2", "same#3", "same#4"]}

"""The split: no cluster is torn, nothing depends on order or names, shares are met."""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import networkx  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.recipe import Recipe
from runner.data.prepare import Prepared, prepare
from runner.data.split import assign, clusters

Counted = list[tuple[str, str | None, int]]
counted_rows = st.lists(
    st.tuples(
        st.sampled_from([f"p{n}" for n in range(30)]),
        st.none() | st.sampled_from([f"g{n}" for n in range(12)]),
        st.integers(1, 9),
    ),
    unique_by=lambda row: row[:2],
    max_size=40,
)
shares = st.tuples(st.sampled_from([0, 0.05, 0.15, 0.5]), st.sampled_from([0, 0.05, 0.3]))


@given(counted_rows)
def test_clusters_are_the_connected_components(counted: Counted) -> None:
    graph = networkx.Graph()
    for prompt, group, _ in counted:
        graph.add_node(("p", prompt))
        if group is not None:
            graph.add_edge(("p", prompt), ("g", group))
    expected = {
        (frozenset(name for kind, name in part if kind == "p"), sum(k == "g" for k, _ in part))
        for part in networkx.connected_components(graph)
    }
    found = clusters(counted)
    assert {(frozenset(cluster.prompts), cluster.groups) for cluster in found} == expected
    assert sum(cluster.rows for cluster in found) == sum(rows for *_, rows in counted)


@given(counted_rows, shares, st.integers(0, 5), st.randoms(use_true_random=False))
def test_assign(
    counted: Counted, wanted: tuple[float, float], seed: int, order: random.Random
) -> None:
    found = clusters(counted)
    by_part = dict(zip(("test", "validation"), wanted, strict=True))
    held = assign(found, by_part, seed)

    shuffled = list(counted)
    order.shuffle(shuffled)
    assert assign(clusters(shuffled), by_part, seed) == held

    parts = {cluster.key: {held.get(p, "train") for p in cluster.prompts} for cluster in found}
    assert all(len(names) == 1 for names in parts.values())
    total = sum(cluster.rows for cluster in found)
    rows = Counter[str]()
    for cluster in found:
        rows[next(iter(parts[cluster.key]))] += cluster.rows
    assert rows["train"] > 0 or not found
    smallest = min((c.rows for c in found if parts[c.key] == {"train"}), default=0)
    for part, share in by_part.items():
        assert (rows[part] == 0) if share == 0 else (rows[part] > 0 or len(found) < 3)
        target = max(1, round(share * total))
        names = [cluster for cluster in found if parts[cluster.key] == {part}]
        assert rows[part] <= target or len(names) == 1
        if share and rows["train"] > 9 * 40 / 2:  # enough for every part
            assert rows[part] > target - smallest


@settings(max_examples=40)
@given(st.integers(200, 400), st.integers(0, 9))
def test_shares_are_met_to_the_row_where_every_row_is_its_own_cluster(rows: int, seed: int) -> None:
    held = assign(
        clusters([(f"p{n}", None, 1) for n in range(rows)]),
        {"test": 0.15, "validation": 0.05},
        seed,
    )
    assert Counter(held.values()) == {"test": round(0.15 * rows), "validation": round(0.05 * rows)}


def test_huge_cluster_is_not_held_out_where_smaller_ones_are_there() -> None:
    counted: Counted = [("huge", None, 60), *[(f"p{n}", None, 2) for n in range(20)]]
    for seed in range(20):
        held = assign(clusters(counted), {"test": 0.15, "validation": 0.05}, seed)
        assert "huge" not in held
        assert {part: 2 * n for part, n in Counter(held.values()).items()} == {
            "test": 14,  # of 15: the next cluster would go over
            "validation": 4,  # of 5
        }


def test_what_fits_is_shared_between_the_parts() -> None:
    counted: Counted = [("huge", None, 135), ("large", None, 135)]
    counted += [(f"p{n}", None, 1) for n in range(30)]
    held = assign(clusters(counted), {"test": 0.15, "validation": 0.05}, 17)
    assert Counter(held.values()) == {"test": 22, "validation": 8}  # of 45 and 15


def test_seed_chooses() -> None:
    found = clusters([(f"p{n}", None, 1) for n in range(50)])
    drawn = {tuple(sorted(assign(found, {"test": 0.2}, seed))) for seed in range(5)}
    assert len(drawn) == 5


def test_split_stays_as_it_was() -> None:
    """Pinned: a new version must not move rows between the parts of an old recipe."""
    found = clusters([(f"prompt {n}", None, 1) for n in range(20)])
    held = assign(found, {"test": 0.15, "validation": 0.05}, 17)
    assert held == {
        "prompt 4": "test", "prompt 9": "validation", "prompt 18": "test", "prompt 2": "test",
    }  # fmt: skip


# ---------------------------------------------------------------- on files


def members(prepared: Prepared) -> dict[str, list[tuple[str, str | None]]]:
    rows = prepared.connection.execute(
        "select final.part, columns->>'prompt', final.grp"
        " from final join texts using (source_row) order by all"
    ).fetchall()
    found: dict[str, list[tuple[str, str | None]]] = {}
    for part, prompt, group in rows:
        found.setdefault(part, []).append((prompt, group))
    return found


rows_drawn = st.lists(
    st.tuples(st.integers(0, 25), st.none() | st.integers(0, 8), st.integers(0, 3)),
    min_size=3,
    max_size=40,
)


@settings(max_examples=10, deadline=None)
@given(drawn=rows_drawn, order=st.randoms(use_true_random=False))
def test_files_in_any_order_under_any_name_give_the_same_parts(
    drawn: list[tuple[int, int | None, int]],
    order: random.Random,
    recipe_with: Callable[..., Recipe],
    write_rows: Callable[[Path, Iterable[dict[str, Any]]], None],
) -> None:
    # the second spelling of a prompt is equal once normalised
    rows = [
        {"prompt": f"Ask {p}" if a % 2 else f"ask  {p} ", "completion": f"c{a}", "doc": group}
        for p, group, a in drawn
    ]
    split = {"test": 0.3, "validation": 0.2, "group_by": "doc"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder / "one.jsonl", rows)
        first = prepare(recipe_with(train=[{"path": "one.jsonl"}], split=split), folder)
        order.shuffle(rows)
        cut = order.randint(1, len(rows) - 1)
        write_rows(folder / "a.jsonl", rows[:cut])
        write_rows(folder / "b.jsonl", rows[cut:])
        sources = [{"path": "b.jsonl"}, {"path": "a.jsonl"}]
        second = prepare(recipe_with(train=sources, split=split), folder)
    assert members(first) == members(second)
    parts_of: dict[tuple[str, Any], set[str]] = {}
    for part, pairs in members(first).items():
        for prompt, group in pairs:
            parts_of.setdefault(("prompt", " ".join(prompt.lower().split())), set()).add(part)
            if group is not None:
                parts_of.setdefault(("group", group), set()).add(part)
    assert all(len(parts) == 1 for parts in parts_of.values())
    assert sum(map(len, members(first).values())) == len(rows)
    first.close()
    second.close()


def test_sources_of_their_own_replace_their_part(
    tmp_path: Path, recipe_with: Callable[..., Recipe], write_rows: Callable[..., None]
) -> None:
    for name, count in (("train", 40), ("validation", 5), ("test", 7)):
        rows = [{"prompt": f"{name} {n}", "completion": "c"} for n in range(count)]
        write_rows(tmp_path / f"{name}.jsonl", rows)
    every = {part: [{"path": f"{part}.jsonl"}] for part in ("train", "validation", "test")}
    found = members(prepare(recipe_with(**every), tmp_path))
    assert {part: len(rows) for part, rows in found.items()} == {
        "train": 40, "validation": 5, "test": 7,
    }  # fmt: skip
    del every["validation"]
    found = members(prepare(recipe_with(**every), tmp_path))
    assert {part: len(rows) for part, rows in found.items()} == {
        "train": 38, "validation": 2, "test": 7,
    }  # fmt: skip
    assert all(prompt.startswith("test") for prompt, _ in found["test"])


MIXES: list[tuple[int, float, bool, int, bool]] = [
    # rows there, share, repeat, rows taken of 90 task rows for training, warned
    (50, 0.1, False, 10, False),
    (50, 0.25, False, 30, False),
    (6, 0.1, False, 6, True),
    (6, 0.1, True, 10, False),
    (3, 0.5, True, 90, False),
]


@pytest.mark.parametrize(("there", "share", "repeat", "taken", "warned"), MIXES)
def test_mix_is_a_share_of_the_final_training_rows(
    there: int, share: float, repeat: bool, taken: int, warned: bool,
    tmp_path: Path, recipe_with: Callable[..., Recipe], write_rows: Callable[..., None],
) -> None:  # fmt: skip
    write_rows(
        tmp_path / "a.jsonl", [{"prompt": f"a{n}", "completion": "c", "g": n} for n in range(100)]
    )
    write_rows(tmp_path / "b.jsonl", [{"prompt": f"b{n}", "completion": "c"} for n in range(there)])
    prepared = prepare(
        recipe_with(
            train=[{"path": "a.jsonl"}],
            mix=[{"path": "b.jsonl", "share": share, "repeat": repeat}],
            split={"test": 0.1, "validation": 0, "group_by": "g"},
        ),
        tmp_path,
    )
    found = members(prepared)
    mixed = Counter(prompt for prompt, _ in found["train"] if prompt.startswith("b"))
    assert mixed.total() == taken and len(found["train"]) == 90 + taken
    assert max(mixed.values()) - min(mixed.values()) <= 1
    assert max(mixed.values()) == (-(-taken // there) if repeat else 1)
    assert all(prompt.startswith("a") for prompt, _ in found["test"])
    assert any(f.check == "mix_too_small" for f in prepared.findings) == warned
    ids = prepared.connection.execute("select id from final").fetchall()
    assert len(set(ids)) == len(ids)


def test_mix_takes_the_same_rows_whatever_their_order(
    tmp_path: Path, recipe_with: Callable[..., Recipe]
) -> None:
    lines = [json.dumps({"prompt": f"b{n}", "completion": "c"}) for n in range(50)]
    task = [json.dumps({"prompt": f"a{n}", "completion": "c"}) for n in range(50)]
    (tmp_path / "a.jsonl").write_text("\n".join(task))
    recipe = recipe_with(train=[{"path": "a.jsonl"}], mix=[{"path": "b.jsonl", "share": 0.2}])
    found = []
    for order in (lines, lines[::-1]):
        (tmp_path / "b.jsonl").write_text("\n".join(order))
        found.append(members(prepare(recipe, tmp_path)))
    assert found[0] == found[1]

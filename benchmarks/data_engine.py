"""The data engine on generated rows: time, memory, and what it found of what was planted.

    python benchmarks/data_engine.py [--rows 10000 1000000] [--rounds 3] [--folder FOLDER]

Every measurement has a process of its own, and the contenders take turns in each round. seconds is
the least of the rounds for reading, splitting and checking; CPU (user and system) and peak memory
are the whole process's, with the interpreter and its imports. The yardstick is plain Python
counting the newlines of the same file. The files, 600 MB a million rows, are kept in FOLDER.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fresh_process import generated, measured, plants_of

CONTENDERS = ("newlines", "quick", "full")
LIMITS = ("150MB", "8GB")
SIMILAR = 0.8  # both sides of a near duplicate
CONTRARY = 0.6  # answers less similar contradict each other
NAMED = 5

Plants = dict[str, list[dict[str, Any]]]  # kind → see data_rows.py


@dataclass(frozen=True, slots=True)
class Aim:
    seconds: float
    peak_bytes: int | None = None


AIMS: dict[tuple[int, str], Aim] = {
    (10_000, "quick"): Aim(0.3),
    (1_000_000, "quick"): Aim(3, 300_000_000),
    (1_000_000, "full"): Aim(20, 1_500_000_000),
}


def main(sizes: list[int], rounds: int, folder: Path) -> None:
    paths = {rows: generated(rows, folder) for rows in sizes}
    found = {rows: folder / f"found-{rows}.json" for rows in sizes}
    costs: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for _ in range(rounds):
        for rows, path in paths.items():
            for what in CONTENDERS:
                options = ["--found", found[rows]] if what == "full" else []
                costs.setdefault((rows, what), []).append(once(what, path, *options))
    print(f"{'rows':>9} {'':<9} {'seconds':>8} {'/newlines':>9} {'CPU s':>7} {'peak MB':>8}  aim")
    for rows in sizes:
        yardstick = least(costs[rows, "newlines"], "seconds")
        for what in CONTENDERS:
            print(cost_line(rows, what, costs[rows, what], yardstick))
    for rows, path in paths.items():
        print(f"\n{rows:,} rows, full: what was planted and what was found")
        plants = json.loads(plants_of(path).read_text())["plants"]
        listed = json.loads(found[rows].read_text())
        compare(plants, listed, costs[rows, "full"][-1]["findings"])
    print()
    same_at_limits(max(sizes), paths[max(sizes)])


def once(what: str, path: Path, *options: object, limit: str | None = None) -> dict[str, Any]:
    """What data_once.py tells of a process of its own."""
    environment = {"RECIPE_MEMORY_LIMIT": limit} if limit else {}
    told: dict[str, Any] = measured("data_once.py", [what, path, *options], environment).answer
    return told


def least(told: list[dict[str, Any]], figure: str) -> float:
    return min(float(one[figure]) for one in told)


def cost_line(rows: int, what: str, told: list[dict[str, Any]], yardstick: float) -> str:
    seconds, cpu = least(told, "seconds"), least(told, "cpu_seconds")
    peak = max(one["peak_bytes"] for one in told)
    line = f"{rows:>9,} {what:<9} {seconds:8.2f} {seconds / yardstick:9.1f} {cpu:7.2f}"
    line += f" {peak / 1e6:8.0f}"
    aim = AIMS.get((rows, what))
    if aim is None:
        return line
    met = seconds <= aim.seconds and (aim.peak_bytes is None or peak <= aim.peak_bytes)
    memory = f", {aim.peak_bytes / 1e6:.0f} MB" if aim.peak_bytes else ""
    return f"{line}  {aim.seconds} s{memory}: {'met' if met else 'MISSED'}"


# ---------------------------------------------------------------- plants


def compare(plants: Plants, found: dict[str, list[int]], findings: dict[str, Any]) -> None:
    """One line for each kind of plant. beyond: rows found that are neither planted nor kin (an
    original, or another copy of it) of one that is."""
    origin = {p["line"]: p["of"] for listed in plants.values() for p in listed if "of" in p}
    print(f"{'':<16} {'planted':>8} {'told':>8} {'found':>8} {'missed':>7} {'beyond':>7}")
    for kind, listed in plants.items():
        wanted = {plant["line"] for plant in listed if counts(kind, plant)}
        here = set(found.get(kind, ()))
        families = {origin.get(plant["line"], plant["line"]) for plant in listed}
        beyond = {line for line in here if origin.get(line, line) not in families}
        missed = wanted - here
        finding = findings[kind]
        print(
            f"{kind:<16} {len(wanted):>8,} {finding['count'] or 0:>8,} {len(wanted & here):>8,}"
            f" {len(missed):>7,} {len(beyond):>7,}  {finding['how']}"
            + named("missed", missed)
            + named("beyond", beyond)
        )


def counts(kind: str, plant: dict[str, Any]) -> bool:
    """Whether the true similarity makes of the plant what it was meant to be."""
    if kind == "near_duplicates":
        return bool(min(plant["prompt"], plant["completion"]) >= SIMILAR)
    return kind != "contradictions" or bool(plant["completion"] < CONTRARY)


def named(word: str, lines: set[int]) -> str:
    shown = ", ".join(map(str, sorted(lines)[:NAMED]))
    return f"  {word}: {shown}" if lines else ""


# ---------------------------------------------------------------- memory limits


def same_at_limits(rows: int, path: Path) -> None:
    for what in ("quick", "full"):
        told = {limit: once(what, path, limit=limit) for limit in LIMITS}
        same = len({one["digest"] for one in told.values()}) == 1
        costs = ", ".join(
            f"{limit}: {one['seconds']:.2f} s, peak {one['peak_bytes'] / 1e6:.0f} MB"
            for limit, one in told.items()
        )
        print(f"{rows:,} rows, {what}, {costs}; findings {'equal' if same else 'DIFFER'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    folder = Path(tempfile.gettempdir()) / "recipe-benchmarks"
    parser.add_argument("--folder", type=Path, default=folder)
    given = parser.parse_args()
    main(given.rows, given.rounds, given.folder)

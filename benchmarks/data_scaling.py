"""Cost of the data engine from ten thousand rows to three million: a table, slopes and a plot.

    python benchmarks/data_scaling.py [--rows 10000 ...] [--rounds 1] [--plot FILE.svg]

Each measurement has a process of its own; seconds are the least of the rounds. A slope of 1 on
the log-log plot is cost in proportion to the rows; it is fitted from 100,000 rows on, where the
start-up no longer counts. Files of three million rows take 2 GB of FOLDER.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import linear_regression
from typing import Any

from data_engine import CONTENDERS, least, once
from fresh_process import HERE, generated

SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000)
FITTED_FROM = 100_000

Points = list[tuple[float, float]]  # (rows, value), rows rising


def main(sizes: Sequence[int], rounds: int, folder: Path, plot: Path) -> None:
    seconds: dict[str, Points] = {what: [] for what in CONTENDERS}
    megabytes: dict[str, Points] = {what: [] for what in CONTENDERS}
    print(f"{'rows':>10} " + " ".join(f"{what + ' s':>12} {'MB':>6}" for what in CONTENDERS))
    for rows in sizes:
        path = generated(rows, folder)
        told: dict[str, list[dict[str, Any]]] = {what: [] for what in CONTENDERS}
        for _ in range(rounds):
            for what in CONTENDERS:
                told[what].append(once(what, path))
        for what in CONTENDERS:
            seconds[what].append((rows, least(told[what], "seconds")))
            peak = max(one["peak_bytes"] for one in told[what])
            megabytes[what].append((rows, peak / 1e6))
        figures = zip(seconds.values(), megabytes.values(), strict=True)
        print(f"{rows:>10,} " + " ".join(f"{s[-1][1]:12.3f} {m[-1][1]:6.0f}" for s, m in figures))
    slopes = ", ".join(f"{what} {slope(seconds[what]):.2f}" for what in CONTENDERS)
    print(f"slopes from {FITTED_FROM:,} rows on, 1 is in proportion: {slopes}")
    plot.parent.mkdir(parents=True, exist_ok=True)
    plot.write_text(svg({"seconds": seconds, "peak MB": megabytes}), "utf-8")
    print(plot)


def slope(points: Points) -> float:
    """Least squares on the logarithms of the large sizes; nan where there are not two of them."""
    large = [(math.log(rows), math.log(value)) for rows, value in points if rows >= FITTED_FROM]
    return linear_regression(*zip(*large, strict=True)).slope if len(large) > 1 else math.nan


# ---------------------------------------------------------------- plot

WIDTH, HEIGHT, LEFT, TOP, BETWEEN = 360, 300, 60, 40, 110
COLORS = {"newlines": "#767676", "quick": "#0072b2", "full": "#d55e00"}


def svg(panels: dict[str, dict[str, Points]]) -> str:
    """A log-log panel for each entry, side by side; a dashed line shows proportional growth."""
    width = LEFT + len(panels) * (WIDTH + BETWEEN)
    drawn = [
        panel(title, lines, LEFT + index * (WIDTH + BETWEEN))
        for index, (title, lines) in enumerate(panels.items())
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {TOP + HEIGHT + 50}"'
        ' font-family="sans-serif" font-size="12">\n'
        '<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(drawn) + "\n</svg>\n"
    )


def panel(title: str, lines: dict[str, Points], left: float) -> str:
    every = [point for points in lines.values() for point in points]
    low_x, high_x = decades([rows for rows, _ in every])
    low_y, high_y = decades([value for _, value in every])

    def place(rows: float, value: float) -> tuple[float, float]:
        across = (math.log10(rows) - low_x) / (high_x - low_x)
        up = (math.log10(value) - low_y) / (high_y - low_y)
        return round(left + across * WIDTH, 1), round(TOP + (1 - up) * HEIGHT, 1)

    parts = [text(left, TOP - 14, title, bold=True)]
    for power in range(low_x, high_x + 1):
        x, y = place(10**power, 10**low_y)
        parts += [line(x, TOP, x, y), text(x, y + 18, f"{10**power:,}", anchor="middle")]
    for power in range(low_y, high_y + 1):
        x, y = place(10**low_x, 10**power)
        parts += [line(x, y, x + WIDTH, y), text(x - 6, y + 4, f"{10**power:g}", anchor="end")]
    parts.append(
        text(left + WIDTH / 2, TOP + HEIGHT + 38, "rows (dashed: in proportion)", anchor="middle")
    )
    # a line in proportion, from the corner on
    rise = min(high_x - low_x, high_y - low_y)
    start, end = place(10**low_x, 10**low_y), place(10 ** (low_x + rise), 10 ** (low_y + rise))
    parts.append(line(*start, *end, dashes="4 4", color="#999"))
    for name, points in lines.items():
        spots = [place(*point) for point in points]
        path = " ".join(f"{x},{y}" for x, y in spots)
        color = COLORS[name]
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{x}" cy="{y}" r="3.5" fill="{color}"/>' for x, y in spots]
        parts.append(text(spots[-1][0] + 8, spots[-1][1] + 4, name, color=color))
    return "\n".join(parts)


def decades(values: list[float]) -> tuple[int, int]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def line(x: float, y: float, x2: float, y2: float, dashes: str = "", color: str = "#ddd") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<line x1="{x}" y1="{y}" x2="{x2}" y2="{y2}" stroke="{color}"{dashed}/>'


def text(
    x: float, y: float, said: str, anchor: str = "start", bold: bool = False, color: str = "#333"
) -> str:
    weight = "bold" if bold else "normal"
    style = f'text-anchor="{anchor}" font-weight="{weight}" fill="{color}"'
    return f'<text x="{x}" y="{y}" {style}>{said}</text>'


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=1)
    folder = Path(tempfile.gettempdir()) / "recipe-benchmarks"
    parser.add_argument("--folder", type=Path, default=folder)
    parser.add_argument("--plot", type=Path, default=HERE / "results" / "data_scaling.svg")
    given = parser.parse_args()
    main(sorted(given.rows), given.rounds, given.folder, given.plot)

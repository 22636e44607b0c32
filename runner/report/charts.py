"""Charts as inline SVG. Each has a title and a description; its page gives the same as a table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from runner.report.words import Direction, Json, direction, notation, size

Point = Sequence[float]

MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM = 52, 16, 14, 44
MEMORY_PARTS: dict[str, str] = {
    "weights": "the model",
    "trainable": "what is trained, with its optimizer",
    "activations": "intermediate results",
    "logits": "predictions",
    "workspace": "workspace",
    "process": "the program itself",
}


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers across [low, high], at most `most` of them: steps of 1, 2 or 5."""
    if not high > low:
        return [low]
    rough = (high - low) / max(1, most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10, 20) if _count(low, high, power * m) <= most)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, first + _count(low, high, step))]


def _count(low: float, high: float, step: float) -> int:
    return math.floor(high / step + 1e-9) - math.ceil(low / step - 1e-9) + 1


def loss_chart(training: Json, width: int, height: int, name: str) -> Markup:
    """Loss over steps: raw and smoothed training loss, validation, the best checkpoint.

    `name` makes the ids unique, as a page shows the chart in several widths.
    """
    curves = [training["loss"], training["smoothed"], training["validation"]]
    every = [point for curve in curves for point in curve]
    if not every:
        return Markup("")
    right = max(training["steps"] or 0, *(at for at, _ in every), 1)
    values = [loss for _, loss in every]
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or 0.5
    low, high = max(0.0, low - room) if low >= 0 else low - room, high + room

    def x(at: float) -> float:
        return float(MARGIN_LEFT + at / right * (width - MARGIN_LEFT - MARGIN_RIGHT))

    def y(loss: float) -> float:
        inside = height - MARGIN_TOP - MARGIN_BOTTOM
        return float(MARGIN_TOP + (high - loss) / (high - low) * inside)

    body = Markup("").join(
        (
            *_axes(x, y, low, high, right, width, height),
            _line(training["loss"], x, y, "raw"),
            _line(training["smoothed"], x, y, "smooth"),
            _line(training["validation"], x, y, "validation"),
            *(_diamond(x(at), y(loss)) for at, loss in training["validation"]),
            *_best(training, x, y, width),
        )
    )
    return Markup(
        '<svg class="chart loss" viewBox="0 0 {} {}" role="img" '
        'aria-labelledby="{n}-title {n}-desc"><title id="{n}-title">Loss during training</title>'
        '<desc id="{n}-desc">{}</desc>{}</svg>'
    ).format(width, height, describe(training), body, n=name)


def describe(training: Json) -> str:
    """The loss curve in words."""
    text = []
    if training["smoothed"]:
        (_, first), (_, last) = training["smoothed"][0], training["smoothed"][-1]
        text.append(f"The training loss went from {first:.2f} to {last:.2f}.")
    if training["validation"]:
        points = ", ".join(f"{loss:.2f} at step {at:,.0f}" for at, loss in training["validation"])
        text.append(f"The validation loss was {points}.")
    if training["best"] is not None:
        text.append(f"The best checkpoint is that of step {training['best']:,}.")
    return " ".join(text)


def _axes(
    x: Any, y: Any, low: float, high: float, right: float, width: int, height: int
) -> Iterator[Markup]:
    bottom = height - MARGIN_BOTTOM
    values = ticks(low, high, 6)
    decimals = max(0, -math.floor(math.log10(values[1] - values[0]))) if len(values) > 1 else 2
    for loss in values:
        yield Markup(
            '<line class="grid" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>'
            '<text class="tick" x="{}" y="{y:.1f}" dy=".32em" text-anchor="end">{}</text>'
        ).format(
            MARGIN_LEFT, width - MARGIN_RIGHT, MARGIN_LEFT - 8, f"{loss:.{decimals}f}", y=y(loss)
        )
    for at in ticks(0, right, 8 if width > 600 else 5):
        if at == int(at):
            yield Markup(
                '<text class="tick" x="{:.1f}" y="{}" text-anchor="middle">{}</text>'
            ).format(x(at), bottom + 18, f"{at:,.0f}")
    yield Markup('<line class="axis" x1="{}" x2="{}" y1="{b}" y2="{b}"/>').format(
        MARGIN_LEFT, width - MARGIN_RIGHT, b=bottom
    )
    yield Markup('<text class="label" x="{:.1f}" y="{}" text-anchor="middle">step</text>').format(
        (MARGIN_LEFT + width - MARGIN_RIGHT) / 2, height - 6
    )
    middle = (MARGIN_TOP + bottom) / 2
    yield Markup(
        '<text class="label" transform="translate(13 {:.1f}) rotate(-90)" text-anchor="middle">'
        "loss (nats per token)</text>"
    ).format(middle)


def _line(points: Sequence[Point], x: Any, y: Any, kind: str) -> Markup:
    path = " ".join(f"{x(at):.1f},{y(loss):.1f}" for at, loss in points)
    return Markup('<polyline class="{}" points="{}"/>').format(kind, path)


def _diamond(x: float, y: float, r: float = 5) -> Markup:
    corners = f"{x:.1f},{y - r:.1f} {x + r:.1f},{y:.1f} {x:.1f},{y + r:.1f} {x - r:.1f},{y:.1f}"
    return Markup('<polygon class="validation-point" points="{}"/>').format(corners)


def _best(training: Json, x: Any, y: Any, width: int) -> Iterator[Markup]:
    """A ring and a word on the validation point of the best checkpoint."""
    loss = dict(map(tuple, training["validation"])).get(training["best"])
    if loss is None:
        return
    at, height = x(training["best"]), y(loss)
    anchor = "end" if at > width - 120 else "middle" if at > 120 else "start"
    label = height - 18 if height > MARGIN_TOP + 34 else height + 28
    yield Markup(
        '<circle class="best" cx="{:.1f}" cy="{:.1f}" r="10"/>'
        '<text class="best-label" x="{:.1f}" y="{:.1f}" text-anchor="{}">best: {}</text>'
    ).format(at, height, at, label, anchor, f"{loss:.2f}")


def whisker(metric: Mapping[str, Any]) -> Markup:
    """The difference and its interval about zero, turned so that better lies to the right.

    Each metric has its own scale, as their units differ. Empty where nothing was measured, or
    where neither side is better.
    """
    change = metric["difference"]
    if change["value"] is None or metric["better"] == "neither":
        return Markup("")
    sign = -1 if metric["better"] == "lower" else 1
    known = change["low"] is not None and change["high"] is not None
    ends = [sign * change["low"], sign * change["high"]] if known else []
    value = sign * change["value"]
    reach = max(map(abs, [*ends, value])) * 1.12 or 1.0
    width, height, middle = 180, 26, 13

    def x(amount: float) -> float:
        return width / 2 + amount / reach * (width / 2 - 8)

    kind: Direction = direction(metric)
    parts = [
        Markup('<line class="grid" x1="4" x2="{}" y1="{m}" y2="{m}"/>').format(width - 4, m=middle),
        Markup('<line class="zero" x1="{x}" x2="{x}" y1="3" y2="23"/>').format(x=width / 2),
    ]
    if ends:
        left, right = x(min(ends)), x(max(ends))
        # next to the dot the caps of a short whisker would look like another shape
        caps = f"M{left:.1f} 8V18M{right:.1f} 8V18" if right - left > 18 else ""
        line = f"M{left:.1f} {middle}H{right:.1f}{caps}"
        parts.append(Markup('<path class="whisker" d="{}"/>').format(line))
    parts.append(_mark(kind, x(value), middle))
    write = notation(metric)
    text = f"{write.change(change['value'])}{write.change_unit}"
    if known:
        text += f", from {write.change(change['low'])} to {write.change(change['high'])}"
    return Markup(
        '<svg class="dot {}" viewBox="0 0 {} {}" width="{w}" height="{h}" role="img">'
        "<title>{}</title>{}</svg>"
    ).format(kind, width, height, text, Markup("").join(parts), w=width, h=height)


def _mark(kind: Direction, x: float, y: float) -> Markup:
    """A full dot for a clear gain, a square for a clear loss, a ring where it is not clear."""
    if kind == "worse":
        return Markup('<rect class="mark" x="{:.1f}" y="{}" width="10" height="10"/>').format(
            x - 5, y - 5
        )
    shape = "mark" if kind == "better" else "mark ring"
    return Markup('<circle class="{}" cx="{:.1f}" cy="{}" r="5.2"/>').format(shape, x, y)


def balance(metric: Mapping[str, Any]) -> Markup:
    """Wins, ties and losses as one bar."""
    counts = [metric["wins"], metric["ties"], metric["losses"]]
    if None in counts or not sum(counts):
        return Markup("")
    width, start, parts = 120, 0.0, []
    for kind, number in zip(("wins", "ties", "losses"), counts, strict=True):
        length = number / sum(counts) * width
        parts.append(
            Markup('<rect class="{}" x="{:.1f}" y="0" width="{:.1f}" height="8"/>').format(
                kind, start, max(0.0, length - 1)
            )
        )
        start += length
    title = "better on {:,}, equal on {:,}, worse on {:,} examples".format(*counts)
    return Markup(
        '<svg class="balance" viewBox="0 0 {} 8" width="{w}" height="8" role="img">'
        "<title>{}</title>{}</svg>"
    ).format(width, title, Markup("").join(parts), w=width)


def memory_parts(estimate: Json) -> list[tuple[int, str, int]]:
    """(number of its colour, what it is, bytes) of every part that is not empty."""
    found = [estimate["memory"].get(name) or 0 for name in MEMORY_PARTS]
    return [
        (index, words, part)
        for index, (words, part) in enumerate(zip(MEMORY_PARTS.values(), found, strict=True))
        if part
    ]


def memory_chart(estimate: Json) -> Markup:
    """What is expected to fill the device's memory, as one bar of its whole."""
    whole = max(estimate["device_bytes"], estimate["memory"]["total"])
    width, start, bars = 1000, 0.0, []
    for index, name, part in memory_parts(estimate):
        length = part / whole * width
        bars.append(
            Markup(
                '<rect class="part part-{}" x="{:.1f}" y="0" width="{:.1f}" height="26">'
                "<title>{}: {}</title></rect>"
            ).format(index, start, length, name, size(part))
        )
        start += length
    title = f"{size(estimate['memory']['total'])} of {size(estimate['device_bytes'])}"
    return Markup(
        '<svg class="memory" viewBox="0 0 {} 26" preserveAspectRatio="none" role="img">'
        '<title>Estimated memory: {}</title><rect class="free" width="{}" height="26"/>{}</svg>'
    ).format(width, title, width, Markup("").join(bars))

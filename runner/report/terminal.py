"""Report → a few lines for a terminal, or for a pipe."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from runner.report.words import NONE, Direction, Json, direction, label, notation, visible

COLORS = {
    "good": "\x1b[32m",
    "bad": "\x1b[31m",
    "warn": "\x1b[33m",
    "bold": "\x1b[1m",
    "soft": "\x1b[2m",
}
RESET = "\x1b[0m"
TONES = {
    "pass": "good", "done": "good", "better": "good",
    "fail": "bad", "failed": "bad", "error": "bad", "worse": "bad",
    "inconclusive": "warn", "interrupted": "warn", "warn": "warn",
}  # fmt: skip
GLYPHS = {"pass": "✓", "fail": "✗", "inconclusive": "?", "warn": "!", "error": "✗"}
WORDS: dict[Direction, str] = {
    "better": "better",
    "worse": "worse",
    "unclear": "unclear",
    "equal": "equal",
}
# of the table: name, base, tuned, difference, interval, word; and which of them go together,
# from the widest terminal to the narrowest
COLUMNS = ("<", ">", ">", ">", "<", "<")
FITTING = ((0, 1, 2, 3, 4, 5), (0, 2, 3, 4, 5), (0, 3, 4, 5), (0, 3, 5), (0, 5))
# one character for one, so that what was aligned stays so
ASCII = str.maketrans("✓✗\u2212\u2013\u2014\u2018\u2019\u201c\u201d\u00a0", "+x---''\"\" ")
NARROWEST = 40

Cell = tuple[str, str]  # text and tone
Row = list[Cell]


def summary(report: Json, width: int, unicode: bool, color: bool) -> str:
    """Verdict, gates, metrics, data checks that found something, and where the report lies.

    No line is wider than `width` columns (but for a path that is). Without `unicode` it is pure
    ASCII, without `color` free of escape codes, whatever the report's texts hold.
    """
    width = max(width, NARROWEST)
    if not unicode:
        report = _spelled(report)
    paint = _paint if color else _plain
    parts = (_verdict, _metrics, _gates, _checks, _problems, _place)
    blocks = (list(part(report, width)) for part in parts)
    text = "\n\n".join("\n".join(paint(line) for line in block) for block in blocks if block)
    return f"{text if unicode else _ascii(text)}\n"


def _verdict(report: Json, width: int) -> Iterator[Row]:
    verdict = report["verdict"]
    tone = TONES.get(verdict["outcome"], "bold")
    yield [(f"{verdict['label']}: ", tone), (visible(report["run"]["id"]), "")]
    yield from _wrap(verdict["headline"], width, tone="bold")
    for detail in verdict["details"]:
        yield from _wrap(detail, width)


def _metrics(report: Json, width: int) -> Iterator[Row]:
    interval = f"{100 * report['method']['confidence']:g}% interval"
    for suite in report["suites"]:
        name = textwrap.shorten(visible(suite["name"]), 24, placeholder="…")
        table = [[name, "base", "tuned", "difference", interval, ""]]
        table += [_metric(metric) for metric in suite["metrics"]]
        sizes = [max(len(row[i]) for row in table) for i in range(len(COLUMNS))]
        kept = next((k for k in FITTING if sum(sizes[i] + 2 for i in k) - 2 <= width), FITTING[-1])
        tones = ["soft", *(TONES.get(direction(metric), "") for metric in suite["metrics"])]
        for number, (row, tone) in enumerate(zip(table, tones, strict=True)):
            cells = [f"{row[i]:{COLUMNS[i]}{sizes[i]}}" for i in kept]
            body = "  ".join(cells[:-1])
            yield [(body, "" if number else "soft"), (f"  {cells[-1]}".rstrip(), tone)]


def _metric(metric: Json) -> list[str]:
    write = notation(metric)
    change = metric["difference"]
    known = change["low"] is not None and change["high"] is not None
    return [
        label(metric["name"]),
        *(write.value(metric[arm]["value"]) for arm in ("base", "tuned")),
        write.change(change["value"]) + (write.change_unit if change["value"] is not None else ""),
        f"{write.change(change['low'])} to {write.change(change['high'])}" if known else NONE,
        WORDS.get(direction(metric), ""),
    ]


def _gates(report: Json, width: int) -> Iterator[Row]:
    for gate in report["gates"]:
        required = "" if gate["required"] else ", not required"
        word = {"pass": "passed", "fail": "failed"}.get(gate["verdict"], "inconclusive")
        head = f"{GLYPHS[gate['verdict']]} {word}"
        text = f"{gate['metric']}: {gate['condition'] or 'no condition'}{required}"
        yield from _wrap(text, width, (head, TONES[gate["verdict"]]))
        if gate["verdict"] != "pass" and gate["reason"]:
            yield from _wrap(gate["reason"], width, ("  ", ""), "soft")


def _checks(report: Json, width: int) -> Iterator[Row]:
    for check in report["checks"]:
        if check["state"] in ("warn", "error"):
            word = {"warn": "warning"}.get(check["state"], check["state"])
            head = f"{GLYPHS[check['state']]} {word}"
            text = f"{check['check']}: {check['message']}"
            yield from _wrap(text, width, (head, TONES[check["state"]]))
            if check["hint"]:
                yield from _wrap(check["hint"], width, ("  ", ""), "soft")


def _problems(report: Json, width: int) -> Iterator[Row]:
    for problem in report["problems"]:
        yield from _wrap(problem, width, ("! incomplete", "warn"))


def _place(report: Json, width: int) -> Iterator[Row]:
    yield [("Report: ", "soft"), (visible(str(Path(report["directory"]) / "report.html")), "")]


def _wrap(text: str, width: int, head: Cell = ("", ""), tone: str = "") -> Iterator[Row]:
    """`text` in lines of at most `width`, the first after `head`, the others under its text."""
    start = f"{head[0]}  " if head[0].strip() else head[0]
    lines = textwrap.wrap(visible(text), width - len(start), break_on_hyphens=False) or [""]
    for number, line in enumerate(lines):
        yield [(start, head[1]) if number == 0 else (" " * len(start), ""), (line, tone)]


def _plain(row: Iterable[Cell]) -> str:
    return "".join(text for text, _ in row).rstrip()


def _paint(row: Iterable[Cell]) -> str:
    return "".join(f"{COLORS[tone]}{text}{RESET}" if tone and text else text for text, tone in row)


def _spelled(value: Any) -> Any:
    """A report in ASCII; done before lines are broken, as the spelling may be longer."""
    if isinstance(value, dict):
        return {key: _spelled(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_spelled(inner) for inner in value]
    return _ascii(visible(value)) if isinstance(value, str) else value


def _ascii(text: str) -> str:
    spelled = text.translate(ASCII).replace("→", "->").replace("…", "...")
    return spelled.encode("ascii", "backslashreplace").decode()

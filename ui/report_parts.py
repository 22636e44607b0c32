"""The parts of a report that judge: verdict, gates, figures of every suite."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import streamlit as st

from runner.app.results import unmeasured
from runner.report.verdict import OUTCOMES, primary
from runner.report.words import (
    DIRECTIONS,
    MINUS,
    NONE,
    direction,
    label,
    notation,
    plural,
    visible,
)
from ui import charts
from ui.parts import badge, plain
from ui.words import term

Json = dict[str, Any]
HEADLINE = "font-size:1.4rem;font-weight:600;line-height:1.35;margin:.2rem 0 .4rem"
ROW, HEAD = 35, 38  # pixels of a table


def verdict(report: Json) -> None:
    """One sentence, what it rests on, and the figures that it speaks of."""
    said = report["verdict"]
    with st.container(border=True, gap="xsmall"):
        badge(said["outcome"], OUTCOMES[said["outcome"]])
        # in markdown an address in a reason would be a link
        st.html(f'<p role="heading" aria-level="2" style="{HEADLINE}">'
                f"{escape(visible(said['headline']))}</p>")  # fmt: skip
        for text in said["details"]:
            st.text(visible(text))
    known = primary(report)
    if known is None:
        return
    _, metric = known
    write, how = notation(metric), direction(metric)
    change = _span(metric["difference"], write.change) + write.change_unit
    clear = how in ("better", "worse")
    one, two, three = st.columns([6, 4, 4])
    one.metric(
        f"{plain(label(metric['name']))}: base → tuned",
        " → ".join(write.value(metric[arm]["value"]) for arm in ("base", "tuned")),
        # a plain minus: by it the arrow is drawn
        f"{change}: {DIRECTIONS[how]}".replace(MINUS, "-", 1),
        delta_color={"lower": "inverse", "higher": "normal"}[metric["better"]] if clear else "off",
        delta_arrow="auto" if clear else "off",
        help=f"{plain(metric['description'])} Below it the difference. {term('interval')}",
        border=True,
        height="stretch",
    )
    two.metric(
        "Better / equal / worse",
        " / ".join(NONE if n is None else f"{n:,}" for n in _outcomes(metric)),
        help="On how many of the examples the tuned model does better than the base, equally "
        "well, or worse.",
        border=True,
        height="stretch",
    )
    required = [gate for gate in report["gates"] if gate["required"]]
    passed = sum(gate["verdict"] == "pass" for gate in required)
    three.metric(
        "Required gates passed",
        f"{passed} of {len(required)}" if required else "none set",
        help=term("gate"),
        border=True,
        height="stretch",
    )


def gates(report: Json) -> None:
    st.header("Gates", help=term("gate"))
    if not report["gates"]:
        st.text(
            "None were judged." if report["suites"] else "None were judged: nothing was compared."
        )
        return
    for gate in report["gates"]:
        with st.container(border=True, gap="xsmall"):
            with st.container(horizontal=True, vertical_alignment="center"):
                badge(gate["verdict"])
                suite, _, name = gate["metric"].rpartition(".")
                st.text(f"{label(name)} ({suite}): {gate['condition'] or 'no condition'}")
                if not gate["required"]:
                    st.caption("not required")
            if gate["reason"]:
                st.text(visible(gate["reason"]))


def suites(report: Json) -> None:
    """Base against tuned in every suite, as a chart and as a table."""
    level = f"{report['method']['confidence']:.0%}"
    for suite in report["suites"]:
        st.header(
            f"Base against tuned: {plain(suite['name'])}",
            help=f"Each line is the {level} interval. {term('interval')}",
        )
        st.caption(_sample(suite, report["method"]))
        _chart(suite["metrics"], level)
        st.caption(
            "Both models answer the same examples, so the difference is judged example by example: "
            "it can be clear although the lines overlap."
        )
        _table(suite["metrics"], level)
    if report["suites"]:
        _how(report["method"])
    for name in unmeasured(report):
        with st.container(horizontal=True, vertical_alignment="center"):
            badge("not_run")
            st.text(f"The suite {name} of the recipe was not evaluated.")


def _how(method: Json) -> None:
    drawn = f"{method['resamples']:,} redraws" if method["resamples"] else "redraws"
    by = f", drawn by {plain(method['group_by'])}" if method["group_by"] else ""
    st.caption(
        f"Intervals of {method['confidence']:.0%} are got from {drawn} of the examples{by} "
        "(bootstrap); those of rates are exact."
    )


def _chart(metrics: Sequence[Json], level: str) -> None:
    """A chart for each unit: what has one unit shares one axis."""
    units: dict[tuple[bool, str], list[Json]] = {}
    for metric in metrics:
        percent = notation(metric).percent
        unit = "share" if percent else metric["unit"]
        units.setdefault((percent, unit), []).append(metric)
    columns = st.columns(2 if len(units) > 1 else 1)
    for place, ((percent, unit), found) in enumerate(units.items()):
        with columns[place % len(columns)]:
            spans = [
                {"name": label(metric["name"]), "series": arm, **metric[arm]}
                for metric in found
                for arm in ("base", "tuned")
                if metric[arm]["value"] is not None
            ]
            if spans:
                alt = f"Base and tuned with {level} intervals. " + " ".join(map(_told, found))
                charts.intervals(spans, alt, unit, percent)


def _told(metric: Json) -> str:
    write = notation(metric)
    arms = (f"{arm} {_span(metric[arm], write.value)}" for arm in ("base", "tuned"))
    return f"{label(metric['name'])}: {', '.join(arms)}, {DIRECTIONS[direction(metric)]}."


def _table(metrics: Sequence[Json], level: str) -> None:
    rows = []
    for metric in metrics:
        write = notation(metric)
        wins, ties, losses = (NONE if n is None else f"{n:,}" for n in _outcomes(metric))
        rows.append(
            {
                "Metric": label(metric["name"]),
                "Verdict": DIRECTIONS[direction(metric)],
                f"Base ({level})": _span(metric["base"], write.value),
                f"Tuned ({level})": _span(metric["tuned"], write.value),
                f"Difference ({level})": _span(metric["difference"], write.change)
                + write.change_unit,
                "Better": wins,
                "Equal": ties,
                "Worse": losses,
                "Good is": metric["better"] if metric["better"] != "neither" else NONE,
            }
        )
    st.dataframe(
        rows,
        hide_index=True,
        height=ROW * len(rows) + HEAD,
        alt=f"Base and tuned model with {level} intervals",
    )
    for metric in metrics:
        for note in metric["notes"]:
            st.text(visible(f"{label(metric['name'])}: {note}"))


def _span(interval: Json, write: Any) -> str:
    value, low, high = (interval[end] for end in ("value", "low", "high"))
    if low is None or high is None:
        return str(write(value))
    return f"{write(value)} ({write(low)} to {write(high)})"


def _outcomes(metric: Json) -> tuple[int | None, int | None, int | None]:
    return metric["wins"], metric["ties"], metric["losses"]


def _sample(suite: Json, method: Json) -> str:
    text = plural(suite["n"] or 0, "example")
    if suite["clusters"] and suite["clusters"] != suite["n"]:
        text += f" from {plural(suite['clusters'], plain(method['group_by'] or 'group'))}"
    part = suite["data"]
    held = {"test": ", held out of the training", "validation": ", of the validation part"}
    return f"{text}{held.get(part, f', from {plain(part)}' if part else '')}."

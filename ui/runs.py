"""The page of the runs: all of the folder, found, sorted, compared."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date
from typing import Any, get_args

import streamlit as st

from runner.app.history import Entry, Order, Wanted, chosen
from runner.app.launch import with_runs
from runner.app.monitor import standing
from runner.compare import MOST
from runner.report.html import GLYPHS
from runner.report.words import DIRECTIONS, NONE, duration, label, plural, visible
from runner.runs.store import RunFolder
from ui import current
from ui.parts import STATES, badge, command, empty
from ui.runs_compare import comparison
from ui.runs_known import entries, playground

EVERY_SECONDS = 2
COMPARE = "compare"  # in the address: the runs that were selected
MOUNTED = "runs-mounted"  # how often the table was made anew to show another selection
# states of a run → a sign of its own, as cells show no icons
SIGNS = {**GLYPHS, "gate_failed": "✗", "lost": "✗", "damaged": "✗", "queued": "○",
         "starting": "…", "stopping": "…", "stalled": "!"}  # fmt: skip
ROWS_SHOWN = 12


def page() -> None:
    st.title("Runs")
    known = entries()
    if not known:
        empty(
            "No runs yet",
            f"None in {current.runs()}. 'recipe run RECIPE' makes one, and so does the page Run.",
            "ui/run.py",
            "Start a run",
        )
    else:
        _all(known)
    st.fragment(_watch, run_every=EVERY_SECONDS)([(run.id, run.status) for run in known])


def _all(known: Sequence[Entry]) -> None:
    found = chosen(known, _wanted(known))
    ids = {entry.id: entry for entry in known}
    kept = [run for run in st.session_state.get(COMPARE, _of_address()) if run in ids][:MOST]
    if found:
        _table(found, kept)
    else:
        st.text("No run is so. Ask for less above.")
    st.caption(f"{len(found):,} of {plural(len(known), 'run')}. Select up to {MOST} to see them "
               "beside one another.")  # fmt: skip
    selected = st.multiselect(
        "Selected runs",
        list(ids),
        max_selections=MOST,
        key=COMPARE,
        bind="query-params",
        placeholder="Choose here, or in the table",
        on_change=_remount,
    )
    for run in selected:
        _card(ids[run])
    if len(selected) > 1:
        comparison([ids[run] for run in selected])
        words = ("recipe", "runs", "diff", *selected)
        command(with_runs(words, current.folder(), current.runs()))
    else:
        command(with_runs(("recipe", "runs"), current.folder(), current.runs()))


def _wanted(known: Sequence[Entry]) -> Wanted:
    one, two, three = st.columns([3, 2, 2])
    text = one.text_input(
        "Search", key="q", bind="query-params", icon=":material/search:",
        help="In names, reasons, bases, methods and verdicts.",
    )  # fmt: skip
    names = two.multiselect(
        "Recipe", sorted({run.name for run in known if run.name}), key="recipe",
        bind="query-params", placeholder="All",
    )  # fmt: skip
    statuses = three.multiselect(
        "Status", sorted({run.status for run in known}), key="status", bind="query-params",
        format_func=lambda state: STATES[state][2], placeholder="All",
    )  # fmt: skip
    one, two, three = st.columns([3, 2, 2])
    order: Order = one.selectbox("Order", get_args(Order), key="order", bind="query-params",
                                 format_func=str.capitalize)  # fmt: skip
    since = two.date_input("Begun from", None, key="since", format="YYYY-MM-DD")
    until = three.date_input("Begun until", None, key="until", format="YYYY-MM-DD")
    return Wanted(tuple(names), tuple(statuses), _day(since), _day(until), text, order)


def _table(found: Sequence[Entry], kept: Sequence[str]) -> None:
    ids = [run.id for run in found]
    listed = [_row(entry) for entry in found]
    # rows are selected by their place, and forgotten where a cell changes: such a list is
    # another table, which begins with what is selected
    mark = hashlib.sha256(repr(listed).encode()).hexdigest()[:12]
    key = f"runs-{mark}-{st.session_state.get(MOUNTED, 0)}"
    st.dataframe(
        listed,
        hide_index=True,
        on_select=lambda: _selected(key, ids),
        selection_mode="multi-row",
        selection_default={"selection": {"rows": [ids.index(r) for r in kept if r in ids]}},
        height=38 + 35 * min(len(found), ROWS_SHOWN),
        key=key,
        placeholder="",
        alt=f"{plural(len(found), 'run')} with status, recipe, time and result",
        column_config={
            "Change": st.column_config.NumberColumn(
                format="percent",
                help="How much better (above 0) or worse the tuned model is than the base.",
            ),
            "Base": st.column_config.NumberColumn(format="%.4g"),
            "Tuned": st.column_config.NumberColumn(format="%.4g"),
        },
    )


def _row(entry: Entry) -> dict[str, Any]:
    began = entry.moment
    metric = (entry.metric or "").rpartition(".")[2]
    return {
        "Run": entry.id,
        "Status": f"{SIGNS.get(entry.status, '·')} {STATES[entry.status][2]}",
        "Recipe": entry.name,
        "Begun": f"{began:%Y-%m-%d %H:%M}" if began else NONE,
        "Took": duration(entry.seconds),
        "Result": f"{GLYPHS[entry.direction]} {DIRECTIONS[entry.direction]}" if metric else NONE,
        "By": label(metric) if metric else NONE,
        "Base": entry.before,
        "Tuned": entry.after,
        "Change": entry.gain,
        "Gates": f"{entry.gates[0]} of {entry.gates[1]}" if entry.gates else NONE,
        "Method": visible(entry.method or NONE),
        "Model": visible(entry.base or NONE),
        "Why": visible(entry.reason or ""),
    }


def _card(entry: Entry) -> None:
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            badge(entry.status)
            st.text(entry.id)
            for name, words, icon in (
                ("report", "Report", ":material/fact_check:"),
                ("run", "Run", ":material/play_circle:"),
            ):
                st.page_link(f"ui/{name}.py", label=words, icon=icon,
                             query_params={"run": entry.id})  # fmt: skip
            playground(entry)
        reason = entry.reason or standing(RunFolder(current.runs() / entry.id)).reason
        for text in filter(None, (entry.headline, reason)):
            st.text(visible(text))


def _watch(was: list[tuple[str, str]]) -> None:
    """Shows the page anew once a run came, went, or stands otherwise."""
    if [(run.id, run.status) for run in entries()] != was:
        st.rerun()


def _selected(key: str, ids: Sequence[str]) -> None:
    """The table's selection joins what it does not show."""
    rows = st.session_state[key]["selection"]["rows"]
    hidden = [run for run in st.session_state.get(COMPARE, []) if run not in ids]
    wanted = [*hidden, *(ids[row] for row in rows)]
    if len(wanted) > MOST:
        st.toast(f"At most {MOST} runs stand beside one another.")
        _remount()
    st.session_state[COMPARE] = wanted[:MOST]


def _remount() -> None:
    st.session_state[MOUNTED] = st.session_state.get(MOUNTED, 0) + 1


def _of_address() -> list[str]:
    return list(st.query_params.get_all(COMPARE))


def _day(value: date | None) -> str:
    return value.isoformat() if value else ""


page()

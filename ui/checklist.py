"""The page of the checklist: every check of the data, and what production asks for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from dsl.errors import InvalidRecipe, RecipeError
from runner.app.judging import Judged, judged, mended
from runner.app.looks import Look, Looks
from runner.app.outlook import stamp
from runner.data.checks import Depth, Finding, to_json
from runner.read import Read
from runner.release.checklist import Item
from ui import current
from ui.fetching import unfetched
from ui.parts import STATES, badge, command, empty, failure, needed_draft
from ui.text import plain, toast

EVERY_SECONDS = 1
# kind → its checks; what is in none of them comes last
KINDS = {
    "Structure": (
        "malformed", "columns", "missing", "roles", "tool_calls", "size", "truncation",
        "special_tokens", "encoding", "placeholders",
    ),
    "Held-out parts": (
        "test_part", "leakage", "near_leakage", "drift", "mix_share", "no_validation_part",
        "test_part_far_from_share", "validation_part_far_from_share", "groups_united",
    ),
    "Copies and contradictions": (
        "duplicates", "near_duplicates", "contradictions", "preference_pairs", "label_variants",
    ),
    "Balance": (
        "balance", "dominance", "diversity", "length_outliers", "length_disparity", "length_bias",
        "language", "repetition", "refusals",
    ),
    "Privacy": ("secrets", "pii", "names"),
}  # fmt: skip
ORDER = ("error", "warn", "pass", "not_run", "off")


def page() -> None:
    st.title("Checklist")
    draft = needed_draft("The checklist judges the data and settings of a recipe.")
    path = current.place(draft)
    try:
        if unfetched(draft):
            return
        found = current.read(draft).valid()
        key = (draft.text, stamp(draft.text, path.name, path.parent), str(current.runs()))
    except InvalidRecipe as error:
        count = len(error.problems)
        empty(
            "This recipe has to be mended first",
            error.problems[0].message,
            "ui/recipe.py",
            f"See its {count} problem{'s' * (count != 1)}",
        )
        return
    looks = _looks()
    full = looks.find(key, "full")
    look = full or _start(looks, key, "quick", found)
    _bar(looks, look, key, full is not None)
    if not look.ended.is_set():
        st.fragment(_waiting, run_every=EVERY_SECONDS)(looks, key, look)
        if full is None:
            return
        look = _start(looks, key, "quick", found)
    if look.error:
        failure(look.error)
        return
    if look.answer is None:
        empty("The look ended early", "It was stopped, or broke off. Start it again above.")
        return
    _summary(look.answer.findings, look.answer.items)
    tabs = st.tabs(["Data", "Production"])
    with tabs[0]:
        _findings(look.answer.findings)
    with tabs[1]:
        _items(look.answer.items)
    command(["recipe", "check", draft.name], ["recipe", "check", draft.name, "--fix"])


_looks: Callable[[], Looks[Judged]] = st.cache_resource(Looks)
DEPTHS: tuple[Depth, ...] = ("quick", "full")


def _start(looks: Looks[Judged], key: object, depth: str, found: Read) -> Look[Judged]:
    runs = current.runs()
    if depth in DEPTHS:
        return looks.start(key, depth, lambda look: judged(found, depth, runs, look))
    file = current.place(current.draft() or needed_draft(""))
    return looks.start(key, depth, lambda look: mended(found, file, look))


def _bar(looks: Looks[Judged], look: Look[Judged], key: object, full: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if not full:
            st.button(
                "Check everything",
                type="primary",
                icon=":material/fact_check:",
                on_click=_clicked,
                args=(looks, key, "full"),
                help="Reads all texts: near copies, contradictions, secrets, personal data...",
            )
        elif look.ended.is_set():
            st.button(
                "Mend what can be mended",
                icon=":material/build:",
                on_click=_clicked,
                args=(looks, key, "mend"),
                help="Writes a cleaned copy and a recipe that points at it. Nothing is changed in "
                "place, and every row that is dropped is listed.",
            )
    mended = looks.find(key, "mend")
    if mended is not None:
        _mended(looks, key, mended)


def _clicked(looks: Looks[Judged], key: object, depth: str) -> None:
    draft = current.draft()
    if draft is not None:
        try:
            _start(looks, key, depth, current.read(draft).valid())
        except RecipeError as error:
            toast(error.message)


def _mended(looks: Looks[Judged], key: object, look: Look[Judged]) -> None:
    if not look.ended.is_set():
        st.fragment(_waiting, run_every=EVERY_SECONDS)(looks, key, look)
        return
    if look.error:
        failure(look.error)
        return
    fixed = look.answer.fixed if look.answer else None
    with st.container(border=True):
        if fixed is None:
            st.text("Nothing could be mended by a rule: what is found is for you to judge.")
            return
        st.text(f"{fixed.kept:,} rows kept, {fixed.dropped:,} dropped, {fixed.changed:,} changed.")
        st.table([{"check": check, "rows": rows} for check, rows in fixed.by_check.items()])
        where = fixed.recipe.relative_to(current.folder())
        st.text(f"The copy's recipe is {where}; changes.jsonl beside it lists every row and why.")
        st.button("Open the cleaned recipe", on_click=_open, args=(where,))


def _open(path: Path) -> None:
    try:
        current.open_file(path)
    except (RecipeError, OSError) as error:
        toast(str(error))


def _waiting(looks: Looks[Judged], key: object, look: Look[Judged]) -> None:
    if look.ended.is_set():
        st.rerun()
    with st.status(plain(f"{look.said} ({look.seconds:.0f} s)"), state="running"):
        st.text("This goes on if you look at another page.")
    st.button("Stop", key=f"stop-{look.depth}", on_click=_stop, args=(look,))


def _stop(look: Look[Judged]) -> None:
    look.stopping = True


def _summary(findings: Sequence[Finding], items: Sequence[Item]) -> None:
    with st.container(horizontal=True):
        for title, states in (
            ("Data", [one.state for one in findings]),
            ("Production", [one.state for one in items]),
        ):
            st.text(f"{title}:")
            counted: Counter[str] = Counter(states)
            for state in ORDER:
                if counts := counted.get(state):
                    several = "s" * (counts > 1 and state in ("warn", "error"))
                    badge(state, f"{counts} {STATES[state][2]}{several}")


def _findings(findings: Sequence[Finding]) -> None:
    there = [state for state in ORDER if any(one.state == state for one in findings)]
    shown = st.pills(
        "Show",
        there,
        selection_mode="multi",
        default=[state for state in there if state in ("error", "warn")],
        format_func=lambda state: STATES[state][2],
        help="Nothing chosen: all.",
    )
    rest = [one.check for one in findings if not any(one.check in k for k in KINDS.values())]
    for kind, checks in {**KINDS, "Other": rest}.items():
        listed = [
            one for one in findings if one.check in checks and (not shown or one.state in shown)
        ]
        if listed:
            st.header(kind)
        for one in listed:
            _finding(one)
    text = json.dumps(to_json(findings), ensure_ascii=False, indent=2)
    st.download_button("Download as JSON", text, "checks.json", "application/json")


def _finding(one: Finding) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            badge(one.state)
            st.text(one.check.replace("_", " "))
            if one.count is not None and one.how != "exact":
                st.badge(one.how, color="gray")
        st.text(one.message)
        if one.hint:
            st.text(f"What to do: {one.hint}")
        with st.expander("What is counted, and the rows"):
            st.text(f"{one.definition}. Bounds: {one.threshold}.")
            if one.rows:
                rows = [{"row": row.id, "line": row.line, "note": row.note} for row in one.rows]
                st.dataframe(rows, hide_index=True, alt=f"Rows that {one.check} found")


def _items(items: Sequence[Item]) -> None:
    for item in items:
        with st.container(border=True):
            with st.container(horizontal=True, vertical_alignment="center"):
                badge(item.state)
                st.text(item.question)
            st.text(item.evidence)
            if item.patch:
                st.button(
                    "Set it in the recipe", key=f"item-{item.name}", on_click=current.mend,
                    args=(item.patch,),
                )  # fmt: skip


try:
    page()
except RecipeError as error:
    failure(error)

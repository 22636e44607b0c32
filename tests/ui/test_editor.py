"""The editor: the component where it is built, the text area where it is not, marks of problems."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import ui.editor
from dsl.problems import Problem, set_value
from runner.app.buffer import Buffer, changed
from ui.editor import PLAIN, WAITING
from ui.editor.marks import marks, newline

TEXT = '{"name": "a", "method": {"rank": 8}}'
SOURCES = Path(ui.editor.__file__).parent


def page() -> None:
    """Keeps its buffer as pages do; a test puts what the form does into 'form', 'open'."""
    import streamlit as st

    from dsl.problems import Problem
    from ui.editor import edited, editor

    state = st.session_state
    if state.get("elsewhere"):
        st.stop()
    state["buffer"] = edited(state["buffer"])
    if state.get("cut"):
        st.stop()
    problem = Problem(("method", "rank"), "too low", "take 16", line=1, column=26)
    state["buffer"] = editor(state["buffer"], [problem])


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr(ui.editor, "HERE", tmp_path)
    app = AppTest.from_function(page, default_timeout=30)
    app.session_state["buffer"] = Buffer(TEXT)
    return app


@pytest.fixture
def built(start: AppTest, tmp_path: Path) -> AppTest:
    """The app where 'make ui' was run: the component's file is there."""
    ui.editor._mount.cache_clear()
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle/editor-TEST.js").write_text("export default () => {}", "utf-8")
    return start.run()


def type_in(app: AppTest, text: str, base: int = 0) -> None:
    """What the component's callback keeps when the browser sends."""
    sync = app.session_state["editor-sync"]
    app.session_state["editor-edit"] = {
        "text": text, "base": base, "id": "m-1", "session": sync.session,
        "document": sync.document,
    }  # fmt: skip


def text(app: AppTest) -> str:
    buffer: Buffer = app.session_state["buffer"]
    return buffer.text


def sent(app: AppTest) -> dict[str, Any]:
    (component,) = app.get("bidi_component")
    data: dict[str, Any] = json.loads(component.proto.json)
    return data


# ---------------------------------------------------------------- the plain editor


def test_without_a_bundle_a_text_area_serves_and_says_so(start: AppTest) -> None:
    app = start.run()
    assert not app.exception
    assert app.text_area[0].value == TEXT
    assert [caption.value for caption in app.caption] == [PLAIN]
    app.text_area[0].set_value("{}").run()
    assert text(app) == "{}"


def test_the_text_area_shows_what_the_form_changed_and_keeps_what_was_typed(start: AppTest) -> None:
    app = start.run()
    app.text_area[0].set_value(TEXT.replace('"a"', '"mine"'))
    app.session_state["buffer"] = changed(Buffer(TEXT), [set_value(("method", "rank"), 32)])
    app.run()
    assert text(app) == app.text_area[0].value == '{"name": "mine", "method": {"rank": 32}}'


def test_what_was_typed_outlives_a_form_change_and_another_page(start: AppTest) -> None:
    app = start.run()
    app.text_area[0].set_value(TEXT.replace('"a"', '"mine"')).run()
    both = changed(app.session_state["buffer"], [set_value(("method", "rank"), 32)])
    app.session_state["buffer"] = both
    app.run().run()
    assert text(app) == app.text_area[0].value == '{"name": "mine", "method": {"rank": 32}}'
    app.text_area[0].set_value("{}")
    app.session_state["elsewhere"] = True
    app.run()
    assert not app.text_area
    app.session_state["elsewhere"] = False
    app.run()
    assert text(app) == app.text_area[0].value == "{}"


# ---------------------------------------------------------------- the component


def test_the_component_is_told_the_text_and_its_problems(built: AppTest) -> None:
    assert not built.exception
    assert not built.text_area
    data = sent(built)
    assert (data["text"], data["rev"], data["seen"]) == (TEXT, 0, None)
    (mark,) = data["problems"]
    assert TEXT[mark["from"] : mark["to"]] == '"rank"'
    assert (mark["severity"], mark["message"]) == ("error", "too low\ntake 16")
    (component,) = built.get("bidi_component")
    assert component.proto.js_source_path == "editor-TEST.js"  # by reference, not the file itself
    assert not component.proto.js_content


def test_typing_arrives_once_and_is_acknowledged(built: AppTest) -> None:
    type_in(built, TEXT.replace("8", "9"))
    built.run().run()
    assert text(built) == TEXT.replace("8", "9")
    assert (sent(built)["seen"], sent(built)["rev"]) == ("m-1", 0)


def test_typing_and_a_form_change_at_once_lose_nothing(built: AppTest) -> None:
    type_in(built, TEXT.replace('"a"', '"mine"'))
    built.session_state["buffer"] = changed(Buffer(TEXT), [set_value(("method", "rank"), 32)])
    built.run()
    assert text(built) == '{"name": "mine", "method": {"rank": 32}}'
    assert sent(built)["rev"] == 1


def test_a_form_change_that_has_to_wait_is_told_of(built: AppTest) -> None:
    type_in(built, '{"name": ')
    built.session_state["buffer"] = changed(Buffer(TEXT), [set_value(("method", "rank"), 32)])
    built.run()
    assert text(built) == '{"name": '
    assert [caption.value for caption in built.caption] == [WAITING]


def test_a_run_that_was_cut_off_loses_nothing(built: AppTest) -> None:
    held = built.session_state["buffer"]
    type_in(built, TEXT.replace("8", "9"))
    built.session_state["cut"] = True
    built.run()
    built.session_state["buffer"] = held  # the page could not keep what it was given
    built.session_state["cut"] = False
    built.run()
    assert text(built) == TEXT.replace("8", "9")


def test_another_text_opened_is_not_overwritten_by_what_was_typed_before(built: AppTest) -> None:
    type_in(built, TEXT.replace("8", "9"))
    built.run()
    first = sent(built)["document"]
    built.session_state["buffer"] = Buffer(TEXT)  # as 'discard' does: an equal of the first
    built.run().run()
    assert text(built) == sent(built)["text"] == TEXT
    assert sent(built)["document"] == first + 1


def test_another_text_with_a_later_revision_is_another_text(built: AppTest) -> None:
    type_in(built, TEXT.replace("8", "9"))
    built.run()
    built.session_state["buffer"] = Buffer("{}", 1)
    built.run()
    assert text(built) == sent(built)["text"] == "{}"


def test_a_message_of_a_server_that_is_gone_is_not_taken(built: AppTest) -> None:
    type_in(built, "{}")
    built.session_state["editor-edit"]["session"] = "another"
    built.run()
    assert text(built) == TEXT
    assert sent(built)["session"] != "another"


# ---------------------------------------------------------------- marks


@pytest.mark.parametrize(
    ("text", "line", "column", "marked"),
    [
        ('{"rank": 8}', 1, 2, '"rank"'),
        ('{"rank": 8}', 1, 10, "8"),
        ('{"rank": 8}', None, None, "{"),
        ('{"a": "b\\"c"}', 1, 7, '"b\\"c"'),
        ('{"a": "open\n}', 1, 7, '"open'),
        ('{"😀é": 1,\n"rank": 8}', 2, 1, '"rank"'),
        ('{"😀": 1, "rank": 8}', 1, 10, '"rank"'),
        ("{}", 9, 9, ""),
        ("", 1, 1, ""),
        ('{\r\n"rank": 8\r\n}', 2, 1, '"rank"'),
        ('{\r\n"rank": 8\n}', 2, 1, '"rank"'),
    ],
)
def test_a_problem_is_marked_in_the_browsers_units(
    text: str, line: int | None, column: int | None, marked: str
) -> None:
    (mark,) = marks(text, [Problem((), "wrong", line=line, column=column)])
    held = text.replace("\r\n", "\n") if newline(text) == "\r\n" else text
    units = held.encode("utf-16-le")
    assert units[2 * int(mark["from"]) : 2 * int(mark["to"])].decode("utf-16-le") == marked


@pytest.mark.parametrize(
    ("text", "ends"),
    [("", "\n"), ("{}", "\n"), ("{\n}", "\n"), ("{\r\n}\r\n", "\r\n"), ("{\r\n}\n", "\n"),
     ("{\r}\r\n", "\n")],
)  # fmt: skip
def test_lines_end_as_all_of_them_do(text: str, ends: str) -> None:
    assert newline(text) == ends


# ---------------------------------------------------------------- what it is built from


def test_its_packages_are_named_exactly_and_locked() -> None:
    named = json.loads((SOURCES / "package.json").read_text("utf-8"))["dependencies"]
    locked = json.loads((SOURCES / "package-lock.json").read_text("utf-8"))["packages"]
    assert all(re.fullmatch(r"[0-9.]+", version) for version in named.values())
    assert named == locked[""]["dependencies"]
    for place, package in locked.items():
        assert not place or package["integrity"]
        assert "resolved" not in package  # any registry may serve them

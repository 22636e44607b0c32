"""The editor of a recipe's text: a component that 'make ui' builds, or else a plain text area."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from secrets import token_hex
from typing import Any

import streamlit as st

from dsl.problems import Problem
from runner.app.buffer import Buffer, typed
from ui.editor.marks import marks, newline

PLAIN = "The plain editor: 'make ui' builds the better one."
WAITING = "A change of the form waits until the text can be read again."
LABELS = {
    "json": "The recipe as JSON. Control and space completes. Tab indents: press Escape and then"
    " Tab to leave. F8 goes to the next problem.",
    "yaml": "The recipe as YAML. Tab indents: press Escape and then Tab to leave."
    " F8 goes to the next problem.",
}
HERE = Path(__file__).parent
BUNDLE = "bundle"  # where 'make ui' puts the one file that the browser loads
NAME = "finetune-recipes.editor"


@dataclass(frozen=True, slots=True)
class Sync:
    """What the browser and this session agree on. `document` counts the texts that were opened,
    `before` and `after` are the buffer when the browser's last text came, and with it."""

    session: str
    document: int
    before: Buffer
    after: Buffer

    def knows(self, buffer: Buffer) -> bool:
        """False where the page has opened another text, which no changes of the form lead to.

        A run that was cut off before the page could keep `after` comes again with the very same
        `before`.
        """
        newest = max(self.before.rev, self.after.rev)
        later = range(newest + 1, buffer.rev + 1)
        changed = bool(later) and {op.rev for op in buffer.ops} >= set(later)
        return buffer is self.before or buffer == self.after or changed


def editor(
    buffer: Buffer,
    problems: Sequence[Problem],
    key: str = "editor",
    height: int = 520,
    language: str = "json",
) -> Buffer:
    """Shows the text for editing. Returns the buffer after the browser's edits of this rerun."""
    after = edited(buffer, key)
    show = _component if _built() else _plain
    show(after, problems, key, height, language)
    if after.waiting:
        st.caption(WAITING)
    return after


def edited(buffer: Buffer, key: str = "editor") -> Buffer:
    """The buffer with what was typed since it was shown.

    A page asks before it judges the text, so that the problems are those of what stands there
    now. A callback asks before it saves, changes or replaces the text: Streamlit calls it before
    the page's script sees what was typed. Other pages may ask too.
    """
    sync = st.session_state.get(f"{key}-sync") or Sync(token_hex(4), 0, buffer, buffer)
    message, after = _message(key), buffer
    opened = not sync.knows(buffer)
    if opened:
        sync = replace(sync, document=sync.document + 1)
    if (message.get("session"), message.get("document")) == (sync.session, sync.document):
        after = typed(buffer, message["text"], message["base"])
    before = buffer if opened or after != buffer else sync.before
    st.session_state[f"{key}-sync"] = replace(sync, before=before, after=after)
    return after


def _message(key: str) -> dict[str, Any]:
    """The browser's last: text, the revision it was typed on, its id, session and document.

    It is kept apart from the widget's state, which is gone as soon as another page is shown.
    """
    state = st.session_state.get(key)
    shown = st.session_state.get(f"{key}-shown")
    if isinstance(state, str):
        message = {**shown, "text": state} if shown and state != shown["text"] else None
    else:
        message = (state or {}).get("edit")
    if message:
        st.session_state[f"{key}-edit"] = message
    kept: dict[str, Any] = st.session_state.get(f"{key}-edit", {})
    return kept


# ---------------------------------------------------------------- the component


def _component(
    buffer: Buffer, problems: Sequence[Problem], key: str, height: int, language: str
) -> None:
    sync: Sync = st.session_state[f"{key}-sync"]
    data = {
        "text": buffer.text,
        "rev": buffer.rev,
        "session": sync.session,
        "document": sync.document,
        "seen": _message(key).get("id"),
        "problems": marks(buffer.text, problems),
        "newline": newline(buffer.text),
        "language": language,
        "label": LABELS[language],
        "height": height,
    }
    _register()
    _mount()(key=key, data=data, on_edit_change=partial(_message, key))


def _built() -> bool:
    return any((HERE / BUNDLE).glob("editor-*.js"))


def _register() -> None:
    """Tells this server where the component's file lies, as the scan of installed packages does
    for those that are named like their distribution."""
    from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
    from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest

    manager = get_bidi_component_manager()
    if manager.get_component_asset_root(NAME) is None:
        package, _, name = NAME.partition(".")
        manifest = ComponentManifest(package, "0", [ComponentConfig(name, BUNDLE)])
        manager.register_from_manifest(manifest, HERE)


@cache
def _mount() -> Any:
    return st.components.v2.component(NAME, js="editor-*.js")


# ---------------------------------------------------------------- the plain editor


def _plain(
    buffer: Buffer, problems: Sequence[Problem], key: str, height: int, language: str
) -> None:
    sync: Sync = st.session_state[f"{key}-sync"]
    st.session_state[f"{key}-shown"] = {
        "text": buffer.text,
        "base": buffer.rev,
        "session": sync.session,
        "document": sync.document,
    }
    st.session_state[key] = buffer.text
    st.text_area(
        "The recipe",
        key=key,
        height=height,
        on_change=_message,
        args=(key,),
        label_visibility="collapsed",
    )
    st.caption(PLAIN)

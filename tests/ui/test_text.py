"""Text of others in places that read markdown: shown as it is. That no browser makes a link of it
is seen in tests/browser."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui.text import plain

# what GitHub's markdown, which Streamlit speaks, takes for an address within one text
LINKS = re.compile(r"(?i)(https?://|www\.)[-.\w]|[-.\w+]+@[-\w]+")
signs = st.text(st.sampled_from("htps:/w.@ab_-+*[]()\\`"), max_size=30)


def shown(markdown: str) -> list[str]:
    """The texts that markdown makes of what `plain` gives: escapes are read, empty pieces split."""
    return [re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", part) for part in markdown.split(":small[]")]


@pytest.mark.parametrize(
    "text",
    [
        "https://elsewhere.example/a",
        "HTTP://elsewhere.example",
        "see (http://elsewhere.example).",
        "www.elsewhere.example",
        "somebody@elsewhere.example",
        "mailto:somebody@elsewhere.example",
        "![a](https://elsewhere.example/a.png) <img src=x> **b** $x$ :red[c] `d`",
    ],
)
def test_an_address_is_no_link_and_is_copied_as_it_was(text: str) -> None:
    parts = shown(plain(text))
    assert "".join(parts) == text
    assert len(parts) > 1 and not any(LINKS.search(part) for part in parts)


@given(signs | st.text())
def test_any_text_is_shown_as_it_is(text: str) -> None:
    parts = shown(plain(text))
    if ":small[]" not in text:
        assert "".join(parts) == text.replace("\n", " ")
    assert not any(LINKS.search(part) for part in parts)
    assert not re.search(r"(?<!\\)[*`_<!$]", re.sub(r"\\\\", "", plain(text)))


def test_most_texts_hold_no_empty_piece() -> None:
    assert plain("clause 4.2, 10:30, a@ b, http") == r"clause 4\.2, 10\:30, a@ b, http"

"""Text of others in places that read markdown."""

from __future__ import annotations

import re

import streamlit as st

_SIGNS = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~:$&])")
# what markdown takes for an address without being told, once its signs are escaped
_ADDRESS = re.compile(r"(?i)(https?(?=\\:)|www(?=\\\.)|(?<=\S)(?=@\S))")
_NOTHING = ":small[]"  # an empty piece: the address is no longer one text, and is copied as it was


def plain(text: str) -> str:
    """For labels, captions, headings: shown as it is, an address without a link."""
    return _ADDRESS.sub(rf"\1{_NOTHING}", _SIGNS.sub(r"\\\1", text.replace("\n", " ")))


def toast(text: str, icon: str | None = None) -> None:
    """A short message that goes by itself; it may quote names and data."""
    st.toast(plain(text), icon=icon)

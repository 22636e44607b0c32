"""What a model's folder says about text: its tokenizer, chat template and special tokens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsl.errors import ModelError
from dsl.templates import ChatFormat
from runner.bases.checkpoint import TOKENIZER, read_object

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer, with truncation and padding off. Raises ModelError."""
    from tokenizers import Tokenizer

    path = folder / TOKENIZER
    if not path.is_file():
        raise ModelError(f"{path} is missing")
    try:
        found = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing more special
        raise ModelError(f"{path} is no tokenizer: {error}") from error
    found.no_truncation()
    found.no_padding()
    return found


def chat_format(folder: Path, date: str) -> ChatFormat:
    """What the tokenizer's files say; `date` (ISO) is the day that templates see.

    `bos` is empty where neither the tokenizer nor the chat template writes it: SmolLM2 names
    <|im_start|> so, and a text that began with it would be a turn without a role.
    """
    config = _optional(folder / "tokenizer_config.json")
    table = _optional(folder / TOKENIZER)
    names = _optional(folder / "special_tokens_map.json") | config
    ids = _optional(folder / "config.json") | _optional(folder / "generation_config.json")
    added = [token for token in table.get("added_tokens") or [] if isinstance(token, dict)]
    by_id = {token.get("id"): _text(token) for token in added}
    more = (config.get("added_tokens_decoder") or {}).values()
    special = dict.fromkeys(_text(token) for token in (*added, *more) if token.get("special"))
    template, bos = _template(folder, config), _text(names.get("bos_token"))
    written = "bos_token" in (template or "") or _begins_with(bos, config, table)
    return ChatFormat(
        template=template,
        bos=bos if written else "",
        eos=_text(names.get("eos_token")) or _of_id(ids.get("eos_token_id"), by_id),
        special=tuple(special),
        date=date,
    )


def _begins_with(bos: str, config: Mapping[str, Any], table: Mapping[str, Any]) -> bool:
    """Whether the tokenizer puts `bos` before every text."""
    if isinstance(add := config.get("add_bos_token"), bool):
        return add
    processor = table.get("post_processor") or {}
    firsts = [p["single"][0] for p in processor.get("processors", [processor]) if p.get("single")]
    return any(first.get("SpecialToken", {}).get("id") == bos for first in firsts)


def _template(folder: Path, config: Mapping[str, Any]) -> str | None:
    """A file of its own wins over tokenizer_config.json, as in transformers."""
    alone = folder / "chat_template.jinja"
    if alone.is_file():
        return alone.read_text("utf-8")
    given = _optional(folder / "chat_template.json").get("chat_template")
    given = given or config.get("chat_template")
    if isinstance(given, list):
        given = {entry.get("name"): entry.get("template") for entry in given}.get("default")
    return given if isinstance(given, str) else None


def _text(token: Any) -> str:
    """A special token is written as a string, as an object with its content, or as null."""
    if isinstance(token, Mapping):
        token = token.get("content")
    return token if isinstance(token, str) else ""


def _of_id(ids: Any, by_id: Mapping[Any, str]) -> str:
    first = ids[0] if isinstance(ids, list) and ids else ids
    return by_id.get(first, "") if isinstance(first, int) else ""


def _optional(path: Path) -> dict[str, Any]:
    return read_object(path) if path.is_file() else {}

"""Base models: from the name in a recipe to a folder of verified weights."""

from __future__ import annotations

from runner.bases.cache import hashes, root, verify
from runner.bases.locate import Located, locate
from runner.bases.tokens import chat_format, tokenizer

__all__ = ["Located", "chat_format", "hashes", "locate", "root", "tokenizer", "verify"]

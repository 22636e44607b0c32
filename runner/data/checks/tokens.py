"""The check of what is cut off at training.max_length, and the lengths in tokens.

A byte-level BPE never makes more tokens than a text has bytes, so most rows are clear without
being tokenised; the rest is tokenised exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsl.recipe import Recipe
from dsl.rows import Example
from dsl.templates import ChatFormat, TemplateError, render
from dsl.thresholds import ShareCheck
from runner.data.checks.finding import (
    SHOWN_ROWS,
    Finding,
    FoundRow,
    How,
    Read,
    Said,
    share_text,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TRUNCATION = Said("truncation", "rows that lose tokens of the answer at training.max_length")
HINT = "raise training.max_length, or shorten these rows"
TOKENISED_ROWS = 20_000
EXAMPLES_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Encoder:
    """Example → token ids, as training will make them."""

    recipe: Recipe
    chat: ChatFormat
    tokenizer: Tokenizer

    def encode(self, example: Example) -> tuple[list[int], list[int]]:
        """(input_ids, labels), not cut. Raises TemplateError where it cannot be rendered."""
        from runner.data.tokens import encode

        recipe = self.recipe
        segments = render(example, recipe.template, self.chat, recipe.objective.loss_on)
        return encode(segments, self.tokenizer)

    def bytes_bound(self) -> tuple[int, int] | None:
        """(factor, more): a row of n bytes makes at most factor * n + more tokens a turn. None
        where no bound is known: no byte-level tokenizer, or a template that writes columns."""
        if getattr(self.recipe.template, "prompt", None) or self.recipe.template.type == "jinja":
            return None
        described = self.tokenizer.to_str()
        if '"decoder":{"type":"ByteLevel"' not in described:
            return None
        normalizer = self.tokenizer.normalizer
        if normalizer is not None and type(normalizer).__name__ != "NFC":
            return None
        probe = Example("", "", prompt="q", completion="a")
        try:
            text = "".join(s.text for s in render(probe, self.recipe.template, self.chat))
        except TemplateError:
            return None
        # NFC makes at most three times the bytes (Unicode Standard Annex 15, table 6)
        return 1 if normalizer is None else 3, len(text.encode())


def truncation_found(read: Read, limits: ShareCheck) -> Finding:
    """Exact up to TOKENISED_ROWS rows that may be too long, else of a sample of those."""
    encoder = read.encoder
    if encoder is None:
        reason = "needs the model's tokenizer, which is not in the cache: 'recipe run' fetches it"
        return TRUNCATION.silent("not_run", reason, share_text(limits))
    mine = "from placed where copy = 0 and part <> 'test'"
    bound = encoder.bytes_bound()
    maybe = "true"
    if bound is not None:
        most = encoder.recipe.training.max_length
        tools = read.rows.by_source(_bring_tools(read))
        maybe = (
            f"({tools} or {bound[0]} * bytes::bigint"
            f" + {bound[1]} * greatest(coalesce(turns, 2), 1) > {most})"
        )
    total = read.count(f"select count(*) {mine}")
    long = read.count(f"select count(*) {mine} and {maybe}")
    hits = (
        f"select source, line {mine} and {maybe}"
        f" order by prompt_key, source, line limit {TOKENISED_ROWS}"
    )
    seen, lost = 0, []
    for _, example, at in examples(read, hits):
        seen += 1
        if gone := _lost(encoder, example):
            lost.append((*at, f"loses {gone:,} tokens of the answer"))
    read.add_rows("truncation", lost)
    how: How = "exact" if seen == long else "sampled"
    count = len(lost) if seen == long else round(len(lost) * long / seen)
    rows = read.first_rows("truncation")
    return TRUNCATION.judged(limits, count, total, rows, "rows", HINT, how)


def _bring_tools(read: Read) -> list[bool]:
    """Of each file: whether rows have tools, whose definitions are not among the counted bytes."""
    return [
        bool(report.columns.get(opened.found.roles.get("tools", "")))
        for opened, report in zip(read.rows.opened, read.reports, strict=True)
    ]


def _lost(encoder: Encoder, example: Example) -> int:
    from runner.data.tokens import IGNORED

    try:
        _, labels = encoder.encode(example)
    except TemplateError:
        return 0  # what cannot be rendered is told by other checks
    return sum(label != IGNORED for label in labels[encoder.recipe.training.max_length :])


def truncation(lost: Sequence[str], total: int, limits: ShareCheck | None) -> Finding:
    """The finding of the tokenised parts: `lost` are the ids of the rows that lose answer tokens,
    of `total` rows. Takes the place of what was found before."""
    if limits is None:
        return TRUNCATION.silent("off", "switched off in the recipe")
    rows = tuple(FoundRow(id, None, None, None) for id in lost[:SHOWN_ROWS])
    return TRUNCATION.judged(limits, len(lost), total, rows, "rows", HINT)


def examples(read: Read, hits: str) -> Iterator[tuple[str, Example, tuple[int, int]]]:
    """(id, example, (source, line)) of the rows in the relation `hits` (source, line)."""
    from runner.data.prepare import TEXTS, example_of

    names = [name.split(" as ")[-1] for name in TEXTS.split(", ")]
    found = read.connection.execute(
        f"select final.source, line, id, name as source, grp, general, {', '.join(names)}"
        f" from (select source, line, id, name, grp, general from final where copy = 0) as final"
        f" join ({read.rows.select(TEXTS, hits)}) using (source, line) order by 1, 2"
    )
    header = ["id", "source", "grp", "general", *names]
    while some := found.fetchmany(EXAMPLES_AT_ONCE):
        for source, line, *row in some:
            yield row[0], example_of(dict(zip(header, row, strict=True))), (source, line)

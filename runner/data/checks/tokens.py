"""The check of what is cut off at training.max_length, and the lengths in tokens.

A byte-level BPE never makes more tokens than a text has bytes, so most rows are clear without
being tokenised. Of the rest the tokens are counted, and where they are too many, those of the
answer are told from the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsl.recipe import Recipe
from dsl.rows import Example
from dsl.templates import (
    CHATML,
    ChatFormat,
    Segment,
    TemplateError,
    messages_of,
    render,
    render_chat,
)
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
QUESTIONS = ("alpaca", "prompt_completion", "text", "classification")  # formats of one answer
TOKENISED_ROWS = 10_000
PORTION_ROWS = 1_000
SAMPLED_ROWS = 2_000
EXAMPLES_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Encoder:
    """Example → segments and token ids, as training will make them."""

    recipe: Recipe
    chat: ChatFormat
    tokenizer: Tokenizer

    def segments(self, example: Example) -> tuple[Segment, ...]:
        """Raises TemplateError where it cannot be rendered."""
        recipe = self.recipe
        return render(example, recipe.template, self.chat, recipe.objective.loss_on)

    def encode(self, example: Example) -> tuple[list[int], list[int]]:
        """(input_ids, labels), not cut. Raises TemplateError where it cannot be rendered."""
        from runner.data.tokens import encode

        return encode(self.segments(example), self.tokenizer)

    def text(self, example: Example) -> str:
        """The text that is tokenised: that of the segments, at a third of the cost where a chat
        template would have to tell them apart. Raises TemplateError."""
        template = self.recipe.template
        if template.type in ("alpaca", "jinja"):
            return "".join(segment.text for segment in render(example, template, self.chat))
        chat = CHATML if template.type == "chatml" else self.chat
        return render_chat(messages_of(example, template), chat, tools=example.tools)

    def bytes_bound(self) -> tuple[int, int] | None:
        """(factor, more): a question and its answer of n bytes make at most factor * n + more
        tokens, a conversation of them factor * n + more tokens a turn. None where no bound is
        known: no byte-level tokenizer, or a template that writes columns."""
        if getattr(self.recipe.template, "prompt", None) or self.recipe.template.type == "jinja":
            return None
        described = self.tokenizer.to_str()
        if '"decoder":{"type":"ByteLevel"' not in described:
            return None
        normalizer = self.tokenizer.normalizer
        if normalizer is not None and type(normalizer).__name__ != "NFC":
            return None
        probes = (
            Example("", "", prompt="q", completion="a"),
            Example(
                "", "", prompt="q\n\ni", completion="a", system="s",
                columns={"instruction": "q", "input": "i"},
            ),
        )  # fmt: skip
        try:
            most = max(self._most_tokens(self.text(probe)) for probe in probes)
        except TemplateError:
            return None
        # NFC makes at most three times the bytes (Unicode Standard Annex 15, table 6)
        return 1 if normalizer is None else 3, most

    def _most_tokens(self, text: str) -> int:
        """Bytes, but one of an added token, which is found before all else, wherever it stands:
        unless another one may begin before it and end within it."""
        added = list(self.tokenizer.get_added_tokens_decoder().values())
        whole = [
            token.content
            for token in sorted(added, key=lambda token: -len(token.content))
            if token.content in text
            and not token.single_word
            and not any(_overlap(other.content, token.content) for other in added)
        ]
        one_each = re.sub("|".join(map(re.escape, whole)), ".", text) if whole else text
        return len(one_each.encode())


def _overlap(left: str, right: str) -> bool:
    """Whether an end of `left` that is not all of it is a beginning of `right`, not all of it."""
    return any(left.endswith(right[:n]) for n in range(1, min(len(left), len(right))))


def truncation_found(read: Read, limits: ShareCheck) -> Finding:
    """Exact up to TOKENISED_ROWS rows that may be too long. Of more the longest, until a portion of
    them loses nothing, and a sample of the others."""
    encoder = read.encoder
    if encoder is None:
        reason = "needs the model's tokenizer, which is not in the cache: 'recipe run' fetches it"
        return TRUNCATION.silent("not_run", reason, share_text(limits))
    mine = "from placed where copy = 0 and part <> 'test'"
    read.connection.execute(
        "create table doubtful as select source, line, prompt_key,"
        " row_number() over (order by bytes desc, prompt_key, source, line) as place"
        f" {mine} and {_may_be_long(read, encoder)}"
    ).fetchall()
    many = read.count("select count(*) from doubtful")
    whole: dict[tuple[int, int], int] = {}
    end = 0
    while end < min(many, TOKENISED_ROWS):
        begin, end = end, min(end + PORTION_ROWS, many, TOKENISED_ROWS)
        portion = f"where place > {begin} and place <= {end}"
        told = dict(_lost(encoder, examples(read, f"select source, line from doubtful {portion}")))
        whole |= told
        if many > TOKENISED_ROWS and not any(told.values()):
            break
    others = many - end
    sample = (
        f"select source, line from doubtful where place > {end}"
        f" order by prompt_key, source, line limit {SAMPLED_ROWS}"
    )
    some = dict(_lost(encoder, examples(read, sample))) if others else {}
    read.connection.execute("drop table doubtful").fetchall()
    lost = {at: gone for at, gone in (whole | some).items() if gone}
    read.add_rows(
        "truncation", [(*at, f"loses {gone:,} tokens of the answer") for at, gone in lost.items()]
    )
    unseen = others - len(some)
    count = len(lost)
    if unseen:
        count += round(unseen * len(lost.keys() - whole.keys()) / len(some))
    total, rows = read.count(f"select count(*) {mine}"), read.first_rows("truncation")
    how: How = "sampled" if unseen else "exact"
    return TRUNCATION.judged(limits, count, total, rows, "rows", HINT, how)


def _may_be_long(read: Read, encoder: Encoder) -> str:
    """SQL: whether a row may have more tokens than are kept."""
    bound = encoder.bytes_bound()
    if bound is None:
        return "true"
    factor, more = bound
    tools = read.rows.by_source(_bring_tools(read))
    flat = read.rows.by_source([one.found.format in QUESTIONS for one in read.rows.opened])
    turns = f"if(coalesce(turns, 2) <= 2 and {flat}, 1, greatest(turns, 2))"
    most = encoder.recipe.training.max_length
    return f"({tools} or {factor} * bytes::bigint + {more} * {turns} > {most})"


def _bring_tools(read: Read) -> list[bool]:
    """Of each file: whether rows have tools, whose definitions are not among the counted bytes."""
    return [
        bool(report.columns.get(opened.found.roles.get("tools", "")))
        for opened, report in zip(read.rows.opened, read.reports, strict=True)
    ]


def _lost(
    encoder: Encoder, found: Iterator[tuple[str, Example, tuple[int, int]]]
) -> Iterator[tuple[tuple[int, int], int]]:
    """(source, line) of each example, and how many answer tokens it loses."""
    from runner.data.tokens import batches, targets

    def text(example: Example) -> str:
        try:
            return encoder.text(example)
        except TemplateError:  # what cannot be rendered is told by other checks
            return ""

    most = encoder.recipe.training.max_length
    for batch in batches(((at, example), text(example)) for _, example, at in found):
        texts = [rendered for _, rendered in batch]
        counted = encoder.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        for ((at, example), _), tokens in zip(batch, counted, strict=True):
            try:
                labels = encoder.encode(example)[1] if len(tokens) > most else []
            except TemplateError:
                labels = []
            yield at, targets(labels[most:])


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
    header = ["id", "source", "grp", "general", *names]
    # in portions: the texts of all at once may be more than memory is given for
    for start in range(0, read.count(f"select count(*) from ({hits})"), EXAMPLES_AT_ONCE):
        some = f"from ({hits}) order by source, line limit {EXAMPLES_AT_ONCE} offset {start}"
        found = read.connection.execute(
            f"select final.source, line, id, name as source, grp, general, {', '.join(names)} from"
            " (select source, line, id, name, grp, general from final where copy = 0) as final join"
            f" ({read.rows.select(TEXTS, some)}) using (source, line) order by 1, 2"
        ).fetchall()
        for source, line, *row in found:
            yield row[0], example_of(dict(zip(header, row, strict=True))), (source, line)

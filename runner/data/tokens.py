"""Examples → token ids and labels. Exactly the trained segments have labels; the rest is -100."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, islice, pairwise
from operator import eq
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dsl.recipe import Recipe, Template
from dsl.rows import Example
from dsl.templates import ChatFormat, Segment, render
from runner.bases import cache
from runner.runs.store import read_json, write_json

if TYPE_CHECKING:
    from pyarrow import Table
    from tokenizers import Tokenizer

Key = TypeVar("Key")

IGNORED = -100
SUMMARY = "tokens.json"
CHARACTERS_AT_ONCE = 1 << 18  # a tokenizer takes some hundred bytes of memory for each
ROWS_AT_ONCE = 1_000  # of up to a hundred bytes a token
ROWS_TOLD = 10_000


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example as the model reads it. input_ids and labels have one length, at most max_length.

    `lost` counts answer tokens cut off behind max_length.
    """

    id: str
    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    lost: int

    @property
    def trained(self) -> int:
        # the first token is never a target: nothing stands before it
        return targets(self.labels[1:])


@dataclass(frozen=True, slots=True)
class TokenSummary:
    """One tokenised part. `cut`: ids that lost answer tokens; `dropped`: that lost them all."""

    rows: int
    total: int
    trained: int
    longest: int
    cut: tuple[str, ...]
    dropped: tuple[str, ...]


def targets(labels: Sequence[int]) -> int:
    """How many of the labels are trained on."""
    return len(labels) - labels.count(IGNORED)


def encode(segments: Sequence[Segment], tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Segments → (input_ids, labels), the ids being those of the whole text.

    Where a token reaches over the edge of an answer it counts as part of the answer.
    """
    ((_, ids, labels),) = encode_all([(None, segments)], tokenizer)
    return ids, labels


def encode_all(
    rendered: Iterable[tuple[Key, Sequence[Segment]]], tokenizer: Tokenizer
) -> Iterator[tuple[Key, list[int], list[int]]]:
    """As `encode`, of many texts, each with its key, in order. Few are held at a time."""
    whole = ((each, "".join(segment.text for segment in each[1])) for each in rendered)
    for batch in batches(whole):
        texts = [text for _, text in batch]
        found = tokenizer.encode_batch(texts, add_special_tokens=False)
        for ((key, segments), _), tokens in zip(batch, found, strict=True):
            yield key, tokens.ids, _labels(segments, tokens.ids, tokens.offsets, tokenizer)


def batches(texts: Iterable[tuple[Key, str]]) -> Iterator[list[tuple[Key, str]]]:
    """So many as a tokenizer works off together faster than one by one, in little memory."""
    batch: list[tuple[Key, str]] = []
    characters = 0
    for key, text in texts:
        batch.append((key, text))
        characters += len(text)
        if characters > CHARACTERS_AT_ONCE:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _labels(
    segments: Sequence[Segment],
    ids: Sequence[int],
    places: Sequence[tuple[int, int]],
    tokenizer: Tokenizer,
) -> list[int]:
    edges = accumulate((len(segment.text) for segment in segments), initial=0)
    spans = [span for span, s in zip(pairwise(edges), segments, strict=True) if s.trained]
    begins, ends = [begin for begin, _ in places], [end for _, end in places]
    if _in_order(begins, ends):
        labels = [IGNORED] * len(ids)
        for start, stop in spans:
            first, behind = bisect_right(ends, start), bisect_left(begins, stop)
            labels[first:behind] = ids[first:behind]
        return labels
    # whose a token is that stands for no letter, the segments alone can tell
    pieces = tokenizer.encode_batch_fast([s.text for s in segments], add_special_tokens=False)
    if [token for piece in pieces for token in piece.ids] == ids:
        trained = [s.trained for s, piece in zip(segments, pieces, strict=True) for _ in piece.ids]
    else:
        trained = [
            any(begin < stop and end > start for start, stop in spans) for begin, end in places
        ]
    return [token if on else IGNORED for token, on in zip(ids, trained, strict=True)]


def _in_order(begins: list[int], ends: list[int]) -> bool:
    """Whether every token stands for letters, and for none before those of the last one."""
    empty = any(map(eq, begins, ends))
    return not empty and begins == sorted(begins) and ends == sorted(ends)


def encode_examples(
    examples: Iterable[Example],
    template: Template,
    chat: ChatFormat,
    loss_on: str,
    tokenizer: Tokenizer,
    max_length: int,
) -> Iterator[Encoded]:
    """Raises TemplateError where an example cannot be rendered."""
    rendered = ((example.id, render(example, template, chat, loss_on)) for example in examples)
    for id, ids, labels in encode_all(rendered, tokenizer):
        kept, lost = tuple(labels[:max_length]), targets(labels[max_length:])
        yield Encoded(id, tuple(ids[:max_length]), kept, lost)


def tokenise(
    recipe: Recipe,
    chat: ChatFormat,
    tokenizer: Tokenizer,
    parts: dict[str, Path],
    folder: Path,
    tell: Callable[[int], None] = lambda done: None,
) -> dict[str, TokenSummary]:
    """Writes <part>.parquet (id, input_ids, labels) of every part, and tokens.json, to `folder`.
    Memory does not grow with the rows. `tell` hears now and then how many are done."""
    from runner.data.prepare import stream_examples

    folder.mkdir(parents=True, exist_ok=True)
    summaries = {}
    done = 0
    for part, path in parts.items():
        encoded = encode_examples(
            stream_examples(path),
            recipe.template,
            chat,
            recipe.objective.loss_on,
            tokenizer,
            recipe.training.max_length,
        )
        summaries[part] = _write(encoded, folder / f"{part}.parquet", done, tell)
        done += summaries[part].rows + len(summaries[part].dropped)
    plain = {part: asdict(summary) for part, summary in summaries.items()}
    write_json(folder / SUMMARY, {"parts": plain})
    return summaries


def read_summary(folder: Path) -> dict[str, TokenSummary]:
    return {
        part: TokenSummary(**values | {k: tuple(values[k]) for k in ("cut", "dropped")})
        for part, values in read_json(folder / SUMMARY)["parts"].items()
    }


def stored(fingerprint: str, date: str) -> Path:
    """Where the cache keeps the tokens of a step's fingerprint, rendered on that day."""
    return cache.root() / "tokens" / f"{fingerprint}-{date}"


def read_tokens(path: Path) -> Table:
    """An Arrow table (id, input_ids, labels) in the order of the part: a list of numbers in Python
    takes ten times the memory."""
    import pyarrow.parquet as parquet

    return parquet.read_table(path)


def lengths(tokens: Table) -> list[int]:
    """How many tokens each row has."""
    import pyarrow.compute as compute

    counted: list[int] = compute.list_value_length(tokens["input_ids"]).to_pylist()
    return counted


def _write(
    encoded: Iterable[Encoded], path: Path, before: int, tell: Callable[[int], None]
) -> TokenSummary:
    """The rows that have a target. `before`: rows of other parts that are done."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    numbers = arrow.list_(arrow.int32())
    schema = arrow.schema([("id", arrow.string()), ("input_ids", numbers), ("labels", numbers)])
    rows = total = trained = longest = 0
    cut: list[str] = []
    dropped: list[str] = []
    encoded = iter(encoded)
    with parquet.ParquetWriter(path, schema) as writer:
        while some := list(islice(encoded, ROWS_AT_ONCE)):
            cut += [row.id for row in some if row.lost]
            dropped += [row.id for row in some if not row.trained]
            kept = [row for row in some if row.trained]
            rows += len(kept)
            total += sum(len(row.input_ids) for row in kept)
            trained += sum(row.trained for row in kept)
            longest = max([longest, *(len(row.input_ids) for row in kept)])
            columns = [[getattr(row, name) for row in kept] for name in schema.names]
            writer.write_table(arrow.table(columns, schema=schema))
            if (rows + len(dropped)) % ROWS_TOLD == 0:
                tell(before + rows + len(dropped))
    return TokenSummary(rows, total, trained, longest, tuple(cut), tuple(dropped))

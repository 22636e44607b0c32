"""Examples → token ids and labels. Exactly the trained segments have labels; the rest is -100."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsl.recipe import Recipe, Template
from dsl.rows import Example
from dsl.templates import ChatFormat, Segment, render
from runner.bases import cache
from runner.runs.store import read_json, write_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

IGNORED = -100
SUMMARY = "tokens.json"


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
        return sum(label != IGNORED for label in self.labels[1:])


@dataclass(frozen=True, slots=True)
class TokenSummary:
    """One tokenised part. `cut`: ids that lost answer tokens; `dropped`: that lost them all."""

    rows: int
    total: int
    trained: int
    longest: int
    cut: tuple[str, ...]
    dropped: tuple[str, ...]


def encode(segments: Sequence[Segment], tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Segments → (input_ids, labels), the ids being those of the whole text.

    Where a token reaches over the edge of an answer it counts as part of the answer.
    """
    text = "".join(s.text for s in segments)
    # places in the text, which `fast` leaves out, are seldom needed
    counted = tokenizer.encode_batch_fast(
        [text, *(s.text for s in segments)], add_special_tokens=False
    )
    ids, *pieces = (list(each.ids) for each in counted)
    if [token for piece in pieces for token in piece] == ids:
        trained = [s.trained for s, piece in zip(segments, pieces, strict=True) for _ in piece]
    else:
        edges = [0]
        for segment in segments:
            edges.append(edges[-1] + len(segment.text))
        spans = [span for span, s in zip(pairwise(edges), segments, strict=True) if s.trained]
        trained = [
            any(start < stop and end > begin for begin, stop in spans)
            for start, end in tokenizer.encode(text, add_special_tokens=False).offsets
        ]
    return ids, [token if on else IGNORED for token, on in zip(ids, trained, strict=True)]


def encode_example(
    example: Example,
    template: Template,
    chat: ChatFormat,
    loss_on: str,
    tokenizer: Tokenizer,
    max_length: int,
) -> Encoded:
    """Raises TemplateError where the example cannot be rendered."""
    ids, labels = encode(render(example, template, chat, loss_on), tokenizer)
    lost = sum(label != IGNORED for label in labels[max_length:])
    return Encoded(example.id, tuple(ids[:max_length]), tuple(labels[:max_length]), lost)


def tokenise(
    recipe: Recipe, chat: ChatFormat, tokenizer: Tokenizer, parts: dict[str, Path], folder: Path
) -> dict[str, TokenSummary]:
    """Writes <part>.parquet (id, input_ids, labels) of every part, and tokens.json, to `folder`."""
    from runner.data.prepare import read_examples

    folder.mkdir(parents=True, exist_ok=True)
    summaries = {}
    for part, path in parts.items():
        encoded = [
            encode_example(
                example,
                recipe.template,
                chat,
                recipe.objective.loss_on,
                tokenizer,
                recipe.training.max_length,
            )
            for example in read_examples(path)
        ]
        kept = [row for row in encoded if row.trained]
        _write(kept, folder / f"{part}.parquet")
        summaries[part] = TokenSummary(
            rows=len(kept),
            total=sum(len(row.input_ids) for row in kept),
            trained=sum(row.trained for row in kept),
            longest=max((len(row.input_ids) for row in kept), default=0),
            cut=tuple(row.id for row in encoded if row.lost),
            dropped=tuple(row.id for row in encoded if not row.trained),
        )
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


def read_tokens(path: Path) -> dict[str, list[Any]]:
    """{id, input_ids, labels}: one list a column, in the order of the part."""
    import pyarrow.parquet as parquet

    columns: dict[str, list[Any]] = parquet.read_table(path).to_pydict()
    return columns


def _write(rows: Iterable[Encoded], path: Path) -> None:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    rows = list(rows)
    table = arrow.table(
        {
            "id": arrow.array([row.id for row in rows], arrow.string()),
            "input_ids": arrow.array([row.input_ids for row in rows], arrow.list_(arrow.int32())),
            "labels": arrow.array([row.labels for row in rows], arrow.list_(arrow.int32())),
        }
    )
    parquet.write_table(table, path)

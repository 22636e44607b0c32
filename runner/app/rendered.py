"""One example as the model reads it: its tokens, and which of them are trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dsl.chat import CHATML, ChatFormat, Segment
from dsl.recipe import Recipe
from dsl.rows import Example
from dsl.templates import render

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class Model:
    """What turns examples into tokens, of a base in the cache."""

    chat: ChatFormat
    tokenizer: Tokenizer


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the text: a token with its number, or a segment without one. `cut`: it lies
    behind training.max_length and is lost."""

    text: str
    trained: bool
    cut: bool = False
    ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Rendered:
    """`tokens` and `trained` count those that are kept, `lost` what is cut off; None without the
    model's tokenizer."""

    pieces: tuple[Piece, ...]
    tokens: int | None = None
    trained: int | None = None
    lost: int | None = None


def model_of(folder: Path) -> Model:
    """Raises ModelError."""
    from runner.bases import chat_format, tokenizer
    from runner.lock import today

    return Model(chat_format(folder, today()), tokenizer(folder))


def rendered(example: Example, recipe: Recipe, model: Model | None) -> Rendered:
    """Without a model the turns are marked as ChatML has them. Raises TemplateError."""
    chat = model.chat if model else CHATML
    segments = render(example, recipe.template, chat, recipe.objective.loss_on)
    if model is None:
        return Rendered(tuple(Piece(s.text, s.trained) for s in segments))
    return _tokens(segments, model.tokenizer, recipe.training.max_length)


def _tokens(segments: Sequence[Segment], tokenizer: Tokenizer, most: int) -> Rendered:
    from runner.data.tokens import IGNORED, encode, targets

    ids, labels = encode(segments, tokenizer)
    text = "".join(segment.text for segment in segments)
    ends = [end for _, end in tokenizer.encode(text, add_special_tokens=False).offsets]
    pieces: list[Piece] = []
    done = 0
    for place, (token, label, end) in enumerate(zip(ids, labels, ends, strict=True)):
        # the first token is never a target: nothing stands before it
        made = Piece(text[done:end], label != IGNORED and place > 0, place >= most, (token,))
        done = max(done, end)
        last = pieces[-1] if pieces else made
        if not made.text and pieces and (last.trained, last.cut) == (made.trained, made.cut):
            # a character of several tokens stands in the first of them
            pieces[-1] = Piece(last.text, last.trained, last.cut, (*last.ids, token))
        else:
            pieces.append(made)
    kept = labels[:most]
    return Rendered(
        tuple(pieces),
        len(kept),
        targets(kept[1:]),
        len(labels) - len(kept),
    )

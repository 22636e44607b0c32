"""The loaded models of a worker: one base, adapters on it, at most one whole trained model."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from runner.chat.prompt import prompt_text
from runner.chat.protocol import Ask, Done
from runner.chat.subject import Subject
from runner.evals.compare import stop_tokens
from runner.evals.generate import decoding
from runner.train.load import load_model, load_tokenizer, prepare_process

MOST_ADAPTERS = 8
Tell = Callable[[str], None]


class Models:
    """What is in memory. Loading what is there already costs nothing."""

    def __init__(self) -> None:
        self._key: str | None = None
        self._base: Any = None  # as it was loaded, or wrapped by PEFT once an adapter is on it
        self._words: Any = None
        self._stops: list[int] = []
        self._adapters: dict[tuple[Path, int], str] = {}  # the longest unused first
        self._whole: tuple[Path, Any] | None = None
        self._names = count()

    def load(self, subject: Subject, tuned: bool, tell: Tell) -> None:
        """Raises ModelError, OSError, RuntimeError where something does not load or fit."""
        if self._key != subject.key:
            self._load_base(subject, tell)
        if not tuned:
            return
        if subject.adapter:
            self._load_adapter(subject, tell)
        elif self._whole is None or self._whole[0] != subject.weights:
            tell(f"the trained model of {subject.run.id}")
            self._whole = None
            _free()
            model = load_model(subject.recipe, subject.weights, training=False)
            self._whole = (subject.weights, model.eval())

    def answer(
        self,
        subject: Subject,
        ask: Ask,
        piece: Callable[[str], None],
        stopped: Callable[[], bool],
    ) -> Done:
        """The answer of a loaded model, piece by piece; tokens and text as an evaluation has them.

        Raises TemplateError where the turns cannot be put into the recipe's template.
        """
        import torch
        from transformers import StoppingCriteriaList

        from runner.bases import tokenizer

        text = prompt_text(ask.turns, ask.system, subject.recipe.template, subject.chat)
        ids = tokenizer(subject.base).encode(text, add_special_tokens=False).ids
        prompt = ids[-max(1, subject.context - ask.max_new_tokens) :]
        stream = _Stream(self._words, self._stops, piece)
        with self._arm(subject, ask.tuned) as model, torch.inference_mode():
            torch.manual_seed(ask.seed)
            began = time.monotonic()
            output = model.generate(
                input_ids=torch.tensor([prompt], device=model.device),
                attention_mask=torch.ones(1, len(prompt), dtype=torch.long, device=model.device),
                max_new_tokens=ask.max_new_tokens,
                eos_token_id=self._stops,
                pad_token_id=self._words.pad_token_id,
                use_cache=True,
                streamer=stream,
                stopping_criteria=StoppingCriteriaList([_stop_when(stopped)]),
                **decoding(ask.temperature, ask.top_p),
            )
            seconds = time.monotonic() - began
        row = output[0, len(prompt) :].tolist()
        finished = bool(row) and row[-1] in self._stops
        row = row[:-1] if finished else row
        return Done(
            text=self._words.decode(row, skip_special_tokens=True).strip(),
            prompt_tokens=len(prompt),
            left_out=len(ids) - len(prompt),
            tokens=len(row),
            seconds=round(seconds, 3),
            finished=finished,
            stopped=not finished and len(row) < ask.max_new_tokens,
        )

    def clear(self) -> None:
        """Gives all memory back, as after running out of it."""
        self._key = self._base = self._words = self._whole = None
        self._adapters.clear()
        _free()

    def _load_base(self, subject: Subject, tell: Tell) -> None:
        self.clear()
        tell(f"the base model {subject.recipe.model.base}")
        prepare_process(subject.recipe)
        self._words = load_tokenizer(subject.base)
        self._stops = stop_tokens(subject.base, self._words, subject.chat.eos)
        self._base = load_model(subject.recipe, subject.base, training=False).eval()
        self._key = subject.key

    def _load_adapter(self, subject: Subject, tell: Tell) -> None:
        from peft import PeftModel

        key = _version(subject.weights)
        if (name := self._adapters.pop(key, None)) is None:
            tell(f"the adapter of {subject.run.id}")
            name, folder = f"run{next(self._names)}", str(subject.weights)
            if isinstance(self._base, PeftModel):
                self._base.load_adapter(folder, adapter_name=name)
            else:
                self._base = PeftModel.from_pretrained(self._base, folder, adapter_name=name)
            self._base.eval()
        self._adapters[key] = name
        while len(self._adapters) > MOST_ADAPTERS:
            self._base.delete_adapter(self._adapters.pop(next(iter(self._adapters))))

    @contextmanager
    def _arm(self, subject: Subject, tuned: bool) -> Iterator[Any]:
        """The model that is asked: the base is the same load with its adapters switched off."""
        if tuned and not subject.adapter:
            assert self._whole is not None
            yield self._whole[1]
        elif tuned:
            self._base.set_adapter(self._adapters[_version(subject.weights)])
            yield self._base
        elif self._adapters:
            with self._base.disable_adapter():
                yield self._base
        else:
            yield self._base


class _Stream:
    """Hands the text on as it grows; what transformers calls a streamer.

    A piece is held back while it may still change: a character of several tokens ends in U+FFFD
    until it is whole, and a space at the end may be that of an answer which ends here.
    """

    def __init__(self, words: Any, stops: Sequence[int], piece: Callable[[str], None]) -> None:
        self._words, self._stops, self._piece = words, stops, piece
        self._tokens: list[int] = []
        self._sent = ""
        self._prompt = True

    def put(self, value: Any) -> None:
        if self._prompt:
            self._prompt = False  # what comes first is the prompt
            return
        self._tokens += [token for token in value.flatten().tolist() if token not in self._stops]
        text = self._words.decode(self._tokens, skip_special_tokens=True).strip()
        if text.startswith(self._sent) and not text.endswith("\ufffd") and text != self._sent:
            self._piece(text[len(self._sent) :])
            self._sent = text

    def end(self) -> None:
        pass


def _stop_when(stopped: Callable[[], bool]) -> Any:
    from transformers import StoppingCriteria

    class Stop(StoppingCriteria):  # type: ignore[misc]
        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
            import torch

            return torch.full((input_ids.shape[0],), stopped(), device=input_ids.device)

    return Stop()


def _version(weights: Path) -> tuple[Path, int]:
    """An adapter that was written anew is another one."""
    return weights, max(path.stat().st_mtime_ns for path in weights.glob("*.safetensors"))


def _free() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()

"""Questions of several askers to one engine: served in turn, growing while they are looked at."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Literal

from dsl.errors import RecipeError
from runner.chat.engine import Engine
from runner.chat.protocol import Ask, Done, Failed, Loading, Piece, Reply

State = Literal["waiting", "loading", "writing", "done", "failed", "dropped"]
DROPPED = "not asked: it was stopped before"


@dataclass(slots=True)
class Answer:
    """One answer as far as it is there. `what` is being loaded; `died`: the engine did."""

    ask: Ask
    state: State = "waiting"
    text: str = ""
    what: str = ""
    done: Done | None = None
    failed: Failed | None = None
    died: bool = False

    @property
    def going(self) -> bool:
        return self.state in ("waiting", "loading", "writing")


@dataclass(slots=True)
class Order:
    """One question to one or more models; they answer one after the other."""

    number: int
    answers: tuple[Answer, ...]
    wish: threading.Event = field(default_factory=threading.Event)

    @property
    def going(self) -> bool:
        return any(answer.going for answer in self.answers)


class Desk:
    """Takes orders and has one engine answer them, first come, first served."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._orders: SimpleQueue[Order] = SimpleQueue()
        self._open: list[Order] = []
        self._count = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._serve, daemon=True).start()

    def order(self, asks: Sequence[Ask]) -> Order:
        with self._lock:
            self._count += 1
            made = Order(self._count, tuple(Answer(ask) for ask in asks))
            self._open.append(made)
        self._orders.put(made)
        return made

    def ahead(self, order: Order) -> int:
        """Orders that are served before this one."""
        return sum(other.number < order.number for other in self._open)

    def stop(self, order: Order) -> None:
        """Ends the answer that is being written; those that wait are not asked."""
        order.wish.set()
        if any(answer.state in ("loading", "writing") for answer in order.answers):
            self.engine.stop()

    def _serve(self) -> None:
        while True:
            order = self._orders.get()
            for answer in order.answers:
                if order.wish.is_set():
                    answer.failed, answer.state = Failed(DROPPED), "dropped"
                else:
                    self._answer(order, answer)
            with self._lock:
                self._open.remove(order)

    def _answer(self, order: Order, answer: Answer) -> None:
        answer.state = "loading"
        try:
            for reply in self.engine.answer(answer.ask):
                _take(answer, reply)
                if order.wish.is_set():
                    self.engine.stop()  # it may have been wished for before the engine had it
        except RecipeError as error:
            answer.died = True
            order.wish.set()  # the next model would meet the same end
            _take(answer, Failed(error.message, error.hint))


def _take(answer: Answer, reply: Reply) -> None:
    """The state is set last: who sees it finds the rest in its place."""
    match reply:
        case Loading(what):
            answer.what, answer.state = what, "loading"
        case Piece(text):
            answer.text, answer.state = answer.text + text, "writing"
        case Done():
            answer.text, answer.done, answer.state = reply.text, reply, "done"
        case Failed():
            answer.failed, answer.state = reply, "failed"

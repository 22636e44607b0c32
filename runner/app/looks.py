"""Work on data beside the pages: it goes on in a thread while pages come and go, and its answer is
kept for as long as what it was made from stays as it is."""

from __future__ import annotations

import atexit
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from dsl.errors import Interrupted, RecipeError

KEPT = 16  # answers
CLOSING_SECONDS = 30  # for a query that goes on
Answer = TypeVar("Answer")


@dataclass(slots=True)
class Look(Generic[Answer]):
    """One look, going on or ended: then with an answer or an error, or neither where it was stopped
    or broke off. `said`: what is being done now."""

    depth: str
    began: float = field(default_factory=time.monotonic)
    said: str = "waiting for another look to end"
    answer: Answer | None = None
    error: RecipeError | None = None
    stopping: bool = False
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def tell(self, what: str) -> None:
        """Hears what is being done. Raises Interrupted once the look is to stop."""
        self.said = what
        if self.stopping:
            raise Interrupted("stopped")


Task = Callable[[Look[Answer]], Answer | None]


class Looks(Generic[Answer]):
    """The looks of one server: one at a time, since each takes all cores."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[object, str], Look[Answer]] = OrderedDict()
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        atexit.register(self.close)

    def close(self) -> None:
        """Ends all looks: a thread inside a query must not outlive the interpreter."""
        with self._lock:
            looks = list(self._known.values())
        for look in looks:
            look.stopping = True
        for look in looks:
            look.ended.wait(CLOSING_SECONDS)

    def find(self, key: object, depth: str) -> Look[Answer] | None:
        """The last look at this content."""
        with self._lock:
            return self._known.get((key, depth))

    def start(self, key: object, depth: str, task: Task[Answer]) -> Look[Answer]:
        """The look at what `key` stands for: one that goes on or has an answer, else a new one,
        which is what `task` answers."""
        with self._lock:
            known = self._known.get((key, depth))
            going = known and not known.stopping and not known.ended.is_set()
            if known and (going or known.answer is not None):
                return known
            look = Look[Answer](depth)
            self._known[key, depth] = look
            while len(self._known) > KEPT:
                self._known.popitem(last=False)[1].stopping = True
        threading.Thread(target=self._go, args=(look, task), daemon=True).start()
        return look

    def _go(self, look: Look[Answer], task: Task[Answer]) -> None:
        try:
            with self._turn:
                look.tell("reading")
                look.answer = task(look)
        except RecipeError as error:
            look.error = None if look.stopping else error
        finally:
            look.ended.set()  # whatever happened: a page waits for it

"""A curve of any length in few spans: the mean of each stretch, its lowest and its highest.

A peak of one step among 50,000 still shows. Adding a point costs the same however many there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SPANS = 600  # about one for each pixel of a chart


@dataclass(frozen=True, slots=True)
class Span:
    """`count` neighbouring points summed up; it stands at the last of their steps."""

    step: float
    mean: float
    low: float
    high: float
    count: int = 1

    def with_next(self, after: Span) -> Span:
        count = self.count + after.count
        mean = self.mean + (after.mean - self.mean) * after.count / count
        low, high = min(self.low, after.low), max(self.high, after.high)
        return Span(after.step, mean, low, high, count)


@dataclass(slots=True)
class Curve:
    """Points come by their steps. `every` of them make a span; `last` is the newest, as it was."""

    every: int = 1
    last: tuple[float, float] | None = None
    _kept: list[Span] = field(default_factory=list)
    # the span that is not full yet, in plain numbers: a point a step comes by for 50,000 steps
    _count: int = 0
    _total: float = 0.0
    _low: float = 0.0
    _high: float = 0.0

    def add(self, step: float, value: float) -> None:
        if self.last and step <= self.last[0]:
            self._cut(step)
        self.last = step, value
        if self._count:
            self._count += 1
            self._total += value
            if value < self._low:
                self._low = value
            elif value > self._high:
                self._high = value
        else:
            self._count, self._total, self._low, self._high = 1, value, value, value
        if self._count >= self.every:
            self._close()

    def spans(self) -> list[Span]:
        """At most 600, by step; the last one ends at the newest point."""
        return [*self._kept, *self._open()]

    def _open(self) -> list[Span]:
        if not self._count or self.last is None:
            return []
        mean = self._total / self._count
        return [Span(self.last[0], mean, self._low, self._high, self._count)]

    def _close(self) -> None:
        self._kept += self._open()
        self._count = 0
        if len(self._kept) == SPANS:
            pairs = zip(self._kept[::2], self._kept[1::2], strict=True)
            self._kept = [left.with_next(right) for left, right in pairs]
            self.every *= 2

    def _cut(self, step: float) -> None:
        """Training went back to a checkpoint: what came after it is void."""
        self._kept = [span for span in self._kept if span.step < step]
        self._count = 0

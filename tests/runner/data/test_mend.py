"""LaTeX that lost its backslashes to an escape gets them back; other control characters go."""

from __future__ import annotations

import json

import pytest

from runner.data.fixes import Decision, changed, mend

# written in Python or JSON with one backslash too few → as it was meant
MEANT = {
    "\frac{xy}{19}": r"\frac{xy}{19}",
    "(A)\\(\frac12\\) \forall x": r"(A)\(\frac12\) \forall x",
    "\beta_1 + \bar{x} \begin{pmatrix}": r"\beta_1 + \bar{x} \begin{pmatrix}",
    "\alpha \approx \vec v": r"\alpha \approx \vec v",
    r"\frac{xy}{19} stays": r"\frac{xy}{19} stays",
}
GONE = {
    "page 1\fraces are run here": "page 1races are run here",
    "page 1\fChapter 2": "page 1Chapter 2",
    "bell\a, back\b and \b": "bell, back and ",
}


@pytest.mark.parametrize("text", [*MEANT, *GONE])
def test_mend(text: str) -> None:
    good = (MEANT | GONE)[text]
    assert mend(text) == good
    assert mend(good) == good


def test_a_row_is_mended() -> None:
    raw = json.dumps({"prompt": "Halve x.", "completion": "It is \frac{x}{2}."})
    found = Decision("changed", (("encoding", "control character: U+000C"),))
    made = changed(raw, {"prompt": "prompt", "completion": "completion"}, found)
    assert made is not None
    assert json.loads(made[0]) == {"prompt": "Halve x.", "completion": r"It is \frac{x}{2}."}

"""The language of a row is that of its answer; that of its prompt where the answer is short."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

PLAIN = [
    {
        "prompt": f"How do I get to the harbour from stop number {n}?",
        "completion": f"Take line {n} to the market, then walk down the hill to the water.",
    }
    for n in range(40)
]
TRANSLATED = {
    "prompt": "Abdulah este mândrul proprietar al unei companii dintr-un orăşel situat pe malul "
    "râului, lângă frontiera cu Serbia, în estul Bosniei.\n\nTranslate to English.",
    "completion": "Abdulah is the proud owner of a company in a small town on the river.",
}
FOREIGN = {
    "prompt": "Say in Romanian: parents have the main responsibility for raising their children.",
    "completion": "Părinții au responsabilitatea principală pentru educarea copiilor lor.",
}
SHORT = {
    "prompt": "Cum ajung în port de la gara centrală, dacă vreau să merg pe jos prin parc?",
    "completion": "Pe jos.",
}


def test_language_of_rows(see: Callable[..., Any]) -> None:
    rows = [*PLAIN, TRANSLATED, FOREIGN, SHORT]
    found = see({"train": rows}, "full", only=("language",))
    lines = {int(id.rpartition(":")[2]): str(note) for id, note in found.found["language"]}
    assert list(lines) == [42, 43]
    assert all(note.startswith("ro: ") for note in lines.values())
    assert "Părinții" in lines[42]

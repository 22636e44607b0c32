"""What others need for the same questions, each in a process of its own, in one run with ours.

    python benchmarks/data_peers.py [--rows 1000000] [--near-rows 100000] [--rounds 1]

Needs pandas, datasets and datasketch beside the project. First: how many rows, how many blank, how
many byte-for-byte duplicates, quantiles of the lengths; answers must be equal. Then: near
duplicates, by datasketch on fewer rows, because a million take it minutes; its time at a million is
scaled in proportion, which is kind to it. Ours does all its other checks in the time shown. The
files hold no malformed line and no late key, on which pandas and datasets give up.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

from data_engine import SIMILAR, Plants, counts
from fresh_process import Cost, generated, measured, plants_of

QUANTILES = (0.5, 0.9, 0.99)
PERMUTATIONS = 64
BANDS = (16, 4)  # of so many bands of so many rows: recall like ours


def main(rows: int, near_rows: int, rounds: int, folder: Path) -> None:
    ask_all(generated(rows, folder, readable=True), rounds)
    print()
    find_near(generated(near_rows, folder, readable=True), near_rows, rounds)


def ask_all(path: Path, rounds: int) -> None:
    print(f"{path.stat().st_size / 1e6:.0f} MB: rows, blanks, duplicates, quantiles of the lengths")
    contenders: dict[str, list[object]] = {
        "newlines": ["data_once.py", "newlines", path],
        "ours, quick": ["data_once.py", "quick", path, "--lengths"],
        **{peer: ["data_peers.py", "--one", peer, path] for peer in ASKED},
    }
    costs: dict[str, list[Cost]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, (script, *arguments) in contenders.items():
            costs[name].append(measured(str(script), arguments))
    for name, told in costs.items():
        print(cost_line(name, told), told[0].answer.get("answers", ""))
    given = [told[0].answer["answers"] for name, told in costs.items() if name != "newlines"]
    print("answers", "equal" if all(one == given[0] for one in given) else "DIFFER")


def find_near(path: Path, rows: int, rounds: int) -> None:
    plants: Plants = json.loads(plants_of(path).read_text())["plants"]
    wanted = {p["line"] for p in plants["near_duplicates"] if counts("near_duplicates", p)}
    print(f"{rows:,} rows: near duplicates, {len(wanted):,} planted")
    contenders: dict[str, list[object]] = {
        "ours, full": ["data_once.py", "full"],
        "datasketch": ["data_peers.py", "--one", "datasketch"],
    }
    for name, (script, *arguments) in contenders.items():
        with tempfile.TemporaryDirectory() as scratch:
            found = Path(scratch) / "found.json"
            options = [*arguments, path, "--found", found]
            told = [measured(str(script), options) for _ in range(rounds)]
            lines = set(json.loads(found.read_text()).get("near_duplicates", ()))
        recall = len(lines & wanted) / len(wanted)
        print(cost_line(name, told), f"recall {recall:.2%}", told[0].answer.get("pairs", ""))
        cpu = min(cost.cpu_seconds for cost in told) * 1_000_000 / rows
        print(f"{'':<16} in proportion {cpu:.0f} CPU s for 1,000,000 rows")


def cost_line(name: str, told: list[Cost]) -> str:
    """The whole process, interpreter and imports included; the least of the rounds."""
    wall = min(cost.wall_seconds for cost in told)
    cpu = min(cost.cpu_seconds for cost in told)
    peak = max(cost.peak_bytes for cost in told)
    return f"{name:<16} {wall:8.2f} s {cpu:8.2f} CPU s {peak / 1e6:8.0f} MB "


# ---------------------------------------------------------------- the questions

# [rows, blank, duplicates, quantiles of the prompt's characters, of the answer's]
Answers = list[Any]


def answers(blank: int, duplicates: int, prompts: Any, completions: Any) -> Answers:
    """Lengths of every row's prompt and answer; a quantile is a length that occurs."""
    import numpy as np

    quantiles = [
        np.quantile(np.asarray(lengths, np.int64), QUANTILES, method="inverted_cdf").tolist()
        for lengths in (prompts, completions)
    ]
    return [len(prompts), blank, duplicates, *quantiles]


def with_pandas(path: Path, **options: Any) -> Answers:
    pandas: Any = import_module("pandas")
    frame = pandas.read_json(path, lines=True, **options)
    prompts = frame["instruction"].where(
        frame["input"] == "", frame["instruction"] + "\n\n" + frame["input"]
    )
    blank = (prompts.str.strip() == "") | (frame["output"].str.strip() == "")
    duplicates = frame.duplicated(["instruction", "input", "output"])
    return answers(
        int(blank.sum()), int(duplicates.sum()), prompts.str.len(), frame["output"].str.len()
    )


def with_pandas_on_arrow(path: Path) -> Answers:
    return with_pandas(path, engine="pyarrow", dtype_backend="pyarrow")


def with_datasets(path: Path) -> Answers:
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    datasets: Any = import_module("datasets")
    seen: set[tuple[str, str]] = set()
    blank, prompts, completions = 0, [], []
    with tempfile.TemporaryDirectory() as scratch:
        rows = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=scratch)
        for row in rows:
            prompt, completion = prompt_of(row), row["output"]
            blank += not prompt.strip() or not completion.strip()
            prompts.append(len(prompt))
            completions.append(len(completion))
            seen.add((prompt, completion))
    return answers(blank, len(prompts) - len(seen), prompts, completions)


def prompt_of(row: dict[str, str]) -> str:
    return f"{row['instruction']}\n\n{row['input']}" if row["input"] else row["instruction"]


# ---------------------------------------------------------------- near duplicates


def with_datasketch(path: Path, found: Path) -> str:
    """MinHash of pairs of words, banded, and every candidate pair verified as ours verifies it.
    Exact duplicates are left out first. Writes the later line of each pair."""
    from rapidfuzz.distance import Indel

    datasketch: Any = import_module("datasketch")
    lookup = datasketch.MinHashLSH(num_perm=PERMUTATIONS, params=BANDS)
    empty = datasketch.MinHash(num_perm=PERMUTATIONS)  # a copy is cheaper than a new one
    texts: dict[int, tuple[str, str]] = {}
    candidates = 0
    pairs: list[tuple[int, int]] = []
    for line, text in distinct_rows(path):
        signature = empty.copy()
        signature.update_batch(shingles(text))
        texts[line] = text
        for other in lookup.query(signature):
            candidates += 1
            sides = zip(text, texts[other], strict=True)
            if all(Indel.normalized_similarity(a, b, score_cutoff=SIMILAR) for a, b in sides):
                pairs.append((other, line))
        lookup.insert(line, signature, check_duplication=False)
    found.write_text(json.dumps({"near_duplicates": sorted({later for _, later in pairs})}))
    return f"{candidates:,} candidate pairs, {len(pairs):,} verified"


def distinct_rows(path: Path) -> Iterator[tuple[int, tuple[str, str]]]:
    """(line, normalised prompt and answer), the first of equal ones."""
    seen: set[tuple[str, str]] = set()
    with path.open("rb") as file:
        for line, raw in enumerate(file, 1):
            row = json.loads(raw)
            text = (plain(prompt_of(row)), plain(row["output"]))
            if text not in seen:
                seen.add(text)
                yield line, text


def plain(text: str) -> str:
    return " ".join(text.lower().split())


def shingles(text: tuple[str, str]) -> list[bytes]:
    words = " ".join(text).encode().split(b" ")
    return [b" ".join(pair) for pair in pairwise(words)]


ASKED: dict[str, Callable[[Path], Answers]] = {
    "pandas": with_pandas,
    "pandas on arrow": with_pandas_on_arrow,
    "datasets": with_datasets,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--near-rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1)
    folder = Path(tempfile.gettempdir()) / "recipe-benchmarks"
    parser.add_argument("--folder", type=Path, default=folder)
    # how this file starts itself
    parser.add_argument("--one", nargs=2, metavar=("PEER", "PATH"), help=argparse.SUPPRESS)
    parser.add_argument("--found", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is None:
        main(given.rows, given.near_rows, given.rounds, given.folder)
    elif given.one[0] == "datasketch":
        print(json.dumps({"pairs": with_datasketch(Path(given.one[1]), given.found)}))
    else:
        print(json.dumps({"answers": ASKED[given.one[0]](Path(given.one[1]))}))

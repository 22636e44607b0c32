"""fix(...) → a cleaned copy of a recipe's data beside it, and a list of every row that differs.

Rules are applied, the copy is judged as the original was, and so on until nothing is left to do:
a row that goes may move others to another part. Originals are only read. The copy appears whole,
under its own name, or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from orjson import JSONDecodeError, loads

from dsl.edit import apply
from dsl.errors import DataError, RecipeError
from dsl.problems import Change, dotted, lookup, remove, set_value
from dsl.problems import Path as RecipePath
from dsl.source import Source
from runner.data.checks import Finding
from runner.data.files import scanning
from runner.data.fixes import Decision, Decisions, changed, decide, left
from runner.data.originals import originals
from runner.data.scan import Opened

if TYPE_CHECKING:
    from runner.data.prepare import Prepared

# a recipe's text, and the folder it would lie in → its data, judged in full
Judge = Callable[[str, Path], AbstractContextManager["Prepared"]]

CHANGES = "changes.jsonl"
ROUNDS = 10
FETCHED_AT_ONCE = 5_000
# endings that say how rows were written; the copies are all JSONL
ENDINGS = (
    ".gz", ".zst", ".zstd", ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow",
    ".feather", ".ipc", ".db", ".duckdb", ".sqlite", ".sqlite3",
)  # fmt: skip
# what a source of another type has and a file has not
OF_OTHER_TYPES = ("type", "query", "dataset", "config", "split", "revision", "token")


@dataclass(frozen=True, slots=True)
class Fixed:
    """What a fix did. kept + dropped = rows that were read; blank lines are none.

    `by_check`: check → rows dropped or changed for it. `left`: check → why the rest is left.
    """

    folder: Path
    recipe: Path
    kept: int
    dropped: int
    changed: int
    by_check: Mapping[str, int]
    before: tuple[Finding, ...]
    after: tuple[Finding, ...]
    left: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "recipe": str(self.recipe),
            "kept": self.kept,
            "dropped": self.dropped,
            "changed": self.changed,
            "by_check": dict(self.by_check),
            "left": dict(self.left),
        }


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the copy does with the original rows, by index of the file.

    `origins`: for every line of the copy, its line in the original.
    """

    origins: dict[int, array[int]] = field(default_factory=dict)
    decisions: Decisions = field(default_factory=dict)

    def note(self, index: int, line: int, decision: Decision) -> None:
        known = self.decisions.setdefault(index, {})
        known[line] = known[line].and_then(decision) if line in known else decision

    def count(self, action: str) -> int:
        return sum(d.action == action for lines in self.decisions.values() for d in lines.values())

    def by_check(self) -> dict[str, int]:
        every = (decision for lines in self.decisions.values() for decision in lines.values())
        return dict(Counter(check for decision in every for check, _ in decision.reasons))


def fix(before: Prepared, source: Source, into: Path, judge: Judge) -> Fixed | None:
    """Writes the folder `into`: the files, changes.jsonl, and the recipe under its own name.

    `before` is the data of the recipe `source`, which lies where `into` does, judged in full.
    None, and nothing written, where no rule has anything to do. Raises RecipeError where `into`
    holds something, DataError where a source would have no row left.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise RecipeError(f"{into} is there already", "move it away: nothing is written over")
    targets = _targets(before.rows.opened)
    text = _recipe(source, before.rows.opened, targets, into)
    ledger, copy = Ledger(), None
    with _beside(into) as folders, ExitStack() as judged:
        prepared, after = before, before.findings
        for folder in folders:
            if not _write(prepared, decide(prepared), targets, folder, ledger):
                break
            judged.close()
            copy = folder
            prepared = judged.enter_context(judge(text, folder))
        if copy is None:
            return None
        after, remaining = prepared.findings, tuple(left(prepared))
        judged.close()
        _write_changes(before, ledger, copy / CHANGES)
        recipe = f"{Path(source.name).stem}.json"
        (copy / recipe).write_text(text, "utf-8")
        copy.replace(into)
    read = sum(report.records - report.blank for report in before.reports)
    dropped = ledger.count("dropped")
    return Fixed(
        into, into / recipe, read - dropped, dropped, ledger.count("changed"), ledger.by_check(),
        before.findings, after, remaining,
    )  # fmt: skip


# ---------------------------------------------------------------- names


def _targets(opened: Sequence[Opened]) -> dict[int, PurePosixPath]:
    """Index of a file → the path of its copy, of which no two are the same.

    A source of one file keeps its name; one of several gets a folder.
    """
    targets: dict[int, PurePosixPath] = {}
    for one in opened:
        together = [other for other in opened if other.path == one.path]
        name = PurePosixPath(one.file.name)
        place = PurePosixPath()
        if len(together) > 1:
            place = PurePosixPath("-".join(map(str, one.path[1:])))
        elif not name.is_absolute() and one.file.query is None:
            place = name.parent
        stem = _stem(name.name)
        target, number = place / f"{stem}.jsonl", 2
        while target in targets.values() or str(target) == CHANGES:
            target, number = place / f"{stem}-{number}.jsonl", number + 1
        targets[one.index] = target
    return targets


def _stem(name: str) -> str:
    stem = PurePosixPath(name)
    while stem.suffix.lower() in ENDINGS:
        stem = stem.with_suffix("")
    return str(stem)


def _recipe(
    source: Source, opened: Sequence[Opened], targets: Mapping[int, PurePosixPath], into: Path
) -> str:
    """The recipe's text, pointed at the copies; its layout is kept."""
    text = source.text
    if source.language != "json":
        text = json.dumps(source.values, indent=2, ensure_ascii=False) + "\n"
    patch: list[Change] = []
    for path in dict.fromkeys(one.path for one in opened):
        indices = [one.index for one in opened if one.path == path]
        target = targets[indices[0]]
        place = target if len(indices) == 1 else target.parent
        declared = lookup(source.values, path)
        patch += [remove((*path, key)) for key in OF_OTHER_TYPES if key in declared]
        patch.append(set_value((*path, "path"), str(place)))
    for path in (("$schema",), ("model", "base")):
        value = lookup(source.values, path)
        if isinstance(value, str) and value.startswith(("./", "../")):
            moved = os.path.relpath(into.parent / value, into)
            patch.append(set_value(path, Path(moved).as_posix()))
    return apply(text, "json", patch)


# ---------------------------------------------------------------- rows


def _write(
    prepared: Prepared,
    decisions: Decisions,
    targets: Mapping[int, PurePosixPath],
    folder: Path,
    ledger: Ledger,
) -> int:
    """Writes the copy of every file; returns how many rows were dropped or changed."""
    if not any(decisions.values()):
        return 0
    acted = 0
    kept: Counter[RecipePath] = Counter()
    names = {str(target): index for index, target in targets.items()} if ledger.origins else {}
    for opened in prepared.rows.opened:
        index = names.get(opened.file.name, opened.index)
        rows, acts = _write_file(
            prepared, opened, decisions[opened.index], folder / targets[index], index, ledger
        )
        kept[opened.path] += rows
        acted += acts
    for path, rows in kept.items():
        if not rows:
            hint = "see what 'recipe check' says of it"
            raise DataError(f"{dotted(path)}: no row would be left", hint)
    return acted


def _write_file(
    prepared: Prepared,
    opened: Opened,
    decisions: Mapping[int, Decision],
    target: Path,
    index: int,
    ledger: Ledger,
) -> tuple[int, int]:
    """(rows kept, rows dropped or changed). A file without a row left is not written."""
    # a row that cannot be used has no place in a copy, whatever the check of it may do
    unusable = {
        line: Decision("dropped", (("malformed", why),))
        for line, why in prepared.connection.execute(
            "select line, refusal from refused where source = ?", [opened.index]
        ).fetchall()
    }
    before, origin = ledger.origins.get(index), array("q")
    acted = 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", encoding="utf-8", newline="\n") as out:
        for line, raw in _rows(prepared, opened.index):
            at = line if before is None else before[line - 1]
            decision = decisions.get(line) or unusable.get(line)
            if decision and decision.action == "changed":
                made = changed(raw, opened.found.roles, decision)
                raw, decision = made or (raw, None)
            if decision:
                ledger.note(index, at, decision)
                acted += 1
            if not decision or decision.action == "changed":
                out.write(raw.strip() + "\n")
                origin.append(at)
    ledger.origins[index] = origin
    if not origin:
        target.unlink()
    return len(origin), acted


def _rows(prepared: Prepared, index: int) -> Iterator[tuple[int, str]]:
    """(line, text) of every record of a file, in order; '' where it could not be read."""
    with scanning():
        found = prepared.connection.execute(
            f"select line, coalesce(raw, '') from lines_{index}"
            " where raw is not null or reason is not null"
        )
        while some := found.fetchmany(FETCHED_AT_ONCE):
            yield from some


def _write_changes(before: Prepared, ledger: Ledger, path: Path) -> None:
    """One object a row that differs, with the row as it was. Others may not read the file: it
    holds what was dropped for being secret."""
    path.touch(mode=0o600)
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for opened in before.rows.opened:
            decisions = ledger.decisions.get(opened.index, {})
            for line, id, raw in _decided(before, opened, sorted(decisions)):
                decision = decisions[line]
                told = {
                    "source": opened.file.name,
                    "line": line,
                    "id": id,
                    "action": decision.action,
                    "check": ", ".join(check for check, _ in decision.reasons),
                    "why": "; ".join(why for _, why in decision.reasons),
                }
                head = json.dumps(told, ensure_ascii=False)
                out.write(f'{head[:-1]}, "row": {raw}}}\n')


def _decided(before: Prepared, opened: Opened, lines: list[int]) -> list[tuple[int, str, str]]:
    """(line, id, the record as JSON) of these lines."""
    if not lines:
        return []
    with scanning():
        found = before.connection.execute(
            f"select line, id, raw from (from lines_{opened.index} where line in"
            " (select unnest(?::bigint[]))) left join"
            f" (select line, id from final where source = {opened.index} and copy = 0) using (line)"
            " order by line",
            [lines],
        ).fetchall()
    unread = originals(opened.file, frozenset(line for line, _, raw in found if raw is None))
    return [
        (line, id or f"{opened.file.name}:{line}", _as_json(raw, unread.get(line)))
        for line, id, raw in found
    ]


def _as_json(raw: str | None, unread: Any) -> str:
    if raw is None:
        return json.dumps(unread, ensure_ascii=False)
    try:
        loads(raw)
    except JSONDecodeError:
        return json.dumps(raw.rstrip("\r\n"), ensure_ascii=False)
    return raw.strip().replace("\n", " ")


@contextmanager
def _beside(into: Path) -> Iterator[Iterator[Path]]:
    """Folders for one copy after another, in the place of `into`; each goes when the next is
    asked for, and the last one unless it was renamed."""
    made: list[Path] = []

    def folders() -> Iterator[Path]:
        for number in range(ROUNDS):
            if len(made) > 1:  # the copy before is still read while the next is written
                shutil.rmtree(made[-2])
            made.append(into.with_name(f".{into.name}.{os.getpid()}.{number}"))
            yield made[-1]

    try:
        yield folders()
    finally:
        for folder in made:
            shutil.rmtree(folder, ignore_errors=True)

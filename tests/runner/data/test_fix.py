"""--fix: what each rule drops or changes, that nothing is lost, and that twice is once."""

from __future__ import annotations

import csv
import gzip
import json
import random
import sqlite3
import string
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsl.errors import DataError, RecipeError
from dsl.rules import RULES
from runner.audit import Audit, audit
from runner.data import files
from runner.data.checks import CHECKS
from runner.data.fix import CHANGES, fix
from runner.data.fixes import FIXES, LEFT, Decision, Drop, changed, mend
from runner.data.look import Asked
from runner.read import checked, read

# every check costs time
ON = ("malformed", "missing", "duplicates", "encoding", "secrets", "placeholders")
# put together here, so that no text that looks like a key stands in the file
TOKEN = (
    "sk_" + "live_" + "".join(random.Random(1).choices(string.ascii_letters + "0123456789", k=32))
)


def plain(seed: int, count: int) -> list[dict[str, Any]]:
    """Rows that no check minds: of random words, all unlike."""
    rng = random.Random(seed)

    def words(number: int) -> str:
        made = ("".join(rng.choices("bcdfglmnprst" + "aeiou" * 2, k=7)) for _ in range(number))
        return " ".join(made)

    return [{"prompt": f"{words(6)}?", "completion": f"{words(9)}."} for _ in range(count)]


def recipe_for(folder: Path, data: dict[str, Any], on: tuple[str, ...] = ON) -> Path:
    checks = {check: "off" for check in CHECKS if check not in on} | data.get("checks", {})
    data = {**data, "checks": checks}
    values = {"name": "tiny", "model": {"base": "smollm2-135m-instruct"}, "data": data}
    path = folder / "tiny.json"
    path.write_text(json.dumps(values, indent=2), "utf-8")
    return path


def write_rows(path: Path, rows: Sequence[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def read_rows(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def mended(path: Path) -> Audit:
    return audit(path, (), (), False, Asked(), "full", True)


def one_file(folder: Path, rows: Sequence[Any], on: tuple[str, ...] = ON) -> Audit:
    write_rows(folder / "rows.jsonl", rows)
    return mended(recipe_for(folder, {"train": [{"path": "rows.jsonl"}]}, on))


ONE, OTHER = plain(1, 2)
# check → rows after 60 plain ones, what is done about the last of them, what becomes of it
PLANTS: dict[str, tuple[list[Any], str, Any]] = {
    "malformed": ([b'{"prompt": "cut o'], "dropped", '{"prompt": "cut o'),
    "missing": ([{"prompt": ONE["prompt"], "completion": "  "}], "dropped", None),
    "duplicates": ([ONE, {**ONE, "prompt": ONE["prompt"].upper()}], "dropped", None),
    "secrets": ([{**ONE, "completion": f"use {TOKEN} for it"}], "dropped", None),
    "encoding": (
        [{**ONE, "completion": f"le cafÃ© est\u200b prêt, {OTHER['completion']}"}],
        "changed",
        f"le café est prêt, {OTHER['completion']}",
    ),
}


@pytest.mark.parametrize("check", PLANTS)
def test_each_rule(check: str, tmp_path: Path) -> None:
    planted, action, becomes = PLANTS[check]
    rows = [*plain(2, 60), *planted]
    fixed = one_file(tmp_path, rows).fixed
    assert fixed is not None
    (change,) = read_rows(fixed.folder / CHANGES)
    place = {"source": "rows.jsonl", "line": len(rows), "id": f"rows.jsonl:{len(rows)}"}
    assert {key: change[key] for key in place} == place
    assert (change["action"], change["check"]) == (action, check)
    assert change["why"]
    before = rows[-1]
    kept = read_rows(fixed.folder / "rows.jsonl")
    if isinstance(before, bytes):
        assert change["row"] == becomes
    else:
        assert change["row"] == before
    if action == "dropped":
        assert kept == rows[:-1]
        assert (fixed.kept, fixed.dropped, fixed.changed) == (len(rows) - 1, 1, 0)
    else:
        assert kept == [*rows[:-1], {**before, "completion": becomes}]
        assert (fixed.kept, fixed.dropped, fixed.changed) == (len(rows), 0, 1)
    assert fixed.by_check == {check: 1}
    counts = {finding.check: finding.count for finding in fixed.after}
    assert counts[check] == 0


def test_a_clean_file_is_left_alone(tmp_path: Path) -> None:
    found = one_file(tmp_path, plain(3, 60))
    assert found.fixed is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.jsonl", "tiny.json"]


def test_what_a_check_lets_pass_is_not_fixed(tmp_path: Path) -> None:
    rows = plain(4, 60)
    write_rows(tmp_path / "rows.jsonl", [*rows, rows[0]])
    strict, lax = {"warn_above": 0}, {"warn_above": 0.5, "error_above": 0.6}
    for limits in ("off", lax, strict):
        data = {"train": [{"path": "rows.jsonl"}], "checks": {"duplicates": limits}}
        fixed = mended(recipe_for(tmp_path, data, ())).fixed
        assert (fixed is not None) == (limits is strict)


def test_placeholders_alone_are_emptied_where_a_part_may_be_empty(tmp_path: Path) -> None:
    rows = [
        {"instruction": row["prompt"], "input": "", "output": row["completion"]}
        for row in plain(5, 60)
    ]
    rows[7]["input"] = "<noinput>"
    rows[8]["output"] = "N/A"
    rows[9]["input"] = "Dear {{name}}, hello"
    fixed = one_file(tmp_path, rows).fixed
    assert fixed is not None
    kept = read_rows(fixed.folder / "rows.jsonl")
    assert kept == [{**row, "input": ""} if row is rows[7] else row for row in rows]
    assert dict(fixed.left)["placeholders"].startswith("only you know")


def test_labels_get_their_usual_spelling(tmp_path: Path) -> None:
    rows = [
        {"text": row["prompt"], "label": "yes" if n % 2 else "no", "n": n}
        for n, row in enumerate(plain(6, 60))
    ]
    rows[3]["label"], rows[5]["label"] = "Yes.", " YES -> (1 row)"
    fixed = one_file(tmp_path, rows, ("label_variants",)).fixed
    assert fixed is not None
    labels = [row["label"] for row in read_rows(fixed.folder / "rows.jsonl")]
    assert labels == ["yes" if n % 2 and n != 5 else rows[n]["label"] for n in range(60)]


def test_a_declared_test_file_stays_whole(tmp_path: Path) -> None:
    train, test = plain(7, 60), plain(8, 20)
    copy = {**test[4], "completion": plain(9, 1)[0]["completion"]}
    write_rows(tmp_path / "rows.jsonl", [*train, copy])
    write_rows(tmp_path / "held.jsonl", test)
    data = {"train": [{"path": "rows.jsonl"}], "test": [{"path": "held.jsonl"}]}
    fixed = mended(recipe_for(tmp_path, data, ("leakage",))).fixed
    assert fixed is not None
    assert read_rows(fixed.folder / "held.jsonl") == test
    assert read_rows(fixed.folder / "rows.jsonl") == train
    (change,) = read_rows(fixed.folder / CHANGES)
    assert (change["check"], change["line"], change["row"]) == ("leakage", 61, copy)
    assert change["why"] == "same prompt as held.jsonl:5 in test"


def nearly(row: dict[str, Any]) -> dict[str, Any]:
    return {key: text.replace("a", "o", 1) + " Indeed" for key, text in row.items()}


def test_near_copies_go_and_a_declared_test_file_stays_whole(tmp_path: Path) -> None:
    train, test = plain(18, 60), plain(19, 20)
    close = nearly(test[4])
    write_rows(tmp_path / "rows.jsonl", [*train, nearly(train[3]), close])
    write_rows(tmp_path / "held.jsonl", test)
    data = {"train": [{"path": "rows.jsonl"}], "test": [{"path": "held.jsonl"}]}
    on = ("near_duplicates", "near_leakage")
    recipe = recipe_for(tmp_path, data | {"checks": {"near_duplicates": {"warn_above": 0}}}, on)
    fixed = mended(recipe).fixed
    assert fixed is not None
    assert read_rows(fixed.folder / "held.jsonl") == test
    assert read_rows(fixed.folder / "rows.jsonl") == train
    assert [c["row"] for c in read_rows(fixed.folder / CHANGES)] == [nearly(train[3]), close]


@pytest.mark.parametrize("more", [(), ("near_duplicates",)])
def test_of_near_rows_that_a_split_parts_one_stays(more: tuple[str, ...], tmp_path: Path) -> None:
    rows = plain(20, 60)
    twins = [nearly(row) for row in rows[:12]]
    fixed = one_file(tmp_path, [*rows, *twins], ("near_leakage", *more)).fixed
    assert fixed is not None
    kept = read_rows(fixed.folder / "rows.jsonl")
    assert all((row in kept) or (twin in kept) for row, twin in zip(rows, twins, strict=False))
    assert {f.check: f.count for f in fixed.after}["near_leakage"] == 0
    if more:
        assert kept == rows


# Nothing lost ----------------------------------------------------------------------------------

POOL = plain(10, 70)
JUNK = (b"not JSON", b"[1, 2]", b"\xff\xfe", b'{"prompt": 5', b"{}", b"", b"   ")


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    order=st.lists(st.integers(0, len(POOL) + len(JUNK) - 1), min_size=70, max_size=90),
    large=st.booleans(),
)
def test_rows_kept_and_dropped_are_the_rows_read(
    order: list[int], large: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    rows: list[Any] = [*POOL, *JUNK]
    lines = [*POOL[:20], *(rows[index] for index in order)]
    with pytest.MonkeyPatch.context() as patch:
        if large:
            patch.setattr(files, "SMALL_BYTES", 0)
        fixed = one_file(folder, lines).fixed
        records = [line for line in lines if not (isinstance(line, bytes) and not line.strip())]
        if fixed is None:
            assert not any(isinstance(line, bytes) for line in records)
            return
        kept = (fixed.folder / "rows.jsonl").read_bytes().splitlines()
        changes = read_rows(fixed.folder / CHANGES)
        assert len(kept) + sum(c["action"] == "dropped" for c in changes) == len(records)
        assert (fixed.kept, fixed.dropped) == (len(kept), len(records) - len(kept))
        dropped = {c["line"] for c in changes}
        encoded = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        assert kept == [
            line for n, line in enumerate(encoded, 1) if n not in dropped and line.strip()
        ]
        assert mended(fixed.recipe).fixed is None  # a second time changes nothing


def test_the_original_is_only_read(tmp_path: Path) -> None:
    rows = [*plain(11, 60), ONE, ONE, b"\xff broken"]
    write_rows(tmp_path / "rows.jsonl", rows)
    before = (tmp_path / "rows.jsonl").read_bytes()
    recipe = recipe_for(tmp_path, {"train": [{"path": "rows.jsonl"}]})
    text = recipe.read_bytes()
    fixed = mended(recipe).fixed
    assert fixed is not None
    assert (tmp_path / "rows.jsonl").read_bytes() == before
    assert recipe.read_bytes() == text
    assert read_rows(fixed.folder / CHANGES)[-1]["row"] == "\\xff broken"
    assert (fixed.folder / CHANGES).stat().st_mode & 0o077 == 0
    with pytest.raises(RecipeError, match="is there already"):
        mended(recipe)


def test_a_change_touches_nothing_else_of_a_row() -> None:
    raw = '{"z": 1.10, "big": 123456789012345678901234, "e": 1E5, "completion": "caf\u00c3\u00a9", '
    raw += '"nested": {"b": [1.0, null, true], "a": "caf\u00c3\u00a9"}}'
    made = changed(raw, {"completion": "completion"}, Decision("changed", (("encoding", "why"),)))
    assert made is not None
    text, decision = made
    assert text == raw.replace("caf\u00c3\u00a9", "café", 1).replace(": ", ":").replace(", ", ",")
    assert decision.reasons == (("encoding", "why"),)


@pytest.mark.parametrize(
    "raw",
    [
        '{"completion": "caf\u00c3\u00a9", "completion": "again"}',
        '{"completion": "caf\u00c3\u00a9", "other": "\\ud800"}',
        '{"completion": "nothing is wrong"}',
        '{"completion": "lost \ufffd"}',
    ],
)
def test_rows_that_cannot_be_written_again_or_need_not_be_stay(raw: str) -> None:
    decision = Decision("changed", (("encoding", "why"),))
    assert changed(raw, {"completion": "completion"}, decision) is None


def test_a_conversation_in_a_cell_stays_json() -> None:
    turns = [{"role": "user", "content": "“caf\u00c3\u00a9”"}]
    raw = json.dumps({"messages": json.dumps(turns)})
    made = changed(raw, {"messages": "messages"}, Decision("changed", (("encoding", ""),)))
    assert made is not None
    cell = json.loads(json.loads(made[0])["messages"])
    assert cell == [{"role": "user", "content": "“café”"}]


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("caf\u00c3\u00a9", "café"),
        ("It\u00e2\u20ac\u2122s", "It\u2019s"),
        ("zero\u200bwidth", "zerowidth"),
        ("bell\x07", "bell"),
        ("\ufeffmark", "mark"),
        ("a\u202eb", "ab"),
        ("“quotes” &amp; ﬁ \uff21", "“quotes” &amp; ﬁ \uff21"),
        ("\u0645\u06cc\u200c\u062e\u0648", "\u0645\u06cc\u200c\u062e\u0648"),
        ("lost \ufffd", "lost \ufffd"),
        ("a\tb\r\nc", "a\tb\r\nc"),
    ],
)
def test_mend(text: str, good: str) -> None:
    assert mend(text) == good


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_mending_twice_is_mending_once(text: str) -> None:
    assert mend(mend(text)) == mend(text)


# Where the copy lies ---------------------------------------------------------------------------


def _csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        file.write("a,b,c\n")


def _gzip(path: Path, rows: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode() + b"a,b,c\n"))


def _json(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps({"rows": [*rows, "a,b,c"]}, indent=1))


@pytest.mark.parametrize(
    ("name", "write"), [("a.csv", _csv), ("b.v1.jsonl.gz", _gzip), ("c.json", _json)]
)
def test_other_kinds_are_copied_as_jsonl_with_their_bad_records_listed(
    name: str, write: Callable[[Path, list[dict[str, Any]]], None], tmp_path: Path
) -> None:
    rows = plain(12, 60)
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub" / name, [*rows, rows[0]])
    fixed = mended(recipe_for(tmp_path, {"train": [{"path": f"sub/{name}"}]})).fixed
    assert fixed is not None
    target = f"sub/{files_stem(name)}.jsonl"
    assert read_rows(fixed.folder / target) == rows
    assert json.loads(fixed.recipe.read_text())["data"]["train"] == [{"path": target}]
    again, bad = read_rows(fixed.folder / CHANGES)
    assert (again["check"], again["line"], again["row"]) == ("duplicates", 61, rows[0])
    assert (bad["check"], bad["line"], bad["row"]) == ("malformed", 62, "a,b,c")


def files_stem(name: str) -> str:
    return {"a.csv": "a", "b.v1.jsonl.gz": "b.v1", "c.json": "c"}[name]


def test_several_files_of_a_source_and_two_of_one_name(tmp_path: Path) -> None:
    rows = plain(13, 90)
    write_rows(tmp_path / "a" / "x.jsonl", [*rows[:40], rows[0]])
    write_rows(tmp_path / "a" / "y.jsonl", rows[40:60])
    (tmp_path / "x.json").write_text(json.dumps(rows[60:75]))
    write_rows(tmp_path / "x.jsonl", rows[75:])
    sources = [{"path": "a"}, {"path": "x.json"}, {"path": "x.jsonl"}]
    recipe = recipe_for(tmp_path, {"train": sources})
    fixed = mended(recipe).fixed
    assert fixed is not None
    train = json.loads(fixed.recipe.read_text())["data"]["train"]
    assert train == [{"path": "train-0"}, {"path": "x.jsonl"}, {"path": "x-2.jsonl"}]
    assert read_rows(fixed.folder / "train-0" / "x.jsonl") == rows[:40]
    assert read_rows(fixed.folder / "train-0" / "y.jsonl") == rows[40:60]
    assert read_rows(fixed.folder / "x.jsonl") == rows[60:75]
    assert read_rows(fixed.folder / "x-2.jsonl") == rows[75:]
    assert fixed.dropped == 1


def test_a_database_becomes_a_file(tmp_path: Path) -> None:
    rows = plain(14, 60)
    database = sqlite3.connect(tmp_path / "rows.db")
    database.execute("create table t (prompt text, completion text)")
    database.executemany("insert into t values (:prompt, :completion)", [*rows, rows[3]])
    database.commit()
    database.close()
    source = {"type": "database", "path": "rows.db", "query": "select * from t order by rowid"}
    fixed = mended(recipe_for(tmp_path, {"train": [source]})).fixed
    assert fixed is not None
    assert json.loads(fixed.recipe.read_text())["data"]["train"] == [{"path": "rows.jsonl"}]
    assert read_rows(fixed.folder / "rows.jsonl") == rows


def test_the_recipe_keeps_its_layout_and_what_it_points_at(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [*plain(15, 60), ONE, ONE])
    data = {"train": [{"path": "rows.jsonl"}], "split": {"seed": 5}}
    recipe = recipe_for(tmp_path, data)
    text = recipe.read_text().replace("{\n", '{\n  "$schema": "./recipe.schema.json",\n', 1)
    recipe.write_text(text)
    fixed = mended(recipe).fixed
    assert fixed is not None
    assert fixed.recipe == tmp_path / "tiny-clean" / "tiny.json"
    assert fixed.recipe.read_text() == text.replace("./recipe", "../recipe")


# What may go wrong -----------------------------------------------------------------------------


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [*plain(16, 60), ONE, ONE])
    recipe = recipe_for(tmp_path, {"train": [{"path": "rows.jsonl"}]})
    before = sorted(tmp_path.iterdir())
    seen: list[Path] = []

    @contextmanager
    def interrupted(text: str, folder: Path) -> Iterator[Any]:
        seen.append(folder)
        assert (folder / "rows.jsonl").exists()
        raise KeyboardInterrupt
        yield

    found = read(recipe, rules=RULES)
    with checked(found) as prepared, pytest.raises(KeyboardInterrupt):
        fix(prepared, found.source, tmp_path / "tiny-clean", interrupted)
    assert len(seen) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_a_source_without_a_row_left_is_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", plain(17, 60))
    write_rows(tmp_path / "more.jsonl", [{"prompt": "Why?", "completion": ""}] * 3)
    recipe = recipe_for(tmp_path, {"train": [{"path": "rows.jsonl"}, {"path": "more.jsonl"}]})
    with pytest.raises(DataError, match=r"data\.train\[1\]: no row would be left"):
        mended(recipe)
    assert not (tmp_path / "tiny-clean").exists()


def test_every_rule_is_of_a_check_that_there_is() -> None:
    assert set(FIXES) <= set(CHECKS)
    assert set(LEFT) <= set(CHECKS)
    # what a rule may leave behind is said too
    changes = {check for check, rule in FIXES.items() if not isinstance(rule, Drop)}
    assert set(CHECKS) - set(FIXES) <= set(LEFT)
    assert changes & set(LEFT) == {"placeholders", "encoding"}

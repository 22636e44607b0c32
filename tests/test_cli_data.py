"""`recipe new DATA` and `recipe check`: what is printed, written and ended with."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runner.checklist import checklist, difference, noted, summary
from runner.cli import main
from runner.data.checks import CHECKS
from runner.data.checks.finding import STATES, Finding, FoundRow


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with rows.jsonl: 90 rows that are all unlike, and one of them twice."""
    monkeypatch.chdir(tmp_path)
    rng = random.Random(5)

    def words(number: int) -> str:
        return " ".join("".join(rng.choices("bcdfglmnprstaeiou", k=7)) for _ in range(number))

    rows = [{"id": n, "prompt": words(7), "completion": words(12)} for n in range(90)]
    lines = [json.dumps(row) for row in [*rows, rows[0] | {"id": "again"}]]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


def recipe(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def test_from_data_to_a_cleaned_copy(folder: Path) -> None:
    made = recipe("new", "rows.jsonl")
    assert made.exit_code == 0, made.output
    lines = made.output.splitlines()
    assert lines[0] == "wrote rows.json"
    assert lines[2].startswith("rows.jsonl: prompt_completion: column 'prompt' holds texts in 91")
    assert lines[-3:] == [f"next: recipe {verb} rows.json" for verb in ("check", "plan", "run")]
    assert recipe("validate", "rows.json").exit_code == 0

    found = recipe("check", "rows.json", "--set", "data.checks.pii=off")
    assert found.exit_code in (0, 3)
    states = dict(re.findall(r"^(\w+(?: run)?) +(\w+)", found.output, re.MULTILINE))
    assert {"warning", "ok", "off"} <= set(states)
    assert re.search(r"^warning +duplicates +1 of 91 rows", found.output, re.MULTILINE)
    assert re.search(r"^ +-> keep one of each", found.output, re.MULTILINE)
    assert re.fullmatch(r"\d+ checks: \d+ passed, .*1 off", found.output.splitlines()[-1])

    fixed = recipe("check", "rows.json", "--fix", "--set", "data.checks.pii=off")
    assert re.search(r"^duplicates +1 -> 0  \(warning -> ok\)", fixed.output, re.MULTILINE)
    assert "90 rows kept (0 of them changed), 1 dropped:" in fixed.output
    assert "next: recipe plan rows-clean/rows.json" in fixed.output
    assert len((folder / "rows-clean" / "rows.jsonl").read_text().splitlines()) == 90
    assert recipe("validate", "rows-clean/rows.json").exit_code == 0
    again = recipe("check", "rows-clean/rows.json", "--fix")
    assert again.output.splitlines()[-1].startswith("nothing to fix")
    assert not (folder / "rows-clean" / "rows-clean").exists()
    twice = recipe("check", "rows.json", "--fix")
    assert twice.exit_code == 1
    assert "rows-clean is there already" in twice.output


def test_data_is_checked_without_a_recipe(folder: Path) -> None:
    found = recipe("check", "rows.jsonl", "--quick")
    lines = found.output.splitlines()
    assert lines[0].startswith("rows.jsonl: prompt_completion: ")
    assert lines[-1] == "next: recipe new rows.jsonl writes a recipe for it"
    assert sum(line.startswith("not run") for line in lines) >= sum(c.deep for c in CHECKS.values())
    assert [path.name for path in folder.iterdir()] == ["rows.jsonl"]
    plain = recipe("check", "rows.jsonl", "--quick", "--json", "--set", "data.checks.size=off")
    findings = {f["check"]: f["state"] for f in json.loads(plain.output)["findings"]}
    assert findings["duplicates"] == "warn"
    assert findings["size"] == "off"
    failing = ("--set", "data.checks.duplicates.error_above=0")
    assert recipe("check", "rows.jsonl", "--quick", *failing).exit_code == 3


def test_json_of_new_and_fix(folder: Path) -> None:
    made = json.loads(recipe("new", "rows.jsonl", "--into", "sub", "--allow", ".", "--json").output)
    assert made["recipe"] == "sub/rows.json"
    assert {"path", "why"} == set(made["reasons"][0])
    fixed = json.loads(recipe("check", "rows.jsonl", "--fix", "--json").output)
    assert fixed["fixed"]["dropped"] == 1
    assert fixed["fixed"]["kept"] == 90
    assert {f["check"]: f["count"] for f in fixed["findings"]}["duplicates"] == 0
    listed = json.loads(recipe("new", "--list", "--json").output)
    assert "legal" in [example["name"] for example in listed]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["new", "row.jsonl"], 3, "did you mean rows.jsonl?"),
        (["new", "empty.jsonl"], 3, "the file is empty"),
        (["new", "odd.jsonl"], 3, "--column prompt=a --column completion=b"),
        (["new", "odd.jsonl", "--column", "a"], 2, "write it as prompt=question"),
        (["new", "rows.jsonl", "--example", "legal"], 2, "not both"),
        (["new", "a.json"], 1, "is a recipe, not data"),
        (["check", "row.jsonl"], 3, "did you mean rows.jsonl?"),
        (["check", "none.json"], 2, "no file 'none.json'"),
        (["check", "a.json"], 2, "'name' is missing"),
        (["check", "odd.jsonl"], 3, "make no known format"),
        (["check", "empty.jsonl"], 3, "the file is empty"),
        (["check", "binary"], 3, "binary data"),
        (["check", "rows.jsonl", "--fix", "--quick"], 2, "--fix needs every check"),
        (["check", "rows.jsonl", "--set", "data.checks.sise=off"], 2, "did you mean size?"),
        (["check"], 2, "Missing argument 'FILE'"),
    ],
)
def test_wrong_words(words: list[str], code: int, said: str, folder: Path) -> None:
    (folder / "empty.jsonl").write_text("")
    (folder / "odd.jsonl").write_text('{"a": "x", "b": "y"}\n')
    (folder / "a.json").write_text('{"model": {"base": "smollm2-135m-instruct"}}')
    (folder / "binary").write_bytes(b"abc" + bytes(range(256)))
    before = sorted(folder.iterdir())
    ended = recipe(*words)
    assert ended.exit_code == code, ended.output
    assert said in ended.output
    assert "Traceback" not in ended.output
    assert sorted(folder.iterdir()) == before


def test_help_stays_cold(recipe: Any, tmp_path: Path) -> None:
    """`recipe` is here the command of a process of its own."""
    for verb in ("new", "check"):
        ended = recipe(verb, "--help", cwd=tmp_path, PYTHONPROFILEIMPORTTIME="1")
        assert ended.code == 0
        loaded = {line.rsplit("|", 1)[-1].strip() for line in ended.err.splitlines()}
        assert "click" in loaded
        assert not loaded & {"duckdb", "numpy", "pyarrow", "orjson", "jsonschema", "runner.read"}


# The checklist ---------------------------------------------------------------------------------


def finding(check: str, state: Any, count: int | None, rows: int = 0) -> Finding:
    found = tuple(FoundRow(f"r{n}", n, "rows.jsonl", "why" if n == 1 else None)
                  for n in range(1, rows + 1))  # fmt: skip
    return Finding(check, state, "", "", count, 9, None, found, "exact", f"{count} of 9", "do so")


FINDINGS = (
    finding("malformed", "pass", 0),
    finding("size", "warn", 4, 4),
    finding("leakage", "error", 1, 1),
    finding("truncation", "not_run", None),
    finding("pii", "off", None),
)


def test_the_checklist_tells_five_states_apart() -> None:
    assert list(checklist(FINDINGS)) == [
        "ok       malformed   0 of 9",
        "warning  size        4 of 9",
        "                     r1 (why)",
        "                     r2",
        "                     r3",
        "                     and 1 more",
        "                     -> do so",
        "ERROR    leakage     1 of 9",
        "                     r1 (why)",
        "                     -> do so",
        "not run  truncation  None of 9",
        "off      pii",
        "",
        "5 checks: 1 passed, 1 warning, 1 error, 1 not run, 1 off",
    ]
    assert summary(FINDINGS[:1] * 2 + FINDINGS[1:2] * 2) == "4 checks: 2 passed, 2 warnings"


def test_a_plan_and_a_run_tell_what_is_not_well() -> None:
    told = [
        "warning  size     4 of 9",
        "                  r1 (why)",
        "                  r2",
        "                  r3",
        "                  and 1 more",
        "                  -> do so",
        "ERROR    leakage  1 of 9",
        "                  r1 (why)",
        "                  -> do so",
    ]
    assert list(noted(FINDINGS)) == [*told, summary(FINDINGS)]
    assert list(noted(FINDINGS[:1])) == ["1 check: 1 passed"]
    *lines, last = noted(FINDINGS, quick=True)
    assert lines == told
    assert last == f"{summary(FINDINGS)}; 'recipe check' runs those that read all texts"
    assert any("\x1b[1;31mERROR" in line for line in noted(FINDINGS, color=True))


def test_colour_changes_no_word() -> None:
    coloured = list(checklist(FINDINGS, color=True))
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in coloured]
    assert plain == list(checklist(FINDINGS))
    codes = {code for _, code, *_ in STATES.values()}
    assert len(codes) == len(STATES)


def test_the_difference_names_what_changed_alone() -> None:
    after = (FINDINGS[0], finding("size", "warn", 2), finding("leakage", "pass", 0))
    told = list(difference(FINDINGS, after))
    assert told == ["size     4 -> 2", "leakage  1 -> 0  (ERROR -> ok)"]

"""The command line: every verb, its exit status, its JSON, and what it must not load."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import dsl

ROOT = Path(dsl.__file__).parents[1]
VERBS = (
    "advise", "chat", "check", "doctor", "explain", "models", "new", "plan", "report", "run",
    "runs", "schema", "stop", "ui", "validate",
)  # fmt: skip
RECIPES = sorted((ROOT / "recipes").glob("*.json"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, write_recipe: Any) -> Path:
    """A folder with tiny.json and its data; nobody writes there."""
    folder: Path = write_recipe(tmp_path_factory.mktemp("tiny")).parent
    return folder


# Words -----------------------------------------------------------------------------------------


def test_help_lists_every_verb(recipe: Any, tiny: Path) -> None:
    ended = recipe("--help", cwd=tiny)
    assert ended.code == 0
    listed = re.findall(r"^  (\w+)  ", ended.out.partition("Commands:")[2], re.MULTILINE)
    assert tuple(listed) == VERBS
    assert "130 interrupted" in " ".join(ended.out.split())


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    from click.testing import CliRunner

    from runner.cli import main

    for flag in ("--help", "-h"):
        ended = CliRunner().invoke(main, [verb, flag])
        assert ended.exit_code == 0
        assert ended.output.startswith(f"Usage: main {verb}")
        assert len(ended.output.splitlines()) > 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["recipes/legal.json"], "'recipes/legal.json' is a recipe: say what to do with it"),
        (["no/such.yaml"], "as in 'recipe plan no/such.yaml'"),
        (["valdate", "tiny.json"], "there is no verb 'valdate'. did you mean validate?"),
        (["frobnicate"], "there is no verb 'frobnicate'."),
        (["validate"], "Missing argument 'RECIPE'"),
        (["run"], "give a recipe, or --resume ID"),
        (["run", "tiny.json", "--resume", "last"], "give a recipe, or --resume ID"),
        (["run", "--resume", "last", "--set", "name=a"], "no --set, --max-steps or --locked"),
        (["run", "tiny.json", "--max-steps", "0"], "0 is not in the range x>=1"),
        (["plan", "tiny.json", "--allow", "nowhere"], "'nowhere' does not exist"),
    ],
)
def test_wrong_words_are_told_with_status_2(
    words: list[str], said: str, recipe: Any, tiny: Path
) -> None:
    ended = recipe(*words, cwd=tiny)
    assert ended.code == 2
    assert said in ended.err
    assert ended.out == ""
    assert "Traceback" not in ended.err


# What each verb prints -------------------------------------------------------------------------


def test_validate(recipe: Any, tiny: Path) -> None:
    ended = recipe("validate", "tiny.json", cwd=tiny)
    assert ended.code == 0
    assert ended.out.endswith("tiny.json: 1 warning\n")
    plain = recipe("validate", "tiny.json", "--json", cwd=tiny).json
    assert plain["valid"]
    assert [p["path"] for p in plain["problems"]] == ["/training/learning_rate"]


def test_validate_tells_all_problems_with_their_lines(
    recipe: Any, write_recipe: Any, tmp_path: Path
) -> None:
    path = write_recipe(tmp_path, method={"rank": -1}, training={"schedule": "cosin"})
    ended = recipe("validate", path.name, cwd=tmp_path)
    assert ended.code == 2
    lines = path.read_text().splitlines()
    for name, hint in (("method.rank", "-1"), ("training.schedule", "did you mean cosine?")):
        (line,) = [n for n, t in enumerate(lines, 1) if f'"{name.partition(".")[2]}"' in t]
        assert f"tiny.json:{line}: error: {name}: " in ended.out
        assert hint in ended.out
    found = recipe("validate", path.name, "--json", cwd=tmp_path)
    assert found.code == 2
    assert not found.json["valid"]
    patches = [p["patch"] for p in found.json["problems"] if p["path"] == "/training/schedule"]
    assert patches == [[{"op": "set", "path": "/training/schedule", "value": "cosine"}]]


def test_explain(recipe: Any, tiny: Path) -> None:
    ended = recipe("explain", "tiny.json", "method", cwd=tiny)
    assert ended.code == 0
    rows = {line.split()[0]: line for line in ended.out.splitlines()}
    assert all(name.startswith("method.") for name in rows)
    assert rows["method.rank"].endswith("given")
    assert "derived by desugar: twice the rank" in rows["method.alpha"]
    plain = recipe("explain", "tiny.json", "--json", cwd=tiny).json
    assert plain["method.alpha"]["value"] == 16
    assert plain["method.dropout"]["origin"] == "default"
    ended = recipe("explain", "tiny.json", "methode", cwd=tiny)
    assert (ended.code, ended.out) == (1, "")
    assert "nothing is called 'methode'" in ended.err


def test_check(recipe: Any, tiny: Path) -> None:
    ended = recipe("check", "tiny.json", cwd=tiny)
    assert ended.code == 0
    assert re.search(r"^ok +duplicates +0 of 90 rows", ended.out, re.MULTILINE)
    findings = recipe("check", "tiny.json", "--json", cwd=tiny).json["findings"]
    assert {f["check"]: f["state"] for f in findings}["leakage"] == "pass"
    failing = ("--set", "data.checks.size.error_below=1000")
    assert recipe("check", "tiny.json", *failing, cwd=tiny).code == 3
    assert recipe("check", "tiny.json", "--json", *failing, cwd=tiny).code == 3


def test_plan(recipe: Any, tiny: Path) -> None:
    ended = recipe("plan", "tiny.json", "--show-example", "1", cwd=tiny)
    assert ended.code == 0
    assert "16,384 parameters, 16.80% (exact)" in ended.out
    assert "63 train, 9 validation, 18 test (exact)" in ended.out
    assert "runs: first run of this recipe here" in ended.out
    assert "⟦" in ended.out
    assert "<|im_end|>⟧" in ended.out
    plain = recipe("plan", "tiny.json", "--json", cwd=tiny).json
    assert plain["targets"]["trainable_parameters"] == 16_384
    failing = ("--set", "data.checks.size.error_below=1000")
    for form in ((), ("--json",)):
        assert recipe("plan", "tiny.json", *form, *failing, cwd=tiny).code == 3
    assert not (tiny / "runs").exists()


def test_check_plan_and_run_put_a_finding_into_the_same_words(
    recipe: Any, write_recipe: Any, tmp_path: Path
) -> None:
    """The run is ended by the finding, before anything heavy starts."""
    write_recipe(tmp_path, data={"checks": {"size": {"error_below": 1000}}})
    said = {verb: recipe(verb, "tiny.json", cwd=tmp_path) for verb in ("check", "plan", "run")}
    for verb, ended in said.items():
        assert ended.code == 3
        lines = ended.out.splitlines()
        (at,) = [n for n, line in enumerate(lines) if re.match(" *ERROR +size", line)]
        assert lines[at].split()[2:] == ["63", "training", "rows"], verb
        assert lines[at + 1].strip().startswith("-> add examples"), verb
        assert re.search(r"^ *\d+ checks: \d+ passed, .*[1-9] error", ended.out, re.MULTILINE), verb
    others = [line for line in said["plan"].out.splitlines() if re.match(" *ok ", line)]
    assert others == []
    assert "'recipe check' runs those that read all texts" in said["plan"].out
    assert "'recipe check' runs" not in said["check"].out + said["run"].out


def test_set_changes_what_is_planned(recipe: Any, tiny: Path) -> None:
    sets = ("--set", "method.rank=16", "--set", "training.max_steps=7", "--set", "name=7")
    plain = recipe("plan", "tiny.json", "--json", *sets, cwd=tiny).json
    assert plain["targets"]["trainable_parameters"] == 2 * 16_384
    assert plain["schedule"]["steps"] == 7
    assert plain["name"] == "7"
    for wrong, said in (("method.rank", "write it as"), ("method.rnk=3", "unknown key 'rnk'")):
        ended = recipe("plan", "tiny.json", "--set", wrong, cwd=tiny)
        assert ended.code == 2
        assert said in ended.err


def test_a_plan_says_what_changed_since_the_last_run(
    first_run: Any, workshop: Path, recipe: Any, tmp_path: Path
) -> None:
    shutil.copytree(first_run[0], tmp_path / first_run[0].name)  # the only run there is

    def why(*sets: str) -> dict[str, str]:
        words = ["--runs", str(tmp_path), *(word for text in sets for word in ("--set", text))]
        steps = recipe("plan", "tiny.json", "--json", *words, cwd=workshop).json["steps"]
        return {step["name"]: step["reason"] for step in steps}

    same = why()
    assert same["model"] == "cached: its weights are on this machine"
    assert same["tokens"] == "cached: same data, template and tokenizer"
    assert same["train"] == "runs: nothing changed; this step is never cached"
    assert why("method.rank=16")["train"] == "runs: method.rank 8 -> 16; method.alpha 16 -> 32"
    assert why("training.seed=1")["train"] == "runs: training.seed 42 -> 1"
    other = why("training.max_length=64")
    assert other["tokens"] == "runs: max_length 128 -> 64"
    assert other["train"] == "runs: training.max_length 128 -> 64"
    split = why("data.split.seed=4")
    assert split["data"] == "runs: data.split.seed 3 -> 4"
    assert split["tokens"] == "runs: data changed"
    assert split["train"] == "runs: tokens changed"
    assert why("eval.resamples=300")["evaluate"] == "runs: resamples 200 -> 300"


def test_runs_and_report(first_run: Any, workshop: Path, recipe: Any) -> None:
    run, _ = first_run
    ended = recipe("runs", cwd=workshop)
    assert f"{run.name} " in ended.out
    rows = recipe("runs", "--json", cwd=workshop).json
    row = next(row for row in rows if row["id"] == run.name)
    assert (row["status"], row["name"], row["reason"]) == ("done", "tiny", None)
    report = recipe("report", run.name, cwd=workshop)
    assert report.code == 0
    assert "Passed" in report.out
    plain = recipe("report", run.name[:-2], "--json", cwd=workshop).json
    assert plain["verdict"]["outcome"] == "pass"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["report", "tiny-none"], "no run is called 'tiny-none'"),
        (["report", "../runs"], "'../runs' is not the id of a run"),
        (["run", "--resume", "zzz"], "no run is called 'zzz'"),
        (["report", "--runs", "nowhere"], "no runs in nowhere"),
    ],
)
def test_runs_that_are_not_there(
    words: list[str], said: str, first_run: Any, workshop: Path, recipe: Any
) -> None:
    ended = recipe(*words, cwd=workshop)
    assert ended.code == 1
    assert said in ended.err


def test_a_damaged_run_hides_no_other(
    first_run: Any, workshop: Path, recipe: Any, tmp_path: Path
) -> None:
    shutil.copytree(first_run[0], tmp_path / "runs" / "good")
    for name, text in (("torn", '{"id": "to'), ("list", "[]")):
        (tmp_path / "runs" / name).mkdir()
        (tmp_path / "runs" / name / "run.json").write_text(text)
    shutil.copyfile(workshop / "tiny.json", tmp_path / "tiny.json")
    shutil.copyfile(workshop / "rows.jsonl", tmp_path / "rows.jsonl")
    rows = recipe("runs", "--json", cwd=tmp_path).json
    assert {row["id"]: row["status"] for row in rows} == {
        "good": "done",
        "torn": "damaged",
        "list": "damaged",
    }
    assert recipe("runs", cwd=tmp_path).code == 0
    assert recipe("report", "good", cwd=tmp_path).code == 0
    plan = recipe("plan", "tiny.json", cwd=tmp_path)
    assert plan.code == 0
    assert "nothing changed" in plan.out


def test_new_schema_models_and_doctor(recipe: Any, tmp_path: Path) -> None:
    assert "legal" in recipe("new", "--list", cwd=tmp_path).out
    ended = recipe("new", "--example", "legal", "--into", "made here", cwd=tmp_path)
    assert ended.code == 0
    assert recipe("validate", "made here/legal.json", cwd=tmp_path).code == 0
    again = recipe("new", "--example", "legal", "--into", "made here", cwd=tmp_path)
    assert again.code == 0  # the same files: there is nothing to copy
    changed = tmp_path / "made here" / "legal.json"
    changed.write_text("{}")
    third = recipe("new", "--example", "legal", "--into", "made here", cwd=tmp_path)
    assert third.code == 1
    assert "is there already" in third.err
    assert changed.read_text() == "{}"
    wrong = recipe("new", "--example", "leagl", cwd=tmp_path)
    assert "did you mean legal?" in wrong.err
    for name in ("recipe", "plan", "event", "run", "result", "lock", "checks", "report"):
        assert recipe("schema", name, cwd=tmp_path).json["$id"] == f"urn:finetune-recipes:{name}:1"
    assert "known: checks, event, " in recipe("schema", "nothing", cwd=tmp_path).err
    models = recipe("models", "--json", cwd=tmp_path).json
    assert models["smollm2-135m-instruct"]["parameters"] == 134_515_008
    doctor = recipe("doctor", "--json", cwd=tmp_path).json
    assert {"device", "memory", "disk", "torch"} <= set(doctor)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_the_examples_validate_and_plan(path: Path, recipe: Any, tmp_path: Path) -> None:
    assert RECIPES
    for verb in ("validate", "plan"):
        ended = recipe(verb, str(path), "--json", cwd=tmp_path)
        assert ended.code == 0, ended.out + ended.err
        assert [p for p in ended.json["problems"] if p["severity"] == "error"] == []


# Errors as JSON --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["plan", "none.json"], 2, "no file 'none.json'"),
        (["explain", "none.json"], 2, "no file 'none.json'"),
        (["check", "broken.json"], 2, "line"),
        (["run", "none.json"], 2, "no file 'none.json'"),
        (["run", "--resume", "last"], 1, "no runs in runs"),
        (["report"], 1, "no runs in runs"),
        (["plan", "."], 2, "is a folder"),
    ],
)
def test_errors_are_json_where_json_is_asked_for(
    words: list[str], code: int, said: str, recipe: Any, tmp_path: Path
) -> None:
    (tmp_path / "broken.json").write_text('{"name": "a",\n "model": }')
    ended = recipe(*words, "--json", cwd=tmp_path)
    assert ended.code == code
    assert ended.json["exit"] == code
    assert ended.err == ""
    assert said in json.dumps(ended.json)
    text = recipe(*words, cwd=tmp_path)
    assert text.code == code
    assert text.out == ""
    assert text.err


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe{\0}\0", b"[1]", b'{"a": 1, "a": 2}', b"\x00", b"{" * 2000],
    ids=["empty", "utf-16", "a list", "a key twice", "binary", "deep"],
)  # fmt: skip
def test_any_bytes_are_answered_without_a_traceback(
    content: bytes, recipe: Any, tmp_path: Path
) -> None:
    (tmp_path / "odd.json").write_bytes(content)
    ended = recipe("validate", "odd.json", cwd=tmp_path)
    assert ended.code == 2
    assert ended.out.startswith("odd.json")
    assert "Traceback" not in ended.err
    assert not recipe("validate", "odd.json", "--json", cwd=tmp_path).json["valid"]


# Places ----------------------------------------------------------------------------------------


def test_odd_paths_and_another_folder(recipe: Any, write_recipe: Any, tmp_path: Path) -> None:
    path = write_recipe(tmp_path / "größe & maß" / "mit 'Anführung'")
    path = path.rename(path.with_name("mein rezept, ü.json"))
    ended = recipe("plan", str(path.relative_to(tmp_path)), "--json", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert ended.json["parts"]["train"]["rows"] == 63
    here = recipe("check", path.name, cwd=path.parent)
    assert here.code == 0


def test_yaml_gives_the_same_plan(recipe: Any, write_recipe: Any, tmp_path: Path) -> None:
    from ruamel.yaml import YAML

    path = write_recipe(tmp_path)
    with path.with_suffix(".yaml").open("w") as file:
        YAML().dump(json.loads(path.read_text()), file)
    plans = [
        recipe("plan", name, "--json", "--set", "method.rank=4", cwd=tmp_path).json
        for name in ("tiny.json", "tiny.yaml")
    ]
    prints = [[step["fingerprint"] for step in plan["steps"]] for plan in plans]
    assert prints[0] == prints[1]
    (tmp_path / "rows.jsonl").unlink()
    ended = recipe("validate", "tiny.yaml", cwd=tmp_path)
    assert "tiny.yaml:" in ended.out
    assert "no file 'rows.jsonl'" in ended.out


def test_a_run_of_a_yaml_recipe_keeps_it_as_json(
    recipe: Any, write_recipe: Any, tmp_path: Path
) -> None:
    """Ended by a data check, before anything heavy starts."""
    from ruamel.yaml import YAML

    path = write_recipe(tmp_path, data={"checks": {"size": {"error_below": 1000}}})
    with path.with_suffix(".yml").open("w") as file:
        YAML().dump(json.loads(path.read_text()), file)
    assert recipe("run", "tiny.yml", cwd=tmp_path).code == 3
    (run,) = (tmp_path / "runs").iterdir()
    assert json.loads((run / "recipe.json").read_text()) == json.loads(path.read_text())


# Processes -------------------------------------------------------------------------------------

HEAVY = ("torch", "transformers", "datasets", "streamlit", "peft", "trl", "evaluate")


@pytest.mark.parametrize(
    "words",
    [
        ["validate", "tiny.json"],
        ["plan", "tiny.json", "--show-example", "2"],
        ["explain", "tiny.json"],
        ["check", "tiny.json"],
        ["runs"],
        ["new", "--list"],
        ["doctor"],
        ["schema"],
        ["--help"],
    ],
    ids=lambda words: words[0],
)
def test_light_verbs_load_nothing_heavy(
    words: list[str], recipe_command: list[str], environment: dict[str, str], tiny: Path
) -> None:
    python, _, code, *_ = recipe_command
    script = (
        f"import sys, atexit\natexit.register(lambda: print('loaded:', *sys.modules,"
        f" file=sys.stderr))\n{code}"
    )
    done = subprocess.run(
        [python, "-c", script, *words], cwd=tiny, env=environment, capture_output=True, text=True
    )
    loaded = set(done.stderr.partition("loaded:")[2].split())
    assert done.returncode == 0
    assert "runner.cli" in loaded
    assert not loaded & set(HEAVY)


def test_a_reader_that_goes_away_is_no_error(
    recipe_command: list[str], environment: dict[str, str], tiny: Path
) -> None:
    for verb in ("explain", "plan"):
        process = subprocess.Popen(
            [*recipe_command, verb, "tiny.json"],
            cwd=tiny, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        told = process.stderr.read().decode()
        process.stderr.close()
        assert process.wait() in (0, 1)
        assert told == ""


def test_a_run_outlives_its_reader(
    recipe_command: list[str], environment: dict[str, str], write_recipe: Any, tmp_path: Path
) -> None:
    """As in `recipe run tiny.json | head -1`: the run ends as it would have ended."""
    write_recipe(tmp_path, data={"checks": {"size": {"error_below": 1000}}})
    process = subprocess.Popen(
        [*recipe_command, "run", "tiny.json"],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    told = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait() == 3
    assert told == ""
    (run,) = (tmp_path / "runs").iterdir()
    assert json.loads((run / "result.json").read_text())["exit"] == 3


def test_a_terminal_without_unicode_gets_a_report(
    first_run: Any, workshop: Path, recipe: Any
) -> None:
    for environ in ({"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}):
        for verb in (["report", first_run[0].name], ["runs"], ["plan", "tiny.json"]):
            ended = recipe(*verb, cwd=workshop, **environ)
            assert ended.code == 0, (environ, verb, ended.err)


def test_the_verbs_do_not_depend_on_a_home(recipe: Any, tiny: Path, tmp_path: Path) -> None:
    ended = recipe("plan", "tiny.json", cwd=tiny, HOME=str(tmp_path / "none"), RECIPE_CACHE="")
    assert ended.code == 0
    assert not (tmp_path / "none").exists()
    assert os.path.isdir(tiny)

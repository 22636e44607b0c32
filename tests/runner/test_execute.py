"""Whole runs of a tiny model: what they leave behind, what is cached, locked, refused and told."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dsl.errors import RunError
from runner.lock import refuse_differences
from runner.runs.events import read_events

Json = dict[str, Any]


def load(path: Path) -> Json:
    values: Json = json.loads(path.read_text("utf-8"))
    return values


def adapter_bytes(run: Path) -> bytes:
    return (run / "adapter/adapter_model.safetensors").read_bytes()


def ended_steps(run: Path) -> list[str]:
    return [
        event["step"] for event in read_events(run / "events.jsonl") if event["type"] == "ended"
    ]


def only_run(workshop: Path) -> Path:
    (run,) = (workshop / "runs").iterdir()
    return run


# A run from beginning to end -------------------------------------------------------------------


def test_a_run_leaves_what_the_design_promises(first_run: Any) -> None:
    run, ended = first_run
    assert ended.code == 0, ended.out + ended.err
    assert ended.err == ""
    assert load(run / "result.json")["status"] == "done"
    assert ended_steps(run) == ["data", "model", "tokens", "train", "evaluate", "export-adapter"]
    evaluation = (
        run
        / "evals"
        / next(
            step["fingerprint"]
            for step in load(run / "plan.json")["steps"]
            if step["name"] == "evaluate"
        )
    )
    for path in (
        "run.json", "recipe.json", "recipe.lock.json", "worker.json", "log.txt", "report.json",
        "report.html", "data/checks.json", "data/findings.parquet", "data/train.parquet",
        "attempts/001/patch.json", "exports/adapter/adapter_config.json",
        evaluation / "metrics.json", evaluation / "predictions.parquet",
    ):  # fmt: skip
        assert (run / path).is_file(), path
    assert load(run / "worker.json")["state"] == "ended"
    assert not list(run.rglob(".*.partial"))
    assert {p.name for p in (run / "data").iterdir() if p.name.startswith(".")} == set()


def test_the_report_says_what_was_measured(first_run: Any) -> None:
    run, ended = first_run
    report = load(run / "report.json")
    (gate,) = report["gates"]
    assert gate["verdict"] == report["verdict"]["outcome"] == "pass"
    (suite,) = report["suites"]
    loss = next(metric for metric in suite["metrics"] if metric["name"] == "loss")
    assert loss["tuned"]["high"] < loss["base"]["low"]
    assert report["verdict"]["headline"] in ended.out
    assert all(step["state"] in ("done", "cached") for step in report["steps"])


def test_the_loss_of_the_report_is_that_of_the_model(first_run: Any, tiny_model: Path) -> None:
    """From the adapter and the test rows alone, by way of the full logits."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from runner.data.prepare import read_examples

    run, _ = first_run
    words = AutoTokenizer.from_pretrained(tiny_model)
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    tuned = PeftModel.from_pretrained(base, str(run / "adapter")).eval()
    sums = {"base": 0.0, "tuned": 0.0}
    targets = 0
    for example in read_examples(run / "data/test.parquet"):
        turns = [{"role": "user", "content": example.prompt}]
        prompt = words.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        ids = words(prompt + example.completion + "<|im_end|>", return_tensors="pt").input_ids
        start = len(words(prompt).input_ids)
        targets += ids.shape[1] - start
        for arm in sums:
            with torch.no_grad():
                if arm == "tuned":
                    logits = tuned(ids).logits
                else:
                    with tuned.disable_adapter():
                        logits = tuned(ids).logits
            sums[arm] += float(
                torch.nn.functional.cross_entropy(
                    logits[0, start - 1 : -1], ids[0, start:], reduction="sum"
                )
            )
    (suite,) = load(run / "report.json")["suites"]
    loss = next(metric for metric in suite["metrics"] if metric["name"] == "loss")
    for arm, nats in sums.items():
        assert loss[arm]["value"] == pytest.approx(nats / targets, rel=1e-4)


@pytest.fixture(scope="module")
def second_run(first_run: Any, workshop: Path, recipe: Any) -> tuple[Path, Any]:
    """The same recipe again, locked by the first run's lock."""
    run, _ = first_run
    shutil.copyfile(run / "recipe.lock.json", workshop / "tiny.lock.json")
    ended = recipe("run", "tiny.json", "--locked", "--json", cwd=workshop)
    (workshop / "tiny.lock.json").unlink()
    return workshop / ended.json["directory"], ended


def test_the_same_recipe_gives_the_same_bytes(first_run: Any, second_run: Any) -> None:
    run, ended = second_run
    assert ended.code == 0, ended.out + ended.err
    assert run != first_run[0]
    assert adapter_bytes(run) == adapter_bytes(first_run[0])
    assert load(run / "recipe.lock.json") == load(first_run[0] / "recipe.lock.json")
    metrics = [next(folder.glob("evals/*/metrics.json")) for folder in (run, first_run[0])]
    assert metrics[0].read_bytes() == metrics[1].read_bytes()


def test_tokens_and_answers_of_the_base_come_from_the_cache(
    first_run: Any, second_run: Any
) -> None:
    before, after = (read_events(run / "events.jsonl") for run, _ in (first_run, second_run))
    for events, cached in ((before, False), (after, True)):
        (tokens,) = [e for e in events if e["type"] == "ended" and e["step"] == "tokens"]
        assert tokens["cached"] is cached
        assert any("served from the cache" in str(e.get("text")) for e in events) is cached
        arms = {e["what"] for e in events if e["type"] == "progress"}
        assert arms == ({"domain, tuned"} if cached else {"domain, base", "domain, tuned"})


def test_json_goes_to_stdout_and_words_to_stderr(second_run: Any) -> None:
    run, ended = second_run
    assert ended.json["status"] == "done"
    assert ended.json["run"] == run.name
    assert "validation loss" in ended.err


# Locks -----------------------------------------------------------------------------------------


def locked(workshop: Path, first_run: Any, **changes: Any) -> None:
    lock = load(first_run[0] / "recipe.lock.json") | changes
    (workshop / "tiny.lock.json").write_text(json.dumps(lock))


@pytest.fixture
def lock_beside(workshop: Path) -> Any:
    yield workshop / "tiny.lock.json"
    (workshop / "tiny.lock.json").unlink(missing_ok=True)


def test_locked_refuses_and_names_the_difference(
    first_run: Any, workshop: Path, recipe: Any, lock_beside: Path
) -> None:
    """The day of the lock is taken over: it is no difference, however long ago."""
    locked(workshop, first_run, date="2020-02-02", threads=77, seeds={"split": 3, "training": 7})
    ended = recipe("run", "tiny.json", "--locked", cwd=workshop)
    assert ended.code == 1
    assert "the lock differs in 2 places" in ended.out
    assert "threads: 77 -> 1" in ended.out
    assert "seeds.training: 7 -> 42" in ended.out
    run = max((workshop / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert load(run / "result.json")["exit"] == 1
    assert "train" not in ended_steps(run)
    assert not (run / "recipe.lock.json").exists()


def test_the_day_of_the_lock_is_the_day_of_the_run(
    first_run: Any, workshop: Path, recipe: Any, lock_beside: Path
) -> None:
    """No difference but the day: the tokens are made for it."""
    settings = (
        "--set",
        "training.max_steps=1",
        "--set",
        "eval.suites={}",
        "--set",
        "eval.gates=[]",
    )
    ended = recipe("run", "tiny.json", *settings, cwd=workshop)
    assert ended.code == 0
    run = max((workshop / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    lock = load(run / "recipe.lock.json") | {"date": "2020-02-02"}
    lock_beside.write_text(json.dumps(lock))
    ended = recipe("run", "tiny.json", "--locked", *settings, cwd=workshop)
    assert ended.code == 0
    run = max((workshop / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert load(run / "recipe.lock.json") == lock


def test_answers_that_would_be_cut_end_the_run_before_its_lock(workshop: Path, recipe: Any) -> None:
    settings = ("--set", "data.checks.truncation.error_above=0", "--set", "training.max_length=20")
    ended = recipe("run", "tiny.json", *settings, cwd=workshop)
    assert ended.code == 3
    assert "1 data check failed: truncation" in ended.out
    run = max((workshop / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert not (run / "recipe.lock.json").exists()
    (finding,) = [
        f for f in load(run / "data/checks.json")["findings"] if f["check"] == "truncation"
    ]
    assert (finding["state"], finding["how"]) == ("error", "exact")
    assert finding["count"] > 0


def test_locked_without_a_lock_says_where_it_looked(
    recipe: Any, tmp_path: Path, write_recipe: Any
) -> None:
    write_recipe(tmp_path)
    ended = recipe("run", "tiny.json", "--locked", cwd=tmp_path)
    assert ended.code == 1
    assert "neither tiny.lock.json nor a run of 'tiny'" in ended.err
    assert not (tmp_path / "runs").exists()


LOCK = {"data": {"a.jsonl": {"sha256": "1"}}, "threads": 2}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"data": {"a.jsonl": {"sha256": "2"}}, "threads": 2}, "data.a.jsonl.sha256: 1 -> 2"),
        ({"data": {}, "threads": 2}, "data.a.jsonl: {'sha256': '1'} -> nothing"),
        ({**LOCK, "code": "x"}, "code: nothing -> x"),
    ],
)
def test_every_difference_between_locks_is_named(found: Json, said: str) -> None:
    with pytest.raises(RunError) as error:
        refuse_differences(LOCK, found)
    assert said in error.value.message
    refuse_differences(LOCK, {**LOCK, "schema_version": 1})


# Gates -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ruined_run(first_run: Any, tmp_path_factory: Any, recipe: Any) -> tuple[Path, Any]:
    """The first run moved and renamed, before its evaluation, its adapter made large and random."""
    import torch
    from safetensors.torch import load_file, save_file

    run, _ = first_run
    home = tmp_path_factory.mktemp("else where")
    moved = shutil.copytree(run, home / "runs" / "ruined")
    for name in ("result.json", "report.json", "report.html"):
        (moved / name).unlink()
    shutil.rmtree(moved / "evals")
    events = (moved / "events.jsonl").read_text().splitlines(keepends=True)
    kept = [
        line for line in events if json.loads(line)["step"] not in ("evaluate", "export-adapter")
    ]
    (moved / "events.jsonl").write_text("".join(kept))
    file = moved / "adapter/adapter_model.safetensors"
    chance = torch.Generator().manual_seed(1)
    weights = {k: torch.randn(v.shape, generator=chance) * 3 for k, v in load_file(file).items()}
    save_file(weights, file, metadata={"format": "pt"})
    return moved, recipe("run", "--resume", "last", cwd=home)


def test_a_large_random_adapter_fails_the_gate(ruined_run: Any) -> None:
    run, ended = ruined_run
    assert ended.code == 4, ended.out + ended.err
    assert load(run / "result.json")["status"] == "gate_failed"
    (gate,) = load(run / "report.json")["gates"]
    assert gate["verdict"] == "fail"
    assert "Did not pass" in ended.out


def test_a_run_can_be_moved_and_renamed_before_it_goes_on(ruined_run: Any, first_run: Any) -> None:
    run, _ = ruined_run
    assert ended_steps(run) == ended_steps(first_run[0])
    second = [e for e in read_events(run / "events.jsonl") if e["attempt"] == 2]
    assert {e["step"] for e in second} == {"evaluate", "export-adapter"}
    assert load(run / "attempts/002/patch.json")["parent"] == 1
    inside = "".join(path.read_text() for path in run.glob("*.json") if path.name != "run.json")
    assert str(first_run[0]) not in inside


def test_a_run_that_ended_does_not_go_on(ruined_run: Any, recipe: Any) -> None:
    run, _ = ruined_run
    ended = recipe("run", "--resume", "ruined", cwd=run.parents[1])
    assert ended.code == 1
    assert "has ended" in ended.err


# What goes wrong before anything is spent --------------------------------------------------------


def test_a_failed_data_check_ends_the_run_before_the_model_is_touched(
    write_recipe: Any, recipe: Any, tmp_path: Path
) -> None:
    near = {"near_duplicates": "off", "near_leakage": "off"}
    write_recipe(tmp_path, data={"checks": {"size": {"error_below": 1000}, **near}})
    ended = recipe("run", "tiny.json", cwd=tmp_path)
    run = only_run(tmp_path)
    assert ended.code == 3
    assert "error: 1 data check failed: size" in ended.out
    assert load(run / "result.json")["exit"] == 3
    assert {event["step"] for event in read_events(run / "events.jsonl")} == {"data"}
    assert not (run / "worker.json").exists()
    findings = load(run / "data/checks.json")["findings"]
    assert [f["check"] for f in findings if f["state"] == "error"] == ["size"]
    assert (run / "report.html").exists()
    # mended data is other data: the run would not be what its plan says
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n' * 5)
    again = recipe("run", "--resume", "last", cwd=tmp_path)
    assert again.code == 1
    assert "rows.jsonl changed since this run began" in again.err


@pytest.mark.parametrize(
    ("sections", "code", "said"),
    [
        (
            {"data": {"train": [{"path": "row.jsonl"}]}},
            2,
            "error: data.train[0].path: no file 'row.jsonl'",
        ),
        (
            {"data": {"train": [{"path": "rows.jsonl", "columns": {"prompt": "promt"}}]}},
            2,
            "did you mean prompt?",
        ),
        ({"model": {"base": "smollm2-135m-instrct"}}, 2, "did you mean smollm2-135m-instruct?"),
        ({"model": {"base": "./nowhere"}}, 2, "nowhere does not exist"),
        ({"data": {"split": {"test": 0.1, "group_by": "thign"}}}, 2, "thign"),
    ],
    ids=["missing file", "wrong column", "unknown model", "no such folder", "no such group"],
)
def test_a_recipe_that_cannot_work_makes_no_run(
    sections: Json, code: int, said: str, write_recipe: Any, recipe: Any, tmp_path: Path
) -> None:
    write_recipe(tmp_path, **sections)
    ended = recipe("run", "tiny.json", cwd=tmp_path)
    assert ended.code == code, ended.out + ended.err
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "runs").exists()


def test_rows_that_are_no_json_fail_a_check(write_recipe: Any, recipe: Any, tmp_path: Path) -> None:
    write_recipe(tmp_path)
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write('{"prompt": "half\n' * 20)
    ended = recipe("run", "tiny.json", cwd=tmp_path)
    assert ended.code == 3
    assert "malformed" in ended.out
    assert load(only_run(tmp_path) / "result.json")["status"] == "failed"


def test_a_folder_that_cannot_be_written_is_told(
    write_recipe: Any, recipe: Any, tmp_path: Path
) -> None:
    write_recipe(tmp_path)
    (tmp_path / "runs").write_text("a file, no folder")
    ended = recipe("run", "tiny.json", cwd=tmp_path)
    assert ended.code == 1
    assert "no run can be made in runs" in ended.err


@pytest.mark.parametrize(
    ("kilobytes", "step"), [(9, "data"), (48, "train")], ids=["in the supervisor", "in a child"]
)
def test_a_full_disk_is_told_in_one_line(
    kilobytes: int,
    step: str,
    write_recipe: Any,
    recipe_command: Any,
    environment: Any,
    tmp_path: Path,
) -> None:
    """No file may grow above a limit, which a process meets as it meets a full disk."""
    write_recipe(tmp_path)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, kilobytes * 1024))

    done = subprocess.run(
        [*recipe_command, "run", "tiny.json"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, preexec_fn=limit,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "too large" in done.stdout + done.stderr
    assert "make room" in done.stdout + done.stderr

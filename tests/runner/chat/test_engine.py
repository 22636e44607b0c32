"""The engine answers as the evaluation did, one base for all, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dsl.errors import StepFailed
from runner.chat.desk import Desk
from runner.chat.engine import Engine
from runner.chat.protocol import Ask, Done, Failed, Loaded, Loading, Piece, Reply, Turn
from runner.chat.subject import conversational, subject, trained
from runner.data.prepare import read_examples
from runner.runs.process import create_time, wait_until
from runner.runs.store import RunFolder, read_json

SECONDS = 120
LONG = 300
Copy = Callable[[str], RunFolder]


def last(engine: Engine, ask: Ask) -> Done:
    """The answer, which must come."""
    *_, reply = engine.answer(ask)
    assert isinstance(reply, Done), reply
    return reply


def failed(engine: Engine, ask: Ask) -> Failed:
    *_, reply = engine.answer(ask)
    assert isinstance(reply, Failed), reply
    return reply


def pieces(replies: list[Reply]) -> str:
    return "".join(reply.text for reply in replies if isinstance(reply, Piece))


def with_recipe(run: RunFolder, **sections: Any) -> None:
    """Changes the recipe in the plan of a run."""
    plan = read_json(run.plan)
    for name, values in sections.items():
        plan["recipe"][name] |= values
    run.plan.write_text(json.dumps(plan), "utf-8")


def to(ask: Ask, run: RunFolder) -> Ask:
    return replace(ask, run=str(run.path))


def evaluated(run: RunFolder, count: int) -> list[dict[str, Any]]:
    """What the evaluation asked and got: {prompt (as typed), base_text, tuned_text}."""
    import pyarrow.parquet as parquet

    (path,) = run.path.glob("evals/*/predictions.parquet")
    typed = {example.id: example.prompt for example in read_examples(run.part("test"))}
    rows = parquet.read_table(path).to_pylist()[:count]
    return [{**row, "typed": typed[row["id"]]} for row in rows]


def _negated(weights: dict[str, Any]) -> dict[str, Any]:
    """An adapter that does the opposite: one of its two factors changes its sign."""
    return {name: -value if "lora_B" in name else value for name, value in weights.items()}


def test_answers_are_those_of_the_evaluation(engine: Engine, ask: Ask, run: RunFolder) -> None:
    rows = evaluated(run, 6)
    for row in rows:
        for tuned, expected in ((False, row["base_text"]), (True, row["tuned_text"])):
            asked = replace(ask, tuned=tuned, turns=(Turn("user", row["typed"]),))
            replies = list(engine.answer(asked))
            done = replies[-1]
            assert isinstance(done, Done)
            assert done.text == expected
            assert done.text.startswith(pieces(replies))
            assert done.tokens <= 12 and not done.stopped
    assert any(row["base_text"] != row["tuned_text"] for row in rows)


def test_adapters_are_switched_on_one_base(
    engine: Engine, ask: Ask, run: RunFolder, copy: Copy
) -> None:
    from safetensors.torch import load_file, save_file

    other = copy("other")
    weights = other.adapter / "adapter_model.safetensors"
    save_file(_negated(load_file(weights)), weights)
    list(engine.load(str(run.path), True))
    base, tuned = last(engine, replace(ask, tuned=False)), last(engine, ask)
    replies = list(engine.answer(to(ask, other)))
    assert [r.what for r in replies if isinstance(r, Loading)] == ["the adapter of other"]
    changed = replies[-1]
    assert isinstance(changed, Done)
    assert len({base.text, tuned.text, changed.text}) == 3
    # back again: nothing is loaded, and nothing of the others is left
    for asked, before in (
        (ask, tuned),
        (to(ask, other), changed),
        (replace(ask, tuned=False), base),
    ):
        again = list(engine.answer(asked))
        assert not [r for r in again if isinstance(r, Loading)]
        assert isinstance(again[-1], Done) and again[-1].text == before.text


def test_a_whole_model_is_talked_with_beside_its_base(
    engine: Engine, ask: Ask, copy: Copy, tiny_model: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    full = copy("full")
    with_recipe(full, method={"type": "full"})
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    with torch.no_grad():
        model.model.norm.weight.mul_(-1)
    model.save_pretrained(full.model)
    base = last(engine, replace(ask, tuned=False))
    assert last(engine, replace(to(ask, full), tuned=False)).text == base.text
    assert last(engine, to(ask, full)).text != base.text


def test_drawn_answers_follow_their_seed(engine: Engine, ask: Ask) -> None:
    drawn = replace(ask, temperature=2.0, seed=1)
    assert last(engine, drawn).text == last(engine, drawn).text
    assert last(engine, drawn).text != last(engine, replace(drawn, seed=2)).text
    # among the likeliest alone nothing is left to draw
    narrow = replace(drawn, top_p=1e-6)
    assert last(engine, narrow).text == last(engine, ask).text


def test_what_was_said_before_is_read(engine: Engine, ask: Ask) -> None:
    turns = (*ask.turns, Turn("assistant", "The cloud is red."), Turn("user", "Paint the river."))
    alone, after = (
        last(engine, replace(ask, turns=turns[-1:])),
        last(engine, replace(ask, turns=turns)),
    )
    assert after.prompt_tokens > alone.prompt_tokens
    long = replace(ask, turns=(Turn("user", "Paint the river blue. " * 200),))
    cut = last(engine, long)
    assert cut.left_out > 0 and cut.prompt_tokens == 512 - long.max_new_tokens


def test_an_answer_is_stopped_and_the_next_is_whole(engine: Engine, ask: Ask) -> None:
    long = replace(ask, temperature=5.0, max_new_tokens=LONG)
    for reply in engine.answer(long):
        if isinstance(reply, Piece):
            engine.stop()
    assert isinstance(reply, Done) and reply.stopped and 0 < reply.tokens < LONG
    # who goes away in the middle has it stopped as well
    for reply in engine.answer(long):
        if isinstance(reply, Piece):
            break
    whole = last(engine, ask)
    assert not whole.stopped and whole.text == last(engine, ask).text


def test_what_cannot_be_asked_is_told_in_a_sentence(
    engine: Engine, ask: Ask, copy: Copy, tmp_path: Path
) -> None:
    nothing = copy("nothing")
    (nothing.adapter / "adapter_model.safetensors").unlink()
    assert "has no trained weights" in failed(engine, to(ask, nothing)).message
    damaged = copy("damaged")
    (damaged.adapter / "adapter_model.safetensors").write_bytes(b"\x08" + bytes(30))
    assert "SafetensorError" in failed(engine, to(ask, damaged)).message
    coded = copy("coded")
    with_recipe(coded, model={"trust_remote_code": True})
    told = failed(engine, to(ask, coded))
    assert "code of its own" in told.message and "--trust-remote-code" in (told.hint or "")
    gone = copy("gone")
    with_recipe(gone, model={"base": str(tmp_path / "gone")})
    assert "not on this machine" in failed(engine, to(ask, gone)).message
    other = copy("other-version")
    with_recipe(other, method={"rank": 8})
    other.plan.write_text(other.plan.read_text("utf-8").replace('"rank"', '"rnak"'), "utf-8")
    assert "another version" in failed(engine, to(ask, other)).message
    assert last(engine, ask).text


def test_a_killed_engine_is_told_and_started_anew(ask: Ask) -> None:
    engine = Engine()
    try:
        with pytest.raises(StepFailed, match="for want of memory"):
            for reply in engine.answer(replace(ask, temperature=5.0, max_new_tokens=LONG)):
                if isinstance(reply, Piece) and engine.pid:
                    os.kill(engine.pid, signal.SIGKILL)
        assert engine.pid is None
        assert last(engine, ask).text
    finally:
        engine.close()
    assert engine.pid is None


def test_an_idle_engine_ends_and_comes_back(ask: Ask) -> None:
    engine = Engine(idle_seconds=0.5)
    try:
        assert isinstance(list(engine.load(ask.run, False))[-1], Loaded)
        assert wait_until(lambda: engine.pid is None, SECONDS)
        assert last(engine, ask).text
    finally:
        engine.close()


def test_a_killed_server_leaves_no_engine(ask: Ask, environment: dict[str, str]) -> None:
    client = (
        "import sys, time\n"
        "from runner.chat.engine import Engine\n"
        "engine = Engine()\n"
        "list(engine.load(sys.argv[1], False))\n"
        "print(engine.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", client, ask.run], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert server.stdout is not None
    pid = int(server.stdout.readline())
    assert create_time(pid) is not None
    server.kill()
    server.communicate()
    assert wait_until(lambda: create_time(pid) is None, SECONDS)


def test_orders_are_served_in_turn(engine: Engine, ask: Ask) -> None:
    desk = Desk(engine)
    long = replace(ask, temperature=5.0, max_new_tokens=LONG)
    first = desk.order([long, ask])
    second = desk.order([ask])
    assert desk.ahead(first) == 0 and desk.ahead(second) == 1
    assert wait_until(lambda: first.answers[0].state == "writing", SECONDS, every=0.01)
    assert second.answers[0].state == "waiting"
    desk.stop(first)
    assert wait_until(lambda: not first.going and not second.going, SECONDS)
    stopped, dropped = first.answers
    assert stopped.done is not None and stopped.done.stopped and stopped.text == stopped.done.text
    assert dropped.state == "dropped" and dropped.done is None
    (answer,) = second.answers
    assert answer.state == "done" and answer.text == last(engine, ask).text
    assert wait_until(lambda: desk.ahead(desk.order([])) == 0, SECONDS)


def test_an_order_tells_that_the_engine_died(ask: Ask) -> None:
    engine = Engine()
    desk = Desk(engine)
    try:
        order = desk.order([replace(ask, temperature=5.0, max_new_tokens=LONG), ask])
        assert wait_until(lambda: order.answers[0].state == "writing", SECONDS, every=0.01)
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        assert wait_until(lambda: not order.going, SECONDS)
        first, second = order.answers
        assert first.died and first.failed is not None and "SIGKILL" in first.failed.message
        assert second.state == "dropped"
    finally:
        engine.close()


def test_what_can_be_talked_with(run: RunFolder, copy: Copy) -> None:
    unfinished = copy("unfinished")
    for path in unfinished.adapter.iterdir():
        path.unlink()
    unfinished.adapter.rmdir()
    second = copy("second")
    assert [known.id for known in trained(second.path.parent)] == ["second"]
    assert subject(second).key == subject(run).key
    with_recipe(second, model={"attention": "eager"})
    assert subject(second).key != subject(run).key
    assert not conversational(run)


# The command line --------------------------------------------------------------------------------

Recipe = Callable[..., Any]


def test_one_question_on_the_command_line(recipe: Recipe, run: RunFolder, workshop: Path) -> None:
    (row,) = evaluated(run, 1)
    words = ("chat", run.id, "--prompt", row["typed"])
    ended = recipe(*words, "--json", cwd=workshop)
    assert ended.code == 0, ended.err
    assert ended.json["text"] == row["tuned_text"] and ended.json["tokens_per_second"] > 0
    based = recipe(*words, "--base", cwd=workshop)
    assert based.code == 0 and based.out.strip() == row["base_text"]


def test_the_command_line_refuses_with_a_sentence(
    recipe: Recipe, run: RunFolder, workshop: Path
) -> None:
    for words, code, why in [
        (("chat", "nothing"), 1, "no run is called 'nothing'"),
        (("chat", run.id, "--json"), 2, "needs --prompt"),
        (("chat", run.id, "--prompt", "A", "--max-new-tokens", "512"), 2, "reads 512 tokens"),
    ]:
        ended = recipe(*words, cwd=workshop)
        assert (ended.code, ended.out) == (code, "") and why in ended.err


@pytest.fixture
def talking(
    recipe_command: list[str], environment: dict[str, str], workshop: Path, run: RunFolder
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """talking(*options) → 'recipe chat' that reads its questions from a pipe."""
    begun: list[subprocess.Popen[str]] = []

    def talk(*words: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        command = [*recipe_command, "chat", run.id, *words]
        begun.append(
            subprocess.Popen(
                command,
                cwd=workshop,
                env=environment,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                text=True,
            )
        )
        return begun[-1]

    yield talk
    for process in begun:
        process.kill()
        process.wait()


def test_questions_follow_each_other_on_a_terminal(
    talking: Callable[..., subprocess.Popen[str]], run: RunFolder
) -> None:
    rows = evaluated(run, 2)
    out, err = talking().communicate("".join(f"{row['typed']}\n" for row in rows))
    assert "each question stands alone" in err and err.count("a second") == 2
    for row in rows:
        assert row["tuned_text"] in out


def test_ctrl_c_stops_an_answer_and_not_the_talk(
    talking: Callable[..., subprocess.Popen[str]],
) -> None:
    process = talking("--temperature", "5", "--max-new-tokens", "400")
    assert process.stdin and process.stdout and process.stderr
    process.stdin.write("Paint the stone green.\n")
    process.stdin.flush()
    assert process.stdout.read(5)  # it writes
    process.send_signal(signal.SIGINT)
    while "stopped" not in (told := process.stderr.readline()):
        assert told
    process.stdin.close()
    assert process.wait(SECONDS) == 0


def test_ctrl_c_twice_ends_the_program(talking: Callable[..., subprocess.Popen[str]]) -> None:
    process = talking("--temperature", "5", "--max-new-tokens", "400")
    assert process.stdin and process.stderr
    process.stdin.write("Paint the stone green.\n")
    process.stdin.flush()
    assert "Ctrl-C stops an answer" in process.stderr.readline()
    # the worker has begun, and answers no sooner than it has loaded its libraries
    assert wait_until(lambda: bool(_children(process.pid)), SECONDS)
    (worker,) = _children(process.pid)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)  # two signals at once are one
    assert process.wait(SECONDS) == 130
    assert wait_until(lambda: create_time(worker) is None, SECONDS)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

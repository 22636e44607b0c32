"""The Playground in each of its states, with a real engine on a tiny model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from runner.app import drafts
from runner.chat.engine import Engine
from runner.runs.store import RunFolder, read_json
from ui.playground_talk import desk

MakeRun = Callable[[str, "str | None", "str | None"], RunFolder]
PAGE = "ui/playground.py"
ROOT = Path(__file__).parents[2]
SECONDS = 120


def texts(app: AppTest) -> str:
    shown = (*app.header, *app.subheader, *app.text, *app.caption, *app.markdown, *app.code)
    return "\n".join(element.value for element in shown)


def button(app: AppTest, label: str) -> Any:
    (found,) = [element for element in app.button if element.label.replace("\\", "") == label]
    return found


def labels(app: AppTest) -> list[str]:
    return [element.label for element in app.button]


def until(app: AppTest, reached: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not reached():
        assert time.monotonic() < end, texts(app)
        time.sleep(0.1)
        app.run()
        assert not app.exception


def answered(app: AppTest) -> None:
    until(app, lambda: "Stop" not in labels(app))


@pytest.fixture
def opened(app: AppTest) -> AppTest:
    app.switch_page(PAGE).run()
    assert not app.exception
    return app


@pytest.fixture
def trained(folder: Path, first_run: tuple[Path, Any]) -> RunFolder:
    """A finished run of tiny.json, which lies in the folder with its data."""
    done, _ = first_run
    run = RunFolder(folder / "runs" / done.name)
    shutil.copytree(done, run.path)
    for name in ("tiny.json", "rows.jsonl"):
        shutil.copyfile(done.parents[1] / name, folder / name)
    about = read_json(run.run) | {"recipe": str(folder / "tiny.json")}
    run.run.write_text(json.dumps(about), "utf-8")
    return run


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """That of a server of its own."""
    st.cache_resource.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        yield desk().engine
    st.cache_resource.clear()


@pytest.fixture
def playing(trained: RunFolder, engine: Engine, opened: AppTest) -> AppTest:
    assert opened.selectbox(key="run").value == trained.id
    return opened


def test_without_a_trained_run_the_page_says_what_it_needs(opened: AppTest) -> None:
    assert "There is no model to talk with yet" in texts(opened)
    assert not opened.selectbox


def test_a_run_that_cannot_be_read_is_told(app: AppTest, make_run: MakeRun) -> None:
    run = make_run("legal-1", "done", None)
    run.adapter.mkdir()
    run.plan.write_text('{"recipe": {"name": "legal"}}', "utf-8")
    app.switch_page(PAGE).run()
    assert not app.exception
    assert "made by another version" in texts(app)


def test_the_base_and_the_tuned_model_answer_the_same_question(
    playing: AppTest, trained: RunFolder, engine: Engine
) -> None:
    playing.chat_input[0].set_value("Paint the *stone* <b>green</b>.").run()
    assert "Paint the *stone* <b>green</b>." in [element.value for element in playing.text]
    assert playing.chat_input[0].disabled and "Stop" in labels(playing)
    answered(playing)
    (order,) = [exchange.order for exchange in playing.session_state["playground"].exchanges]
    base, tuned = order.answers
    assert (base.ask.tuned, tuned.ask.tuned) == (False, True)
    assert base.ask.seed == tuned.ask.seed and base.ask.turns == tuned.ask.turns
    for answer in order.answers:
        assert answer.done is not None and answer.done.text in texts(playing)
    assert f"recipe chat {trained.id} --base --prompt" in playing.code[-1].value
    button(playing, "Clear").click().run()
    assert "Type a question below" in texts(playing)


def test_a_test_question_is_answered_as_in_the_report(playing: AppTest, trained: RunFolder) -> None:
    import pyarrow.parquet as parquet

    button(playing, "Ask a test question").click().run()
    answered(playing)
    (path,) = trained.path.glob("evals/*/predictions.parquet")
    row = parquet.read_table(path).to_pylist()[0]
    shown = [element.value for element in playing.text]
    for expected in (row["base_text"], row["tuned_text"], row["reference"]):
        assert expected in shown
    assert "Add to eval set" not in [element.label for element in playing.expander]


def test_how_they_are_asked_is_changed(playing: AppTest, trained: RunFolder) -> None:
    run = trained.id
    playing.text_area(key=f"play-system-{run}").set_value("Be brief.").run()
    playing.number_input(key=f"play-temperature-{run}").set_value(1.0).run()
    playing.number_input(key=f"play-seed-{run}").set_value(7).run()
    playing.number_input(key=f"play-most-{run}").set_value(3).run()
    playing.toggle(key=f"play-keeps-{run}").set_value(True).run()
    for question in ("Paint the river.", "And the stone?"):
        playing.chat_input[0].set_value(question).run()
        answered(playing)
    first, second = playing.session_state["playground"].exchanges
    ask = second.order.answers[1].ask
    assert (ask.system, ask.seed, ask.temperature, ask.max_new_tokens) == ("Be brief.", 7, 1.0, 3)
    said = first.order.answers[1].done.text
    assert [turn.text for turn in ask.turns] == ["Paint the river.", said, "And the stone?"]
    button(playing, "As in the recipe").click().run()
    assert not playing.text_area(key=f"play-system-{run}").value


def test_runs_on_one_base_stand_side_by_side(
    opened: AppTest, trained: RunFolder, engine: Engine
) -> None:
    other = RunFolder(trained.path.with_name("tiny-other"))
    shutil.copytree(trained.path, other.path)
    opened.run()
    chosen = opened.selectbox(key="run").value
    beside = next(run.id for run in (trained, other) if run.id != chosen)
    opened.multiselect(key=f"play_beside-{chosen}").set_value(["base", beside]).run()
    opened.chat_input[0].set_value("Paint the stone green.").run()
    answered(opened)
    (exchange,) = opened.session_state["playground"].exchanges
    assert [arm.title for arm in exchange.arms][1:] == [beside, chosen]
    base, one, two = exchange.order.answers
    assert one.done.text == two.done.text and base.done is not None


def test_two_sessions_take_turns_and_one_stops(
    playing: AppTest, trained: RunFolder, engine: Engine
) -> None:
    other = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    other.switch_page(PAGE).run()
    for app in (playing, other):
        app.number_input(key=f"play-most-{trained.id}").set_value(400).run()
        app.number_input(key=f"play-temperature-{trained.id}").set_value(2.0).run()
        app.chat_input[0].set_value("Paint the stone green.").run()
    assert "another window first" in texts(other)
    button(other, "Stop").click().run()
    button(playing, "Stop").click().run()
    answered(playing)
    answered(other)
    assert "stopped" in texts(playing) and "not asked" in texts(other)


def test_an_engine_that_died_is_started_again(playing: AppTest, engine: Engine) -> None:
    playing.number_input[2].set_value(400).run()
    playing.number_input[0].set_value(2.0).run()
    playing.chat_input[0].set_value("Paint the stone green.").run()
    until(playing, lambda: "writing …" in texts(playing))
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    answered(playing)
    assert "for want of memory" in texts(playing) and "not asked" in texts(playing)
    button(playing, "Start the engine and ask again").click().run()
    answered(playing)
    assert "for want of memory" not in texts(playing) and "tokens," in texts(playing)


def test_a_question_is_kept_and_becomes_test_data(playing: AppTest, folder: Path) -> None:
    def asked() -> None:
        playing.chat_input[0].set_value("Paint the *moon*.").run()
        answered(playing)

    asked()
    assert "tiny\\.eval\\.jsonl" in texts(playing)
    button(playing, "Add").click().run()  # without an expected answer
    assert not (folder / "tiny.eval.jsonl").exists()
    assert "expected answer is empty" in playing.toast[-1].value
    button(playing, "Begin with the base's answer").click().run()
    begun = playing.text_area(key="play-expected-0").value
    assert begun == playing.session_state["playground"].exchanges[0].order.answers[0].done.text
    playing.text_area(key="play-expected-0").set_value("The moon is white.").run()
    button(playing, "Add").click().run()
    (line,) = (folder / "tiny.eval.jsonl").read_text("utf-8").splitlines()
    row = json.loads(line)
    assert (row["prompt"], row["completion"]) == ("Paint the *moon*.", "The moon is white.")
    assert row["run"] == playing.selectbox(key="run").value
    asked()
    playing.text_area(key="play-expected-1").set_value("Another answer.").run()
    button(playing, "Add").click().run()
    assert "already" in playing.toast[-1].value
    button(playing, "Open tiny.json to use them as test data").click().run()
    assert "the test is 1 question and nothing else" in texts(playing)
    button(playing, "Use them as test data").click().run()
    draft = drafts.load(folder, playing.query_params["draft"])
    assert json.loads(draft.text)["data"]["test"] == [
        {"path": "tiny.eval.jsonl", "format": "prompt_completion"}
    ]
    assert "part of the test data" in texts(playing)

"""Home and the advisor: what they show in each of their states."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dsl.arithmetic import arithmetic
from dsl.models import MODELS
from runner.app import drafts
from runner.runs.store import RunFolder
from ui.lora_chart import INK, low_rank_spec, told

MakeRun = Callable[[str, "str | None", "str | None"], RunFolder]


def shown(app: AppTest) -> str:
    """All that is said on the page, without the escapes of its markdown."""
    kinds = (app.title, app.header, app.subheader, app.text, app.caption, app.markdown)
    return "\n".join(str(one.value) for kind in kinds for one in kind).replace("\\", "")


def current(app: AppTest, folder: Path) -> drafts.Draft:
    return drafts.load(folder, app.query_params["draft"])


@pytest.fixture
def asked(app: AppTest) -> AppTest:
    """The advisor with its two first questions answered."""
    app.radio(key="advisor-need").set_value("style")
    app.number_input(key="advisor-rows").set_value(800).run()
    assert not app.exception
    return app


# ---------------------------------------------------------------- home


def test_an_example_is_one_click_away_and_never_written_over(app: AppTest, folder: Path) -> None:
    app.button(key="example-support").click().run()
    assert not app.exception and (folder / "support.json").is_file()
    assert "Check the data of support.json" in shown(app)
    before = (folder / "legal.json").read_bytes()
    app.button(key="example-legal").click().run()
    assert current(app, folder).path == "legal.json"
    assert (folder / "legal.json").read_bytes() == before
    assert any("was here already" in toast.value for toast in app.toast)


def test_the_step_follows_what_was_looked_at(app: AppTest) -> None:
    app.button(key="open-legal.json").click().run()
    assert "Check the data of legal.json" in shown(app)
    app.switch_page("ui/checklist.py").run()
    app.switch_page("ui/home.py").run()
    assert "See the plan of legal.json" in shown(app)
    app.switch_page("ui/plan.py").run()
    app.switch_page("ui/home.py").run()
    assert "Run legal.json" in shown(app)


def test_runs_are_listed_with_their_verdict_as_text(app: AppTest, make_run: MakeRun) -> None:
    run = make_run("legal-1", "gate_failed", None)
    headline = "The tuned model is worse: *loss* 1 -> 2 ![x](http://x)"
    report = {"verdict": {"headline": headline}, "gates": []}
    run.report.write_text(json.dumps(report), "utf-8")
    app.run()
    assert not app.exception
    caption = next(one.value for one in app.caption if "worse" in one.value)
    assert "\\*loss\\*" in caption and "\\!\\[" in caption
    app.button(key="open-legal.json").click().run()
    assert "See what to change" in shown(app) and headline in shown(app)


def test_the_next_step_opens_its_page(app: AppTest) -> None:
    app.button(key="open-legal.json").click().run()
    app.button(key="next").click().run()
    assert not app.exception and app.title[0].value == "Checklist"


def test_a_damaged_run_does_not_hide_the_page(app: AppTest, make_run: MakeRun) -> None:
    make_run("legal-1", "done", None).run.write_text("{", "utf-8")
    app.run()
    assert not app.exception and "Last runs" in shown(app)


# ---------------------------------------------------------------- the advisor


def test_nothing_is_advised_before_the_questions_are_answered(app: AppTest) -> None:
    assert "Say what the answers lack" in shown(app)
    app.radio(key="advisor-need").set_value("facts").run()
    assert not app.exception and "If you fine-tune" not in shown(app)


def test_the_answers_change_the_advice(asked: AppTest) -> None:
    assert "Fine-tuning: train on your examples" in shown(asked)
    assert asked.table[0].value["value"].tolist() == ["lora", "8", "0.0002", "2"]
    asked.checkbox(key="advisor-cite").check()
    asked.radio(key="advisor-need").set_value("facts").run()
    titles = [one.value for one in (*asked.header, *asked.subheader)]
    assert "Retrieval: look facts up in your documents" in titles
    assert asked.table[0].value["value"].tolist()[1] == "16"
    assert "recipe advise --need facts --rows 800 --cite" in [code.value for code in asked.code][-1]


def test_the_rank_is_moved_and_its_cost_is_exact(asked: AppTest) -> None:
    values = {metric.label: metric.value for metric in asked.metric}
    assert values["Trained weights"] == "2,442,240"
    asked.select_slider(key="advisor-rank-8").set_value(16).run()
    assert not asked.exception
    values = {metric.label: metric.value for metric in asked.metric}
    assert (values["Trained weights"], values["Adapter file"]) == ("4,884,480", "19.5 MB")


def test_a_base_too_large_for_the_device_is_told(asked: AppTest) -> None:
    asked.selectbox(key="advisor-base-None").select("llama-3.1-70b-instruct")
    asked.selectbox(key="advisor-device").select(8).run()
    assert not asked.exception
    assert "The largest known base that this device can train is" in shown(asked)


def test_use_this_writes_into_the_open_draft(asked: AppTest, folder: Path) -> None:
    asked.button(key="open-legal.json").click().run()
    before = json.loads(current(asked, folder).text)
    asked.button(key="advisor-use").click().run()
    assert not asked.exception
    draft = current(asked, folder)
    after = json.loads(draft.text)
    assert drafts.state(folder, draft) == "edited"
    assert after["method"]["rank"] == 8 and "alpha" not in after["method"]
    assert after["training"]["learning_rate"] == 2e-4
    assert after["data"] == before["data"] and after["model"] == before["model"]


def test_use_this_without_a_recipe_begins_one(asked: AppTest, folder: Path) -> None:
    asked.button(key="advisor-use").click().run()
    assert not asked.exception
    values = json.loads(current(asked, folder).text)
    assert values["method"] == {"type": "lora", "rank": 8}
    assert "Mend my-recipe.json" in shown(asked)


def test_the_rows_of_the_open_recipe_are_counted(app: AppTest, folder: Path) -> None:
    app.button(key="open-legal.json").click().run()
    app.button(key="advisor-count").click().run()
    assert not app.exception
    lines = (folder / "legal/clauses.jsonl").read_text("utf-8").count("\n")
    assert 0.5 * lines < app.number_input(key="advisor-rows").value < 2 * lines


def test_a_base_that_no_registry_knows_is_kept(app: AppTest, folder: Path) -> None:
    app.button(key="open-legal.json").click().run()
    draft = current(app, folder)
    own = "some/model_*x*"
    text = draft.text.replace("smollm2-135m-instruct", own)
    assert text != draft.text
    app.session_state["draft"] = drafts.keep(folder, replace(draft, text=text))
    app.radio(key="advisor-need").set_value("style")
    app.number_input(key="advisor-rows").set_value(800).run()
    assert not app.exception
    assert f"The dimensions of {own} are not known yet" in shown(app)
    app.button(key="advisor-use").click().run()
    assert json.loads(current(app, folder).text)["model"]["base"] == own


def test_a_recipe_that_cannot_be_read_is_not_written(app: AppTest, folder: Path) -> None:
    app.button(key="open-legal.json").click().run()
    draft = current(app, folder)
    app.session_state["draft"] = drafts.keep(folder, replace(draft, text="{"))
    app.radio(key="advisor-need").set_value("style")
    app.number_input(key="advisor-rows").set_value(800).run()
    app.button(key="advisor-use").click().run()
    assert not app.exception and current(app, folder).text == "{"
    assert any("mended first" in toast.value for toast in app.toast)


# ---------------------------------------------------------------- the picture


@pytest.mark.parametrize("base", ["smollm2-135m-instruct", "llama-3.1-8b-instruct"])
def test_the_matrices_are_drawn_to_scale(base: str) -> None:
    for layer in arithmetic(MODELS()[base], 64).layers:
        boxes, _ = low_rank_spec(layer, INK["dark"])["layer"]
        w, b, a = boxes["data"]["values"]
        scale = (w["x2"] - w["x"]) / layer.k
        sides = {
            name: ((box["y2"] - box["y"]) / scale, (box["x2"] - box["x"]) / scale)
            for name, box in (("w", w), ("b", b), ("a", a))
        }
        assert sides["w"] == pytest.approx((layer.d, layer.k))
        assert sides["b"] == pytest.approx((layer.d, layer.rank))
        assert sides["a"] == pytest.approx((layer.rank, layer.k))
        assert a["x"] == w["x"] and b["y"] == w["y"]  # A has W's columns, B its rows
        assert f"{layer.trained:,}" in told(layer) and f"{layer.frozen:,}" in told(layer)

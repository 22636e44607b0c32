"""Each rule: what makes it speak, what it says, that its patch silences it, and a near miss."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import pytest

from dsl import models
from dsl.edit import patched
from dsl.facts import Facts, Hardware, Momentary, SourceFacts
from dsl.problems import Problem, dotted, from_dotted, set_value
from dsl.recipe import read
from dsl.rules import RULES, TRAINING_RULES, check, is_local
from dsl.validate import check_schema

BASE: dict[str, Any] = {
    "name": "t",
    "model": {"base": "smollm2-135m-instruct"},
    "data": {"train": [{"path": "a.jsonl"}]},
}
NOTHING = Facts()
CPU = Hardware("cpu", "a CPU", 16 * 2**30, 4, bf16=False)
NEW_CPU = replace(CPU, bf16=True)
OLD_GPU = Hardware("cuda", "Tesla T4", 16 * 2**30, 8, bf16=False)
TRAIN = SourceFacts(
    ("data", "train", 0), "a.jsonl", "train", "alpaca", ("id", "clause", "plain"), complete=True
)
CHATS = replace(TRAIN, format="messages", columns=("messages", "topic"))
HUB = {"type": "hub", "dataset": "o/d", "revision": "0123abc"}
DATABASE = {"type": "database", "path": "x.duckdb", "query": "select * from clauses"}
UNDIRECTED = {"domain": {"metrics": ["length_ratio", "loss"]}}


@dataclass(frozen=True)
class Case:
    """`given` and `miss` set dotted paths of BASE; `misses` has other facts for the near miss."""

    rule: str
    given: dict[str, Any]
    path: str
    message: str
    hint: str
    miss: dict[str, Any]
    facts: Facts = NOTHING
    misses: Facts | None = None
    severity: str = "error"
    patch: bool = True


def gate(**condition: Any) -> dict[str, Any]:
    return {"eval.gates": [{"metric": "domain.loss"} | condition]}


MIX = "data.mix"
CASES = [
    Case("known_base", {"model.base": "smollm2-135m"}, "model.base",
         "no model 'smollm2-135m'", "did you mean smollm2-135m-instruct?",
         {"model.base": "./smollm2-135m"}),
    Case("known_base", {"model.base": "zzzz"}, "model.base", "no model 'zzzz'",
         "'recipe models' lists them", {"model.base": "zzzz.gguf"}, patch=False),
    Case("revision_of_hub_model", {"model.base": "./m", "model.revision": "main"},
         "model.revision", "a local model has no revision", "remove it", {"model.base": "./m"}),
    Case("revision_of_hub_model", {"model.base": "a/b"}, "model.base",
         "may be another model at the next run", "set model.revision",
         {"model.base": "a/b", "model.revision": "0123abc"}, severity="warning", patch=False),
    Case("targets_exist", {"method.target_modules": ["q_proj", "v_porj"]},
         "method.target_modules[1]", "'v_porj' matches no linear layer", "write v_proj",
         {"method.target_modules": ["q_proj", "v_proj"]}),
    Case("targets_exist", {"method.target_modules": "all_linear"}, "method.target_modules",
         "'all_linear' matches no linear layer", "write all-linear",
         {"method.target_modules": "q_proj"}),
    Case("targets_exist", {"method.target_modules": ["zzz"]}, "method.target_modules[0]",
         "'zzz' matches no linear layer", "its layers: q_proj",
         {"method.target_modules": ["zzz"], "model.base": "./m"}, patch=False),
    Case("rank_fits_layers", {"method.rank": 256}, "method.rank", "rank 256 is above 192",
         "at most 192", {"method.rank": 192}),
    Case("length_fits_context", {"training.max_length": 8193}, "training.max_length",
         "max_length 8193 is above the 8192 tokens", "set it to 8192",
         {"training.max_length": 8192}),
    Case("remote_code_is_confirmed", {"model.trust_remote_code": True},
         "model.trust_remote_code", "run code that comes with the model", "--trust-remote-code",
         {"model.trust_remote_code": True}, misses=Facts(trust_remote_code=True), patch=False),
    Case("chat_template_exists", {"model.base": "llama-2-7b"}, "template.type",
         "llama-2-7b is a plain base model", "set template.type to chatml",
         {"model.base": "llama-2-7b", "template.type": "alpaca"}),
    Case("four_bits_need_an_adapter",
         {"method.type": "full", "model.quantization": {"type": "nf4"}}, "model.quantization",
         "cannot be trained themselves", "set method to lora",
         {"method.type": "lora", "model.quantization": {"type": "nf4"}}),
    Case("qlora_is_nf4", {"method.type": "qlora", "model.quantization": {"type": "fp4"}},
         "model.quantization.type", "qlora means nf4, the recipe says fp4",
         "remove model.quantization",
         {"method.type": "qlora", "model.quantization": {"type": "nf4"}}),
    Case("full_not_in_float16", {"method.type": "full", "model.dtype": "float16"}, "model.dtype",
         "loses small updates", "set model.dtype to bfloat16",
         {"method.type": "lora", "model.dtype": "float16"}),
    Case("dtype_on_device", {"model.dtype": "float16"}, "model.dtype",
         "a CPU does not train in float16", "auto", {"model.dtype": "auto"}, Facts(hardware=CPU)),
    Case("dtype_on_device", {"model.dtype": "bfloat16"}, "model.dtype",
         "a CPU has no bfloat16", "auto", {"model.dtype": "bfloat16"}, Facts(hardware=CPU),
         misses=Facts(hardware=NEW_CPU), severity="warning"),
    Case("dtype_on_device", {"model.dtype": "bfloat16"}, "model.dtype",
         "Tesla T4 has no bfloat16", "auto", {"model.dtype": "float16"}, Facts(hardware=OLD_GPU)),
    Case("device_exists", {"compute.device": "cuda"}, "compute.device",
         "no CUDA device", "set compute.device to auto", {"compute.device": "cuda"},
         Facts(hardware=CPU), misses=Facts(hardware=OLD_GPU)),
    Case("threads_exist", {"compute.threads": 5}, "compute.threads",
         "5 threads on 4 cores", "set it to 4", {"compute.threads": 4}, Facts(hardware=CPU),
         severity="warning"),
    Case("flash_attention_needs_cuda", {"model.attention": "flash_attention_2"},
         "model.attention", "CUDA only", "sdpa", {"model.attention": "flash_attention_2"},
         Facts(hardware=CPU), misses=Facts(hardware=OLD_GPU)),
    Case("paths_stay_inside", {"data.train[0].path": "../a.jsonl"}, "data.train[0].path",
         "leaves the recipe's folder", "--allow", {"data.train[0].path": "b/..a.jsonl"},
         patch=False),
    Case("paths_stay_inside", {"data.train[0].path": "/srv/data/a.jsonl"}, "data.train[0].path",
         "lies outside the recipe's folder", "--allow /srv/data",
         {"data.train[0].path": "/srv/data/a.jsonl"}, misses=Facts(allowed=("/srv",)),
         patch=False),
    Case("source_not_on_both_sides", {"data.test": [{"path": "./a.jsonl"}]}, "data.test[0].path",
         "stands in data.train and in data.test", "remove one",
         {"data.test": [{"path": "b.jsonl"}]}),
    Case("source_not_on_both_sides", {"data.test": [{"path": "a*.jsonl"}]}, "data.test[0].path",
         "'a*.jsonl' stands in data.train", "remove one", {"data.test": [{"path": "b*.jsonl"}]}),
    Case("source_not_on_both_sides",
         {"data.train[0].path": "d", "data.validation": [{"path": "d/v.jsonl"}]},
         "data.validation[0].path", "'d/v.jsonl' stands in data.train", "remove one",
         {"data.train[0].path": "d", "data.validation": [{"path": "d/deeper/v.jsonl"}]}),
    Case("source_not_on_both_sides",
         {"data.train[0]": HUB, "data.mix": [HUB | {"share": 0.1}]},
         "data.mix[0].dataset", "'o/d/train' stands in data.train and in data.mix", "remove one",
         {"data.train[0]": HUB, "data.mix": [HUB | {"share": 0.1, "split": "test"}]}),
    Case("source_not_on_both_sides",
         {"data.train[0]": DATABASE, "data.test": [DATABASE]}, "data.test[0].path",
         "'x.duckdb' stands in data.train and in data.test", "remove one",
         {"data.train[0]": DATABASE, "data.test": [DATABASE | {"query": "from held_out"}]}),
    Case("weights_on_all_or_none",
         {"data.train": [{"path": "a", "weight": 2}, {"path": "b"}, {"path": "c", "weight": 1}]},
         "data.train[1]", "this source has no weight", "every source a weight, or none",
         {"data.train": [{"path": "a", "weight": 2}, {"path": "b", "weight": 0.5}]}),
    Case("hub_data_is_pinned", {"data.train[0]": {"type": "hub", "dataset": "o/d"}},
         "data.train[0].dataset", "'o/d' without a revision may have other rows",
         "set revision to a commit", {"data.train[0]": HUB}, severity="warning", patch=False),
    Case("query_only_reads", {"data.train[0]": DATABASE | {"query": "Delete from clauses"}},
         "data.train[0].query", "begins with 'Delete'", "write a SELECT",
         {"data.train[0]": DATABASE | {"query": "-- the good ones\n/* a\n */ (Select 1)"}},
         patch=False),
    Case("columns_fit_format",
         {"data.train[0].format": "messages", "data.train[0].columns": {"output": "plain"}},
         "data.train[0].columns.output", "format messages has no 'output'", "its parts: id",
         {"data.train[0].format": "alpaca", "data.train[0].columns": {"output": "plain"}}),
    Case("mapped_columns_exist", {"data.train[0].columns": {"output": "plian"}},
         "data.train[0].columns.output", "no column 'plian' in the data", "did you mean plain?",
         {"data.train[0].columns": {"output": "plain"}}, Facts(sources=(TRAIN,)), patch=False),
    Case("mapped_columns_exist", {"data.train[0].columns": {"output": "zzz"}},
         "data.train[0].columns.output", "no column 'zzz' in the data (first rows)",
         "the columns: clause, id, plain", {"data.train[0].columns": {"output": "zzz"}},
         Facts(sources=(replace(TRAIN, complete=False),)), misses=Facts(), severity="warning",
         patch=False),
    Case("group_column_exists", {"data.split.group_by": "document"}, "data.split.group_by",
         "no column 'document'", "the columns:", {"data.split.group_by": "clause"},
         Facts(sources=(TRAIN,)), patch=False),
    Case("template_parses", {"template.prompt": "{% if x %}"}, "template.prompt",
         "the template cannot be read", "{{ name }}", {"template.prompt": "100 % {x} }}"},
         patch=False),
    Case("template_columns_exist", {"template.prompt": "{{ cluase }}"}, "template.prompt",
         "no column 'cluase'", "did you mean clause?",
         {"template.prompt": "{{ clause }}{{ prompt }}{{ input }}"}, Facts(sources=(TRAIN,)),
         patch=False),
    Case("template_columns_exist",
         {"template": {"type": "jinja", "prompt": "{{ topic }}",
                       "completion": "{% for m in output %}{{ m }}{% endfor %}"}},
         "template.completion", "no column 'output'", "the columns:",
         {"template": {"type": "jinja", "prompt": "{{ topic }}",
                       "completion": "{% for m in messages %}{{ m }}{% endfor %}"}},
         Facts(sources=(CHATS,)), patch=False),
    Case("template_fits_rows", {"template.type": "alpaca"}, "template.type",
         "data.train[0] holds conversations; the alpaca template holds one question", "chat",
         {"template.type": "chatml"}, Facts(sources=(CHATS,))),
    Case("template_fits_rows",
         {"template": {"type": "jinja", "prompt": "x"},
          MIX: [{"path": "g.jsonl", "share": 0.1, "format": "messages"}]},
         "template.type", "data.mix[0] holds conversations; the jinja template", "chat",
         {"template": {"type": "jinja", "prompt": "x"}, "data.train[0].format": "messages"}),
    Case("template_fits_rows", {"template.type": "alpaca", "data.train[0].format": "sharegpt"},
         "template.type", "data.train[0] holds conversations", "chat",
         {"template.type": "alpaca", "data.train[0].format": "prompt_completion"}),
    Case("tools_need_the_models_template",
         {"template": {"type": "chatml", "system": "s"}, "data.train[0].columns": {"tools": "f"}},
         "template.type", "data.train[0] has tools, which the chatml template leaves out",
         "set template.type to chat", {"data.train[0].columns": {"tools": "f"}}),
    Case("tools_need_the_models_template",
         {"template": {"type": "jinja", "prompt": "x"},
          MIX: [{"path": "g.jsonl", "share": 0.1, "columns": {"tools": "f"}}]},
         "template.type", "data.mix[0] has tools, which the jinja template leaves out",
         "set template.type to chat",
         {"template": {"type": "jinja", "prompt": "x"}, "data.train[0].columns": {"tools": "f"}}),
    Case("rows_fit_objective", {"data.train[0].format": "preference"}, "data.train[0].format",
         "data.train[0] holds pairs of a chosen and a rejected answer; sft learns",
         "the objective dpo or reward, which is not built yet: 'recipe check'",
         {"data.train[0].format": "sharegpt"}, patch=False),
    Case("rows_fit_objective", {MIX: [{"path": "g.jsonl", "share": 0.1}]}, "data.mix[0].format",
         "data.mix[0] holds texts without a question", "the objective pretraining", {},
         Facts(sources=(replace(TRAIN, path=("data", "mix", 0), part="mix", format="text"),)),
         misses=Facts(sources=(TRAIN,)), patch=False),
    Case("rows_fit_objective", {"data.train[0].format": "auto"}, "data.train[0].format",
         "data.train[0] holds texts with a label", "the objective classification", {},
         Facts(sources=(replace(TRAIN, format="classification"),)), misses=Facts(), patch=False),
    Case("rows_fit_objective", {"data.test": [{"path": "k.jsonl", "format": "kto"}]},
         "data.test[0].format", "data.test[0] holds answers that are wanted or not",
         "the objective kto", {"data.test": [{"path": "k.jsonl"}]}, patch=False),
    Case("mix_leaves_room", {MIX: [{"path": "g", "share": 0.5}, {"path": "h", "share": 0.45}]},
         MIX, "nothing is left for the task", "lower them", {MIX: [{"path": "g", "share": 0.5}]},
         patch=False),
    Case("mix_leaves_room", {MIX: [{"path": "g", "share": 0.6}]}, MIX,
         "60% of the training rows are general", "5 to 10 percent",
         {MIX: [{"path": "g", "share": 0.5}]}, severity="warning", patch=False),
    Case("split_leaves_training", {"data.split": {"validation": 0.3, "test": 0.4}}, "data.split",
         "take 70% of the rows", "0.05 and 0.15",
         {"data.split": {"validation": 0.3, "test": 0.4}, "data.test": [{"path": "b.jsonl"}]}),
    Case("batch_sizes_agree",
         {"training.global_batch_size": 16, "training.micro_batch_size": 4,
          "training.gradient_accumulation_steps": 3}, "training.gradient_accumulation_steps",
         "is not global_batch_size 16", "set it to 4",
         {"training.global_batch_size": 12, "training.micro_batch_size": 4,
          "training.gradient_accumulation_steps": 3}),
    Case("batch_sizes_agree",
         {"training.global_batch_size": 16, "training.micro_batch_size": 3,
          "training.gradient_accumulation_steps": 5}, "training.global_batch_size",
         "micro_batch_size 3 x gradient_accumulation_steps 5", "set it to 15",
         {"training.micro_batch_size": 3, "training.gradient_accumulation_steps": 5}),
    Case("batch_sizes_agree",
         {"training.global_batch_size": 16, "training.micro_batch_size": 3},
         "training.micro_batch_size", "16 cannot be divided by micro_batch_size 3", "remove",
         {"training.global_batch_size": 15, "training.micro_batch_size": 3}),
    Case("one_warmup", {"training.warmup_steps": 3, "training.warmup_ratio": 0.1},
         "training.warmup_steps", "both say how long the warm-up is", "remove one",
         {"training.warmup_steps": 3}),
    Case("early_stopping_needs_validation",
         {"training.early_stopping": {}, "data.split.validation": 0}, "training.early_stopping",
         "needs a validation part", "0.05",
         {"training.early_stopping": {}, "data.split.validation": 0,
          "data.validation": [{"path": "v.jsonl"}]}),
    Case("eval_steps_need_validation",
         {"training.eval_steps": 5, "data.split.validation": 0}, "training.eval_steps",
         "nothing to validate on", "remove it", {"training.eval_steps": 5}),
    Case("best_checkpoint_is_saved", {"training.eval_steps": 10, "training.save_steps": 25},
         "training.save_steps", "no multiple of eval_steps 10", "set it to 20",
         {"training.eval_steps": 10, "training.save_steps": 30}),
    Case("validation_is_reached", {"training.max_steps": 9, "training.eval_steps": 10},
         "training.eval_steps", "ends after 9 steps", "set it to 9",
         {"training.max_steps": 10, "training.eval_steps": 10}, severity="warning"),
    Case("validation_is_reached",
         {"training.max_steps": 9, "training.eval_steps": 10, "training.early_stopping": {}},
         "training.eval_steps", "ends after 9 steps", "set it to 9",
         {"training.eval_steps": 10, "training.early_stopping": {}}),
    Case("learning_rate_is_usual", {"training.learning_rate": 0.003}, "training.learning_rate",
         "0.003 is above the rates at which lora", "set it to 0.0002",
         {"training.learning_rate": 0.002}, severity="warning"),
    Case("learning_rate_is_usual", {"training.learning_rate": 0.003, "method.type": "full"},
         "training.learning_rate", "0.003 is far above the rates at which full",
         "set it to 2e-05", {"training.learning_rate": 0.0002, "method.type": "full"}),
    Case("learning_rate_is_usual", {"training.learning_rate": 1e-9}, "training.learning_rate",
         "so small that nothing is learned", "0.0002", {"training.learning_rate": 1e-7},
         severity="warning"),
    Case("alpha_is_usual", {"method.alpha": 256}, "method.alpha", "alpha / rank is 16",
         "set alpha to 32", {"method.alpha": 256, "method.use_rslora": True}, severity="warning"),
    Case("epochs_are_usual", {"training.epochs": 6}, "training.epochs",
         "knows the training rows by heart", "early_stopping", {"training.epochs": 5},
         severity="warning"),
    Case("epochs_are_usual", {"training.epochs": 6, "data.split.validation": 0},
         "training.epochs", "knows the training rows by heart", "take 1 to 3 epochs",
         {"training.epochs": 6, "training.early_stopping": {}}, severity="warning"),
    Case("packing_keeps_examples_apart",
         {"training.packing": True, "training.micro_batch_size": 17}, "training.packing",
         "packed rows of 17408 tokens", "set packing to false",
         {"training.packing": True, "training.micro_batch_size": 16}),
    Case("suites_have_data", {"data.split.test": 0}, "eval.suites.domain.data",
         "'domain' uses the test part, and there is none", "0.15",
         {"data.split.test": 0, "data.test": [{"path": "t.jsonl"}]}),
    Case("gates_have_metrics", {"eval.gates": [{"metric": "task.loss", "max": 1}]},
         "eval.gates[0].metric", "no suite 'task'", "write domain.loss", gate(max=1)),
    Case("gates_have_metrics", {"eval.gates": [{"metric": "domain.rouge", "min": 0.1}]},
         "eval.gates[0].metric", "'rouge' stands for several metrics", "rouge_1, rouge_2 or",
         {"eval.gates": [{"metric": "domain.rouge_l", "min": 0.1}]}),
    Case("gates_have_metrics", {"eval.gates": [{"metric": "domain.lost", "max": 1}]},
         "eval.gates[0].metric", "no metric 'lost'", "did you mean domain.loss?", gate(max=1)),
    Case("gates_have_metrics", {"eval.gates": [{"metric": "domain.bleu", "min": 1}]},
         "eval.gates[0].metric", "does not compute 'bleu'", "add it to eval.suites.domain.metrics",
         {"eval.gates": [{"metric": "domain.loop_rate", "max": 1}]}),
    Case("gates_are_complete", gate(), "eval.gates[0]", "asks for nothing", "improve_by",
         gate(max=2)),
    Case("gates_are_complete", gate(improve_by=0), "eval.gates[0]",
         "need a model to compare with", "set against to base",
         gate(improve_by=0, against="base")),
    Case("gates_are_complete", gate(improve_by=0, drop_at_most=1, against="base"),
         "eval.gates[0].drop_at_most", "improve_by asks for better", "remove one",
         gate(drop_at_most=1, against="base")),
    Case("gates_are_complete", gate(min=2, max=1), "eval.gates[0].min",
         "min 2 is above max 1", "swap them", gate(min=1, max=1)),
    Case("gates_are_complete", gate(max=1, against="base"), "eval.gates[0].against",
         "against has no effect", "remove it", gate(max=1, against="base", drop_at_most=0),
         severity="warning"),
    Case("gates_are_complete",
         {"eval.suites": UNDIRECTED,
          "eval.gates": [{"metric": "domain.length_ratio", "against": "base", "improve_by": 0}]},
         "eval.gates[0].metric", "length_ratio has no better direction", "min and max",
         {"eval.suites": UNDIRECTED,
          "eval.gates": [{"metric": "domain.length_ratio", "min": 0.5, "max": 2}]}, patch=False),
    Case("validation_does_not_judge",
         {"eval.suites": {"domain": {"data": "validation"}}} | gate(max=1),
         "eval.gates[0].metric", "already chose the checkpoint", "data to test", gate(max=1),
         severity="warning"),
    Case("sampling_blurs_comparison", {"eval.generation.temperature": 0.7},
         "eval.generation.temperature", "drawn at random", "set temperature to 0",
         {"eval.generation.temperature": 0.0}, severity="warning"),
    Case("exports_fit_method", {"method.type": "full", "export": [{"type": "adapter"}]},
         "export[0].type", "full training makes no adapter", "set it to merged",
         {"method.type": "full", "export": [{"type": "merged"}]}),
    Case("exports_fit_method", {"method.type": "qlora", "export": [{"type": "merged"}]},
         "export[0].type", "would answer differently", "set it to adapter",
         {"method.type": "lora", "export": [{"type": "merged"}]}),
    Case("disk_is_free", {}, "model.base", "0.4 GB are free on the disk, about 0.8 GB",
         "--runs", {}, Facts(momentary=Momentary(free_disk_bytes=4 * 10**8)),
         misses=Facts(momentary=Momentary(free_disk_bytes=8 * 10**8)), severity="warning",
         patch=False),
]  # fmt: skip
BY_NAME = {rule.__name__: rule for rule in (*RULES, *TRAINING_RULES)}


def values_of(given: dict[str, Any]) -> dict[str, Any]:
    changes = [set_value(from_dotted(path), value) for path, value in given.items()]
    values: dict[str, Any] = patched(copy.deepcopy(BASE), changes)
    assert check_schema(values) == [], "a case is valid by the schema"
    return values


def found(case: Case, values: dict[str, Any], facts: Facts) -> list[Problem]:
    return list(BY_NAME[case.rule](read(values)[0], facts))


def ids(case: Case) -> str:
    return f"{case.rule}-{case.path}-{case.message[:20]}"


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_a_rule_speaks(case: Case) -> None:
    (problem,) = found(case, values_of(case.given), case.facts)
    assert dotted(problem.path) == case.path
    assert case.message in problem.message
    assert problem.hint and case.hint in problem.hint
    assert problem.severity == case.severity
    assert bool(problem.patch) == case.patch


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_a_near_miss_is_silent(case: Case) -> None:
    facts = case.facts if case.misses is None else case.misses
    assert found(case, values_of(case.miss), facts) == []


@pytest.mark.parametrize("case", [case for case in CASES if case.patch], ids=ids)
def test_a_patch_leaves_a_valid_recipe_without_the_problem(case: Case) -> None:
    values = values_of(case.given)
    before = check(read(values)[0], case.facts)
    (problem,) = found(case, values, case.facts)
    mended = patched(values, problem.patch)
    assert check_schema(mended) == []
    assert found(case, mended, case.facts) == []
    told = {(p.path, p.message) for p in before}
    new = [p for p in check(read(mended)[0], case.facts) if (p.path, p.message) not in told]
    assert new == [], "a patch brings no other problem"


def test_every_rule_has_a_case() -> None:
    assert {case.rule for case in CASES} == set(BY_NAME)
    assert len(BY_NAME) == len(RULES) + len(TRAINING_RULES)


def test_data_that_no_objective_learns_from_can_be_looked_at() -> None:
    recipe, _ = read(values_of({"data.train[0].format": "kto", "training.learning_rate": 0.5}))
    for_training = [problem.path[-1] for problem in check(recipe, NOTHING)]
    assert for_training == ["learning_rate", "format"]
    assert [problem.path[-1] for problem in check(recipe, NOTHING, RULES)] == ["learning_rate"]


@pytest.mark.parametrize("path", ["../x.duckdb", "/srv/x.duckdb"])
def test_a_database_stays_inside_too(path: str) -> None:
    recipe, _ = read(values_of({"data.train[0]": DATABASE | {"path": path}}))
    assert [problem.path for problem in check(recipe, NOTHING)] == [("data", "train", 0, "path")]


def test_one_source_may_be_many_files() -> None:
    other = replace(TRAIN, name="b.jsonl", columns=("id", "plain"))
    recipe, _ = read(values_of({"data.train[0].columns": {"input": "clause"}}))
    (problem,) = check(recipe, Facts(sources=(TRAIN, other)))
    assert problem.message == "no column 'clause' in the data"


def test_rules_say_nothing_of_a_good_recipe_and_of_facts_not_asked() -> None:
    assert check(read(BASE)[0], Facts()) == []
    facts = Facts(models.find("smollm2-135m-instruct"), sources=(TRAIN,), hardware=NEW_CPU)
    assert check(read(BASE)[0], facts) == []


def test_the_model_of_the_facts_counts_before_the_registry() -> None:
    model = models.find("smollm2-135m-instruct")
    assert model is not None
    recipe, _ = read(values_of({"model.base": "./m", "training.max_length": 9000}))
    assert check(recipe, Facts()) == []
    assert [p.path for p in check(recipe, Facts(model))] == [("training", "max_length")]


@pytest.mark.parametrize(
    ("base", "local"),
    [("./m", True), ("../m", True), ("/m", True), ("m.gguf", True), ("a/b", False), ("m", False)],
)
def test_is_local(base: str, local: bool) -> None:
    assert is_local(base) == local

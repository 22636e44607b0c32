"""GGUF → a dense bfloat16 folder in transformers' layout, tokenizer and chat template included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dsl.errors import ModelError
from runner.bases import gguf

# Values of tokenizer.ggml.pre whose text is cut into single digits before GPT-2's own pattern
# (llama.cpp, src/llama-vocab.cpp). transformers reads them as plain GPT-2, which joins a digit to
# the white space before it: "\n\n1." becomes tokens that the model has never seen there.
_SINGLE_DIGITS = frozenset(
    {"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b"}
)


def convert(file: Path, folder: Path) -> None:
    """Writes the model of `file` into `folder`. Needs the gguf package.

    Raises ModelError where the file cannot be read, or weights are missing or not finite.
    """
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig
    from transformers.utils import logging

    switch: Any = logging
    switch.disable_progress_bar()
    try:
        result: Any = AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            # packed weights could neither be trained nor saved
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.bfloat16,
            output_loading_info=True,
        )
    except (ValueError, KeyError, NotImplementedError) as error:
        raise ModelError(f"transformers cannot read {file}: {error}") from error
    loaded, report = result
    wrong = sorted({*map(str, report["missing_keys"]), *map(str, report["mismatched_keys"])})
    if wrong:
        raise ModelError(f"{file} lacks weights of the model: {', '.join(wrong[:3])}")
    for name, parameter in loaded.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise ModelError(f"{file}: {name} holds NaN or infinity")
    loaded.save_pretrained(folder)
    _tokenizer(file).save_pretrained(folder)


def _tokenizer(file: Path) -> Any:
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    except (ValueError, KeyError, NotImplementedError) as error:
        raise ModelError(f"transformers cannot read the tokenizer of {file}: {error}") from error
    if gguf.read(file).metadata.get("tokenizer.ggml.pre") in _SINGLE_DIGITS:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
        )
    return tokenizer

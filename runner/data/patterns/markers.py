"""Markers of a chat template that stand in a text as text: a model would read them as turns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from runner.data.patterns.pattern import Hit

OWN = "special token"
FOREIGN = "another family's marker"
# One speaker's label alone is a transcript or a play; both are a template.
SPEAKERS = r"(?:^|\n)(?:(?:Human|User|USER):[\s\S]*?\n(?:Assistant|ASSISTANT|AI):)"

# family → expressions in the syntax that Python's re and RE2 share
FAMILIES: dict[str, tuple[str, ...]] = {
    "ChatML and its kin": (
        r"<\|(?:im_start|im_end|im_sep|endoftext|user|assistant|system|end|observation|tool_call|"
        r"begin_of_text|end_of_text|start_header_id|end_header_id|eot_id|eom_id|python_tag|"
        r"finetune_right_pad_id|fim_prefix|fim_middle|fim_suffix|file_sep|endofprompt|prompter|"
        r"start|message|channel|return|call|START_OF_TURN_TOKEN|END_OF_TURN_TOKEN|"
        r"SYSTEM_TOKEN|USER_TOKEN|CHATBOT_TOKEN)\|>",),
    "DeepSeek": ("<\uff5c[A-Za-z_\u2581]{1,40}\uff5c>",),
    # bare <s> is also HTML's struck-out text: only where a template puts it
    "Llama 2 and Mistral": (
        r"\[/?(?:INST|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT)\]", r"<</?SYS>>",
        r"\A[ \n]*<s>", r"</s>[ \n]*\z", r"</s>[ \n]*<s>"),
    "Gemma": (r"<(?:start|end)_of_turn>", r"<(?:bos|eos)>"),
    "BERT and T5": (r"\[(?:CLS|SEP|PAD|UNK|MASK)\]", r"<extra_id_[0-9]{1,3}>", r"<(?:pad|unk)>"),
    "Alpaca": (r"(?:\A|\n)### ?(?:Instruction|Response|Input|Human|Assistant):",),
    "Vicuna and Anthropic": (SPEAKERS,),
}  # fmt: skip


def own_expression(special_tokens: Sequence[str]) -> str | None:
    """Longest first, so that of two tokens at one place the longer is found. Blank ones (some
    tokenizers add runs of spaces as tokens) are ordinary text."""
    written = sorted({token for token in special_tokens if token.strip()}, key=len, reverse=True)
    return "|".join(re.escape(token) for token in written) or None


FOREIGN_EXPRESSION = "|".join(part for parts in FAMILIES.values() for part in parts)


def markers_prefilter(special_tokens: Sequence[str] = ()) -> str:
    """RE2: matches every text in which `markers` finds anything."""
    own = own_expression(special_tokens)
    return f"{own}|{FOREIGN_EXPRESSION}" if own else FOREIGN_EXPRESSION


@lru_cache(maxsize=8)
def compiled(special_tokens: tuple[str, ...]) -> tuple[re.Pattern[str] | None, re.Pattern[str]]:
    own = own_expression(special_tokens)
    foreign = re.compile(FOREIGN_EXPRESSION.replace(r"\z", r"\Z"))
    return re.compile(own) if own else None, foreign


def markers(text: str, special_tokens: Sequence[str] = ()) -> list[Hit]:
    """Hits of kind 'special token' (the tokenizer's own, the authority) and 'another family's
    marker', sorted by place; the span is the marker. `special_tokens`: those that the tokenizer
    added and treats as special."""
    own, foreign = compiled(tuple(special_tokens))
    hits = [Hit(OWN, *match.span()) for match in own.finditer(text)] if own else []
    taken = [(hit.start, hit.end) for hit in hits]
    for match in foreign.finditer(text):
        start, end = trimmed(match)
        if not any(start < stop and begin < end for begin, stop in taken):
            hits.append(Hit(FOREIGN, start, end))
    return sorted(hits, key=lambda hit: hit.start)


def trimmed(match: re.Match[str]) -> tuple[int, int]:
    """The span without the white space that told that it is a marker."""
    found = match[0]
    return match.end() - len(found.lstrip()), match.start() + len(found.rstrip())

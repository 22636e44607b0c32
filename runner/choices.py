"""The sections of a recipe that say how to train and to judge, chosen by task and measures.

Rank, epochs and dropout are those that dsl.advise advises.
"""

from __future__ import annotations

from typing import Any

from dsl.advise import choose_dropout, choose_epochs, choose_rank, why_lora
from dsl.arithmetic import arithmetic
from dsl.models import MODELS
from dsl.rows import Format
from runner.data.measure import Measures

BASE = "smollm2-135m-instruct"
BYTES_PER_TOKEN = 3.5  # of English in a tokenizer of 50,000 tokens; other scripts have fewer
TEMPLATE_TOKENS = 40  # what a chat template adds around two turns
SHORTEST = 128  # tokens of a row
SHORTEST_ANSWER, LONGEST_ANSWER = 16, 512  # tokens

Section = tuple[str, dict[str, Any], dict[str, str]]  # name, values, key → why


def choices(format: Format, measures: Measures) -> list[Section]:
    """The sections in the order of the schema."""
    sections = [_method(format, measures), _training(measures), _eval(format, measures)]
    return [_template(), *sections] if format == "alpaca" else sections


def why_base() -> str:
    model = MODELS()[BASE]
    return (
        f"{round(model.parameters / 1e6)}M parameters, {model.licence}: runs on any machine and "
        "shows whether the data teach; 'recipe models' lists larger ones"
    )


def _template() -> Section:
    why = "the model's own turns; instruction and input are the question, a blank line between"
    return "template", {"type": "chat"}, {"type": why}


def _method(format: Format, measures: Measures) -> Section:
    rank = choose_rank("classes" if format == "classification" else None, measures.rows)
    values: dict[str, Any] = {"type": "lora", "rank": rank.value}
    share = arithmetic(MODELS()[BASE], rank.value).share
    reasons = {"type": why_lora(share), "rank": rank.why}
    if dropout := choose_dropout(measures.rows):
        values["dropout"] = dropout.value
        reasons["dropout"] = dropout.why
    return "method", values, reasons


def _training(measures: Measures) -> Section:
    epochs = choose_epochs(measures.rows)
    usual, long = (_tokens(size) + TEMPLATE_TOKENS for size in measures.row_bytes)
    # a few long rows are not worth four times the memory
    length = min(
        max(power_of_two(long), SHORTEST),
        max(2 * power_of_two(usual), SHORTEST),
        MODELS()[BASE].max_position_embeddings,
    )
    cut = "" if length >= long else "; longer ones are cut, as the check truncation tells"
    reasons = {
        "epochs": epochs.why,
        "max_length": f"about {usual:,} tokens hold 95% of the rows, {long:,} hold 99%"
        f" (estimated, bytes / {BYTES_PER_TOKEN}){cut}",
    }
    return "training", {"epochs": epochs.value, "max_length": length}, reasons


def _eval(format: Format, measures: Measures) -> Section:
    answer = _tokens(measures.answer_bytes)
    if format == "classification":
        metrics, why = ["loss", "exact_match"], "an answer is a class: right or wrong"
    elif answer <= SHORTEST_ANSWER:
        metrics = ["loss", "exact_match", "token_f1"]
        why = "answers are a few words: right or wrong tells more than shared words"
    else:
        metrics = ["loss", "perplexity", "rouge", "repetition"]
        why = "answers are free text: words shared with the reference, and whether they loop"
    # one half above the estimate: an answer that is cut off counts as wrong
    most = min(max(power_of_two(answer * 3 // 2), SHORTEST_ANSWER), LONGEST_ANSWER)
    suites = {"domain": {"data": "test", "metrics": metrics}}
    reasons = {
        "generation.max_new_tokens": f"95% of the answers have up to {answer:,} tokens (estimated)",
        "suites.domain.metrics": why,
    }
    return "eval", {"generation": {"max_new_tokens": most}, "suites": suites}, reasons


def _tokens(size: int) -> int:
    return round(size / BYTES_PER_TOKEN)


def power_of_two(number: int) -> int:
    """The smallest power of two that is not below a number."""
    return 1 << max(number - 1, 0).bit_length()

"""Advice in words, for a device of this machine or one that is named; a recipe begun from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import wrap

from dsl.advise import Advice, Option, choose_rank, not_built, patch
from dsl.approach import Approach, Need
from dsl.arithmetic import Arithmetic, arithmetic
from dsl.edit import patched
from dsl.errors import RecipeError
from dsl.facts import Hardware
from dsl.models import MODELS, Model, names
from dsl.problems import closest
from runner.choices import BASE
from runner.probe import hardware, threads
from runner.report.words import size

GIB = 1024**3
WIDTH = 96
SIZE = re.compile(r"\s*(\d{1,5}(?:\.\d+)?)\s*(?:G|GB|GiB)?\s*", re.IGNORECASE)
NEEDS: dict[Need, str] = {
    "facts": "facts are missing, wrong or out of date",
    "style": "the style, tone or format is not ours",
    "classes": "texts are not sorted into our classes",
    "skill": "it cannot do the task itself: reasoning, code, a special language",
}
APPROACHES: dict[Approach, str] = {
    "prompt": "A better prompt",
    "retrieve": "Retrieval: look facts up in your documents",
    "tune": "Fine-tuning: train on your examples",
}
# what is done next, and whether it is done here
NEXT: dict[Approach, str] = {
    "prompt": "Write down what you want with 3 to 5 examples and try 20 real questions on a ready "
    "model. Not part of this tool.",
    "retrieve": "Build a search over your documents and hand what it finds to the model. Not part "
    "of this tool.",
    "tune": "Write a recipe from your data, check it, plan it, run it. This tool does all of it.",
}
NOTHING = "Nothing fits yet: gather good examples first, at least 100."
JOIN = "Retrieval and fine-tuning go together: one brings the facts, the other your form."


def device(memory: str | None) -> Hardware:
    """This machine, or a graphics card of so much memory, as in 8GB. Raises RecipeError."""
    if memory is None:
        return hardware()
    found = SIZE.fullmatch(memory)
    gib = float(found[1]) if found else 0.0
    if gib <= 0:
        raise RecipeError(f"'{memory}' is no size of a memory", "write it as 8GB")
    return Hardware("cuda", f"a graphics card of {gib:g} GB", int(gib * GIB), threads(), True)


def known_base(name: str | None) -> str:
    """A name of the registry. Raises RecipeError."""
    if name is not None and name not in MODELS():
        near = closest(name, names())
        raise RecipeError(
            f"the dimensions of '{name}' are not known",
            f"did you mean {near}?" if near else "'recipe models' lists those that are",
        )
    return name or BASE


def begun(advice: Advice) -> str:
    """The text of a new recipe, whose data are still to be named."""
    from runner.propose import written

    values = {
        "name": "my-recipe",
        "model": {"base": advice.base},
        "data": {"train": [{"path": "my-data.jsonl"}]},
    }
    return written(patched(values, patch(values, advice))) + "\n"


def sets(advice: Advice) -> list[str]:
    """The settings as words of a command line, for a recipe that 'recipe new' wrote."""
    said = [f"{one.path}={one.value}" for one in advice.choices]
    base = [f"model.base={advice.base}"] if advice.base != BASE else []
    return [word for one in (*base, *said) for word in ("--set", one)]


def words_of(advice: Advice, memory: str | None) -> list[str]:
    """The command line that tells the same."""
    of, usual = advice.answers, choose_rank(advice.answers.need, advice.answers.rows).value
    words = ["recipe", "advise", "--need", of.need, "--rows", str(of.rows)]
    words += [f"--{name}" for name in ("changing", "cite", "tried", "private") if getattr(of, name)]
    if advice.base in MODELS() and advice.base != BASE:
        words += ["--base", advice.base]
    if memory:
        words += ["--memory", memory]
    rank = next((one.value for one in advice.choices if one.path == "method.rank"), usual)
    return [*words, "--rank", str(rank)] if rank != usual else words


def lines(advice: Advice) -> Iterator[str]:
    """What 'recipe advise' prints."""
    if not advice.advisable:
        yield from (NOTHING, "")
    for place, ranked in enumerate(advice.approaches, 1):
        yield f"{place}. {APPROACHES[ranked.approach]}"
        for reason in ranked.reasons:
            yield from _paragraph(reason.why, f"     {'+' if reason.points > 0 else '-'} ")
        yield from _paragraph(f"next: {NEXT[ranked.approach]}", "     ")
    if advice.can_join:
        yield from ("", JOIN)
    best, sums = advice.options[0], arithmetic_of(advice, MODELS()[advice.base])
    yield from ("", f"If you fine-tune {advice.base} on {advice.device}:", "")
    for option in advice.options:
        yield f"  {option.method:<8} {told(option)}"
        yield from _paragraph(option.why, " " * 11)
    if advice.fitting_base:
        yield f"  nothing fits: the largest base that does is {advice.fitting_base}"
    yield ""
    for one in advice.choices[1:]:
        value = f"{one.value:g}" if isinstance(one.value, float) else str(one.value)
        yield from _paragraph(one.why, f"  {one.path:<23} {value:<8} ", 34)
    if sums:
        yield from ("", f"  {summed(sums)}")
    yield from ("", "not built yet: " + "; ".join(not_built()))
    yield from ("", "next: recipe new DATA, then")
    yield f"      recipe plan RECIPE {' '.join(sets(advice))}"
    if best.estimate.total_seconds[1] > 24 * 3600:
        yield "      (that is days of work for this device: a smaller base shows sooner what helps)"


def told(option: Option) -> str:
    """Memory of a method, and its time where it fits, in words."""
    low, high = option.estimate.total_seconds
    held = f"{size(option.estimate.memory.total)} of {size(option.estimate.device_bytes)}"
    if not option.fits:
        return f"does not fit: {held} (estimated)"
    return f"fits: {held}, {about(low, high)} (estimated)"


def about(low: float, high: float) -> str:
    """A span of estimated seconds, no finer than an estimate is."""
    (least, one), (most, other) = _rough(low), _rough(high)
    return f"{least} to {most} {other}" if one == other else f"{least} {one} to {most} {other}"


def _rough(seconds: float) -> tuple[str, str]:
    for unit, name in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 1.5 * unit:
            number = seconds / unit
            return (f"{number:,.0f}" if number >= 10 else f"{number:.2g}"), name
    return f"{seconds:.0f}", "s"


def summed(sums: Arithmetic) -> str:
    """The arithmetic of an adapter in one sentence."""
    return (
        f"rank {sums.rank}: {sums.trainable:,} of {sums.parameters:,} weights "
        f"({sums.share:.2%}, exact), an adapter of {sums.adapter_bytes / 1e6:.1f} MB; "
        f"its optimizer keeps {sums.states_bytes / 1e6:,.0f} MB"
    )


def arithmetic_of(advice: Advice, model: Model) -> Arithmetic | None:
    """Of the adapter that is advised; None where all weights are to be trained."""
    rank = next((one.value for one in advice.choices if one.path == "method.rank"), None)
    return arithmetic(model, rank) if rank else None


def _paragraph(text: str, before: str, margin: int | None = None) -> list[str]:
    after = " " * (len(before) if margin is None else margin)
    return wrap(text, WIDTH, initial_indent=before, subsequent_indent=after, break_on_hyphens=False)

"""What to do about answers that are not good enough: the approach, and if it is fine-tuning the
method, rank, learning rate and epochs, each with its reason.

The figures are the practice of the field; 'recipe new' takes its settings from here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dsl.approach import Answers, Need, Ranked, advisable, can_join, rank_approaches
from dsl.compile import compile
from dsl.facts import Facts, Hardware, PartFacts
from dsl.memory import BITS
from dsl.methods import METHODS, MethodInfo, info
from dsl.models import MODELS, Model
from dsl.plan import Estimate
from dsl.problems import Change, from_dotted, lookup, remove, set_value
from dsl.recipe import TYPES, Lora, read

FEW, MANY = 500, 50_000  # rows
MAX_LENGTH = 512  # tokens of the longest example, where the data are not known
PROMPT, COMPLETION = 1000, 600  # characters of an example, likewise

# task → (rank, why) with few, usual, many rows; None is a task that nothing more is known of
_STYLE = "{rows} teach a style or a format, not facts: 4 to 8 is usual"
_USUAL = "16 to 32 is usual, and {rows} do not fill more"
_MANY = "{rows} can fill more directions: 32 to 64 is usual"
_CLASSES = (8, "telling classes apart takes few directions: 4 to 8 is usual")
RANKS: dict[Need | None, tuple[tuple[int, str], tuple[int, str], tuple[int, str]]] = {
    None: ((8, _STYLE), (16, _USUAL), (32, _MANY)),
    "facts": ((8, _STYLE), (16, _USUAL), (32, _MANY)),
    "style": (
        (8, _STYLE),
        (8, "one style or format takes few directions: 4 to 8 is usual"),
        (16, "4 to 8 is usual for a style; {rows} can fill more"),
    ),
    "classes": (_CLASSES, _CLASSES, _CLASSES),
    "skill": (
        (16, "32 to 64 is usual for code, mathematics and the like; {rows} do not fill it"),
        (32, "32 to 64 is usual for code, mathematics and the like"),
        (64, "32 to 64 is usual for code, mathematics and the like, and {rows} can fill 64"),
    ),
}
# what the field knows and this tool does not build yet → how a recipe would name it
LATER = {
    "preference training after this (DPO, KTO)": ("objective", "dpo"),
    "training on plain text (continued pretraining)": ("objective", "pretraining"),
    "prefix and prompt tuning": ("method", "prefix"),
    "IA3": ("method", "ia3"),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A value of a recipe, at its dotted path, and why."""

    path: str
    value: Any
    why: str


@dataclass(frozen=True, slots=True)
class Option:
    """A method on this base and device. `trainable` is exact, the estimate at micro-batch 1."""

    method: str
    trainable: int
    share: float
    estimate: Estimate
    why: str

    @property
    def fits(self) -> bool:
        return self.estimate.fits


@dataclass(frozen=True, slots=True)
class Advice:
    """`options`: the methods, the most fitting first. `choices`: settings of the first one.

    `fitting_base`: the largest known base that this device can train, where this one does not fit.
    """

    answers: Answers
    base: str
    device: str
    approaches: tuple[Ranked, ...]
    options: tuple[Option, ...]
    choices: tuple[Choice, ...]
    fitting_base: str | None

    @property
    def advisable(self) -> bool:
        """Whether the first approach has more for it than against it."""
        return advisable(self.approaches)

    @property
    def can_join(self) -> bool:
        return can_join(self.approaches)

    def to_json(self) -> dict[str, Any]:
        return {
            "answers": asdict(self.answers),
            "base": self.base,
            "device": self.device,
            "approaches": [
                {"approach": one.approach, "points": one.points}
                | {"reasons": [asdict(reason) for reason in one.reasons]}
                for one in self.approaches
            ],
            "advisable": self.advisable,
            "methods": [
                {
                    "method": one.method,
                    "trainable_parameters": one.trainable,
                    "share": one.share,
                    "memory_bytes": one.estimate.memory.total,
                    "seconds": one.estimate.total_seconds,
                    "fits": one.fits,
                    "how": one.estimate.how,
                    "why": one.why,
                }
                for one in self.options
            ],
            "settings": [asdict(choice) for choice in self.choices],
            "fitting_base": self.fitting_base,
            "not_built": not_built(),
        }


def advise(
    answers: Answers, base: str, model: Model, hardware: Hardware, rank: int | None = None
) -> Advice:
    """The advice for a base, as a recipe names it, of these dimensions, on a device.

    `rank`: chosen by the user, else by task and rows.
    """
    of_rank = choose_rank(answers.need, answers.rows)
    if rank is not None and rank != of_rank.value:
        of_rank = Choice(of_rank.path, rank, f"your choice; {of_rank.value} would be usual")
    options = _options(answers.rows, model, hardware, of_rank.value)
    fitting = None
    if not options[0].fits:
        fitting = _fitting_base(answers.rows, model, hardware, of_rank.value)
    return Advice(
        answers=answers,
        base=base,
        device=hardware.name,
        approaches=rank_approaches(answers),
        options=options,
        choices=_choices(options[0], of_rank, answers.rows),
        fitting_base=fitting,
    )


# ---------------------------------------------------------------- settings


def choose_rank(need: Need | None, rows: int) -> Choice:
    """By task and number of rows; more rows never lower it."""
    value, why = RANKS[need][0 if rows < FEW else 1 if rows < MANY else 2]
    return Choice("method.rank", value, why.format(rows=_rows(rows)))


def choose_epochs(rows: int) -> Choice:
    """More rows need fewer passes."""
    epochs = 3 if rows < FEW else 2 if rows < MANY else 1
    why = f"{epochs} pass{'es' * (epochs != 1)} over {_rows(rows)}; 1 to 3 are usual"
    return Choice("training.epochs", epochs, why)


def choose_dropout(rows: int) -> Choice | None:
    """None where the schema's default serves."""
    if rows < MANY:
        return None
    why = f"{_rows(rows)} are not learnt by heart in so few epochs"
    return Choice("method.dropout", 0, why)


def _choices(best: Option, rank: Choice, rows: int) -> tuple[Choice, ...]:
    of = METHODS["full" if best.method == "full" else "lora"]
    why = f"{of.why_rate}; above {of.highest_learning_rate:g} it is rarely stable"
    rate = Choice("training.learning_rate", of.learning_rate, why)
    method = Choice("method.type", best.method, best.why)
    dropout = choose_dropout(rows)
    adapter = (rank, *([dropout] if dropout else [])) if of.adapter else ()
    return (method, *adapter, rate, choose_epochs(rows))


def patch(values: Mapping[str, Any], advice: Advice) -> tuple[Change, ...]:
    """The change of a recipe's values that the advice asks for. What it says nothing of stays,
    but alpha, which follows the rank again, and four bits, which are qlora's."""
    changes: list[Change] = []
    if lookup(values, ("model", "base")) != advice.base:
        changes += [set_value(("model", "base"), advice.base), *_removed(values, "model.revision")]
    changes += _removed(values, "model.quantization")
    method, *others = advice.choices
    if method.value == "full":  # it has none of an adapter's settings
        changes.append(set_value(("method",), {"type": method.value}))
    else:
        changes += [*_removed(values, "method.alpha"), set_value(("method", "type"), method.value)]
    return (*changes, *(set_value(from_dotted(one.path), one.value) for one in others))


def _removed(values: Mapping[str, Any], path: str) -> list[Change]:
    where = from_dotted(path)
    return [remove(where)] if lookup(values, where) is not None else []


# ---------------------------------------------------------------- methods


def _options(rows: int, model: Model, hardware: Hardware, rank: int) -> tuple[Option, ...]:
    """Every method that a recipe may name: those that fit in the order of the schema, then the
    others by the memory that they would take."""
    found = [_option(name, rows, model, hardware, rank) for name in TYPES["method"]]
    fitting = [option for option in found if option.fits]
    others = [option for option in found if not option.fits]
    return (*fitting, *sorted(others, key=lambda option: option.estimate.memory.total))


def _option(name: str, rows: int, model: Model, hardware: Hardware, rank: int) -> Option:
    """Compiled as a plan would be, of rows of a usual length."""
    method = {"type": name} | ({"rank": rank} if issubclass(TYPES["method"][name], Lora) else {})
    recipe, origins = read(
        {
            "name": "advice",
            "model": {"base": "base"},
            "data": {"train": [{"path": "rows.jsonl"}]},
            "method": method,
            "training": {
                "max_length": MAX_LENGTH,
                "micro_batch_size": 1,
                "epochs": choose_epochs(rows).value,
            },
        }
    )
    count = max(rows, 1)
    part = PartFacts(count, count, PROMPT * count, COMPLETION * count)
    plan = compile(recipe, origins, Facts(model=model, hardware=hardware, parts={"train": part}))
    assert plan.targets is not None and plan.estimate is not None  # rows and device are known
    share = plan.targets.share
    why = _why(name, info(recipe.method), share)
    return Option(name, plan.targets.trainable_parameters, share, plan.estimate, why)


def why_lora(share: float) -> str:
    return f"trains {share:.2%} of the weights beside the frozen base; comes close to training all"


def _why(name: str, of: MethodInfo, share: float) -> str:
    match name:
        case "lora":
            return why_lora(share)
        case "qlora":
            return (
                f"trains {share:.2%} beside a base that is held in {BITS['nf4', True]:g} bits a "
                "weight instead of 16: less memory, slower, a little less exact"
            )
        case "full":
            return (
                "trains 100% of the weights, at 16 bytes each: the highest ceiling, and it "
                "forgets most of what the base knew"
            )
    return f"trains {share:.2%} of the weights, at a rate of {of.learning_rate:g}"


def _fitting_base(rows: int, model: Model, hardware: Hardware, rank: int) -> str | None:
    """The largest smaller base that can be trained here; one that all may fetch, if there is."""
    below = sorted(
        (one for one in MODELS().values() if one.parameters < model.parameters),
        key=lambda one: (one.gated, -one.parameters),
    )
    fitting = (one for one in below if _options(rows, one, hardware, rank)[0].fits)
    return next((one.name for one in fitting), None)


def not_built() -> list[str]:
    """What the field knows and a recipe cannot ask for yet."""
    return [words for words, (section, name) in LATER.items() if name not in TYPES[section]]


def _rows(rows: int) -> str:
    return f"{rows:,} row{'s' * (rows != 1)}"

"""A recipe file → what the verbs work on: its problems, or a plan with the data behind it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dsl.errors import InvalidRecipe, RecipeError
from dsl.facts import Facts
from dsl.problems import Path as RecipePath
from dsl.problems import Problem, errors
from dsl.recipe import Recipe
from dsl.recipe import read as read_values
from dsl.rules import RULES, TRAINING_RULES, Rule, check
from dsl.schema import Origin
from dsl.source import MAX_BYTES, Source, decode, parse
from dsl.validate import check_schema, locate
from runner.probe import Surroundings, glance, survey

if TYPE_CHECKING:
    from dsl.plan import Plan
    from runner.bases import Located
    from runner.data.checks import Depth
    from runner.data.prepare import Prepared
    from runner.data.scan import Tell


@dataclass(frozen=True, slots=True)
class Read:
    """A recipe that was read, valid or not. `recipe` is None where the schema is violated."""

    source: Source
    around: Surroundings
    problems: tuple[Problem, ...]
    recipe: Recipe | None
    origins: Mapping[RecipePath, Origin]
    facts: Facts

    def valid(self) -> Read:
        """Itself. Raises InvalidRecipe with all problems if one of them is an error."""
        if errors(self.problems):
            raise InvalidRecipe(self.problems)
        return self


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan and what it was made from."""

    source: Source
    recipe: Recipe
    plan: Plan
    facts: Facts
    prepared: Prepared
    located: Located
    problems: tuple[Problem, ...]
    around: Surroundings


ALL_RULES = (*RULES, *TRAINING_RULES)


def read(
    path: Path,
    sets: tuple[str, ...] = (),
    allowed: tuple[str, ...] = (),
    remote: bool = False,
    rules: tuple[Rule, ...] = ALL_RULES,
) -> Read:
    """Schema, then rules with what a glance at the world tells. InvalidRecipe for bad text."""
    source = with_sets(parse(_text(path), path.name), sets)
    return judge(source, Surroundings(path.resolve().parent, allowed, remote), rules)


def judge(source: Source, around: Surroundings, rules: tuple[Rule, ...] = ALL_RULES) -> Read:
    """The problems of a parsed recipe: the schema's, or where it holds those of the rules."""
    if problems := check_schema(source.values):
        return Read(source, around, tuple(locate(problems, source)), None, {}, Facts())
    recipe, origins = read_values(source.values)
    facts, missing = glance(recipe, around)
    found = [*missing, *check(recipe, facts, rules)]
    return Read(source, around, tuple(locate(found, source)), recipe, origins, facts)


@contextmanager
def planned(found: Read, depth: Depth = "quick") -> Iterator[Planned]:
    """Reads and checks all data and compiles. Raises InvalidRecipe, DataError."""
    from dsl.compile import compile

    assert found.recipe is not None
    facts, prepared, located, problems = survey(found.recipe, found.around, found.facts, depth)
    try:
        problems += check(found.recipe, facts)
        located_problems = tuple(locate(problems, found.source))
        if errors(located_problems):
            raise InvalidRecipe(located_problems)
        plan = compile(found.recipe, found.origins, facts)
        located_problems += tuple(locate(_does_not_fit(plan), found.source))
        yield Planned(
            found.source,
            found.recipe,
            plan,
            facts,
            prepared,
            located,
            located_problems,
            found.around,
        )
    finally:
        prepared.close()


@contextmanager
def checked(found: Read, depth: Depth = "full", tell: Tell | None = None) -> Iterator[Prepared]:
    """Reads and checks all data, also rows that no objective learns from yet.

    `found` is judged by RULES. Raises InvalidRecipe, DataError.
    """
    assert found.recipe is not None
    facts, prepared, _, _ = survey(found.recipe, found.around, found.facts, depth, tell)
    try:
        problems = tuple(locate(check(found.recipe, facts, RULES), found.source))
        if errors(problems):
            raise InvalidRecipe(problems)
        yield prepared
    finally:
        prepared.close()


def holds_recipe(path: Path) -> bool:
    """Whether a file holds a recipe, maybe a broken one, rather than rows. Told by its content."""
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return False
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return False
    if not text.lstrip().startswith("{"):
        return path.suffix.lower() in (".yaml", ".yml")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        # rows begin at the left margin, and each is a value of its own
        rows = any(_is_json(line) for line in text.splitlines() if line.startswith("{"))
        return not rows and re.search(r'"model"\s*:|"data"\s*:\s*\{', text) is not None
    return isinstance(values.get("model"), dict) or isinstance(values.get("data"), dict)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def example_texts(found: Planned, count: int, color: bool) -> Iterator[str]:
    """Training examples as the model will see them. Needs the tokenizer; fetches nothing."""
    import tempfile

    from dsl.templates import render
    from runner.bases import chat_format, tokenizer
    from runner.data.prepare import read_examples
    from runner.data.tokens import encode
    from runner.lock import today
    from runner.show import example_lines

    if found.located.folder is None:
        raise RecipeError(
            f"{found.recipe.model.base} is not in the cache: its template and tokens are not known",
            "'recipe run' fetches it after all checks passed",
        )
    chat = chat_format(found.located.folder, today())
    words = tokenizer(found.located.folder)
    with tempfile.TemporaryDirectory() as scratch:
        found.prepared.write(Path(scratch))
        examples = read_examples(Path(scratch) / "train.parquet", limit=count)
    for example in examples:
        segments = render(example, found.recipe.template, chat, found.recipe.objective.loss_on)
        ids, labels = encode(segments, words)
        trained = sum(label != -100 for label in labels[1:])
        counts = f"{len(ids)} tokens, {trained} trained"
        yield from example_lines(example.id, segments, counts, color)
    yield "" if color else "text in ⟦ ⟧ is trained, the rest is masked"


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            # one byte more than a recipe may have is enough to refuse it
            size = path.stat().st_size
            raw = file.read(2_000_000)
    except FileNotFoundError:
        raise InvalidRecipe([Problem((), f"no file '{path}'", _nearby(path))]) from None
    except IsADirectoryError:
        raise InvalidRecipe(
            [Problem((), f"'{path}' is a folder", "give the recipe in it")]
        ) from None
    except OSError as error:
        raise InvalidRecipe([Problem((), f"'{path}' cannot be read: {error.strerror}")]) from None
    if size > len(raw):
        message = f"{path.name} has {size / 1e6:.0f} MB; a recipe has at most 1 MB"
        hint = "is this the data file? name it in data.train[0].path of a recipe"
        raise InvalidRecipe([Problem((), message, hint)])
    return decode(raw, path.name)


def _nearby(path: Path) -> str | None:
    from dsl.problems import did_you_mean

    if not path.parent.is_dir():
        return f"the folder '{path.parent}' does not exist"
    names = [p.name for p in path.parent.iterdir() if p.suffix in (".json", ".yaml", ".yml")]
    return did_you_mean(path.name, names)


def with_sets(source: Source, sets: tuple[str, ...]) -> Source:
    """The recipe with the values of --set in place."""
    if not sets:
        return source
    from dsl.edit import apply, assign

    text = source.text
    if source.language == "yaml":
        text = json.dumps(source.values, indent=2, ensure_ascii=False)
    changed = parse(text, "recipe.json")
    for assignment in sets:
        text = apply(text, "json", [assign(changed.values, assignment)])
        changed = parse(text, "recipe.json")
    return replace(changed, name=source.name)


def _smaller(plan: Plan) -> str:
    """What is left to make a plan fit, the cheapest change first."""
    recipe = plan.recipe
    ways = [] if recipe.model.quantization else ["method qlora"]
    if (recipe.training.micro_batch_size or 1) > 1:
        ways.insert(0, "micro_batch_size 1")
    return f"try {', '.join([*ways, 'a shorter max_length'])} or a smaller model"


def _does_not_fit(plan: Plan) -> list[Problem]:
    if plan.estimate is None or plan.estimate.fits:
        return []
    from runner.report.words import size

    needed, there = plan.estimate.memory.total, plan.estimate.device_bytes
    return [
        Problem(
            ("training", "micro_batch_size"),
            f"about {size(needed)} are needed, {plan.estimate.device} has {size(there)}",
            _smaller(plan),
            severity="warning",
        )
    ]

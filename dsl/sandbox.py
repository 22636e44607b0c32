"""Jinja in a sandbox, set up as transformers does, so that chat templates of the hub render alike.

Data is never a template. A template cannot reach attributes of Python, and cannot count or
multiply texts without end; nested loops are not bounded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from dsl.errors import RecipeError

MAX_TEXT = 1_000_000  # characters that one multiplication in a template may make


class TemplateError(RecipeError):
    """A template cannot be read or rendered, or its answers cannot be found in its text."""

    exit_status = 2


def render_text(text: str, names: Mapping[str, Any]) -> str:
    """The text of a template with these names. Raises TemplateError."""
    from jinja2 import TemplateError as JinjaError

    faults = (JinjaError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError)
    try:
        return str(_compiled(text).render(**names))
    except TemplateError:
        raise
    except faults as error:
        raise TemplateError(
            f"the template cannot be rendered: {error}", "{{ name }} inserts the column 'name'"
        ) from None


def undeclared(text: str) -> list[str]:
    """Names that a template reads and does not set itself, in alphabetical order."""
    from jinja2 import meta

    read = meta.find_undeclared_variables(environment().parse(_without_marks(text)))
    return sorted(read - environment().globals.keys())


def syntax_error(text: str) -> str | None:
    from jinja2 import TemplateSyntaxError

    try:
        environment().parse(_without_marks(text))
    except TemplateSyntaxError as error:
        return f"{error.message} (line {error.lineno} of the template)"
    return None


@cache
def _compiled(text: str) -> Any:
    return environment().from_string(_without_marks(text))


def _without_marks(text: str) -> str:
    """{% generation %} marks answers for other tools; here it only has to be harmless."""
    text = re.sub(r"(\{%-?\s*)generation(\s*-?%\})", r"\1if true\2", text)
    return re.sub(r"(\{%-?\s*)endgeneration(\s*-?%\})", r"\1endif\2", text)


@cache
def environment() -> Any:
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Environment(ImmutableSandboxedEnvironment):
        """As transformers sets it up, so that hub templates render alike."""

        # a template must not stall the machine: {{ 'x' * 10**9 }}; range is bounded by jinja2
        intercepted_binops = frozenset({"*", "**"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if operator == "**" and abs(right) * len(str(left)) > 1000:
                raise TemplateError("the template computes too large a number")
            if operator == "*" and _length_of_product(left, right) > MAX_TEXT:
                raise TemplateError("the template makes too long a text")
            return super().call_binop(context, operator, left, right)

    made = Environment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    made.filters["tojson"] = _to_json
    made.globals["raise_exception"] = _raise
    return made


def _length_of_product(left: Any, right: Any) -> int:
    """Of a text or list times a number; 0 for plain arithmetic."""
    for many, times in ((left, right), (right, left)):
        if isinstance(many, str | list | tuple) and isinstance(times, int):
            return len(many) * times
    return 0


def _to_json(value: Any, indent: int | None = None, **options: Any) -> str:
    options.setdefault("ensure_ascii", False)
    return json.dumps(value, indent=indent, **options)


def _raise(message: str) -> None:
    raise TemplateError(f"the chat template refuses this conversation: {message}")

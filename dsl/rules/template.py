"""What a template reads and whether it can hold the rows."""

from __future__ import annotations

import re
from typing import Any

from dsl.facts import Facts
from dsl.problems import Path, Problem, dotted, set_value
from dsl.recipe import JinjaTemplate, Recipe, Template
from dsl.rows import ALPACA_PROMPT
from dsl.rules.common import Found, formats_of, no_column

# what a template may read of every row, beside its columns
ALWAYS = ("prompt", "completion", "messages")
CONVERSATIONS = ("messages", "sharegpt")


def template_parses(recipe: Recipe, facts: Facts) -> Found:
    template = recipe.template
    texts = {"prompt": template.prompt}
    if isinstance(template, JinjaTemplate):
        texts["completion"] = template.completion
    for field, text in texts.items():
        if text and (message := _syntax_error(text)):
            path: Path = ("template", field)
            hint = "{{ name }} inserts the column 'name'"
            yield Problem(path, f"the template cannot be read: {message}", hint)


def template_columns_exist(recipe: Recipe, facts: Facts) -> Found:
    template = recipe.template
    texts = {"prompt": template.prompt}
    if isinstance(template, JinjaTemplate):
        texts["completion"] = template.completion
    sources = {path: source for path, _, source in recipe.data.sources()}
    for field, text in texts.items():
        for name in _template_names(text or ""):
            for known in facts.sources:
                if known.part == "mix" or known.path not in sources or not known.columns:
                    continue
                source = sources[known.path]
                columns = {*known.columns, *source.columns.given(), *ALWAYS}
                if (known.format or source.format) in ("auto", "alpaca"):
                    columns |= {*ALPACA_PROMPT, "output"}
                if name not in columns:
                    yield no_column(("template", field), name, tuple(columns), known.complete)
                    break


def template_fits_rows(recipe: Recipe, facts: Facts) -> Found:
    kind = recipe.template.type
    for path, format in formats_of(recipe, facts).items():
        # a jinja template may read the messages of its own rows, but general rows bypass it
        unfit = kind == "alpaca" or (kind == "jinja" and path[:2] == ("data", "mix"))
        if format in CONVERSATIONS and unfit:
            yield Problem(
                ("template", "type"),
                f"{dotted(path)} holds conversations; the {kind} template holds one question",
                "set template.type to chat",
                (set_value(("template",), _as_chat(recipe.template)),),
            )
            return


def tools_need_the_models_template(recipe: Recipe, facts: Facts) -> Found:
    kind = recipe.template.type
    for path, part, source in recipe.data.sources():
        # a jinja template may write the tools of its own rows, but general rows bypass it
        unfit = kind in ("chatml", "alpaca") or (kind == "jinja" and part == "mix")
        if source.columns.tools is not None and unfit:
            yield Problem(
                ("template", "type"),
                f"{dotted(path)} has tools, which the {kind} template leaves out",
                "set template.type to chat, with a base model whose own template has tools",
                (set_value(("template",), _as_chat(recipe.template)),),
            )
            return


def _as_chat(template: Template) -> dict[str, Any]:
    """What of a template a chat template can keep: text with columns of its own it cannot."""
    system = getattr(template, "system", None)
    return {"type": "chat"} | ({"system": system} if system else {})


def _template_names(text: str) -> list[str]:
    """The columns a template reads. Only text with tags pays for the import of jinja2."""
    if "{" not in text or _syntax_error(text):
        return []
    simple = re.findall(r"\{\{-?\s*([A-Za-z_]\w*)\s*-?\}\}", text)
    if "{%" not in text and len(simple) == text.count("{{"):
        return list(dict.fromkeys(simple))
    from dsl.templates import undeclared

    return undeclared(text)


def _syntax_error(text: str) -> str | None:
    stripped = re.sub(r"\{\{-?\s*[A-Za-z_]\w*\s*-?\}\}", "", text)
    if not re.search(r"\{[{%#]", stripped):
        return None
    from dsl.templates import syntax_error

    return syntax_error(text)

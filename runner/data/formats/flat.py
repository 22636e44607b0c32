"""Rows whose cells are texts: one question, one answer."""

from __future__ import annotations

from runner.data.formats.cells import Cells, not_a_text
from runner.data.formats.texts import blank_sql, quoted_text

Columns = dict[str, str]


def alpaca(cells: Cells) -> tuple[str, Columns]:
    """prompt: instruction and input, joined by a blank line where both say something."""
    return cells.relation, _flat(cells, question(cells), _text(cells, "output"))


def prompt_completion(cells: Cells) -> tuple[str, Columns]:
    return cells.relation, _flat(cells, _text(cells, "prompt"), _text(cells, "completion"))


def text(cells: Cells) -> tuple[str, Columns]:
    """Raw text is all completion: every token of it is learnt."""
    return cells.relation, _flat(cells, "''", _text(cells, "text")) | {"turns": "1"}


def classification(cells: Cells) -> tuple[str, Columns]:
    """The label is the completion, so that the checks of answers hold for it."""
    label = _text(cells, "label")
    return cells.relation, _flat(cells, _text(cells, "text"), label) | {"label": label}


def question(cells: Cells) -> str:
    """SQL: an alpaca row's question."""
    instruction, given = _text(cells, "instruction"), _text(cells, "input")
    if "input" not in cells.roles:
        return f"case when {blank_sql(instruction)} then '' else {instruction} end"
    if "instruction" not in cells.roles:
        return f"case when {blank_sql(given)} then '' else {given} end"
    return (
        f"case when {blank_sql(given)}"
        f" then case when {blank_sql(instruction)} then '' else {instruction} end"
        f" when {blank_sql(instruction)} then {given}"
        f" else {instruction} || E'\\n\\n' || {given} end"
    )


def texts(cells: Cells, roles: tuple[str, ...]) -> str:
    """SQL: a JSON object of the roles' texts."""
    listed = ", ".join(f"{quoted_text(role)}, {_text(cells, role)}" for role in roles)
    return f"json_object({listed})"


def _flat(cells: Cells, prompt: str, completion: str) -> Columns:
    roles = tuple(cells.roles)
    return {
        "refusal": not_a_text(cells, roles),
        "system": f"nullif({cells.text('system')}, '')",
        "prompt": prompt,
        "completion": completion,
        "turns": "2",
        "texts": texts(cells, roles),
    }


def _text(cells: Cells, role: str) -> str:
    return f"coalesce({cells.text(role)}, '')"

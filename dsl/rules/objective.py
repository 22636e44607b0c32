"""Whether the objective can learn from the rows there are."""

from __future__ import annotations

from dsl.facts import Facts
from dsl.problems import Problem, dotted
from dsl.recipe import Recipe
from dsl.rules.common import Found, formats_of

# format → what its rows are, and the objectives that will learn from them
OTHER_OBJECTIVES = {
    "preference": ("pairs of a chosen and a rejected answer", "dpo or reward"),
    "kto": ("answers that are wanted or not", "kto"),
    "classification": ("texts with a label", "classification"),
    "text": ("texts without a question", "pretraining"),
}


def rows_fit_objective(recipe: Recipe, facts: Facts) -> Found:
    for path, format in formats_of(recipe, facts).items():
        if format in OTHER_OBJECTIVES:
            rows, objective = OTHER_OBJECTIVES[format]
            yield Problem(
                (*path, "format"),
                f"{dotted(path)} holds {rows}; {recipe.objective.type} learns to answer a prompt",
                f"they need the objective {objective}, which is not built yet: "
                "'recipe check' judges such data, 'recipe run' cannot train on it",
            )

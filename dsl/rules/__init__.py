"""RULES: cross-field checks. Each takes a Recipe and what is known of the world, gives Problems.

A rule says nothing where the facts it needs were not asked. Every message names the smallest fix,
and a patch stands beside it where one exists.
"""

from __future__ import annotations

from dsl.facts import Facts
from dsl.problems import Problem
from dsl.recipe import Recipe
from dsl.rules.common import Rule
from dsl.rules.data import (
    columns_fit_format,
    group_column_exists,
    hub_data_is_pinned,
    mapped_columns_exist,
    mix_leaves_room,
    paths_stay_inside,
    query_only_reads,
    source_not_on_both_sides,
    split_leaves_training,
    weights_on_all_or_none,
)
from dsl.rules.evaluation import (
    exports_fit_method,
    gates_are_complete,
    gates_have_metrics,
    sampling_blurs_comparison,
    suites_have_data,
    validation_does_not_judge,
)
from dsl.rules.machine import (
    device_exists,
    disk_is_free,
    dtype_on_device,
    flash_attention_needs_cuda,
    four_bits_need_an_adapter,
    full_not_in_float16,
    qlora_is_nf4,
    threads_exist,
)
from dsl.rules.model import (
    chat_template_exists,
    is_local,
    known_base,
    length_fits_context,
    rank_fits_layers,
    remote_code_is_confirmed,
    revision_of_hub_model,
    targets_exist,
)
from dsl.rules.objective import rows_fit_objective
from dsl.rules.template import (
    template_columns_exist,
    template_fits_rows,
    template_parses,
    tools_need_the_models_template,
)
from dsl.rules.training import (
    alpha_is_usual,
    batch_sizes_agree,
    best_checkpoint_is_saved,
    early_stopping_needs_validation,
    epochs_are_usual,
    eval_steps_need_validation,
    learning_rate_is_usual,
    one_warmup,
    packing_keeps_examples_apart,
    validation_is_reached,
)

RULES: tuple[Rule, ...] = (
    known_base,
    revision_of_hub_model,
    targets_exist,
    rank_fits_layers,
    length_fits_context,
    remote_code_is_confirmed,
    chat_template_exists,
    four_bits_need_an_adapter,
    qlora_is_nf4,
    full_not_in_float16,
    dtype_on_device,
    device_exists,
    threads_exist,
    flash_attention_needs_cuda,
    paths_stay_inside,
    query_only_reads,
    hub_data_is_pinned,
    source_not_on_both_sides,
    weights_on_all_or_none,
    columns_fit_format,
    mapped_columns_exist,
    group_column_exists,
    template_parses,
    template_columns_exist,
    template_fits_rows,
    tools_need_the_models_template,
    mix_leaves_room,
    split_leaves_training,
    batch_sizes_agree,
    one_warmup,
    early_stopping_needs_validation,
    eval_steps_need_validation,
    best_checkpoint_is_saved,
    validation_is_reached,
    learning_rate_is_usual,
    alpha_is_usual,
    epochs_are_usual,
    packing_keeps_examples_apart,
    suites_have_data,
    gates_have_metrics,
    gates_are_complete,
    validation_does_not_judge,
    sampling_blurs_comparison,
    exports_fit_method,
    disk_is_free,
)

# what only training asks for: `recipe check` looks at data that no objective learns from yet
TRAINING_RULES: tuple[Rule, ...] = (rows_fit_objective,)


def check(
    recipe: Recipe, facts: Facts, rules: tuple[Rule, ...] = (*RULES, *TRAINING_RULES)
) -> list[Problem]:
    """All Problems of all rules; of RULES alone where only the data is looked at."""
    return [problem for rule in rules for problem in rule(recipe, facts)]


__all__ = ["RULES", "TRAINING_RULES", "Rule", "check", "is_local"]

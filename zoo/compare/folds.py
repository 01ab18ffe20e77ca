"""k-fold cross-validation: the recipe of every fold, and one result of all of them.

Each clip is judged once, by the run that did not train on its fold. The rule says how the judged weights are chosen,
which decides what the result may be compared with; it is named in every result.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from zoo.recipe import Recipe

Rule = Literal["validation", "last", "official"]
"""`validation`: the checkpoint that was best on clips set aside within the training folds, judged once on the fold.
`last`: the last weights (or their average), judged once on the fold; nothing is chosen. `official`: as the released
ESC-50 scripts have it, the shared epoch at which the mean over the folds is best, chosen on the test folds."""

RULES: dict[Rule, str] = {
    "validation": "each fold judged once, by the checkpoint that was best on clips set aside within its training folds",
    "last": "each fold judged once, by the last weights of its run; nothing was chosen",
    "official": "optimistic: the epoch was chosen on the clips it is judged on (the best shared epoch of the mean over "
    "folds, as the released ESC-50 scripts have it)",
}


def fold_recipes(recipe: Recipe, rule: Rule = "validation", folds: Sequence[str] | None = None) -> dict[str, Recipe]:
    """Fold -> the recipe of the run that is judged on it, and trains on all others; in the order of the folds.

    Name and seed stay the recipe's: the folder of a run tells its fold.

    Args:
        folds: only these; None is all that the clips of `data.train` have.

    Raises:
        RecipeError: the recipe names `data.eval` or `data.test`, which the folds make, or has not one source.
        DataError: clips without folds, or a fold that there is not.
    """
    raise NotImplementedError


def fold_results(folders_by_fold: Mapping[str, Path], rule: Rule) -> dict[str, Any]:
    """One result of the finished runs of a recipe's folds (of one seed); plain values for JSON.

    Keys: `rule`, `rule_in_words`; `metric` (the main one); `folds`, a list; `metrics`: name -> {`mean`, `deviation`
    (n - 1; None for one fold), `values`: fold -> value}; `chance`: the same; `num_clips`: fold -> clips; `pooled`:
    the metrics of all clips of all folds together, with `num_clips`; `classes_without_positives`: fold -> names. With
    the rule `official` also `shared_epoch`: {`clips`, `epoch`, `optimism`} and `last`: `metrics` of the last epoch.

    Raises:
        DataError: a folder without a finished run, or runs that do not belong together.
    """
    raise NotImplementedError

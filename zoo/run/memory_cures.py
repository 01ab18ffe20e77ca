"""What a recipe can change to need less memory, that which costs least first; and only what is not set yet."""

from collections.abc import Sequence

from zoo.recipe import Recipe


def training_cures(recipe: Recipe, precision: str, device_type: str, processes: int = 1) -> Sequence[str]:
    """As KEY=VALUE.

    Args: `precision` is the one in use, which `auto` has chosen; `processes` share the batch.
    """
    batch_size, parts = recipe.train.batch_size, recipe.train.accumulate
    cures = []
    if batch_size >= 2 * parts * processes:
        cures.append(f"train.accumulate={2 * parts} (the same batch in {2 * parts} parts)")
    if not recipe.train.activation_checkpointing:
        cures.append("train.activation_checkpointing=true (a third more work)")
    if precision in ("fp32", "tf32") and device_type == "cuda":
        cures.append("train.precision=bf16")
    if batch_size > parts * processes:
        cures.append(f"train.batch_size={batch_size // 2} (another batch: set optim.lr anew)")
    return cures


def evaluation_cures(recipe: Recipe) -> Sequence[str]:
    """As KEY=VALUE. Half the batch; and no window longer than need be."""
    cures = []
    if recipe.evaluate.batch_size > 1:
        cures.append(f"evaluate.batch_size={recipe.evaluate.batch_size // 2}")
    if recipe.windows.long_clips == "whole":
        cures.append(f"evaluate.max_seconds={recipe.windows.max_seconds / 2:g}, or evaluate.long_clips=windows")
    return cures

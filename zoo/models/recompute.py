"""Activation checkpointing: memory for time."""

from torch import nn

from zoo.errors import RecipeError
from zoo.nn.encoder import Encoder


def recompute_activations(model: nn.Module) -> None:
    """Makes training keep only the input of every encoder block, and compute the rest again in the backward pass.

    Losses and gradients stay what they were, bit for bit on a CPU. A pretraining model's backbone is reached too.

    Raises: RecipeError for a model without an encoder.
    """
    encoders = [part for part in model.modules() if isinstance(part, Encoder)]
    if not encoders:
        kind = getattr(getattr(model, "config", None), "kind", type(model).__name__)
        raise RecipeError(
            f"train.activation_checkpointing: found true for model.kind '{kind}', which has no encoder blocks to "
            "compute again - expected a transformer - leave it out"
        )
    for encoder in encoders:
        encoder.recompute = True

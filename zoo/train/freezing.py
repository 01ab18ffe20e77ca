"""Which parameters of a model are kept as they are."""

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from zoo.errors import RecipeError
from zoo.train.parameter_places import num_blocks, place_of, unplaced

Freeze = Literal["none", "backbone"] | Annotated[int, Field(ge=1, le=1_000_000)]
"""What is frozen: nothing; all but the head; or the input (patches, positions, tokens) and so many first blocks."""


def freeze(model: nn.Module, what: Freeze) -> None:
    """Takes the frozen parameters out of training, for good: `requires_grad` False.

    They get no gradient, no step and no weight decay, and nothing is computed backwards below the lowest trained one.
    What is drawn in training is no parameter and goes on inside frozen parts too: dropout and drop-path as the model's
    config has them, and patchout, which saves time. Set them to 0 there for features without noise.

    Raises:
        RecipeError: the model has no such part, fewer blocks, or nothing that would still be trained.
    """
    if what == "none":
        return
    if isinstance(what, int):
        blocks, stranger = num_blocks(model), unplaced(model)
        if not blocks or stranger is not None:
            found = "no encoder blocks" if not blocks else f"parameter {stranger!r}"
            raise RecipeError(
                f"optim.freeze: found {what} for a model with {found} - expected a transformer, whose blocks can be "
                "counted - set it to backbone or none"
            )
        if what > blocks:
            raise RecipeError(
                f"optim.freeze: found {what} for a model of {blocks} blocks - expected at most {blocks} - lower it"
            )
    frozen, left = [], 0
    for name, parameter in model.named_parameters():
        place = place_of(name)
        if isinstance(what, int):
            is_frozen = place.part == "input" or (place.block is not None and place.block < what)
        else:
            is_frozen = place.part != "head"
        if is_frozen:
            frozen.append(parameter)
        else:
            left += parameter.requires_grad
    if not left:
        raise RecipeError(
            f"optim.freeze: found {what!r} for a model without a head - expected something that is still trained - "
            "build it with classes, or set it to none"
        )
    for parameter in frozen:
        parameter.requires_grad_(False)

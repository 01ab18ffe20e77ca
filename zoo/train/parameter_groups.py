"""The parameters of a model in groups that share a learning rate and a weight decay."""

from typing import Any, Literal

from torch import nn

from zoo.errors import RecipeError
from zoo.train.parameter_places import Place, num_blocks, place_of, unplaced

Decay = Literal["matrices", "all"]
"""What weight decay applies to."""

_UNDECAYED_WORDS = {"position", "positions", "token", "tokens", "pos_embed"}


def parameter_groups(
    model: nn.Module,
    weight_decay: float,
    *,
    lr: float = 1e-3,
    decay: Decay = "matrices",
    layer_decay: float = 1.0,
    head_lr_factor: float = 1.0,
) -> list[dict[str, Any]]:
    """Every trainable parameter exactly once, for a torch optimiser; a group that would be empty is left out.

    Beside `params`, `lr` and `weight_decay` a group has a `name` and its `lr_factor`, plain values that the optimiser's
    state keeps. Places are in the order of the model, and in each what decays comes first.

    Args:
        lr: the rate of what has an `lr_factor` of 1.
        decay: `matrices` leaves norms, biases, positions and tokens without decay.
        layer_decay: a parameter below `n` layers learns at `lr * layer_decay**n`. The layers are the input (patches,
            positions, tokens), each block, and all that is above the blocks together, which learns at `lr` (as in
            fine-tuning BEiT and MAE: Bao et al. 2022, He et al. 2022).
        head_lr_factor: multiplies the rate of the heads.

    Raises:
        RecipeError: `layer_decay` or `head_lr_factor` does not apply to this model, or nothing can be trained.
    """
    places = {name: place_of(name) for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not places:
        raise RecipeError("optim: found no trainable parameter - expected some - build the model with classes")
    blocks = num_blocks(model)
    _check(model, blocks, layer_decay, head_lr_factor, places)
    groups: dict[tuple[str, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():  # tied parameters come once
        if name not in places:
            continue
        place = places[name]
        factor = layer_decay ** _layers_above(place, blocks)
        factor *= head_lr_factor if place.part == "head" else 1.0
        where = _group_of(place, layer_decay, head_lr_factor)
        decayed = decay == "all" or decays(name, parameter.ndim)
        group = {"params": [], "lr": lr * factor, "weight_decay": weight_decay if decayed else 0.0}
        group |= {"name": where if decayed else f"{where}, no decay", "lr_factor": factor}
        groups.setdefault((where, decayed), group)["params"].append(parameter)
    order = {where: index for index, where in enumerate(dict.fromkeys(where for where, _ in groups))}
    return [groups[key] for key in sorted(groups, key=lambda key: (order[key[0]], not key[1]))]


def decays(name: str, ndim: int) -> bool:
    """Whether `matrices` has weight decay apply to a parameter.

    Not to norms and biases (at most one axis), nor to positions and tokens, which are inputs rather than maps: a part
    of their dotted name is, or ends in, `position` or `token` (`embedding.position.table`, `prefix.cls_token`,
    `mask_token`).
    """
    words = {word for part in name.split(".") for word in (part, part.rpartition("_")[2])}
    return ndim > 1 and not words & _UNDECAYED_WORDS


def _layers_above(place: Place, blocks: int) -> int:
    if place.part == "input":
        return blocks + 1
    return 0 if place.block is None else blocks - place.block


def _group_of(place: Place, layer_decay: float, head_lr_factor: float) -> str:
    """What the group of a place is called: only as many groups as there are rates."""
    if layer_decay != 1.0:
        return str(place)
    if head_lr_factor != 1.0:
        return "head" if place.part == "head" else "body"
    return "all"


def _check(model: nn.Module, blocks: int, layer_decay: float, head_lr_factor: float, places: dict[str, Place]) -> None:
    if layer_decay != 1.0:
        stranger = unplaced(model)
        if not blocks or stranger is not None:
            found = f"parameter {stranger!r}" if stranger is not None else "no encoder blocks"
            raise RecipeError(
                f"optim.layer_decay: found {layer_decay:g} for a model with {found} - expected a transformer, whose "
                "layers can be counted - set it to 1.0"
            )
    if head_lr_factor != 1.0 and not any(place.part == "head" for place in places.values()):
        raise RecipeError(
            f"optim.head_lr_factor: found {head_lr_factor:g} for a model without a head - expected one - set it to 1.0"
        )

"""AdamW and Adam, and what of a model they train at which rate.

Both run as fused kernels, one for all parameters of a group, on a CPU as on a GPU. Only these can leave out a step by a
flag on the device (`found_inf`), for which the loop need not wait.
"""

from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, Field
from torch import nn

from zoo.config import Config
from zoo.train.freezing import Freeze, freeze
from zoo.train.parameter_groups import Decay, parameter_groups

Beta = Annotated[float, Field(ge=0.0, lt=1.0)]
Factor = Annotated[float, Field(gt=0, le=1_000_000)]


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class _AdamFamilyConfig(Config):
    """What both optimisers have in common."""

    lr: Annotated[float, Field(gt=0, le=10)] = 1e-3
    """Learning rate at the end of the warm-up."""
    weight_decay: Annotated[float, Field(ge=0, le=10)]
    betas: Annotated[tuple[Beta, Beta], BeforeValidator(_as_tuple)] = (0.9, 0.999)
    """Shares of the past in the running means of the gradient and of its square."""
    eps: Annotated[float, Field(gt=0, le=1)] = 1e-8
    grad_clip: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """Largest norm of the gradient of all weights together; null leaves it as it is."""
    decay: Decay = "matrices"
    """What weight decay applies to. `matrices`: matrices and kernels, but not norms, biases, positions and tokens.
    `all`: everything, as in the released code of AST, SSAST and PaSST."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """For every layer between a weight and the head, its learning rate is multiplied by this; 1 is off."""
    head_lr_factor: Factor = 1.0
    """Multiplies the learning rate of the head, or of the heads of pretraining."""
    freeze: Freeze = "none"
    """What is not trained. `backbone`: all but the head. A number: the patches, positions and tokens, and so many first
    blocks. Dropout, drop-path and patchout go on as `model` has them."""

    def groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """Freezes what is to be frozen, and puts the rest into the optimiser's groups; see `parameter_groups`.

        Raises:
            RecipeError: `freeze`, `layer_decay` or `head_lr_factor` does not apply to this model.
        """
        freeze(model, self.freeze)
        return parameter_groups(
            model,
            self.weight_decay,
            lr=self.lr,
            decay=self.decay,
            layer_decay=self.layer_decay,
            head_lr_factor=self.head_lr_factor,
        )


class AdamWConfig(_AdamFamilyConfig):
    """AdamW: weights shrink by a share beside the step (Loshchilov and Hutter 2019)."""

    kind: Literal["adamw"] = "adamw"
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.05
    """The share, times the learning rate, by which a weight shrinks at a step."""

    def build(self, model: nn.Module) -> torch.optim.AdamW:
        """The optimiser of a model that is on its device already. Raises as `groups`."""
        return torch.optim.AdamW(self.groups(model), lr=self.lr, betas=self.betas, eps=self.eps, fused=True)


class AdamConfig(_AdamFamilyConfig):
    """Adam: weights shrink through the gradient, to which weight_decay * weight is added (Kingma and Ba 2015)."""

    kind: Literal["adam"] = "adam"
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Times the weight, added to its gradient. Adam's division makes it a step of full length where gradients are
    small, so values are far below those of AdamW: 5e-7 in the released AST and SSAST."""

    def build(self, model: nn.Module) -> torch.optim.Adam:
        """The optimiser of a model that is on its device already. Raises as `groups`."""
        return torch.optim.Adam(self.groups(model), lr=self.lr, betas=self.betas, eps=self.eps, fused=True)


def _with_kind(value: Any) -> Any:
    return {"kind": "adamw", **value} if isinstance(value, dict) and "kind" not in value else value


AnyOptimConfig = AdamWConfig | AdamConfig
"""The config of either."""

OptimConfig = Annotated[Annotated[AnyOptimConfig, Field(discriminator="kind")], BeforeValidator(_with_kind)]
"""The section of a recipe: either, told apart by `kind`; without one it is `adamw`."""


def base_rate(optimiser: torch.optim.Optimizer) -> float:
    """The learning rate of what has a factor of 1, now: one number to log, however many groups there are."""
    group = optimiser.param_groups[0]
    return float(group["lr"] / group.get("lr_factor", 1.0))


def rates(optimiser: torch.optim.Optimizer) -> dict[str, float]:
    """By tag (`optim/lr/GROUP`) the learning rate of each group now, where there is more than one rate."""
    found: dict[str, float] = {}
    for group in optimiser.param_groups:
        name, _, number = group.get("name", "all").removesuffix(", no decay").partition(" ")
        found["optim/lr/" + (f"{name}_{int(number):02d}" if number else name)] = float(group["lr"])
    return found if len({group.get("lr_factor", 1.0) for group in optimiser.param_groups}) > 1 else {}

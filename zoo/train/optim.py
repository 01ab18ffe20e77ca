"""AdamW, with weight decay only where it means something."""

from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, Field
from torch import nn

from zoo.config import Config

_FUSED_DEVICES = {"cuda", "cpu"}
_UNDECAYED_WORDS = {"position", "positions", "token", "tokens", "pos_embed"}

Beta = Annotated[float, Field(ge=0.0, lt=1.0)]


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class OptimConfig(Config):
    """AdamW (Loshchilov and Hutter 2019)."""

    kind: Literal["adamw"] = "adamw"
    lr: Annotated[float, Field(gt=0, le=10)] = 1e-3
    """Learning rate at the end of the warm-up."""
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.05
    """Of matrices and kernels; norms, biases, positions and tokens do not decay."""
    betas: Annotated[tuple[Beta, Beta], BeforeValidator(_as_tuple)] = (0.9, 0.999)
    """Shares of the past in the running means of the gradient and of its square."""
    eps: Annotated[float, Field(gt=0, le=1)] = 1e-8
    grad_clip: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """Largest norm of the gradient of all weights together; None leaves it as it is."""

    def build(self, model: nn.Module) -> torch.optim.AdamW:
        """The optimiser of a model that is on its device already."""
        groups = parameter_groups(model, self.weight_decay)
        devices = {parameter.device.type for group in groups for parameter in group["params"]}
        # Fused: one kernel for all parameters instead of a dozen for each.
        fused = devices <= _FUSED_DEVICES
        return torch.optim.AdamW(groups, lr=self.lr, betas=self.betas, eps=self.eps, fused=fused)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Every trainable parameter once, those that decay first; a group that would be empty is left out."""
    decayed: list[nn.Parameter] = []
    undecayed: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():  # tied parameters come once
        if parameter.requires_grad:
            (decayed if decays(name, parameter.ndim) else undecayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": undecayed, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def decays(name: str, ndim: int) -> bool:
    """Whether weight decay applies to a parameter.

    Not to norms and biases (at most one axis), nor to positions and tokens, which are inputs rather than maps: a part
    of their dotted name is, or ends in, `position` or `token` (`embedding.position.table`, `prefix.cls_token`,
    `mask_token`).
    """
    words = {word for part in name.split(".") for word in (part, part.rpartition("_")[2])}
    return ndim > 1 and not words & _UNDECAYED_WORDS

"""What a model costs, counted rather than guessed: on torch's meta device, where shapes exist and numbers do not."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from zoo.models.masked_patch import MaskedPatchModel
from zoo.models.registry import ModelConfig, build_model
from zoo.nn.masking import draw_mask

_COUNTED: dict[tuple[str, bool, tuple[bool, ...] | None, int | None], int] = {}
"""What was counted in this process: a large model takes a second, and a comparison asks for the same one a hundred
times."""


def num_parameters(model: nn.Module) -> int:
    """All parameters, trained or frozen."""
    return sum(parameter.numel() for parameter in model.parameters())


def build_on_meta(config: ModelConfig, *, pretraining: bool = False) -> nn.Module:
    """The model without memory for its numbers, in eval mode: one of any size answers at once."""
    with torch.device("meta"):
        model = build_model(config, pretraining=pretraining).eval()
    if isinstance(model, MaskedPatchModel):
        model.sampler = draw_mask  # the released one looks at its numbers, of which there are none; it costs the same
    return model


def training_copy_on_meta(model: nn.Module) -> nn.Module:
    """A model of the same config without memory for its numbers, in training mode, with the same parameters frozen."""
    known: Any = model
    copy = build_on_meta(known.config, pretraining=isinstance(model, MaskedPatchModel)).train()
    is_trained = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    for name, parameter in copy.named_parameters():
        parameter.requires_grad_(is_trained[name])
    return copy


def num_tokens(config: ModelConfig, num_frames: int | None = None) -> int:
    """Length of the sequence in evaluation, prefix tokens included; columns of the map for the CNN.

    num_frames: length of the clip; None means the config's `n_frames`. Raises ShapeError when it does not fit.
    """
    model: Any = build_on_meta(config)
    with torch.no_grad():
        return model.tokens(_one_clip(config, num_frames)).shape[1]


def flops_per_clip(config: ModelConfig, num_frames: int | None = None, *, pretraining: bool = False) -> int:
    """Operations of one clip's forward pass in evaluation, a multiply-add counted as two; training is about thrice.

    num_frames: length of the clip; None means the config's `n_frames`. Raises ShapeError when it does not fit.
    pretraining: of the masked-patch model instead, with its two heads; with separate masks it encodes every clip twice.
    """
    key = (config.model_dump_json(), pretraining, None, num_frames)
    if key not in _COUNTED:
        _COUNTED[key] = _count_forward(config, num_frames, pretraining)
    return _COUNTED[key]


def _count_forward(config: ModelConfig, num_frames: int | None, pretraining: bool) -> int:
    # Not under no_grad: the counter hangs hooks on whatever requires a gradient.
    model = build_on_meta(config, pretraining=pretraining).requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        model(_one_clip(config, num_frames))
    return counter.get_total_flops()


def training_flops_per_clip(model: nn.Module, n_frames: int | None = None) -> int:
    """Operations of one clip in training, forward and backward, a multiply-add counted as two.

    Counted as training runs: after patchout, and without the gradients of frozen parameters and of what lies before
    them. What activation checkpointing computes twice counts once, as is the custom for utilisation; the loss and the
    optimiser, thousandths of it, are left out.

    Args:
        model: on any device, with what is frozen; only its config and its `requires_grad` are looked at.
        n_frames: length of the clip; None means the config's.
    """
    known: Any = model
    is_trained = tuple(parameter.requires_grad for parameter in model.parameters())
    key = (known.config.model_dump_json(), isinstance(model, MaskedPatchModel), is_trained, n_frames)
    if key not in _COUNTED:
        _COUNTED[key] = _count_training(model, n_frames)
    return _COUNTED[key]


def _count_training(model: nn.Module, n_frames: int | None) -> int:
    copy: Any = training_copy_on_meta(model)
    with FlopCounterMode(display=False) as counter:
        answer = copy(_one_clip(copy.config, n_frames))
        outputs = [answer] if isinstance(answer, Tensor) else [task.output for task in answer]
        if any(parameter.requires_grad for parameter in copy.parameters()):
            torch.stack([output.sum() for output in outputs]).sum().backward()
    return counter.get_total_flops()


def _one_clip(config: ModelConfig, num_frames: int | None) -> Tensor:
    return torch.empty(1, config.n_mels, config.n_frames if num_frames is None else num_frames, device="meta")

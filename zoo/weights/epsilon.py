"""How far a model's outputs move when another code computes it with other LayerNorm epsilons."""

from typing import Any

import torch
from torch import Tensor

from zoo.models.cost import build_on_meta
from zoo.models.masked_patch import MaskedPatchModel


def compare(model: Any, norm_eps: float, head_norm_eps: float) -> tuple[float, str | None]:
    """The largest difference over all outputs, in float64 on one log-mel, and a note for the user.

    0.0 and None when the epsilons are the model's own; a model without a classifier has none of the head.
    The log-mel has the model's own size and normal numbers of seed 0 with a deviation of 0.5, as normalised ones have.
    Pretraining models are compared by what both heads predict.

    Args:
        norm_eps, head_norm_eps: the other code's, in the trunk and in the head.
    """
    config = model.config
    has_head = config.num_classes > 0 and not isinstance(model, MaskedPatchModel)
    if norm_eps == config.norm_eps and (head_norm_eps == config.head_norm_eps or not has_head):
        return 0.0, None
    other = config.model_copy(update={"norm_eps": norm_eps, "head_norm_eps": head_norm_eps})
    difference = float((_outputs(model, config) - _outputs(model, other)).abs().max())
    return difference, (
        f"LayerNorm epsilon: {config.norm_eps:g} in our trunk and {config.head_norm_eps:g} in our head, {norm_eps:g} "
        f"and {head_norm_eps:g} in the other code: outputs there differ by {difference:.2e} at most (measured in "
        "float64 on one pseudo-random log-mel)"
    )


def _outputs(model: Any, config: Any) -> Tensor:
    """What a model of this config gives with these weights."""
    is_pretraining = isinstance(model, MaskedPatchModel)
    twin: Any = build_on_meta(config, pretraining=is_pretraining)
    twin.load_state_dict({name: tensor.double() for name, tensor in model.state_dict().items()}, assign=True)
    generator = torch.Generator().manual_seed(0)
    log_mel = 0.5 * torch.randn(1, config.n_mels, config.n_frames, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        if not is_pretraining:
            return twin(log_mel)
        found = twin(log_mel, keys=torch.zeros(1, dtype=torch.long))
        return torch.stack([found.reconstruct.output, found.classify.output])

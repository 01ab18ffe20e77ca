"""What lies below the heads of a model that pretrains, as whoever fine-tunes or embeds with it will see it."""

from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor

from zoo.data.batch import Inputs
from zoo.models.cost import build_on_meta
from zoo.models.masked_patch import MaskedPatchModel
from zoo.nn.attention_entropy import attention_entropy


def clean_features(model: MaskedPatchModel) -> Callable[..., Float[Tensor, "batch embed"]]:
    """(log_mel, num_frames, keys) -> a vector a clip: nothing is masked, and the tokens are put together as the
    fine-tuning model of this config does it (SSAST: the mean of the real patches)."""
    fine_tuned: Any = build_on_meta(model.config)
    aggregator = fine_tuned.aggregator  # it has no numbers of its own

    def features(log_mel: Tensor, num_frames: Tensor | None = None, keys: Tensor | None = None) -> Tensor:
        return aggregator(*model.backbone.encode(log_mel, num_frames, keys)).float()

    return features


def clean_attention(model: MaskedPatchModel) -> Callable[[Inputs], Float[Tensor, "batch layer head"]]:
    """Inputs -> the entropy of the attention of every head, as in `zoo.nn.attention_entropy`; nothing is masked."""

    def entropies(inputs: Inputs) -> Tensor:
        tokens, is_padded = model.backbone.embedding(inputs.log_mel, inputs.num_frames, inputs.keys)
        return attention_entropy(model.backbone.encoder, tokens, is_padded)

    return entropies

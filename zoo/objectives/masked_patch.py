"""SSAST's pretext task: rebuild masked patches, and tell which masked patch is which.

Source: Gong et al. 2022 (SSAST), eqs. 1 to 3. By default both losses look at one mask and one pass through the encoder
(`MaskedPatchModel`), and the softmax is the paper's. The released joint loss is NCE + 10 * MSE of two passes, each with
a mask of its own: `separate_masks` of the model and `softmax_over: predictions` here give its numbers.

Why the softmax is over the targets. Eq. 1 asks of every prediction which of the clip's patches it is of; so does the
accuracy that is reported, whose chance level is then that of guessing. Targets are raw log-mels, and scores dot
products with them: what all patches of a clip have in common, its level and average spectrum, adds the same to all
scores of a prediction, and a softmax over targets does not see it. A softmax over predictions, that of the released
code, does: a loud patch has large scores with every prediction and learns, while a patch near 0, the data set's mean,
has a score near 0 with each, so that its loss stays at chance and gives no gradient, whatever is predicted
(tests/unit/test_pretext_gradients.py has both). The golden losses are of the released direction.

A loss of weight 0 is computed and told, for it is cheap in a pass that is made anyway, but moves nothing. Its head is
then as it was at the start, and so are its numbers: of a fresh head those of chance.

Letters: B clips, L masked patches of the clip that has most (shorter rows are padded), K numbers in a patch (mels ×
frames).
"""

from functools import partial
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor, nn

from zoo.config import Config
from zoo.data.batch import Inputs
from zoo.objectives.objective import Objective, Task
from zoo.precision import exactly

_VARIANCE_FLOOR = 1e-6


class MaskedPatchConfig(Config):
    """Weighted sum of a squared error (reconstruct) and a contrastive loss (classify) at the masked patches."""

    kind: Literal["masked-patch"] = "masked-patch"
    reconstruct_weight: Annotated[float, Field(ge=0, le=1e6)] = 10.0
    """SSAST's lambda."""
    classify_weight: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    normalise_targets: bool = False
    """Give every target patch mean 0 and variance 1 of its own, for both losses (He et al. 2022, section 4)."""
    temperature: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """The contrastive scores are divided by this; they are plain dot products of K numbers, so sqrt(K) tames them."""
    softmax_over: Literal["targets", "predictions"] = "targets"
    """`targets`: which target belongs to this prediction (the paper's eq. 1). `predictions`: which prediction belongs
    to this target, as in the released code."""

    @model_validator(mode="after")
    def _weighs_something(self) -> "MaskedPatchConfig":
        if self.reconstruct_weight == 0 and self.classify_weight == 0:
            raise ValueError("reconstruct_weight and classify_weight are both 0 - expected at least one above 0")
        return self

    def build(self, task: Task | None = None) -> Objective:
        """The objective. The task plays no part: the pretext needs no labels."""
        return partial(masked_patch_loss, config=self)


def masked_patch_loss(
    model: nn.Module, inputs: Inputs, config: MaskedPatchConfig
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], dict[str, Tensor]]:
    """(loss, masked patches, scalars) of a model that answers with (output, target, length) twice: to reconstruct and
    to classify. Both have as many masked patches, whichever they are."""
    reconstruct, classify = model(inputs.log_mel, inputs.num_frames, inputs.keys)
    with exactly(inputs.log_mel.device):
        triple = _prepared(reconstruct, config.normalise_targets, config.reconstruct_weight)
        error = reconstruction_error(*triple)
        triple = _prepared(classify, config.normalise_targets, config.classify_weight)
        nce, accuracy, chance = info_nce(*triple, config.temperature, config.softmax_over)
        loss = _weighted(error, reconstruct[0], config.reconstruct_weight)
        loss = loss + _weighted(nce, classify[0], config.classify_weight)
    scalars = {
        "loss/reconstruct": error.detach(),
        "loss/classify": nce.detach(),
        "pretext/accuracy": accuracy,
        "pretext/chance": chance,
    }
    return loss, reconstruct[2].sum().float(), scalars


def reconstruction_error(
    output: Float[Tensor, "batch masked patch_dim"],
    target: Float[Tensor, "batch masked patch_dim"],
    length: Int[Tensor, "batch"],
) -> Float[Tensor, ""]:
    """Mean squared error over the masked patches of all clips: every patch counts the same, padded rows never."""
    is_real = _is_real(length, output.shape[1])
    error = (output - target).square().mean(dim=-1)  # (B, L)
    return error.masked_fill(~is_real, 0.0).sum() / _count(is_real)


def info_nce(
    output: Float[Tensor, "batch masked patch_dim"],
    target: Float[Tensor, "batch masked patch_dim"],
    length: Int[Tensor, "batch"],
    temperature: float = 1.0,
    softmax_over: Literal["targets", "predictions"] = "targets",
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, ""]]:
    """(loss, accuracy, chance) of pairing predictions with targets; the wrong answers are patches of the same clip.

    All three are means over the masked patches of all clips. Accuracy: for how many predictions is their own target
    the likeliest. Chance: the accuracy of guessing. With `softmax_over="predictions"` loss and accuracy are those of
    the released code, which compares, for each prediction, probabilities that were normalised over predictions.
    """
    is_real = _is_real(length, output.shape[1])
    is_pair = is_real[:, :, None] & is_real[:, None, :]  # (B, prediction, target)
    scores = output @ target.transpose(1, 2) / temperature  # (B, prediction, target)
    # A finite floor, not -inf: a padded row then gives a uniform answer that is left out below, instead of NaN.
    floor = torch.finfo(scores.dtype).min
    log_share = scores.masked_fill(~is_pair, floor).log_softmax(dim=2 if softmax_over == "targets" else 1)
    own = log_share.diagonal(dim1=1, dim2=2).masked_fill(~is_real, 0.0)  # (B, L)
    with torch.no_grad():
        answer = log_share.masked_fill(~is_pair, floor).argmax(dim=2)  # (B, L)
        is_right = (answer == torch.arange(output.shape[1], device=answer.device)) & is_real
        num_clips = (length > 0).sum()
    count = _count(is_real)
    return -own.sum() / count, is_right.sum() / count, num_clips / count


def normalise_patches(patches: Float[Tensor, "*any patch_dim"]) -> Float[Tensor, "*any patch_dim"]:
    """Mean 0 and variance 1 within each patch; a constant patch becomes zeros."""
    variance, mean = torch.var_mean(patches, dim=-1, keepdim=True, correction=0)
    return (patches - mean) / (variance + _VARIANCE_FLOOR).sqrt()


def _prepared(triple: tuple[Tensor, Tensor, Tensor], normalise: bool, weight: float) -> tuple[Tensor, Tensor, Tensor]:
    """In float32, and with targets that no gradient can reach: only the predictions learn, if they weigh anything."""
    output, target, length = triple
    output, target = output.float() if weight else output.detach().float(), target.detach().float()
    return output, normalise_patches(target) if normalise else target, length


def _weighted(value: Tensor, output: Tensor, weight: float) -> Tensor:
    """weight * value. With a weight of 0 exactly 0, and so are its gradients, even where the value is not finite.

    The head's parameters still get them: several processes that average gradients wait for one of every parameter.
    """
    if weight:
        return weight * value
    return output.float().masked_fill(output.new_ones((), dtype=torch.bool), 0.0).sum()


def _is_real(length: Int[Tensor, "batch"], masked: int) -> Bool[Tensor, "batch masked"]:
    return torch.arange(masked, device=length.device)[None, :] < length[:, None]


def _count(is_real: Bool[Tensor, "batch masked"]) -> Float[Tensor, ""]:
    """How many masked patches there are; 1 when none, so that a batch without any has a loss of 0, not NaN."""
    return is_real.sum().clamp(min=1).float()

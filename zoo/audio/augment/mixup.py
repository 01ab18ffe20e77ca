"""Mixup: a clip and a partner as one waveform or one log-mel, and their labels as shares.

Here is the arithmetic, for a whole batch at once. Which clips are mixed, with which, and how, is drawn where clips are
read (zoo/data/mixing.py). The rows of a batch are its clips and, behind them, a partner for each row that is mixed.
"""

from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from zoo.config import Config

Length = Literal["longer", "first"]


class MixupConfig(Config):
    """How often a clip gets a partner, any clip of the data set, and how they are mixed."""

    probability: Annotated[float, Field(gt=0, le=1)]
    """How likely a clip is to be mixed. AST: .5 on AudioSet; PaSST: .5 for waveforms, 1 for log-mels."""
    alpha: Annotated[float, Field(ge=0.01, le=1_000)]
    """The clip's share is drawn from Beta(alpha, alpha). AST: 10; PaSST: 2 for waveforms, .3 for log-mels."""
    keep_larger: bool = False
    """Whether a clip always keeps the larger of the two shares, as in PaSST."""
    length: Length = "longer"
    """How long the mixture is: as the longer of the two, or as the clip (`first`), its partner cut or filled with
    zeros at the end, as in AST."""


def mix_waveforms(
    waveform: Float[Tensor, "rows sample"],
    num_samples: Int[Tensor, "rows"],
    row: Int[Tensor, "partner"],
    share: Float[Tensor, "partner"],
    length: Length,
) -> tuple[Float[Tensor, "kept sample"], Int[Tensor, "kept"]]:
    """The rows without their partners, those at `row` mixed, and the real samples of each.

    Both clips less their means, `share` of the one and the rest of the other, and the sum less its own mean; no weight
    for loudness. It is what AST (src/dataloader.py) and PaSST (the data set's wavmix) both do; the means are those of
    the real samples.

    Args: the last rows are the partners, in the order of `row`.
    """
    kept = waveform.shape[0] - row.shape[0]
    first, second = _centred(waveform[row], num_samples[row]), _centred(waveform[kept:], num_samples[kept:])
    num_mixed = _mixed_length(num_samples, row, length)
    mixed = share[:, None] * first + (1 - share)[:, None] * second
    mixed = _centred(mixed, num_mixed)
    return waveform[:kept].index_copy(0, row, mixed), num_samples[:kept].index_copy(0, row, num_mixed)


def mix_log_mels(
    log_mel: Float[Tensor, "rows mel frame"],
    num_frames: Int[Tensor, "rows"] | None,
    row: Int[Tensor, "partner"],
    share: Float[Tensor, "partner"],
    length: Length,
    silence: Float[Tensor, "mel 1"],
) -> tuple[Float[Tensor, "kept mel frame"], Int[Tensor, "kept"] | None]:
    """The rows without their partners, those at `row` mixed, and the real frames of each.

    Args:
        num_frames: None takes all frames as they are, padding too, as the released code does. Else a clip that has
            ended goes on as `silence` in a longer mixture, and padding stays what it was.
        silence: the log-mel of silence.
    """
    kept = log_mel.shape[0] - row.shape[0]
    first, second = log_mel[row], log_mel[kept:]
    if num_frames is None:
        return log_mel[:kept].index_copy(0, row, _weighted(first, second, share)), None
    frame = torch.arange(log_mel.shape[2], device=log_mel.device)[None, None, :]
    heard = first.where(frame < num_frames[row][:, None, None], silence)
    other = second.where(frame < num_frames[kept:][:, None, None], silence)
    num_mixed = _mixed_length(num_frames, row, length)
    mixed = _weighted(heard, other, share).where(frame < num_mixed[:, None, None], first)
    return log_mel[:kept].index_copy(0, row, mixed), num_frames[:kept].index_copy(0, row, num_mixed)


def mix_targets(
    target: Float[Tensor, "rows cls"] | None, row: Int[Tensor, "partner"], share: Float[Tensor, "partner"]
) -> Float[Tensor, "kept cls"] | None:
    """The targets without those of partners, those at `row` mixed: a class that both have keeps its 1.

    Targets that sum to 1 go on doing so. None stays None.
    """
    if target is None:
        return None
    kept = target.shape[0] - row.shape[0]
    mixed = share[:, None] * target[row] + (1 - share)[:, None] * target[kept:]
    return target[:kept].index_copy(0, row, mixed)


def _weighted(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    return share[:, None, None] * first + (1 - share)[:, None, None] * second


def _mixed_length(length: Tensor, row: Tensor, rule: Length) -> Tensor:
    first, second = length[row], length[length.shape[0] - row.shape[0] :]
    return first if rule == "first" else torch.maximum(first, second)


def _centred(waveform: Tensor, num_samples: Tensor) -> Tensor:
    """Less the mean of the real samples; 0 behind them. Summed in float64, so that no batch changes a clip."""
    is_real = torch.arange(waveform.shape[1], device=waveform.device) < num_samples[:, None]
    total = waveform.where(is_real, 0.0).sum(1, keepdim=True, dtype=torch.float64)
    return (waveform - (total / num_samples.clamp(min=1)[:, None]).float()).where(is_real, 0.0)

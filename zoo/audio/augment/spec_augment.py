"""SpecAugment (Park et al. 2019): one mask over mel bands and one over frames, in this zoo's form and in the released.

A width of 0 draws and hides nothing.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from zoo.draws import uniform, whole


def mask_with_mean(
    log_mel: Float[Tensor, "batch mel frame"],
    num_frames: Int[Tensor, "batch"],
    keys: Int[Tensor, "batch"],
    freq_mask: int,
    time_mask: int,
) -> Float[Tensor, "batch mel frame"]:
    """Masks hold 0 after normalising, which is the data set's mean.

    Widths are whole numbers from 0 to the widest, which is included; every place is alike; a time mask lies on the
    clip and leaves at least one of its frames.
    """
    band, frame, num_frames, is_real = _places(log_mel, num_frames)
    if freq_mask:
        is_hidden = _whole_stretch(keys, "freq-mask", band, freq_mask, torch.full_like(num_frames, log_mel.shape[1]))
        log_mel = log_mel.masked_fill(is_hidden[:, :, None] & is_real[:, None, :], 0.0)
    if time_mask:
        is_hidden = _whole_stretch(keys, "time-mask", frame, time_mask, num_frames)
        log_mel = log_mel.masked_fill(is_hidden[:, None, :], 0.0)
    return log_mel


def mask_as_source(
    log_mel: Float[Tensor, "batch mel frame"],
    num_frames: Int[Tensor, "batch"],
    keys: Int[Tensor, "batch"],
    freq_mask: int,
    time_mask: int,
    fill: float,
) -> Float[Tensor, "batch mel frame"]:
    """torchaudio's masks, which the released code of AST, SSAST and PaSST uses.

    With u and v uniform in [0, 1), a mask of parameter p on an axis of N places is floor(u p) wide and begins at
    floor(v (N - u p)): less than p wide, and its first places a little likelier than its last. The released code masks
    before normalising, with 0; `fill` is what that 0 becomes. N is the number of real frames, and p no more than that.

    Differs from the released code, by intent: every clip has masks of its own. PaSST, with the torchaudio of its time,
    had one pair of masks for the whole batch.
    """
    band, frame, num_frames, is_real = _places(log_mel, num_frames)
    if freq_mask:
        is_hidden = _released_stretch(keys, "freq-mask", band, freq_mask, torch.full_like(num_frames, log_mel.shape[1]))
        log_mel = log_mel.masked_fill(is_hidden[:, :, None] & is_real[:, None, :], fill)
    if time_mask:
        is_hidden = _released_stretch(keys, "time-mask", frame, time_mask, num_frames)
        log_mel = log_mel.masked_fill(is_hidden[:, None, :], fill)
    return log_mel


def _places(log_mel: Tensor, num_frames: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Bands (1, M), frames (1, T), how many frames are real (B, 1), and which (B, T)."""
    _, n_mels, n_frames = log_mel.shape
    frame = torch.arange(n_frames, device=log_mel.device)[None, :]
    return torch.arange(n_mels, device=log_mel.device)[None, :], frame, num_frames[:, None], frame < num_frames[:, None]


def _whole_stretch(keys: Tensor, purpose: str, index: Tensor, widest: int, size: Tensor) -> Tensor:
    """(B, indices): one stretch in every row, wholly within its size (B, 1) and short of covering it."""
    numbers = uniform(keys, purpose, 2)
    width = whole(numbers[:, :1], 0, (size - 1).clamp(min=0, max=widest))
    start = whole(numbers[:, 1:], 0, size - width)
    return (index >= start) & (index < start + width)


def _released_stretch(keys: Tensor, purpose: str, index: Tensor, param: int, size: Tensor) -> Tensor:
    """(B, indices): as `mask_as_source` says; the width is rounded down only after the place was drawn with it."""
    numbers = uniform(keys, purpose, 2)
    width = numbers[:, :1] * size.clamp(max=param)
    start = (numbers[:, 1:] * (size - width)).long()
    return (index >= start) & (index < start + width.long())

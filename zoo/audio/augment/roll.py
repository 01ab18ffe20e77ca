"""Circular shifts in time, of waveforms and of log-mels, each within its own length."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def roll(
    signal: Float[Tensor, "batch *band place"], length: Int[Tensor, "batch"], shift: Int[Tensor, "batch"]
) -> Float[Tensor, "batch *band place"]:
    """Every row shifted by `shift` places, forwards when positive; what leaves at one end comes in at the other.

    Only the first `length` places of a row move: what follows is padding, and stays.
    """
    place = torch.arange(signal.shape[-1], device=signal.device)[None, :]  # (1, N)
    length = length[:, None]  # (B, 1)
    source = place - shift[:, None] % length.clamp(min=1)  # (B, N), down to -length; one remainder a row, not a place
    source = torch.where(source < 0, source + length, source)
    source = torch.where(place < length, source, place)
    bands = [1] * (signal.ndim - 2)
    return signal.gather(-1, source.view(source.shape[0], *bands, source.shape[1]).expand_as(signal))

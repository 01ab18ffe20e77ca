"""Kaldi's mel filters: triangles that are straight in mel, over the bins of a power spectrum."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def hertz_to_mel(frequency: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Kaldi's mel scale, 1127 ln(1 + f / 700)."""
    return 1127.0 * (1.0 + frequency / 700.0).log()


def make_mel_bank(
    f_min: Float[Tensor, "*batch"], f_max: Float[Tensor, "*batch"], n_mels: int, n_fft: int, sample_rate: int
) -> Float[Tensor, "*batch mel bin"]:
    """Triangles of height 1 between `f_min` and `f_max` (Hz), for every pair of band edges; float32.

    Equal, bit for bit, to torchaudio.compliance.kaldi.get_mel_banks without vocal tract length normalisation. The bin
    at half the sampling rate, which Kaldi leaves out, has no weight. Where triangles are narrower than a bin some are
    empty: at 16 kHz with 128 bands and n_fft 512, band 3 always sits at the log's floor.
    """
    low, high = (hertz_to_mel(edge.double())[..., None, None] for edge in (f_min, f_max))
    step = ((high - low) / (n_mels + 1)).float()  # (*B, 1, 1)
    low = low.float()
    band = torch.arange(n_mels, device=low.device)[:, None]
    left, centre, right = low + band * step, low + (band + 1.0) * step, low + (band + 2.0) * step  # (*B, M, 1)
    mel = hertz_to_mel(sample_rate / n_fft * torch.arange(n_fft / 2, device=low.device))  # (K - 1,)
    rising, falling = (mel - left) / (centre - left), (right - mel) / (right - centre)
    return F.pad(torch.minimum(rising, falling).clamp(min=0.0), (0, 1))


Block = tuple[slice, slice]
"""Bands next to each other, and the bins that their triangles cover."""

_BLOCK = 32  # bands: fewer bins a block, but more and smaller products


def blocks_of_bands(bank: Float[Tensor, "mel bin"]) -> tuple[Block, ...]:
    """The blocks of a bank.

    A triangle covers a few bins of many: multiplied block by block, a bank of 128 bands over 257 bins takes a quarter
    of the products of a full one.
    """
    covers = bank > 0
    blocks = []
    for start in range(0, covers.shape[0], _BLOCK):
        bands = slice(start, min(start + _BLOCK, covers.shape[0]))
        bins = covers[bands].any(0).nonzero()[:, 0].tolist()
        blocks.append((bands, slice(bins[0], bins[-1] + 1) if bins else slice(0, 0)))
    return tuple(blocks)


def in_blocks(
    power: Float[Tensor, "frame bin"], bank: Float[Tensor, "mel bin"], blocks: Sequence[Block]
) -> Float[Tensor, "mel frame"]:
    """`bank @ power.T` without the products by zero."""
    return torch.cat([bank[bands, bins] @ power[:, bins].T for bands, bins in blocks])


def hertz_at_band(band: Float[Tensor, "*shape"], f_min: float, f_max: float, n_mels: int) -> Float[Tensor, "*shape"]:
    """The frequency (Hz) of a place on the axis of bands: of band 0 at 0, half way in mel to band 1 at 0.5."""
    low, high = hertz_to_mel(torch.tensor([f_min, f_max], dtype=torch.float64)).tolist()
    mel = low + (band.double() + 1.0) * (high - low) / (n_mels + 1)
    return 700.0 * ((mel / 1127.0).exp() - 1.0)
